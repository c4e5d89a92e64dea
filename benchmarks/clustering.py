"""PASER's clusters and the neighbour graph: what they cost, and how far sparse and exact agree.

Vectors are drawn around planted directions of unequal sizes, unit norm, with a group of near copies
among them; what is drawn around a direction spreads evenly over all numbers, which is the hardest
case for neighbours, or by shares that fall as those of real embeddings do (`FALL`).

agreement  on --few rows (3,000), for the published number of clusters and for the chosen one: the
           exact form, landmarks, and the sparse form by how many neighbours. Adjusted Rand index of
           each other, with what was planted, with the same form on nine tenths of the rows, and of
           two k-means that differ by the seed. With --vectors also on rows of a file, .npy
published  the plain way on some hundred to --few rows: distances, affinities and Laplacian as dense
           matrices, eigenvectors, factorisation of all products; and what one of its matrices takes
           for 52,002 rows
scale      landmarks and the sparse form with the number of clusters chosen, and k-means, on --rows
           (50,000) x --dim (384)
million    k-means (k = 1,000) and the neighbour graph, with what they give to every row, on
           --million (1,000,000) rows x 64
even       the same on vectors that spread evenly

    python benchmarks/clustering.py --threads 2 --vectors embeddings.npy --name "what they are of"
    python benchmarks/clustering.py --few 300 --rows 1000 --dim 32 --million 3000   # of seconds

Every case runs in a process of its own; memory is the peak of that process, with libraries and
vectors; load is how many processes wanted a processor in the minute before (1 minute load average),
and processor_seconds what the case itself used, which other processes change less.
Writes benchmarks/results/clustering.json, or what --out names; --parts does some of these and
leaves the others there as they are.
"""

import argparse
import json
import multiprocessing as mp
import os
import resource
import time
import warnings
from collections.abc import Callable
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Literal, TypeAlias

os.environ.setdefault("OMP_NUM_THREADS", "1")  # what takes more is told so

import numpy as np
import pyarrow as pa
from tamis.benchmarks.measuring import ROOT, write
from tamis.stages.base import Stage
from tamis.stages.signals.clusters import Clusters
from tamis.stages.signals.knn import Knn
from tamis.stages.signals.spectral import Spectral

PUBLISHED_ROWS = 52_002  # of Alpaca
PART = 1_024
NEAR_COPIES = 0.005  # of the rows
SPREADS = (1.0, 1.6, 2.2)  # length of the noise over that of a planted direction
FALL = 1.5  # the share of a number is its rank to this power, one over; measured on a small model
K = 10
CHOICES: tuple[int | Literal["gain"], ...] = (K, "gain")
NEIGHBOURS = (15, 30, 50, 100)
MILLION_DIM, MILLION_K = 64, 1_000
PARTS = ("agreement", "published", "scale", "million", "even")

Work: TypeAlias = Callable[[argparse.Namespace], list[dict[str, Any]]]


def drawn(
    n: int, dim: int, spread: float, fall: float = 0.0, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Vectors (n, dim) fp16 and the direction that each was drawn around, (n,)."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(K, dim))
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    shares = 1 / np.sqrt(np.arange(1, K + 1))
    owner = rng.choice(K, n, p=shares / shares.sum())
    each = np.arange(1, dim + 1) ** (-fall / 2)
    each *= spread / np.linalg.norm(each)
    vectors = centres[owner] + each * rng.normal(size=(n, dim))
    few = rng.choice(n, max(int(NEAR_COPIES * n), 2), replace=False)
    vectors[few] = vectors[few[0]] + 1e-3 / np.sqrt(dim) * rng.normal(size=(len(few), dim))
    owner[few] = owner[few[0]]
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float16), owner


def pool(vectors: np.ndarray) -> list[pa.Table]:
    """The vectors as a stage reads them, part by part."""
    parts = []
    for start in range(0, len(vectors), PART):
        block = vectors[start : start + PART]
        offsets = pa.array(np.arange(len(block) + 1) * block.shape[1], pa.int32())
        lists = pa.ListArray.from_arrays(offsets, pa.array(block.ravel()))
        ids = [f"{start + place:08d}" for place in range(len(block))]
        fine = ["ok"] * len(block)
        columns = {"sample_id": ids, "e.embedding": lists}
        parts.append(pa.table(columns | {"e.given.status": fine, "e.status": fine}))
    return parts


def apart(work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Run in a process of its own; add its seconds, its peak memory and the load before."""

    def send(pipe: Connection) -> None:
        before = time.perf_counter()
        found = work()
        seconds = time.perf_counter() - before
        used = resource.getrusage(resource.RUSAGE_SELF)
        found["seconds"], found["peak_mb"] = round(seconds, 2), round(used.ru_maxrss * 1024 / 1e6)
        pipe.send(found | {"processor_seconds": round(used.ru_utime + used.ru_stime, 2)})

    load = round(os.getloadavg()[0], 1)
    here, there = mp.Pipe()
    process = mp.get_context("fork").Process(target=send, args=(there,))
    process.start()
    there.close()
    try:
        found: dict[str, Any] = here.recv()
    except EOFError:
        found = {"failed": "ended without a result (out of memory?)"}
    process.join()
    return found | {"load": load}


def fitted(stage: Stage, vectors: np.ndarray, threads: int) -> dict[str, Any]:
    """What a stage finds in the pool and gives to every row of it."""
    stage.use_threads(threads)
    parts, before = pool(vectors), time.perf_counter()
    ready = stage.fitted_with(stage.fit(parts))
    middle = time.perf_counter()
    names = [name for name in stage.adds.names if name != "status"]
    tables = [ready.run(part, names) for part in parts]
    found: dict[str, Any] = {
        "fit_seconds": round(middle - before, 2),
        "run_seconds": round(time.perf_counter() - middle, 2),
    }
    if ready.found():
        found["found"] = ready.found()
    if "label" in names:
        labels = np.concatenate([table["label"].to_numpy() for table in tables])
        found |= {"clusters": len(set(labels.tolist())), "labels": labels}
    return found


def published(vectors: np.ndarray, threads: int) -> dict[str, Any]:
    """The plain way, with a solver that is right for the symmetric form: in n^2 memory."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(threads), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # 200 iterations are the published ones, settled or not
        return {"clusters": len(set(dense_labels(vectors).tolist()))}


def dense_labels(vectors: np.ndarray) -> np.ndarray:
    """Labels from whole matrices."""
    from scipy.linalg import eigh
    from scipy.spatial.distance import cdist
    from sklearn.decomposition import NMF

    plain = vectors.astype(np.float64)
    distances = cdist(plain, plain)
    affinity = np.exp(-np.square(distances) / (2 * np.median(distances) ** 2))
    degrees = affinity.sum(1)
    laplacian = np.eye(len(plain)) - affinity / np.sqrt(degrees[:, None] * degrees)
    _, found = eigh(laplacian, subset_by_index=[0, K - 1])
    z = found / np.sqrt(degrees)[:, None]
    weights = NMF(K, init="random", random_state=0).fit_transform(np.abs(z @ z.T))
    return np.asarray(weights.argmax(1))


def alike(one: np.ndarray, other: np.ndarray) -> float:
    """The adjusted Rand index of two clusterings."""
    from sklearn.metrics import adjusted_rand_score

    return round(float(adjusted_rand_score(one, other)), 4)


def agreement(vectors: np.ndarray, owner: np.ndarray | None, threads: int) -> list[dict[str, Any]]:
    """Both forms on the same vectors, the sparse one with more and more neighbours."""
    most = np.sort(np.random.default_rng(1).permutation(len(vectors))[: len(vectors) * 9 // 10])
    spectral = partial(Spectral, of="e.embedding")
    rows: list[dict[str, Any]] = []
    for k in CHOICES:
        exact = None
        forms: list[dict[str, Any]] = [{"form": "exact"}, {"form": "landmarks"}]
        forms += [{"form": "sparse", "neighbours": n} for n in NEIGHBOURS]
        for form in forms:
            found = apart(partial(fitted, spectral(k=k, **form), vectors, threads))
            labels = found.pop("labels")
            exact = labels if exact is None else exact
            found["with_exact"] = alike(labels, exact)
            if owner is not None:
                found["with_planted"] = alike(labels, owner)
            if k == K:
                again = apart(partial(fitted, spectral(k=k, **form), vectors[most], threads))
                found["with_nine_tenths"] = alike(labels[most], again["labels"])
            rows.append({"k": k} | form | found)
            print(rows[-1], flush=True)
    seeds = [Clusters(of="e.embedding", k=K, seed=seed) for seed in (0, 1)]
    one, two = (apart(partial(fitted, stage, vectors, threads))["labels"] for stage in seeds)
    rows.append({"k": K, "form": "k-means, with another seed", "with_other_seed": alike(one, two)})
    print(rows[-1], flush=True)
    return rows


def measured(
    stages: dict[str, Stage],
    pair: tuple[np.ndarray, np.ndarray],
    threads: int,
    what: dict[str, Any],
) -> list[dict[str, Any]]:
    """Each stage on the same vectors, in a process of its own."""
    cases, (vectors, owner) = [], pair
    for name, stage in stages.items():
        found = apart(partial(fitted, stage, vectors, threads))
        if "labels" in found:
            found["with_planted"] = alike(found.pop("labels"), owner)
        rows = {"rows": len(vectors), "dim": vectors.shape[1], "threads": threads}
        cases.append({"method": name} | what | rows | found)
        print(cases[-1], flush=True)
    return cases


def all_agreement(said: argparse.Namespace) -> list[dict[str, Any]]:
    """On what is drawn, and on what is given."""
    cases: list[tuple[str, np.ndarray, np.ndarray | None]] = [
        (f"drawn, spread {spread}", *drawn(said.few, said.dim, spread)) for spread in said.spreads
    ]
    if said.vectors:
        every = np.load(said.vectors)
        picks = np.random.default_rng(0).permutation(len(every))[: said.few]
        cases.append((said.name, every[np.sort(picks)].astype(np.float16), None))
    results = []
    for name, vectors, owner in cases:
        print(name, flush=True)
        row = {"data": name, "rows": len(vectors), "dim": vectors.shape[1]}
        results.append(row | {"clusterings": agreement(vectors, owner, said.threads)})
    return results


def all_published(said: argparse.Namespace) -> list[dict[str, Any]]:
    """The plain way on some sizes."""
    plain: list[dict[str, Any]] = []
    for n in (said.few // 8, said.few // 4, said.few // 2, said.few):
        vectors, _ = drawn(n, said.dim, SPREADS[1])
        plain.append({"rows": n} | apart(partial(published, vectors, said.threads)))
        print(plain[-1], flush=True)
    one = {"rows": PUBLISHED_ROWS, "one_matrix_gb": round(8 * PUBLISHED_ROWS**2 / 1e9, 1)}
    return [*plain, one]


def all_scale(said: argparse.Namespace) -> list[dict[str, Any]]:
    """PASER's clusters with k: gain, and k-means."""
    gain = partial(Spectral, of="e.embedding", k="gain")
    stages: dict[str, Stage] = {"spectral, landmarks, k: gain": gain(form="landmarks")}
    for n in said.neighbours:
        stages[f"spectral, sparse, {n} neighbours, k: gain"] = gain(form="sparse", neighbours=n)
    stages["k-means, k: 10"] = Clusters(of="e.embedding", k=K)
    return measured(stages, drawn(said.rows, said.dim, SPREADS[1]), said.threads, {})


def all_million(said: argparse.Namespace, fall: float = FALL) -> list[dict[str, Any]]:
    """k-means and the graph."""
    k = min(MILLION_K, said.million // 2)
    stages: dict[str, Stage] = {
        f"k-means, k: {k}": Clusters(of="e.embedding", k=k),
        "knn, 16 neighbours, by lists": Knn(of="e.embedding", index="ivf"),
    }
    pair = drawn(said.million, MILLION_DIM, SPREADS[1], fall)
    return measured(stages, pair, said.threads, {"fall": fall})


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description="Clusters and neighbours: cost and agreement.")
    parser.add_argument("--few", type=int, default=3_000)
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--dim", type=int, default=384)
    parser.add_argument("--million", type=int, default=1_000_000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--vectors", type=Path, help="of the agreement: a matrix, .npy")
    parser.add_argument("--name", default="given", help="what the vectors are")
    parser.add_argument("--spreads", nargs="+", type=float, default=SPREADS)
    parser.add_argument("--neighbours", nargs="+", type=int, default=[30], help="of `scale`")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--out", type=Path)
    said = parser.parse_args()
    even: Work = partial(all_million, fall=0.0)
    each: list[Work] = [all_agreement, all_published, all_scale, all_million, even]
    works = dict(zip(PARTS, each, strict=True))
    out = said.out or ROOT / "benchmarks/results/clustering.json"
    record = json.loads(out.read_text()) if out.exists() else {}
    threads = f"cpu, {said.threads} threads of search, choice of k and the plain way, else 1"
    for part in said.parts:
        record |= {"device": threads, part: works[part](said)}
        write("clustering", said.out, record)


if __name__ == "__main__":
    main()
