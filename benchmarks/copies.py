"""How many noisy copies T-SHIRT needs: schedules of rounds against all copies of every row.

All copies of a seeded sample of rows are computed once for each seed of the noise. Then each
schedule chooses from as many of them as it would have asked for, and is compared with the choice
from all: the same rows, out of the budget. Beside it stands how far two choices from all copies
agree that differ by the seed of the noise alone: what one choice is worth.

    python benchmarks/copies.py --data my.jsonl --model gpt2

Writes benchmarks/results/copies.json, or what --out names. Times are not its subject.
"""

import argparse
import itertools
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
import transformers
from tamis.scorers.random import uniform
from tamis.scorers.tshirt import TShirt
from tamis.scorers.turns import list_lengths
from tamis.stages.ingest import ingest, rows_table
from tamis.stages.selectors.base import Budget
from tamis.stages.selectors.hierarchical import Hierarchical
from tamis.stages.signals.neighbours import Neighbours
from tamis.stages.source import Source

RESULTS = Path(__file__).resolve().parent / "results"
LISTS = ("delta", "given_mean", "alone_mean")
STATUSES = ("status", "given.status", "alone.status")
SCHEDULES = (
    (4, 30),
    (2, 6, 30),
    (3, 8, 30),
    (4, 8, 30),
    (4, 10, 30),
    (4, 8, 16, 30),
    (3, 5, 8, 13, 20, 30),
)
CONFIDENCES = (0.8, 0.9, 0.95, 0.99)
COUNTS = (2, 3, 4, 6, 8, 10, 15, 20)  # copies of every row
TWO_STAGE = tuple(itertools.product((2, 3, 4), (2.5, 3.0, 4.0)))  # copies, then all for the best
MOST = 30


def sample(path: str, n: int) -> pa.Table:
    """A seeded sample of the usable rows of a file."""
    parts = ingest([(Source(name="pool", path=path), "")], part_rows=1 << 30, max_chars=10**6)
    rows = pa.concat_tables([rows_table(part) for part in parts], promote_options="default")
    draws = uniform(0, rows["sample_id"])
    return rows.take(pa.array(np.sort(np.argsort(draws, kind="stable")[:n])))


class Copies:
    """All copies of a sample under one seed of the noise."""

    def __init__(self, rows: pa.Table, model: str, seed: int) -> None:
        stage = Neighbours(model=model, copies=MOST, seed=seed, dtype="auto")
        names = [*LISTS, *STATUSES]
        started = time.perf_counter()
        self.table = stage(rows.select(stage.reads.names), names).combine_chunks()
        seconds = time.perf_counter() - started
        print(f"seed {seed}: {len(rows)} rows x {MOST} copies in {seconds:.0f} s", flush=True)
        self.ids = rows["sample_id"]
        self.lengths = list_lengths(self.table["delta"].combine_chunks()) / MOST

    def first(self, n: np.ndarray) -> pa.Table:
        """What a scorer reads of the first n (rows,) copies of each row."""
        columns = {f"noisy.{name}": self.table[name] for name in STATUSES}
        for name in LISTS:
            lists = self.table[name].combine_chunks()
            lengths = list_lengths(lists)
            kept = lengths // MOST * n
            place = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
            values = lists.flatten().filter(pa.array(place < np.repeat(kept, lengths)))
            offsets = np.concatenate([[0], np.cumsum(kept)]).astype(np.int32)
            columns[f"noisy.{name}"] = pa.ListArray.from_arrays(
                pa.array(offsets), values, mask=lists.is_null()
            )
        return pa.table(columns)

    def scored(self, n: np.ndarray, fitted: pa.Table) -> pa.Table:
        """The pool as the selector sees it: the rows with a score."""
        found = TShirt()(self.first(n), fitted)
        pool = pa.table({"row_id": np.arange(len(n)), "sample_id": self.ids})
        for name in found.column_names:
            pool = pool.append_column(f"tshirt.{name}", found[name])
        return pool.filter(pa.compute.is_in(pool["tshirt.status"], pa.array(["ok", "truncated"])))


def chosen(pool: pa.Table, budget: Budget) -> set[int]:
    """Row ids of the hierarchical choice."""
    choice = Hierarchical()(pool, budget)
    return set(pool["row_id"].take(pa.array(choice.order[: choice.n_kept])).to_pylist())


def in_rounds(
    copies: Copies, schedule: tuple[int, ...], confidence: float, budget: Budget
) -> tuple[np.ndarray, set[int]]:
    """Copies of each row (rows,) that a schedule asks for, and its choice."""
    n = np.full(len(copies.ids), schedule[0])
    fitted = TShirt().fit([copies.first(n)])
    selector = Hierarchical(confidence=confidence)
    doubted = np.arange(len(n))
    for more in schedule[1:]:
        pool = copies.scored(n, fitted)
        asked = pool["row_id"].to_numpy()[selector.unsettled(pool, budget, schedule[-1])]
        doubted = np.intersect1d(doubted, asked)
        n[doubted] = more
    return n, chosen(copies.scored(n, fitted), budget)


def two_stage(
    copies: Copies, first: int, budgets: float, budget: Budget
) -> tuple[np.ndarray, set[int]]:
    """The plain rule: few copies of every row, all of the rows with the best scores."""
    n = np.full(len(copies.ids), first)
    fitted = TShirt().fit([copies.first(n)])
    pool = copies.scored(n, fitted)
    eligible = pool.filter(pa.compute.less(pool["tshirt.ifd"], 1.0))
    order = pa.compute.sort_indices(eligible, sort_keys=[("tshirt.score", "descending")])
    n[eligible["row_id"].take(order[: int(budgets * budget.limit)]).to_numpy()] = MOST
    return n, chosen(copies.scored(n, fitted), budget)


def compared(
    every: list[Copies], exhaustive: list[set[int]], found: list[tuple[np.ndarray, set[int]]]
) -> dict[str, Any]:
    """Share of the rows of the exhaustive choice, and of its tokens, for each seed."""
    same = [
        len(rows & whole) / len(whole) for (_, rows), whole in zip(found, exhaustive, strict=True)
    ]
    spent = [
        float((n * copies.lengths).sum() / (MOST * copies.lengths.sum()))
        for (n, _), copies in zip(found, every, strict=True)
    ]
    return {
        "same_rows": [round(share, 4) for share in same],
        "scored_tokens": [round(share, 4) for share in spent],
        "times_fewer_scored_tokens": round(1 / float(np.mean(spent)), 2),
    }


def main() -> None:
    """Compute, compare, print and write."""
    parser = argparse.ArgumentParser(description="Copies against agreement.")
    parser.add_argument("--data", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--budget", type=float, default=0.05)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, default=RESULTS / "copies.json")
    said = parser.parse_args()
    torch.set_num_threads(said.threads)
    rows = sample(said.data, said.rows)
    budget = Budget(int(said.budget * len(rows)))
    every = [Copies(rows, said.model, seed) for seed in said.seeds]
    whole = np.full(len(rows), MOST)
    exhaustive = [chosen(c.scored(whole, TShirt().fit([c.first(whole)])), budget) for c in every]
    pairs = [len(a & b) / budget.limit for a, b in itertools.combinations(exhaustive, 2)]
    results: list[dict[str, Any]] = []
    for count in COUNTS:
        row = {"rule": f"{count} copies of every row"}
        found = [in_rounds(copies, (count,), 0.5, budget) for copies in every]
        results.append(row | compared(every, exhaustive, found))
    for first, budgets in TWO_STAGE:
        row = {"rule": f"{first} copies, then {MOST} for the best {budgets:g} budgets"}
        found = [two_stage(copies, first, budgets, budget) for copies in every]
        results.append(row | compared(every, exhaustive, found))
    for schedule, confidence in itertools.product(SCHEDULES, CONFIDENCES):
        row = {"rule": f"rounds {list(schedule)}, confidence {confidence}"}
        found = [in_rounds(copies, schedule, confidence, budget) for copies in every]
        results.append(row | compared(every, exhaustive, found))
    record = {
        "data": Path(said.data).name,
        "model": Path(said.model).name,
        "rows": len(rows),
        "budget_rows": budget.limit,
        "copies": MOST,
        "seeds": said.seeds,
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "seed_to_seed": [round(share, 4) for share in pairs],
        "results": results,
    }
    print(f"two exhaustive choices of different noise agree in {record['seed_to_seed']}")
    for result in results:
        print(
            f"  {result['rule']:48s} {result['same_rows']} "
            f"{result['times_fewer_scored_tokens']} x fewer"
        )
    said.out.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
