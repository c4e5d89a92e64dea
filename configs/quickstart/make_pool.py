"""Writes the pool of the quickstart: generated instruction data with planted, labelled faults.

Run from anywhere: ``python configs/quickstart/make_pool.py [--out FILE] [--rows N] [--seed N]``.
The same arguments give the same bytes on every machine.
"""

import argparse
import json
from collections import Counter
from collections.abc import Iterator, Set
from itertools import islice
from pathlib import Path
from random import Random
from typing import NamedTuple

from example import Question
from faults import PLANTS, Drawn
from tasks import TASKS

HERE = Path(__file__).parent
POOL_FILE = HERE / "pool.jsonl"
POOL_SEED = 7
POOL_ROWS = 4500


class Row(NamedTuple):
    """One line of the pool."""

    instruction: str
    input: str
    output: str
    task: str
    fault: str

    @property
    def question(self) -> Question:
        """The instruction and the input."""
        return Question(self.instruction, self.input)


def drawn_rows(rng: Random, taken: Set[Question]) -> Iterator[Drawn]:
    """Yields clean rows of all tasks in turn without end, none with a question that is taken."""
    while True:
        for name, task in TASKS.items():
            example = task(rng)
            while example.question in taken:
                example = task(rng)
            yield Drawn(name, example)


def distinct_rows(rng: Random, count: int) -> list[Drawn]:
    """Returns clean rows of all tasks in turn of which no two have the same question."""
    taken: set[Question] = set()
    rows = []
    for row in islice(drawn_rows(rng, taken), count):
        taken.add(row.example.question)
        rows.append(row)
    return rows


def planted(rng: Random, clean: list[Drawn], counts: dict[str, int]) -> tuple[list[Row], list[Row]]:
    """Returns the faulty rows, `counts` of each kind, and the rows that stay as they are."""
    waiting = rng.sample(clean, len(clean))
    faulty: list[Row] = []
    for fault, count in counts.items():
        passed: list[Drawn] = []
        done = 0
        while done < count:
            row = waiting.pop()
            answer = PLANTS[fault](rng, row, clean)
            if answer is None:
                passed.append(row)
                continue
            done += 1
            faulty.append(Row(*row.example[:2], answer, row.task, fault))
        waiting = passed + waiting
    return faulty, [Row(*row.example[:3], row.task, "none") for row in waiting]


def pool_rows(seed: int, rows: int) -> list[Row]:
    """Returns a shuffled pool of which a third of the rows has a fault, spread over the kinds."""
    rng = Random(seed)
    kinds = [*PLANTS, "duplicated"]
    faults = rows // 3
    counts = {
        kind: faults // len(kinds) + (i < faults % len(kinds)) for i, kind in enumerate(kinds)
    }
    copies = counts.pop("duplicated")
    faulty, clean = planted(rng, distinct_rows(rng, rows - copies), counts)
    copied = [row._replace(fault="duplicated") for row in rng.sample(clean, copies)]
    pool = [*clean, *faulty, *copied]
    rng.shuffle(pool)
    return pool


def write_pool(pool: list[Row], path: Path) -> None:
    """Writes the pool as JSON lines in UTF-8."""
    lines = [json.dumps(row._asdict(), ensure_ascii=False) + "\n" for row in pool]
    path.write_bytes("".join(lines).encode("utf-8"))


def main() -> None:
    """Writes the pool and prints how many rows there are of every fault and task."""
    parser = argparse.ArgumentParser(description="Write the pool of the quickstart.")
    parser.add_argument("--out", type=Path, default=POOL_FILE)
    parser.add_argument("--rows", type=int, default=POOL_ROWS)
    parser.add_argument("--seed", type=int, default=POOL_SEED)
    args = parser.parse_args()
    pool = pool_rows(args.seed, args.rows)
    write_pool(pool, args.out)
    for column in ("fault", "task"):
        counts = Counter(getattr(row, column) for row in pool)
        print(
            f"{column}: " + ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))
        )
    print(f"{len(pool)} rows in {args.out}")


if __name__ == "__main__":
    main()
