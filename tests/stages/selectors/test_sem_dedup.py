import numpy as np
import pyarrow as pa
import pytest
from tamis.errors import DataError
from tamis.stages.checks import check_selector
from tamis.stages.selectors.base import Budget
from tamis.stages.selectors.diverse_top_k import DiverseTopK
from tamis.stages.selectors.sem_dedup import SemDedup

ANGLES = np.radians([0, 16, 30, 100])


def pool_of(vectors, labels, distances, **columns):
    n = len(vectors)
    table = {
        "row_id": range(n),
        "sample_id": [f"{i:04x}" for i in range(n)],
        "e.embedding": vectors,
        "e.given.status": ["ok"] * n,
        "e.status": ["ok" if vector is not None else "too_long" for vector in vectors],
        "clusters.label": pa.array(labels, pa.int32()),
        "clusters.distance": pa.array(distances, pa.float32()),
        "s.score": pa.array(distances, pa.float32()),
    }
    return pa.table(table | columns)


CHAIN = pool_of(
    [[np.cos(a), np.sin(a)] for a in ANGLES] + [None], [0, 0, 0, 0, None], [4, 3, 2, 1, None]
)


def kept(pool=CHAIN, **fields):
    choice = SemDedup(**({"of": "e.embedding"} | fields))(pool, Budget(9))
    return choice.order[: choice.n_kept].tolist(), choice


def test_a_row_that_was_dropped_suppresses_too():
    """0, 16 and 30 degrees, cosines .961, .970 and .866 between the ends: published is {0}."""
    rows, choice = kept()
    assert rows == [0, 3]
    assert choice.reason.tolist()[1:3] == [f"too like an earlier row: row {i}" for i in (0, 1)]
    assert choice.reason[4] == "too_long"
    expected = 0.95 - np.cos(np.radians([16, 14, 70]))
    np.testing.assert_allclose(choice.margin[1:4], expected, atol=1e-6)
    assert choice.margin[0] == np.inf and np.isnan(choice.margin[4])


def test_the_sequential_rule_of_deita_keeps_the_end_of_the_chain():
    selector = DiverseTopK(by="s.score", of="e.embedding", threshold=0.95)
    choice = selector(CHAIN.slice(0, 3), Budget(9))
    assert choice.order[: choice.n_kept].tolist() == [0, 2]


def batched(vectors, threshold, batch):
    """DEITA's filter as published: a batch is compared with itself, dropped rows and all."""
    kept = np.empty(0, int)
    for start in range(0, len(vectors), batch):
        own = np.arange(start, min(start + batch, len(vectors)))
        others = np.concatenate([kept, own])
        near = vectors[own] @ vectors[others].T
        earlier = others < own[:, None]
        kept = np.concatenate([kept, own[np.where(earlier, near, -1).max(1) <= threshold]])
    return kept.tolist()


def test_the_published_batches_of_deita_do_not_change_ours():
    """With batches of two and more its code drops row 2 for its likeness to row 1, which is out."""
    vectors = np.stack([np.cos(ANGLES), np.sin(ANGLES)], 1)[:3]
    assert batched(vectors, 0.95, 1) == [0, 2]
    assert batched(vectors, 0.95, 3) == [0]
    far = np.stack([np.cos(np.radians([200, 0, 16, 30])), np.sin(np.radians([200, 0, 16, 30]))], 1)
    pool = pool_of(far.tolist(), [0] * 4, [4, 3, 2, 1])
    assert batched(far, 0.95, 4) == [0, 1] and batched(far, 0.95, 1) == [0, 1, 3]
    choice = DiverseTopK(by="s.score", of="e.embedding", threshold=0.95)(pool, Budget(9))
    assert choice.order[: choice.n_kept].tolist() == [0, 1, 3]


def test_easy_ones_first():
    rows, choice = kept(prefer="low")
    assert rows == [3, 2]
    assert choice.reason[0] == "too like an earlier row: row 1"


def test_clusters_keep_rows_apart():
    pool = CHAIN.set_column(5, "clusters.label", pa.array([0, 1, 0, 0, None], pa.int32()))
    assert kept(pool)[0] == [0, 1, 2, 3]
    assert kept(pool, clusters=None)[0] == [0, 3]


def test_another_order():
    pool = CHAIN.append_column("b.score", pa.array([1, 9, 3, 4, 0], pa.float32()))
    assert kept(pool, by="b.score")[0] == [1, 3]


def test_an_order_by_words_is_a_mistake():
    pool = CHAIN.append_column("data.topic", pa.array(list("abcde")))
    with pytest.raises(DataError, match=r"data.topic is string, and numbers are needed"):
        kept(pool, by="data.topic")


def test_equals_the_published_procedure():
    """Of each cluster the upper triangle of its cosines, in order; a column above 1 - eps goes."""
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(300, 4))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    labels, distances = rng.integers(0, 4, 300), rng.permutation(300).astype(float)
    expected = set()
    for label in range(4):
        own = np.flatnonzero(labels == label)
        own = own[np.argsort(-distances[own])]
        near = np.triu(vectors[own] @ vectors[own].T, 1).max(0)
        expected |= set(own[near <= 1 - 0.1].tolist())
    rows, _ = kept(pool_of(vectors.tolist(), labels, distances), threshold=0.9)
    assert set(rows) == expected and 100 < len(rows) < 300


def test_promises():
    check_selector(SemDedup(of="e.embedding"), CHAIN)
    assert SemDedup(of="e.embedding").growth == "never"
    with pytest.raises(ValueError, match="column of vectors"):
        SemDedup(of="e.concepts")
