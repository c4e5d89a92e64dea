"""Which items of test sets rows share words with, and how much of each: n-grams, looked up.

An item is a row of a target: the words of its instruction, then those of its answer. The index
holds a hash for every n words of an item that follow each other (`stages.grams`), also those that
begin in the instruction and end in the answer. A row holds an item's n-gram where it has the same
n words in a row; the words of the item that lie in such n-grams are covered.

An instruction of fewer than n words has no n-gram of its own: it is covered where a message of the
row is that instruction as a whole.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from .grams import Lists, gram_hashes, whole_hashes, word_hashes
from .plain_text import plain, texts, words

ROWS_AT_ONCE = 256  # bounds memory, no result
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


def overlaps(rows: pa.Table, index: pa.Table, n: int, alone: bool) -> list[Overlap]:
    """Return every row and item that share an n-gram, in the order of rows, targets and items.

    Args:
        rows: with `messages`.
        index: from `index_of`.
        n: as there.
        alone: likewise.
    """
    known = {name: index[name].to_numpy() for name in INDEX.names}
    found = list[Overlap]()
    for start in range(0, len(rows), ROWS_AT_ONCE):
        found += _of_rows(rows.slice(start, ROWS_AT_ONCE), start, known, (n, alone))
    return found


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


def _of_rows(
    rows: pa.Table, first: int, known: dict[str, np.ndarray], how: tuple[int, bool]
) -> Iterator[Overlap]:
    n, alone = how
    said = words(plain(texts(rows, "both"), "ignore"))
    grams = gram_hashes(word_hashes(said), n)
    place = np.arange(len(grams.values)) - grams.starts[:-1][grams.owner]
    whole = (
        _messages(rows) if alone else Lists(np.empty(0, np.uint64), np.zeros(len(rows) + 1, int))
    )
    owner = np.concatenate([grams.owner, whole.owner])
    place = np.concatenate([place, np.full(len(whole.values), -1)])
    looked, entry = _found(np.concatenate([grams.values, whole.values]), known["hash"])
    short = known["length"][entry] < n
    fits = short == (place[looked] < 0)  # a message is only looked for among short instructions
    looked, entry = looked[fits], entry[fits]
    return _measured(first, said, (owner[looked], place[looked]), entry, known, how)


def _messages(rows: pa.Table) -> Lists:
    """The hash of each message that is no answer, as a whole."""
    column = rows["messages"].combine_chunks()
    messages = column.flatten()
    asked = np.asarray(pc.not_equal(messages.field("role"), "assistant"))
    content = pc.fill_null(messages.field("content"), "").filter(pa.array(asked))
    hashes = whole_hashes(word_hashes(words(plain(content, "ignore"))))
    offsets = np.asarray(column.offsets)
    return Lists(hashes, np.concatenate([[0], np.cumsum(asked)])[offsets - offsets[0]])


def _found(keys: np.ndarray, known: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which keys are among sorted ones, and where: a line for each place of each."""
    low = np.searchsorted(known, keys, "left")
    count = np.searchsorted(known, keys, "right") - low
    place = np.repeat(np.arange(len(keys)), count)
    return place, np.arange(len(place)) + np.repeat(low - np.cumsum(count) + count, count)


def _measured(
    first: int,
    said: pa.ListArray,
    at: tuple[np.ndarray, np.ndarray],
    entry: np.ndarray,
    known: dict[str, np.ndarray],
    how: tuple[int, bool],
) -> Iterator[Overlap]:
    """What each pair of a row and an item shares, from the row, place and entry of each n-gram."""
    row, place = at
    n, alone = how
    target, item = known["target"][entry].astype(np.int64), known["item"][entry]
    keys = np.stack([row, target, item], axis=1)
    pairs, pair = np.unique(keys, axis=0, return_inverse=True)
    pair = pair.ravel()
    length = known["length"][entry].astype(np.int64)
    spread = np.repeat(np.arange(len(entry)), length)
    inside = np.arange(len(spread)) - np.repeat(np.cumsum(length) - length, length)
    word = known["start"][entry][spread] + inside
    covered = np.unique(np.stack([pair[spread], word], axis=1), axis=0)
    one = np.zeros(len(pairs), np.int64)
    one[pair] = entry
    sizes = np.stack([known["instruction"][one], known["answer"][one]], axis=1)
    left = covered[:, 1] < sizes[covered[:, 0], 0]
    counts = np.stack(
        [np.bincount(covered[side, 0], minlength=len(pairs)) for side in (left, ~left)], axis=1
    )
    asked = np.stack([alone & (sizes[:, 0] >= n), sizes[:, 1] >= n, sizes.sum(1) >= n], axis=1)
    asked[pair[place < 0], 0] = True
    with np.errstate(invalid="ignore"):
        shares = counts / sizes
        every = np.concatenate([shares, counts.sum(1, keepdims=True) / sizes.sum(1)[:, None]], 1)
    best = np.where(asked, every, 0.0).max(1)
    leading = _first_largest(pairs[:, 0], best)
    order = np.argsort(pair, kind="stable")
    runs = np.split(place[order], np.flatnonzero(np.diff(pair[order])) + 1)
    for number, (own, of, which) in enumerate(pairs.tolist()):
        text = _longest(said[own].as_py(), runs[number], n) if leading[number] else ""
        sides = [float(share) for share in shares[number]]
        yield Overlap(first + own, of, which, float(best[number]), sides[0], sides[1], text)


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


def pairs_with(rows: Lists, items: Lists) -> np.ndarray:
    """Return which rows and items have a number in common, (pairs, 2) in their order."""
    order = np.argsort(items.values, kind="stable")
    looked, place = _found(rows.values, items.values[order])
    pairs = np.stack([rows.owner[looked], items.owner[order[place]]], axis=1)
    found: np.ndarray = np.unique(pairs, axis=0)
    return found
