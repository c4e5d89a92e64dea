import numpy as np
import pyarrow as pa
import pytest
from tamis.errors import ContractError, DataError
from tamis.stages.checks import check_stage
from tamis.stages.signals.clusters import Clusters, nearest

ALL = ["label", "distance", "status"]
HALF = pa.list_(pa.float16())
CORNERS = np.eye(4)[:3]


def rows(vectors, status=None, kind=HALF, weights=None):
    n = len(vectors)
    columns = {
        "sample_id": [f"{i * 7919 % 100_003:05x}" for i in range(n)],
        "e.embedding": pa.array(vectors, pa.list_(pa.float32())).cast(kind)
        if pa.types.is_list(kind)
        else pa.array(vectors, kind),
        "e.given.status": pa.array(["ok"] * n, pa.string()),
        "e.status": pa.array(status or ["ok"] * n, pa.string()),
    }
    if weights:
        columns["e.weights"] = pa.array([weights] * n, pa.list_(pa.float32()))
    return pa.table(columns)


def around(counts, spread=0.05, seed=0):
    """So many vectors around each corner, mixed."""
    rng = np.random.default_rng(seed)
    owner = rng.permutation(np.repeat(np.arange(len(counts)), counts))
    return owner, (CORNERS[owner] + spread * rng.normal(size=(len(owner), 4))).tolist()


def clusters(k=3, **fields):
    return Clusters(of="e.embedding", k=k, **fields)


def fitted(stage, *tables):
    return stage.fitted_with(stage.fit(list(tables)))


def test_finds_what_is_there_largest_first():
    owner, vectors = around([10, 30, 20])
    table = rows(vectors)
    stage = fitted(clusters(), table)
    assert stage.fit([table])["size"].to_pylist() == [30, 20, 10]
    found = stage(table, ALL)
    assert found["label"].to_pylist() == [{1: 0, 2: 1, 0: 2}[c] for c in owner]
    assert set(found["status"].to_pylist()) == {"ok"}


def test_by_hand():
    """Two pairs on a line: centroids -3 and 2, distances 1; equal sizes, so the smaller first."""
    table = rows([[1.0], [3.0], [-2.0], [-4.0]])
    found = fitted(clusters(2, unit=False), table)(table, ALL)
    assert found["label"].to_pylist() == [1, 1, 0, 0]
    assert found["distance"].to_pylist() == [1.0] * 4


def test_distance_of_unit_vectors():
    table = rows([[3, 4], [3, 4]])
    stage = clusters(1).fitted_with(pa.table({"centroid": [[1.0, 0.0]], "size": [2]}))
    assert stage(table, ALL)["distance"].to_pylist() == pytest.approx([np.sqrt(0.8)] * 2)


def test_spherical_centroids_have_length_1():
    _, vectors = around([9, 8, 7], spread=0.3)
    for spherical, length in ((True, 1.0), (False, None)):
        state = clusters(spherical=spherical).fit([rows(vectors)])
        lengths = np.linalg.norm(state["centroid"].to_pylist(), axis=1)
        if length:
            assert lengths == pytest.approx([length] * 3, abs=1e-6)
        else:
            assert (lengths < 0.99).all()


def test_k_of_car():
    """int(sqrt(52002 / 2)) = 161; of 45 rows 4; of one row 1."""
    rng = np.random.default_rng(0)
    for n, k in ((52_002, 161), (45, 4), (1, 1)):
        table = rows(rng.normal(size=(n, 2)).astype(np.float16).tolist())
        state = Clusters(of="e.embedding", iterations=1, sample=161).fit([table])
        assert len(state) == k


def test_rows_without_a_vector_take_no_part():
    _, vectors = around([10, 9, 8])
    more = [*vectors, None, [0.0] * 4, [9.0] * 4, None]
    status = ["ok"] * 27 + ["ok", "truncated", "not_finite", "empty"]
    table = rows(more, status)
    stage = clusters()
    state = stage.fit([table])
    assert state == stage.fit([rows(vectors)])
    found = stage.fitted_with(state)(table, ALL)
    assert found["label"].to_pylist()[27:] == [None] * 4
    assert found["distance"].to_pylist()[27:] == [None] * 4
    assert found["status"].to_pylist()[25:] == [
        "ok",
        "ok",
        "no_vector",
        "no_vector",
        "not_finite",
        "empty",
    ]


class TestWhatTheCentroidsDependOn:
    TABLE = rows(around([300, 200, 100], 0.4)[1])

    def test_not_on_the_order_or_the_parts(self):
        stage = clusters(7, sample=100)
        state = stage.fit([self.TABLE])
        backwards = self.TABLE.take(np.arange(600)[::-1])
        assert stage.fit(
            [backwards.slice(0, 7), backwards.slice(7, 400), backwards.slice(407)]
        ) == (state)

    def test_not_on_the_threads(self):
        wide = np.random.default_rng(0).normal(size=(300, 2048))  # enough for BLAS to split
        states = []
        for threads in (1, 2, 3):
            stage = clusters(7)
            stage.use_threads(threads)
            states.append(stage.fit([rows(wide.tolist())]))
        assert states[0] == states[1] == states[2]

    def test_on_the_seed(self):
        assert clusters(7, seed=1).fit([self.TABLE]) != clusters(7, seed=2).fit([self.TABLE])

    def test_on_a_sample_of_rows(self):
        state = clusters(7, sample=50).fit([self.TABLE])
        assert sum(state["size"].to_pylist()) == 50

    def test_copies_are_not_more_than_the_sample(self):
        twice = pa.concat_tables([self.TABLE, self.TABLE])
        for n in (50, 51):
            assert sum(clusters(7, sample=n).fit([twice])["size"].to_pylist()) == n
        same = self.TABLE.set_column(0, "sample_id", pa.array(["f"] * 600))
        assert sum(clusters(2, sample=9).fit([same])["size"].to_pylist()) == 9


@pytest.mark.parametrize("kind", [pa.list_(pa.int8()), pa.binary()])
def test_int8_and_signs(kind):
    rng = np.random.default_rng(0)
    owner = np.arange(40) % 2
    signs = np.where(rng.random((40, 16)) < 0.1, -1, 1) * np.where(owner, 1, -1)[:, None]
    packed = [np.packbits(row > 0).tobytes() for row in signs]
    table = rows(signs.tolist() if pa.types.is_list(kind) else packed, kind=kind)
    labels = np.array(fitted(clusters(2), table)(table, ["label"])["label"].to_pylist())
    assert len(set(zip(labels.tolist(), owner.tolist(), strict=True))) == 2


def test_checkpoints_become_one_vector():
    """At the first checkpoint rows are alike, at the second they are not."""
    table = rows([[1, 0, 1, 0], [1, 0, 0, 1], [1, 0, 1, 0]], weights=[1.0, 1.0])
    state = clusters(2, weights="e.weights").fit([table])
    assert state["centroid"].to_pylist() == [[1.0, 0.0], [0.5, 0.5]]


def test_more_clusters_than_rows():
    table = rows([[1, 0], [0, 1], None])
    with pytest.raises(DataError, match=r"k is 3, but 2 rows of the pool have a vector"):
        clusters(3).fit([table])
    with pytest.raises(DataError, match="but 0 rows"):
        clusters("sqrt").fit([table.slice(2)])
    with pytest.raises(DataError, match="but 0 rows"):
        clusters("sqrt").fit([])


def test_more_clusters_than_distinct_vectors():
    """The others stay empty, and labels are still the first ones."""
    table = rows([[1.0, 0.0]] * 5 + [[0.0, 1.0]] * 4)
    stage = fitted(clusters(4), table)
    labels = stage(table, ["label"])["label"].to_pylist()
    assert len(set(labels[:5])) == len(set(labels[5:])) == 1
    assert sorted(stage.fit([table])["size"].to_pylist()) == [0, 0, 4, 5]


def test_vectors_of_two_lengths():
    both = [rows([[1, 0]]), rows([[1, 0, 0]])]
    with pytest.raises(ContractError, match="vectors of 3 and of 2 numbers"):
        clusters(1).fit(both)
    with pytest.raises(ContractError, match="vectors of 3 and of 2 numbers"):
        fitted(clusters(1), both[0])(both[1], ALL)


def test_nothing_fitted():
    with pytest.raises(ValueError, match="centroids that `fit` finds"):
        clusters()(rows([[1, 0]]), ALL)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"of": "data.v"}, "must be the column of a signal"),
        ({"of": "embedding"}, "must be the column of a signal"),
        ({"of": "e.embedding", "k": 10, "sample": 9}, r"sample \(9\) must be at least k \(10\)"),
        ({"of": "e.embedding", "k": 0}, "greater than or equal to 1"),
    ],
)
def test_settings(fields, message):
    with pytest.raises(ValueError, match=message):
        Clusters(**fields)


def test_nearest_is_the_same_in_any_batch():
    rng = np.random.default_rng(0)
    vectors, centroids = rng.normal(size=(200, 33)), rng.normal(size=(9, 33))
    labels, distances = nearest(vectors, centroids)
    lengths = np.linalg.norm(vectors[:, None] - centroids, axis=2)
    np.testing.assert_array_equal(labels, lengths.argmin(1))
    np.testing.assert_allclose(distances, lengths.min(1), rtol=1e-6)
    for i in (0, 7, 199):
        one = nearest(vectors[i : i + 1], centroids)
        assert (one[0][0], one[1][0]) == (labels[i], distances[i])


def test_contract():
    _, vectors = around([20, 15, 10], 0.3)
    check_stage(clusters(5), rows([*vectors, None]))
    check_stage(clusters(5, spherical=True), rows(vectors))


def test_equal_vectors_lie_at_their_centroid():
    table = rows([[0.6, 0.8]] * 20)
    found = fitted(clusters(7), table)(table, ALL)
    assert max(found["distance"].to_pylist()) < 1e-6 and set(found["label"].to_pylist()) == {0}


@pytest.mark.parametrize("length", [1e19, 1e-25])
def test_vectors_that_fp32_cannot_tell_apart(length):
    floats = pa.list_(pa.float32())
    table = rows((length * np.random.default_rng(0).normal(size=(40, 4))).tolist(), kind=floats)
    with pytest.raises(DataError, match=r"take vectors between 1e-12 and 1e\+12, or unit: true"):
        clusters(3, unit=False).fit([table])
    assert sum(clusters(3).fit([table])["size"].to_pylist()) == 40
