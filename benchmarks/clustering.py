"""PASER's clusters: what the sparse form costs, and how far it agrees with the exact one.

Vectors are drawn around planted directions of unequal sizes, unit norm, with a group of near copies
among them; or they are those of a file (--vectors, .npy).

agreement  both forms on --few rows (3,000), for the published number of clusters and for the chosen
           one: adjusted Rand index with each other and with what was planted, time, peak memory
published  the plain way on some hundred to --few rows: distances, affinities and Laplacian as dense
           matrices, eigenvectors, factorisation of all products; and what one of its matrices takes
           for 52,002 rows
scale      the sparse form with the number of clusters chosen on --rows (50,000) x --dim (384), and
           k-means on the same

    python benchmarks/clustering.py --threads 2
    python benchmarks/clustering.py --few 300 --rows 1000 --dim 32      # a trial of seconds

Every case runs in a process of its own; memory is the peak of that process, with libraries and
vectors. Writes benchmarks/results/clustering.json, or what --out names.
"""

import argparse
import multiprocessing as mp
import resource
import time
import warnings
from collections.abc import Callable
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from tamis.benchmarks.measuring import write
from tamis.stages.base import Stage
from tamis.stages.signals.clusters import Clusters
from tamis.stages.signals.spectral import Spectral

PUBLISHED_ROWS = 52_002  # of Alpaca
PART = 1_024
NEAR_COPIES = 0.005  # of the rows
SPREADS = (1.0, 1.6, 2.2)  # length of the noise over that of a planted direction
K = 10
CHOICES: tuple[int | Literal["gain"], ...] = (K, "gain")
FORMS: tuple[Literal["exact", "sparse"], ...] = ("exact", "sparse")


def drawn(n: int, dim: int, spread: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Vectors (n, dim) fp16 and the direction that each was drawn around, (n,)."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(K, dim))
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    shares = 1 / np.sqrt(np.arange(1, K + 1))
    owner = rng.choice(K, n, p=shares / shares.sum())
    vectors = centres[owner] + spread / np.sqrt(dim) * rng.normal(size=(n, dim))
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
    """Run in a process of its own; add its seconds and its peak memory."""

    def send(pipe: Connection) -> None:
        before = time.perf_counter()
        found = work()
        seconds = time.perf_counter() - before
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
        pipe.send(found | {"seconds": round(seconds, 2), "peak_mb": round(peak)})

    here, there = mp.Pipe()
    process = mp.get_context("fork").Process(target=send, args=(there,))
    process.start()
    there.close()
    try:
        found: dict[str, Any] = here.recv()
    except EOFError:
        found = {"failed": "ended without a result (out of memory?)"}
    process.join()
    return found


def fitted(stage: Stage, vectors: np.ndarray, threads: int) -> dict[str, Any]:
    """The state of a stage, as labels where it has them, and how many clusters there are."""
    stage.use_threads(threads)
    state = stage.fit(pool(vectors))
    assert state is not None
    if "label" not in state.column_names:
        return {"clusters": len(state)}
    labels = state["label"].to_numpy()
    return {"clusters": int(labels.max()) + 1, "labels": labels}


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


def agreement(few: int, dim: int, threads: int, given: np.ndarray | None) -> list[dict[str, Any]]:
    """Both forms on the same vectors."""
    cases: list[tuple[float | None, np.ndarray, np.ndarray | None]] = []
    if given is None:
        cases = [(spread, *drawn(few, dim, spread)) for spread in SPREADS]
    else:
        cases = [(None, given, None)]
    results = []
    for spread, vectors, owner in cases:
        for k in CHOICES:
            row = {"spread": spread, "rows": len(vectors), "dim": vectors.shape[1], "k": k}
            results.append(row | compared(vectors, owner, k, threads))
            print(results[-1], flush=True)
    return results


def compared(
    vectors: np.ndarray, owner: np.ndarray | None, k: int | Literal["gain"], threads: int
) -> dict[str, Any]:
    """Adjusted Rand indices of both forms, and what each took."""
    from sklearn.metrics import adjusted_rand_score

    exact, sparse = (
        apart(partial(fitted, Spectral(of="e.embedding", k=k, form=form), vectors, threads))
        for form in FORMS
    )
    labels = [exact.pop("labels"), sparse.pop("labels")]
    found: dict[str, Any] = {"exact_with_sparse": round(adjusted_rand_score(*labels), 4)}
    if owner is not None:
        planted = [round(adjusted_rand_score(owner, own), 4) for own in labels]
        found |= {"exact_with_planted": planted[0], "sparse_with_planted": planted[1]}
    return found | {"exact": exact, "sparse": sparse}


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description="PASER's clusters: cost and agreement.")
    parser.add_argument("--few", type=int, default=3_000)
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--dim", type=int, default=384)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--vectors", type=Path, help="of the agreement: a matrix, .npy")
    parser.add_argument("--out", type=Path)
    said = parser.parse_args()
    given = None
    if said.vectors:
        every = np.load(said.vectors)
        picks = np.random.default_rng(0).permutation(len(every))[: said.few]
        given = every[np.sort(picks)].astype(np.float16)
    both = agreement(said.few, said.dim, said.threads, given)
    plain = []
    for n in (said.few // 8, said.few // 4, said.few // 2, said.few):
        vectors, _ = drawn(n, said.dim, SPREADS[1])
        plain.append({"rows": n} | apart(partial(published, vectors, said.threads)))
        print(plain[-1], flush=True)
    large, _ = drawn(said.rows, said.dim, SPREADS[1])
    stages: dict[str, Stage] = {
        "spectral, sparse, k: gain": Spectral(of="e.embedding", k="gain", form="sparse"),
        "k-means, k: 10": Clusters(of="e.embedding", k=K),
    }
    scale = []
    for name, stage in stages.items():
        found = apart(partial(fitted, stage, large, said.threads))
        found.pop("labels", None)
        scale.append({"method": name, "rows": said.rows, "dim": said.dim} | found)
        print(scale[-1], flush=True)
    record = {
        "device": f"cpu, {said.threads} threads of faiss and of the plain way, else one",
        "data": said.vectors.name if said.vectors else "drawn",
        "agreement": both,
        "published": plain,
        "published_matrix_gb": round(8 * PUBLISHED_ROWS**2 / 1e9, 1),
        "scale": scale,
    }
    write("clustering", said.out, record)


if __name__ == "__main__":
    main()
