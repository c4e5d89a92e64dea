import numpy as np
import pyarrow as pa
import pytest
from tamis.errors import ContractError, DataError
from tamis.stages.checks import check_stage
from tamis.stages.signals.clusters import Clusters

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


FORMS = [
    {},
    {"start": "plusplus"},
    {"method": "minibatch"},
    {"balanced": True},
    {"balanced": True, "spherical": True, "start": "plusplus"},
    {"k": "gain", "grid": (2, 3, 5, 7)},
]


def assert_not_on_the_threads(stage, table):
    """Neither on those that it is given nor on those that libraries have."""
    import faiss  # noqa: F401 - the limit is for what is loaded
    from threadpoolctl import threadpool_limits

    states = []
    for threads in (1, 2, 3):
        stage.use_threads(threads)
        with threadpool_limits(threads):
            states.append(stage.fit([table]))
    assert states[0] == states[1] == states[2]


class TestWhatTheCentroidsDependOn:
    TABLE = rows(around([300, 200, 100], 0.4)[1])

    @pytest.mark.parametrize("form", FORMS)
    def test_not_on_the_order_or_the_parts(self, form):
        stage = clusters(**({"k": 7, "sample": 100} | form))
        state = stage.fit([self.TABLE])
        backwards = self.TABLE.take(np.arange(600)[::-1])
        assert stage.fit(
            [backwards.slice(0, 7), backwards.slice(7, 400), backwards.slice(407)]
        ) == (state)

    @pytest.mark.parametrize("form", FORMS)
    def test_not_on_the_threads(self, form):
        wide = np.random.default_rng(0).normal(size=(300, 2048))  # enough for BLAS to split
        assert_not_on_the_threads(clusters(**({"k": 7} | form)), rows(wide.tolist()))

    @pytest.mark.parametrize("form", FORMS[:2])
    @pytest.mark.parametrize("spread", [0.0, 1e-3, 1e-4])
    def test_not_on_the_threads_where_vectors_are_copies_or_nearly(self, form, spread):
        """As far apart as last digits reach; then these say where vectors go."""
        rng = np.random.default_rng(0)
        groups = rng.normal(size=(30, 64))[rng.integers(0, 30, 1200)]
        near = groups + spread * rng.normal(size=groups.shape)
        assert_not_on_the_threads(clusters(k=50, **form), rows(near.tolist()))

    @pytest.mark.parametrize("form", FORMS[:4])
    def test_on_the_seed(self, form):
        one, other = (clusters(7, seed=seed, **form).fit([self.TABLE]) for seed in (1, 2))
        assert one != other

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


@pytest.mark.parametrize("form", FORMS[:4])
def test_more_clusters_than_distinct_vectors(form):
    """The others stay empty, and labels are still the first ones. No prices part copies."""
    table = rows([[1.0, 0.0]] * 5 + [[0.0, 1.0]] * 4)
    stage = fitted(clusters(4, **form), table)
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
        (
            {"of": "e.embedding", "k": "gain", "sample": 23},
            r"sample \(23\) must be at least k \(24\)",
        ),
        ({"of": "e.embedding", "k": "gain", "grid": (4, 2)}, "two to 8 rising numbers"),
        (
            {"of": "e.embedding", "method": "minibatch", "spherical": True},
            "minibatch has no spherical form",
        ),
        ({"of": "e.embedding", "k": 0}, "greater than or equal to 1"),
    ],
)
def test_settings(fields, message):
    with pytest.raises(ValueError, match=message):
        Clusters(**fields)


def test_contract():
    _, vectors = around([20, 15, 10], 0.3)
    check_stage(clusters(5), rows([*vectors, None]))
    check_stage(clusters(5, spherical=True), rows(vectors))
    check_stage(clusters(5, method="minibatch"), rows([*vectors, None]))
    check_stage(clusters(5, balanced=True), rows([*vectors, None]))
    check_stage(clusters("gain", grid=(2, 3, 5)), rows([*vectors, None]))


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


def test_settings_that_say_nothing_name_nothing():
    """So that what was made before they were there keeps its name."""
    plain = {"of", "weights", "k", "iterations", "sample", "unit", "spherical", "seed"}
    assert set(clusters().identity()) == plain
    assert set(clusters(grid=(2, 5)).identity()) == plain
    for fields in ({"method": "minibatch"}, {"balanced": True}, {"start": "plusplus"}):
        assert set(clusters(**fields).identity()) == plain | set(fields)
    assert clusters("gain", grid=(2, 5)).identity()["grid"] == [2, 5]


def test_minibatch_finds_what_is_there():
    owner, vectors = around([100, 300, 200])
    table = rows(vectors)
    stage = fitted(clusters(method="minibatch"), table)
    assert stage._fitted["size"].to_pylist() == [300, 200, 100]
    assert stage(table, ["label"])["label"].to_pylist() == [{1: 0, 2: 1, 0: 2}[c] for c in owner]


class TestGain:
    def test_finds_how_many_there_are(self):
        rng = np.random.default_rng(0)
        for n in (3, 6):
            centres = np.eye(8)[:n]
            owner = np.arange(40 * n) % n
            vectors = centres[owner] + 0.05 * rng.normal(size=(40 * n, 8))
            stage = fitted(clusters("gain"), rows(vectors.tolist()))
            assert stage.found() == f"{n} clusters"
            assert stage._fitted["size"].to_pylist() == [40] * n

    def test_by_hand(self, caplog):
        """Three pairs on a line, 0 1, 10 11, 20 21: around 10.5 401.5; with two clusters 0.5 and
        the mean of four, 101.5; with three 1.5, with four 1, with six 0."""
        table = rows([[0.0], [1.0], [10.0], [11.0], [20.0], [21.0]])
        with caplog.at_level("INFO"):
            stage = fitted(clusters("gain", unit=False, grid=(2, 3, 4, 6)), table)
        shown = [1, 101.5 / 401.5, 1.5 / 401.5, 1 / 401.5, 0]
        pairs = zip((1, 2, 3, 4, 6), shown, strict=True)
        assert "3 clusters, by the errors " + ", ".join(f"{k}: {e:.4f}" for k, e in pairs) in (
            caplog.text
        )
        assert sorted(stage._fitted["centroid"].to_pylist()) == [[0.5], [10.5], [20.5]]

    def test_gives_what_the_number_gives(self):
        table = TestWhatTheCentroidsDependOn.TABLE
        state = clusters("gain", sample=200).fit([table])
        assert clusters(len(state), sample=200, start="plusplus").fit([table]) == state

    def test_copies_of_one_row(self):
        state = clusters("gain").fit([rows([[1.0, 2.0]] * 30)])
        assert state["size"].to_pylist() == [30, 0]

    def test_fewer_rows_than_the_grid(self):
        with pytest.raises(DataError, match="k is 24, but 20 rows"):
            clusters("gain").fit([rows([[1.0, 2.0]] * 20)])


class TestBalanced:
    def test_by_hand(self):
        """By themselves 0, 1 and 2 lie together; two each make the centroids 0.5 and 6."""
        table = rows([[0.0], [1.0], [2.0], [10.0]])
        stage = fitted(clusters(2, unit=False, balanced=True), table)
        found = stage(table, ALL)
        assert found["label"].to_pylist() == [0, 0, 1, 1]
        assert found["distance"].to_pylist() == [0.5, 0.5, 4.0, 4.0]
        assert stage._fitted["centroid"].to_pylist() == [[0.5], [6.0]]
        assert stage.found() == "2 clusters of 2 to 2 of the 4 rows that trained them"
        low, high = stage._fitted["price"].to_pylist()
        assert 1.5**2 - 4**2 > high - low > 0.5**2 - 5**2  # what parts 2 and 1

    def test_sizes_are_those_of_the_pool_where_all_rows_train(self):
        table = rows(around([700, 200, 100], 0.3)[1])
        for k in (12, 4):
            stage = fitted(clusters(k, balanced=True), table)
            labels = stage(table, ["label"])["label"].to_numpy()
            assert np.bincount(labels).tolist() == stage._fitted["size"].to_pylist()
        sizes = np.bincount(stage(table, ["label"])["label"].to_numpy())
        assert sizes.tolist() == stage._fitted["size"].to_pylist()
        assert np.abs(sizes - 250).max() <= 2.5
        plain = clusters(4).fit([table])["size"].to_pylist()
        assert max(plain) > 325

    def test_sizes_beyond_the_sample_are_off_by_what_was_drawn(self):
        table = rows(around([7000, 2000, 1000], 0.3)[1])
        stage = fitted(clusters(4, balanced=True, sample=1024), table)
        trained = stage._fitted["size"].to_numpy()
        assert trained.sum() == 1024 and np.abs(trained - 256).max() <= 2.56
        sizes = np.bincount(stage(table, ["label"])["label"].to_numpy())
        assert 2.5 < np.abs(sizes - 2500).max() < 4 * 2500 / np.sqrt(256)

    def test_too_many_to_hold(self, monkeypatch):
        monkeypatch.setattr("tamis.stages.signals.clusters.LARGEST", 100)
        table = rows(around([20, 10, 5])[1])
        with pytest.raises(DataError, match="sample of 35 rows; take a sample of 33 at most"):
            clusters(3, balanced=True).fit([table])
        clusters(3, balanced=True, sample=33).fit([table])
