"""Which items of test sets rows share words with, and how much of each: n-grams, looked up.

An item is a row of a target: the words of its instruction, then those of its answer. The index
holds a hash for every n words of an item that follow each other (`stages.grams`), also those that
begin in the instruction and end in the answer. A row holds an item's n-gram where it has the same
n words in a row; the words of the item that lie in such n-grams are covered.

An instruction of fewer than n words has no n-gram of its own: it is covered where a message of the
row is that instruction as a whole.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from .grams import Lists, gram_hashes, whole_hashes, word_hashes
from .plain_text import plain, texts, words

ROWS_AT_ONCE = 256  # bounds memory, no result
SHARED_AT_ONCE = 1 << 18  # n-grams of items that rows share, but for those of one row; likewise
INDEX = pa.schema(
    [
        ("hash", pa.uint64()),  # of the words, rising
        ("target", pa.int32()),  # its number
        ("item", pa.int32()),  # its place in the target
        ("start", pa.int32()),  # the first of the words in the item
        ("length", pa.int32()),  # n, or all words of a shorter instruction
        ("instruction", pa.int32()),  # words of the item's instruction
        ("answer", pa.int32()),  # and of its answer
    ]
)


class Overlap(NamedTuple):
    """What a row and an item share.

    Attributes:
        row, target, item: which.
        coverage: the largest of the shares of the item's words that are covered: of those of the
            instruction, of the answer, and of both; of fewer than n words none is asked after.
        instruction, answer: the shares of either side; NaN of one without words.
        words: the longest run of shared n-grams in the row, as words; only for the item with the
            largest coverage of the row's, the first of equal ones.
    """

    row: int
    target: int
    item: int
    coverage: float
    instruction: float
    answer: float
    words: str


def starts_of(instruction: int, answer: int, n: int, alone: bool) -> np.ndarray:
    """Return where the n-grams of an item begin that are indexed.

    Args:
        instruction: words of it.
        answer: likewise.
        n: words.
        alone: also those that lie within the instruction, which datatrove leaves out.
    """
    first = 0 if alone else max(instruction - n + 1, 0)
    return np.arange(first, max(instruction + answer - n + 1, first))


def index_of(targets: Sequence[pa.Table], n: int, alone: bool) -> pa.Table:
    """Return the n-grams of the items of targets, sorted by their hashes.

    Args:
        targets: their rows, with `messages`.
        n: words.
        alone: as for `starts_of`; without it a short instruction is not looked for either.
    """
    lines = [_of_target(rows, number, n, alone) for number, rows in enumerate(targets)]
    whole = pa.concat_tables([INDEX.empty_table(), *lines])
    order = [(name, "ascending") for name in ("hash", "target", "item", "start")]
    return whole.sort_by(order).combine_chunks()


def overlaps(
    rows: pa.Table, index: pa.Table, n: int, alone: bool, least: float = 0.0
) -> Iterator[Overlap]:
    """Yield every row and item that share an n-gram, in the order of rows, targets and items.

    Args:
        rows: with `messages`.
        index: from `index_of`.
        n: as there.
        alone: likewise.
        least: items with less coverage are left out, but for the one that the row covers most.
    """
    known = {name: index[name].to_numpy() for name in INDEX.names}
    for start in range(0, len(rows), ROWS_AT_ONCE):
        some = rows.slice(start, ROWS_AT_ONCE)
        said = words(plain(texts(some, "both"), "ignore"))
        for at, entry in _shared(some, said, known, (n, alone)):
            for one in _measured(said, at, entry, known, (n, alone), least):
                yield one._replace(row=start + one.row)


def _of_target(rows: pa.Table, number: int, n: int, alone: bool) -> pa.Table:
    sides = [word_hashes(words(plain(texts(rows, s), "ignore"))) for s in ("instruction", "answer")]
    counts = np.stack([side.lengths for side in sides], axis=1)
    both = _joined(sides[0], sides[1])
    grams = gram_hashes(both, n)
    own = np.zeros(len(grams.values), dtype=bool)
    begins = np.concatenate([np.arange(length) for length in grams.lengths] or [np.empty(0, int)])
    for place, (instruction, answer) in enumerate(counts.tolist()):
        own[grams.starts[place] + starts_of(instruction, answer, n, alone)] = True
    item, start, hashes = grams.owner[own], begins[own], grams.values[own]
    length = np.full(len(item), n)
    if alone:
        short = np.flatnonzero((counts[:, 0] > 0) & (counts[:, 0] < n))
        item = np.concatenate([item, short])
        start = np.concatenate([start, np.zeros(len(short), int)])
        hashes = np.concatenate([hashes, whole_hashes(sides[0])[short]])
        length = np.concatenate([length, counts[short, 0]])
    numbers = np.full(len(item), number)
    columns = [hashes, numbers, item, start, length, counts[item, 0], counts[item, 1]]
    types = zip(columns, INDEX.types, strict=True)
    return pa.table([pa.array(column).cast(kind) for column, kind in types], schema=INDEX)


def _joined(left: Lists, right: Lists) -> Lists:
    """The numbers of each row of the one, then of the other."""
    owner = np.concatenate([left.owner, right.owner])
    order = np.argsort(owner, kind="stable")
    return Lists(np.concatenate([left.values, right.values])[order], left.starts + right.starts)


def _shared(
    rows: pa.Table, said: pa.ListArray, known: dict[str, np.ndarray], how: tuple[int, bool]
) -> Iterator[tuple[tuple[np.ndarray, np.ndarray], np.ndarray]]:
    """Yield row, place and entry of the n-grams that rows share, for some rows at a time.

    Many rows and many items can have the same template: so many together that memory lasts.
    """
    n, alone = how
    grams = gram_hashes(word_hashes(said), n)
    place = np.arange(len(grams.values)) - grams.starts[:-1][grams.owner]
    whole = (
        _messages(rows) if alone else Lists(np.empty(0, np.uint64), np.zeros(len(rows) + 1, int))
    )
    owner = np.concatenate([grams.owner, whole.owner])
    place = np.concatenate([place, np.full(len(whole.values), -1)])
    low, count = _counted(np.concatenate([grams.values, whole.values]), known["hash"])
    some = _once(owner, 2 * low + (place < 0), count)
    for block in _blocks(owner[some], count[some]):
        at = some[block]
        looked, entry = _spread(low[at], count[at])
        # a message is only looked for among short instructions
        fits = (known["length"][entry] < n) == (place[at][looked] < 0)
        looked, entry = at[looked[fits]], entry[fits]
        if len(entry):
            yield (owner[looked], place[looked]), entry


def _once(owner: np.ndarray, what: np.ndarray, count: np.ndarray) -> np.ndarray:
    """The lines that are found anywhere, without those in which a row says the same again."""
    there = np.flatnonzero(count)
    names = owner[there] * (int(what.max(initial=0)) + 1) + what[there]
    found: np.ndarray = there[np.unique(names, return_index=True)[1]]
    return found


def _blocks(owner: np.ndarray, count: np.ndarray) -> list[slice]:
    """Cut lines of rising rows so that each piece has about `SHARED_AT_ONCE`; no row is cut."""
    first = np.searchsorted(owner, owner, "left")
    number = (np.cumsum(count) - count)[first] // SHARED_AT_ONCE
    bounds = [0, *(np.flatnonzero(np.diff(number)) + 1).tolist(), len(owner)]
    return [slice(*one) for one in pairwise(bounds)]


def _messages(rows: pa.Table) -> Lists:
    """The hash of each message that is no answer, as a whole."""
    column = rows["messages"].combine_chunks()
    messages = column.flatten()
    asked = np.asarray(pc.not_equal(messages.field("role"), "assistant"))
    content = pc.fill_null(messages.field("content"), "").filter(pa.array(asked))
    hashes = whole_hashes(word_hashes(words(plain(content, "ignore"))))
    offsets = np.asarray(column.offsets)
    return Lists(hashes, np.concatenate([[0], np.cumsum(asked)])[offsets - offsets[0]])


def _counted(keys: np.ndarray, known: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where each key begins among sorted ones, and how often it is there."""
    low = np.searchsorted(known, keys, "left")
    return low, np.searchsorted(known, keys, "right") - low


def _spread(low: np.ndarray, count: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A line for each place of each key: which key, and the place."""
    key = np.repeat(np.arange(len(low)), count)
    return key, np.arange(len(key)) + np.repeat(low - np.cumsum(count) + count, count)


def _measured(
    said: pa.ListArray,
    at: tuple[np.ndarray, np.ndarray],
    entry: np.ndarray,
    known: dict[str, np.ndarray],
    how: tuple[int, bool],
    least: float,
) -> Iterator[Overlap]:
    """What each pair of a row and an item shares, from the row, place and entry of each n-gram."""
    row, place = at
    n, alone = how
    one, pair = _pairs(row, known["target"][entry], known["item"][entry])
    own, of = row[one], entry[one]
    length = known["length"][entry].astype(np.int64)
    spread, inside = _spread(np.zeros(len(entry), np.int64), length)
    word = known["start"][entry][spread] + inside
    sizes = np.stack([known["instruction"][of], known["answer"][of]], axis=1)
    widest = int(sizes.sum(1).max())
    covered = np.unique(pair[spread] * widest + word)
    whose, word = covered // widest, covered % widest
    left = word < sizes[whose, 0]
    counts = np.stack(
        [np.bincount(whose[side], minlength=len(of)) for side in (left, ~left)], axis=1
    )
    asked = np.stack([alone & (sizes[:, 0] >= n), sizes[:, 1] >= n, sizes.sum(1) >= n], axis=1)
    asked[pair[place < 0], 0] = True
    with np.errstate(invalid="ignore"):
        shares = counts / sizes
        every = np.concatenate([shares, counts.sum(1, keepdims=True) / sizes.sum(1)[:, None]], 1)
    best = np.where(asked, every, 0.0).max(1)
    leading = _first_largest(own, best)
    order = np.argsort(pair, kind="stable")
    begins = np.searchsorted(pair[order], np.arange(len(of) + 1))
    for number in np.flatnonzero(leading | (best >= least)).tolist():
        run = place[order[begins[number] : begins[number + 1]]]
        line, row_words = of[number], said[int(own[number])] if leading[number] else None
        yield Overlap(
            int(own[number]),
            int(known["target"][line]),
            int(known["item"][line]),
            float(best[number]),
            float(shares[number, 0]),
            float(shares[number, 1]),
            "" if row_words is None else _longest(row_words.as_py(), run, n),
        )


def _pairs(row: np.ndarray, target: np.ndarray, item: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """One line of each row and item, in their order, and which of these each line is of."""
    items = int(item.max()) + 1
    names = (row.astype(np.int64) * (int(target.max()) + 1) + target) * items + item
    _, one, pair = np.unique(names, return_index=True, return_inverse=True)
    return one, pair.ravel()


def _first_largest(rows: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Which value is the first of the largest of its row, (values,) bool; rows are rising."""
    order = np.lexsort([np.arange(len(rows)), -values, rows])
    first = np.ones(len(rows), dtype=bool)
    first[1:] = np.diff(rows[order]) > 0
    found = np.zeros(len(rows), dtype=bool)
    found[order[first]] = True
    return found


def _longest(said: list[str], places: np.ndarray, n: int) -> str:
    """The longest run of words that lie in shared n-grams; all, where a message is shared."""
    places = np.unique(places[places >= 0])
    if not len(places):
        return " ".join(said)
    runs = np.split(places, np.flatnonzero(np.diff(places) > n) + 1)
    run = max(runs, key=lambda one: int(one[-1] - one[0]))
    return " ".join(said[run[0] : run[-1] + n])


def pairs_with(rows: Lists, items: Lists) -> Iterator[tuple[int, int]]:
    """Yield which rows and items have a number in common, in their order."""
    order = np.argsort(items.values, kind="stable")
    low, count = _counted(rows.values, items.values[order])
    owner = rows.owner
    some = _once(owner, low, count)
    for block in _blocks(owner[some], count[some]):
        at = some[block]
        looked, place = _spread(low[at], count[at])
        pairs = owner[at[looked]] * len(items.starts) + items.owner[order[place]]
        for pair in np.unique(pairs).tolist():
            yield divmod(pair, len(items.starts))
