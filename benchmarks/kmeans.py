"""The signal `clusters`: what each of its forms costs, what it leaves, how equal its clusters are.

Vectors are drawn as in `clustering.py`. Baseline: Lloyd's iterations from a random start (faiss) on
256 rows for each cluster. Every case is fitted to the pool in a process of its own, and then run on
every row:

inertia   over the pool, as a share of the baseline's
sizes     smallest and largest cluster: of the rows that trained them, and of the pool
planted   adjusted Rand index with the directions that the vectors were drawn around

    python benchmarks/kmeans.py
    python benchmarks/kmeans.py --rows 2000 --dim 32      # a trial of seconds

Writes benchmarks/results/kmeans.json, or what --out names.
"""

import argparse
import math
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from tamis.benchmarks.clustering import SPREADS, K, apart, drawn, pool
from tamis.benchmarks.measuring import write
from tamis.stages.signals.clusters import PER_CENTROID, Clusters

Case = dict[str, Any]


def cases(rows: int) -> list[Case]:
    """The forms, those of one number of clusters and one sample together, the baseline first."""
    forms: list[Case] = [{}, {"method": "minibatch"}, {"balanced": True}]
    many = math.isqrt(rows // 2)
    found: list[Case] = []
    for k, sample in ((K, None), (many, None), (many, rows)):
        found += [{"k": k, "sample": sample, **form} for form in forms]
    return [*found, {"k": K, "start": "plusplus"}, {"k": "gain"}]


def measured(case: Case, vectors: np.ndarray, owner: np.ndarray, threads: int) -> dict[str, Any]:
    """Fit one form and run it on every row."""
    from sklearn.metrics import adjusted_rand_score

    parts = [
        part.append_column("e.given.status", pa.array(["ok"] * len(part))) for part in pool(vectors)
    ]
    stage = Clusters(of="e.embedding", **case)
    stage.use_threads(threads)
    before = time.perf_counter()
    state = stage.fit(parts)
    seconds = time.perf_counter() - before
    stage = stage.fitted_with(state)
    rows = pa.concat_tables([stage(part, ["label", "distance"]) for part in parts])
    labels = rows["label"].to_numpy()
    sizes, trained = np.bincount(labels, minlength=len(state)), state["size"].to_numpy()
    return {
        "clusters": len(state),
        "fit_seconds": round(seconds, 2),
        "inertia": float(np.square(rows["distance"].to_numpy().astype(np.float64)).sum()),
        "trained_on": int(trained.sum()),
        "sizes_trained": [int(trained.min()), int(trained.max())],
        "sizes_pool": [int(sizes.min()), int(sizes.max())],
        "planted": round(adjusted_rand_score(owner, labels), 4),
    }


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description="Forms of k-means: cost, inertia, sizes.")
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--dim", type=int, default=384)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path)
    said = parser.parse_args()
    vectors, owner = drawn(said.rows, said.dim, SPREADS[1])
    results: list[Case] = []
    baseline: dict[int, float] = {}
    for case in cases(said.rows):
        found = apart(partial(measured, case, vectors, owner, said.threads))
        baseline.setdefault(found["clusters"], found["inertia"])
        found["inertia"] = round(found["inertia"] / baseline[found["clusters"]], 4)
        results.append(case | found)
        print(results[-1], flush=True)
    record = {
        "device": f"cpu, {said.threads} threads of faiss, else one",
        "data": f"{said.rows:,} drawn vectors of {said.dim} numbers, {K} directions",
        "sample": f"{PER_CENTROID} rows for each cluster, unless said",
        "results": results,
    }
    write("kmeans", said.out, record)


if __name__ == "__main__":
    main()
