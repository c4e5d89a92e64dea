"""MinHash and its groups beside `datasketch`: the same rows, the same process, one thread each.

Rows are drawn: words of a vocabulary by Zipf's law, lengths about 60 words, and a share of them
are copies of another row in which a few words are others. Three ways from rows to groups:

tamis         the signals `minhash` and `near_duplicates`, from messages to groups
datasketch    as its users have it: the words of each row (given to it for nothing) as sets of
              5-grams, `MinHash` with SHA-1, `MinHashLSH` with 14 bands of 8, all rows inserted and
              asked for, groups by a union of what each finds
same hashes   datasketch with the hashes of our 5-grams and our permutations: the definition is the
              same, so the groups must be; it is told the hashes for nothing

Seconds are of the processor: median, least and most over the repeats. `recall` is the share of the
copies that end in the group of their original.

    python benchmarks/duplicates.py
    python benchmarks/duplicates.py --rows 2000 --repeats 1      # a trial of seconds

Writes benchmarks/results/duplicates.json, or what --out names.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from tamis.benchmarks.measuring import write
from tamis.stages.base import ROWS
from tamis.stages.grams import gram_hashes, word_hashes
from tamis.stages.grouping import linked
from tamis.stages.minhashing import permutations, values_of
from tamis.stages.plain_text import plain, texts, words
from tamis.stages.signals.minhash import Minhash
from tamis.stages.signals.near_duplicates import NearDuplicates

PART = 1024  # rows, as in a run
VOCABULARY = 50_000
SHARE = 0.1  # of copies
N, BANDS, HASHES, SEED = 5, 14, 8, 1
Groups = np.ndarray  # (rows,) a label of each row's group


def drawn(n: int, seed: int = 0) -> tuple[list[str], np.ndarray]:
    """Return texts, and of which row each is a copy, (rows,) -1 for none."""
    rng = np.random.default_rng(seed)
    weights = 1 / np.arange(10, VOCABULARY + 10)
    lengths = np.maximum(rng.lognormal(4.0, 0.5, n).astype(int), 8)
    draws = rng.choice(VOCABULARY, lengths.sum(), p=weights / weights.sum())
    rows = np.split(draws, np.cumsum(lengths)[:-1])
    copy_of = np.full(n, -1)
    for row in np.flatnonzero(rng.random(n) < SHARE):
        if row and copy_of[other := int(rng.integers(row))] < 0:
            own = rows[other].copy()
            own[rng.integers(len(own), size=rng.integers(3))] = rng.integers(VOCABULARY)
            rows[row], copy_of[row] = own, other
    return [" ".join(f"w{word}" for word in row) for row in rows], copy_of


def pool_of(said: Sequence[str]) -> list[pa.Table]:
    """Return the rows as parts of a pool; the first third of the words are the instruction."""
    parts = []
    for first in range(0, len(said), PART):
        own = said[first : first + PART]
        messages = []
        for text in own:
            split = text.split(" ")
            at = len(split) // 3
            asked, answer = " ".join(split[:at]), " ".join(split[at:])
            messages.append(
                [{"role": "user", "content": asked}, {"role": "assistant", "content": answer}]
            )
        ids = pa.array([f"{first + place:032x}" for place in range(len(own))])
        rows = pa.array(messages, ROWS.field("messages").type)
        parts.append(pa.table({"sample_id": ids, "messages": rows}))
    return parts


def ours(parts: list[pa.Table]) -> Groups:
    """The two signals, as a run has them."""
    stage = Minhash(n=N, bands=BANDS, hashes=HASHES, seed=SEED)
    made = []
    for part in parts:
        added = stage(part, ["bands", "status"])
        for name in added.column_names:
            part = part.append_column(f"minhash.{name}", added[name])
        made.append(part)
    near = NearDuplicates()
    near = near.fitted_with(near.fit(made))
    found = pa.concat_tables([near(part, ["group"]) for part in made])["group"]
    return np.asarray(found.combine_chunks().dictionary_encode().indices)


def theirs(rows: Sequence[Any], make: Callable[[Any], Any]) -> Groups:
    """What datasketch finds.

    Args:
        rows: what each sketch is made of.
        make: makes it.
    """
    from datasketch import MinHashLSH

    index = MinHashLSH(num_perm=BANDS * HASHES, params=(BANDS, HASHES))
    sketches = [make(row) for row in rows]
    with index.insertion_session() as session:
        for number, sketch in enumerate(sketches):
            session.insert(number, sketch)
    pairs = [(i, j) for i, sketch in enumerate(sketches) for j in index.query(sketch) if j < i]
    left, right = np.array(pairs, np.int64).reshape(-1, 2).T
    return linked(len(rows), left, right)


def with_sha1(own: list[str]) -> Any:  # noqa: ANN401 - datasketch has no types
    """A sketch of the 5-grams of words."""
    from datasketch import MinHash

    sketch = MinHash(BANDS * HASHES, seed=SEED)
    grams = {" ".join(own[i : i + N]) for i in range(len(own) - N + 1)}
    sketch.update_batch([gram.encode() for gram in grams])
    return sketch


def with_our_hashes(drawn: tuple[np.ndarray, np.ndarray], values: np.ndarray) -> Any:  # noqa: ANN401
    """A sketch of hashes of 5-grams, with our permutations."""
    from datasketch import MinHash

    sketch = MinHash(BANDS * HASHES, hashfunc=int, permutations=drawn, scheme="affine32")
    sketch.update_batch(values.tolist())
    return sketch


def timed(work: Callable[[], Groups], repeats: int) -> tuple[dict[str, Any], Groups]:
    """Seconds of the processor, and the result."""
    seconds = []
    for _ in range(repeats):
        began = time.process_time()
        found = work()
        seconds.append(time.process_time() - began)
    return {
        "seconds": round(statistics.median(seconds), 2),
        "least": round(min(seconds), 2),
        "most": round(max(seconds), 2),
    }, found


def recall(groups: Groups, copy_of: np.ndarray) -> float:
    """The share of copies in the group of their original."""
    copies = np.flatnonzero(copy_of >= 0)
    return round(float((groups[copies] == groups[copy_of[copies]]).mean()), 4)


def same(one: Groups, other: Groups) -> bool:
    """Whether the groups hold the same rows."""
    both = np.unique(np.stack([one, other]), axis=1).shape[1]
    return bool(both == len(np.unique(one)) == len(np.unique(other)))


def measured(n: int, repeats: int) -> dict[str, Any]:
    """Measure the three ways on so many rows."""
    said, copy_of = drawn(n)
    parts = pool_of(said)
    all_texts = pa.concat_tables(parts)
    own = words(plain(texts(all_texts, "both"), "ignore"))
    grams = gram_hashes(word_hashes(own), N)
    hashes = np.split(values_of(grams.values), grams.starts[1:-1])
    known = permutations(SEED, BANDS * HASHES)
    ways: dict[str, Callable[[], Groups]] = {
        "tamis": partial(ours, parts),
        "datasketch": partial(theirs, own.to_pylist(), with_sha1),
        "same hashes": partial(theirs, hashes, partial(with_our_hashes, (known[0], known[1]))),
    }
    results: dict[str, dict[str, Any]] = {}
    groups: dict[str, Groups] = {}
    for name, way in ways.items():
        found, groups[name] = timed(way, repeats)
        found |= {"groups": len(np.unique(groups[name])), "recall": recall(groups[name], copy_of)}
        found["times_tamis"] = round(found["seconds"] / results.get("tamis", found)["seconds"], 1)
        results[name] = found
        print(name, found, flush=True)
    return {
        "rows": n,
        "copies": int((copy_of >= 0).sum()),
        "grams_per_row": round(len(grams.values) / n, 1),
        "repeats": repeats,
        "same_groups": same(groups["tamis"], groups["same hashes"]),
        "results": results,
    }


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description="MinHash beside datasketch.")
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path)
    said = parser.parse_args()
    record = measured(said.rows, said.repeats)
    print("the groups of the same hashes are the same:", record["same_groups"])
    write("duplicates", said.out, record)


if __name__ == "__main__":
    main()
