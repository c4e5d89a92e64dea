"""Writes the rated rows of the quickstart: rows of its pool with the ratings of a simulated judge.

Run from anywhere: ``python configs/quickstart/make_rated.py [--out FILE] [--rows N] [--seed N]``.
The same arguments give the same bytes on every machine.

No model has rated anything here. A row deserves what its planted fault leaves of it; the judge sees
that with an error, now and then says anything at all, and sometimes what cannot be read. So recipes
that go by ratings run without a judge, and it is known which ratings are wrong. The columns:

    accuracy    0 to 5, as AlpaGasus asks; none where the reply could not be read
    overall     1 to 10, as DS2 asks
    sampled     the same, of one row in five
    complexity  1 to 6, of the instruction, as DEITA asks
    quality     1 to 6, of the answer
    target      1 to 10, of the answer that a weaker model would have given
    tags        what the instruction is about
"""

import argparse
import json
from pathlib import Path
from random import Random
from typing import Any

HERE = Path(__file__).parent
POOL_FILE = HERE / "pool.jsonl"
RATED_FILE = HERE / "rated.jsonl"
RATED_SEED = 11
RATED_ROWS = 1500

DESERVED = {  # of the best rating, by fault: a judge hardly sees that an answer is wrong
    "none": 1.0,
    "duplicated": 1.0,
    "wrong_answer": 0.6,
    "truncated": 0.5,
    "boilerplate": 0.2,
    "other_question": 0.15,
    "echo": 0.1,
    "gibberish": 0.0,
}
ERROR = 0.08  # standard deviation of what the judge sees
ANYTHING = 0.15  # share of ratings that say nothing
SAMPLED = 0.2
UNREADABLE = 0.03  # share of replies
WORDS = 60  # an instruction of so many words is as complex as can be
KNOWN = 0.7  # share of tasks that the weaker model can do


def rating(rng: Random, deserved: float, low: int, high: int) -> int:
    """Returns what the judge says, from `low` to `high`."""
    seen = rng.random() if rng.random() < ANYTHING else rng.gauss(deserved, ERROR)
    return low + round(min(max(seen, 0.0), 1.0) * (high - low))


def with_ratings(rng: Random, row: dict[str, Any], known: set[str]) -> dict[str, Any]:
    """Returns a row with the columns of the judge.

    Args:
        rng: of the judge.
        row: of the pool.
        known: the tasks that the weaker model can do.
    """
    deserved = DESERVED[row["fault"]]
    words = len(f"{row['instruction']} {row['input']}".split())
    unreadable = rng.random() < UNREADABLE
    accuracy, overall = rating(rng, deserved, 0, 5), rating(rng, deserved, 1, 10)
    return row | {
        "accuracy": None if unreadable else accuracy,
        "overall": overall,
        "sampled": overall if rng.random() < SAMPLED else None,
        "complexity": rating(rng, min(words / WORDS, 1.0), 1, 6),
        "quality": rating(rng, deserved, 1, 6),
        "target": rating(rng, 0.9 if row["task"] in known else 0.3, 1, 10),
        "tags": [*row["task"].split("_"), *(["input"] if row["input"] else [])],
    }


def rated_rows(pool: list[dict[str, Any]], seed: int) -> list[dict[str, Any]]:
    """Returns the rows with the columns of the judge."""
    rng = Random(seed)
    tasks = sorted({row["task"] for row in pool})
    known = set(rng.sample(tasks, round(KNOWN * len(tasks))))
    return [with_ratings(rng, row, known) for row in pool]


def main() -> None:
    """Writes the rated rows, and prints the mean rating of each fault."""
    parser = argparse.ArgumentParser(description="Write the rated rows of the quickstart.")
    parser.add_argument("--out", type=Path, default=RATED_FILE)
    parser.add_argument("--rows", type=int, default=RATED_ROWS)
    parser.add_argument("--seed", type=int, default=RATED_SEED)
    args = parser.parse_args()
    lines = POOL_FILE.read_text(encoding="utf-8").splitlines()[: args.rows]
    rows = rated_rows([json.loads(line) for line in lines], args.seed)
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    args.out.write_bytes(text.encode("utf-8"))
    for fault in DESERVED:
        given = [row["overall"] for row in rows if row["fault"] == fault]
        print(f"{fault}: {len(given)} rows, overall {sum(given) / max(len(given), 1):.2f} of 10")
    print(f"{len(rows)} rows in {args.out}")


if __name__ == "__main__":
    main()
