r"""Targeted selection on a pool of known origins: how many chosen rows are of the right one.

The pool is a few files; a target is some rows that stand for one of them. From each scorer the best
share of the pool is taken, and counted is how many of these rows are of the target's origin. Beside
it stand what fewer numbers per gradient (the first so many of each checkpoint) and what 8 bits or
one bit per number change: the origin's share, and how many of the rows chosen with 16 bits stay.

    python benchmarks/targeted.py --model gpt2 --pool chat=chat.jsonl sums=sums.jsonl \
        --target sums=more-sums.jsonl --hold chat

`--target ORIGIN=FILE` takes the first `--examples` rows of a file that is not in the pool,
`--hold ORIGIN` a seeded draw of the origin's own rows, which are then left out of the pool.
`--sample` takes a seeded part of every file. With `--store` a second start computes only what is
missing. Writes benchmarks/results/targeted.json, or what --out names.
"""

import argparse
import json
import random
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from tamis.benchmarks.forward import machine
from tamis.benchmarks.measuring import write
from tamis.pipeline import run
from tamis.pipeline.config import Config
from tamis.pipeline.logs import Reporter
from tamis.pipeline.pool import pool_key
from tamis.pipeline.results import Scored
from tamis.pipeline.store import Store
from tamis.scorers.influence import Influence
from tamis.scorers.matrices import matrix
from tamis.scorers.vectors import Keep, kept, vector_column
from tamis.stages.base import resolve_device

SHARE = 0.05
WORKERS = 2
Rows = list[dict[str, Any]]


def read(path: str) -> Rows:
    """Read a JSON list, or an object per line."""
    text = Path(path).read_text("utf-8")
    if text.lstrip().startswith("["):
        return list(json.loads(text))
    return [json.loads(line) for line in text.splitlines() if line.strip()]


def prepare(said: argparse.Namespace, folder: Path) -> tuple[dict[str, str], dict[str, str]]:
    """Write the files of pool and targets; return their paths by origin."""
    pool, targets = {}, {}
    wanted = dict(pair.split("=", 1) for pair in said.target)
    files = {name: read(path) for name, path in (pair.split("=", 1) for pair in said.pool)}
    share = min(1.0, said.sample / sum(map(len, files.values()))) if said.sample else 1.0
    for name, rows in files.items():
        draw = random.Random(said.seed)
        order = draw.sample(range(len(rows)), len(rows))
        held = order[: said.examples] if name in said.hold else []
        rest = order[len(held) :]
        use = set(rest[: round(share * len(rest))])
        pool[name] = save(folder / f"{name}.jsonl", [row for i, row in enumerate(rows) if i in use])
        if held:
            targets[name] = save(folder / f"held-{name}.jsonl", [rows[i] for i in held])
    for name, path in wanted.items():
        targets[name] = save(folder / f"target-{name}.jsonl", read(path)[: said.examples])
    return pool, targets


def save(path: Path, rows: Rows) -> str:
    """Write an object per line."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return str(path)


def config_of(
    said: argparse.Namespace, pool: dict[str, str], targets: dict[str, str], out: Path
) -> Config:
    """The config that scores the pool for every target."""
    scorers: dict[str, Any] = {"random": {"use": "random"}}
    for name in targets:
        scorers[f"{name}_less"] = {"use": "influence", "target": name}
        for dim in said.narrow:
            block = {"use": "influence", "target": name, "dim": dim}
            scorers[f"{name}_less_{dim}"] = block
        scorers[f"{name}_rds_plus"] = {"use": "rds_plus", "signal": "weighted", "target": name}
        scorers[f"{name}_similarity"] = {"use": "similarity", "signal": "mean", "target": name}
    model = {"model": said.model, "template": said.template}
    warmup = {
        "share": said.share,
        "rank": said.rank,
        "alpha": 4 * said.rank,
        "learning_rate": said.learning_rate,
        "epochs": said.epochs,
        "batch": said.batch,
    }
    return Config.model_validate(
        {
            "name": "targeted",
            "seed": said.seed,
            "data": [{"name": name, "path": path} for name, path in pool.items()],
            "targets": {name: {"path": path} for name, path in targets.items()},
            "signals": {
                "gradient": {"use": "gradient", "dim": said.dim, "warmup": warmup} | model,
                "weighted": {"use": "forward", "pooling": "weighted_mean"} | model,
                "mean": {"use": "forward", "pooling": "mean"} | model,
            },
            "scorers": scorers,
            "engine": {"kind": "ray", "workers": WORKERS},
            "store": said.store or str(out / "store"),
            "out": str(out / "runs"),
        }
    )


def best(scores: np.ndarray) -> np.ndarray:
    """Places of the best share; rows without a score are never among them."""
    order = np.argsort(-np.nan_to_num(scores, nan=-np.inf), kind="stable")
    return order[: round(SHARE * len(scores))]


def line_of(
    method: str, origin: str, scores: np.ndarray, sources: np.ndarray, whole: set[int] | None = None
) -> dict[str, Any]:
    """What the best share of a scorer consists of."""
    chosen = best(scores)
    counts = Counter(sources[chosen].tolist())
    found = {
        "method": method,
        "share_of_origin": round(counts[origin] / len(chosen), 4),
        "sources": {name: round(n / len(chosen), 4) for name, n in sorted(counts.items())},
        "without_score": int(np.isnan(scores).sum()),
    }
    if whole is not None:
        found["same_as_16_bits"] = round(len(whole & set(chosen.tolist())) / len(chosen), 4)
    print(f"  {method:22} {found['share_of_origin']:.1%}  {found['sources']}", flush=True)
    return found


def bits(
    origin: str, rows: list[pa.Table], aims: pa.Table, dims: list[int], sources: np.ndarray
) -> list[dict[str, Any]]:
    """LESS from the same gradients with fewer bits per number, and fewer numbers."""
    lines, full = [], len(aims["gradient.weights"][0])
    for dim in dims:
        scorer = Influence(target=origin)
        whole: set[int] | None = None
        keeps: tuple[Keep, ...] = ("fp16", "int8", "sign")
        for keep in keeps:
            aimed = scorer.aim({origin: narrow(aims, "gradient.plain", dim, keep, full)})
            parts = [narrow(part, "gradient.adam", dim, keep, full) for part in rows]
            found = [scorer(part, aimed)["score"].to_numpy(zero_copy_only=False) for part in parts]
            scores = np.concatenate(found).astype(np.float64)
            line = line_of(f"less {dim} {keep}", origin, scores, sources, whole)
            whole = whole or set(best(scores).tolist())
            lines.append(line)
    return lines


def narrow(table: pa.Table, column: str, dim: int, keep: Keep, n: int) -> pa.Table:
    """A table with the first numbers of each of n checkpoints of a column, kept in another form."""
    stored = matrix(table[column], column).astype(np.float32)
    ok = np.asarray(~np.isnan(stored).any(axis=1))
    split = stored[ok].reshape(int(ok.sum()), n, -1)[:, :, :dim]
    split = split / np.linalg.norm(split, axis=2, keepdims=True)
    made = [kept(split[:, i], keep) for i in range(n)]
    place = table.column_names.index(column)
    return table.set_column(place, column, vector_column(made, np.flatnonzero(ok), ok, keep))


def main() -> None:
    """Score, count and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pool", nargs="+", required=True, metavar="ORIGIN=FILE")
    parser.add_argument("--target", nargs="*", default=[], metavar="ORIGIN=FILE")
    parser.add_argument("--hold", nargs="*", default=[], metavar="ORIGIN")
    parser.add_argument("--model", required=True)
    parser.add_argument("--template", default="alpaca")
    parser.add_argument("--examples", type=int, default=16)
    parser.add_argument("--sample", type=int, help="rows of the pool; by default all")
    parser.add_argument("--dim", type=int, default=8192)
    parser.add_argument("--narrow", type=int, nargs="*", default=[2048])
    parser.add_argument("--share", type=float, default=0.05)
    parser.add_argument("--rank", type=int, default=8)
    parser.add_argument("--learning-rate", type=float, default=1e-4)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--store")
    parser.add_argument("--out", type=Path)
    said = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        pool, targets = prepare(said, folder)
        config = run.pin(config_of(said, pool, targets, folder))
        store = Store(Path(config.store))
        began = time.perf_counter()
        scored = run.score_pool(config, store, pool_key(config), Reporter())
        seconds = time.perf_counter() - began
        results = [result(name, config, store, scored, said) for name in targets]
    steps = [
        {"step": f"{step.target or 'pool'}.{step.name}", "rows": step.rows, "seconds": step.seconds}
        for step in scored.reports
        if step.computed
    ]
    settings = {name: value for name, value in vars(said).items() if name not in PATHS}
    sources = dict(Counter(scored.table["source"].to_pylist()))
    write(
        "targeted",
        said.out,
        {"device": f"{resolve_device('auto')}, {WORKERS} workers", "versions": machine()}
        | {"model": Path(said.model).name, "settings": settings}
        | {"pool": sources, "budget": SHARE, "seconds": round(seconds, 1), "steps": steps}
        | {"results": results},
    )


PATHS = ("pool", "target", "model", "store", "out")


def result(
    origin: str, config: Config, store: Store, scored: Scored, said: argparse.Namespace
) -> dict[str, Any]:
    """What every method chooses for one target."""
    table = scored.table
    sources = np.array(table["source"].to_pylist())
    print(f"\ntarget {origin}: {np.mean(sources == origin):.1%} of {len(sources)} rows")
    lines = []
    for name in config.scorers:
        method = name.removeprefix(f"{origin}_")
        if method != name or name == "random":
            scores = table[f"{name}.score"].to_numpy(zero_copy_only=False).astype(np.float64)
            lines.append(line_of(method, origin, scores, sources))
    columns = {name: scored.plan.columns[name] for name in ("gradient.adam", "gradient.status")}
    rows = list(store.read_pool(scored.pool.parts, columns))
    step = next(step for step in scored.plan.steps if step.name == f"{origin}_less")
    aims = step.aims[origin].rows(store)
    lines += bits(origin, rows, aims, [*said.narrow, said.dim], sources)
    return {"target": origin, "share_in_pool": round(float(np.mean(sources == origin)), 4)} | {
        "methods": lines
    }


if __name__ == "__main__":
    main()
