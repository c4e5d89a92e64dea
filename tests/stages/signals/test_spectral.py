import logging

import numpy as np
import pyarrow as pa
import pytest
from tamis.errors import ContractError, DataError
from tamis.stages.checks import check_stage
from tamis.stages.signals.spectral import Spectral

ALL = ["label", "status"]


def rows(vectors, status=None, ids=None):
    n = len(vectors)
    return pa.table(
        {
            "sample_id": ids or [f"{i * 7919 % 100_003:05x}" for i in range(n)],
            "e.embedding": pa.array(vectors, pa.list_(pa.float32())),
            "e.given.status": pa.array(["ok"] * n, pa.string()),
            "e.status": pa.array(status or ["ok"] * n, pa.string()),
        }
    )


def around(counts, spread=0.2, seed=0):
    """So many vectors around each of some directions, mixed."""
    rng = np.random.default_rng(seed)
    owner = rng.permutation(np.repeat(np.arange(len(counts)), counts))
    vectors = np.eye(8)[owner] + spread * rng.normal(size=(len(owner), 8))
    return owner, vectors.astype(np.float16).tolist()


def spectral(k=3, **fields):
    return Spectral(of="e.embedding", k=k, **fields)


def labels(stage, table):
    found = stage.fitted_with(stage.fit([table]))(table, ALL)
    return found["label"].to_pylist()


LINE = rows([[0.0], [1.0], [5.0], [6.0]], ids=["d", "c", "b", "a"])


def test_by_hand():
    """Of 0, 1, 5 and 6 the first two belong together, and the last two; `a` is the last."""
    table = rows([[v] for v in (0.0, 1.0, 5.0, 6.0)], ids=["d", "c", "b", "a"])
    assert labels(spectral(2, unit=False, mode="official"), table) == [1, 1, 0, 0]


FORMS = ["exact", "landmarks", "sparse"]


@pytest.mark.parametrize(
    ("form", "mode"), [*((form, "paper") for form in FORMS), ("auto", "official")]
)
@pytest.mark.parametrize("sigma", ["median", "neighbours", 1.0])
def test_finds_what_is_there_largest_first(form, mode, sigma):
    owner, vectors = around([20, 60, 40], 0.1)
    found = labels(spectral(form=form, mode=mode, sigma=sigma), rows(vectors))
    assert found == [{1: 0, 2: 1, 0: 2}[c] for c in owner]


def test_opposite_clusters_are_not_one():
    """Centred coordinates of three clusters lie in a plane: two of them nearly opposite."""
    from sklearn.metrics import adjusted_rand_score

    owner, vectors = around([20, 60, 40], 0.1)
    found = {s: labels(spectral(signs=s), rows(vectors)) for s in ("positive", "absolute")}
    assert adjusted_rand_score(owner, found["positive"]) == 1
    assert adjusted_rand_score(owner, found["absolute"]) < 0.6


@pytest.mark.parametrize("form", FORMS)
def test_chooses_how_many(form, caplog):
    owner, vectors = around([40, 30, 50, 20], 0.1)
    stage = spectral("gain", form=form)
    with caplog.at_level(logging.INFO):
        found = labels(stage, rows(vectors))
    assert len({(a, b) for a, b in zip(found, owner.tolist(), strict=True)}) == 4
    assert "e.embedding: 4 clusters, by the errors 1: " in caplog.text
    assert found == labels(spectral(4, form=form), rows(vectors))


class TestWhatTheLabelsDependOn:
    OWNER, VECTORS = around([100, 80, 60, 40, 20], 0.4)
    TABLE = rows(VECTORS)

    @pytest.mark.parametrize("form", FORMS)
    def test_not_on_order_parts_or_threads(self, form, monkeypatch):
        monkeypatch.setattr("tamis.stages.manifold.LANDMARKS", 120)
        stage = spectral(5, form=form)
        state = stage.fit([self.TABLE])
        backwards = self.TABLE.take(np.arange(300)[::-1])
        parts = [backwards.slice(0, 7), backwards.slice(7, 200), backwards.slice(207)]
        assert stage.fit(parts) == state
        stage.use_threads(2)
        assert stage.fit(parts) == state

    @pytest.mark.parametrize("form", FORMS)
    @pytest.mark.parametrize("common", [0.0, 100.0])
    def test_not_on_threads_where_rounding_hides_who_is_nearer(self, form, common, monkeypatch):
        """Near copies of five vectors, and vectors whose common mean is all that fp32 sees."""
        import faiss  # noqa: F401 - the limit is for what is loaded
        from threadpoolctl import threadpool_limits

        monkeypatch.setattr("tamis.stages.nearest.AT_ONCE", 60)
        rng = np.random.default_rng(0)
        near = common + np.eye(8)[rng.integers(0, 5, 300)] + 1e-3 * rng.normal(size=(300, 8))
        table, states = rows(near.tolist()), []
        for threads in (1, 2):
            stage = spectral(5, form=form, unit=False, sigma="neighbours")
            stage.use_threads(threads)
            with threadpool_limits(threads):
                states.append(stage.fit([table]))
        assert states[0] == states[1]

    def test_the_choice_not_on_threads(self):
        stage = spectral("gain", form="sparse")
        state = stage.fit([self.TABLE])
        stage.use_threads(3)
        assert stage.fit([self.TABLE]) == state

    def test_copies_are_one_point(self):
        stage = spectral(5)
        more = pa.concat_tables([self.TABLE.slice(50, 9), self.TABLE, self.TABLE.slice(0, 30)])
        assert stage.fit([more]) == stage.fit([self.TABLE])
        found = labels(stage, more)
        assert found[:9] == found[59:68]

    def test_auto_is_exact_for_few(self, monkeypatch):
        monkeypatch.setattr("tamis.stages.manifold.LANDMARKS", 100)
        exact, landmarks, sparse = (spectral(5, form=form).fit([self.TABLE]) for form in FORMS)
        assert exact != landmarks != sparse != exact
        assert spectral(5).fit([self.TABLE]) == exact
        monkeypatch.setattr("tamis.stages.signals.spectral.EXACT", 299)
        assert spectral(5).fit([self.TABLE]) == landmarks

    def test_other_forms_come_near_exact(self, monkeypatch):
        from sklearn.metrics import adjusted_rand_score

        monkeypatch.setattr("tamis.stages.manifold.LANDMARKS", 100)
        table = rows(around([100, 80, 60, 40, 20])[1])
        exact, *others = (
            spectral(5, form=form).fit([table])["label"].to_pylist() for form in FORMS
        )
        for other in others:
            assert adjusted_rand_score(exact, other) > 0.95

    def test_landmarks_find_what_exact_finds_where_there_are_no_plain_clusters(self, monkeypatch):
        """A cloud, which anything may be cut into: the graph cuts it elsewhere."""
        from sklearn.metrics import adjusted_rand_score

        monkeypatch.setattr("tamis.stages.manifold.LANDMARKS", 300)
        rng = np.random.default_rng(1)
        cloud = rng.normal(size=(600, 30)) * np.arange(1, 31) ** -0.75
        table = rows(cloud.tolist())
        exact, landmarks, sparse = (
            spectral(4, form=form).fit([table])["label"].to_pylist() for form in FORMS
        )
        assert adjusted_rand_score(exact, landmarks) > 0.9
        assert adjusted_rand_score(exact, sparse) < 0.8


def test_rows_without_a_vector_take_no_part():
    _, vectors = around([20, 15, 10])
    table = rows([*vectors, None, [0.0] * 8, [9.0] * 8], ["ok"] * 46 + ["truncated", "not_finite"])
    stage = spectral()
    state = stage.fit([table])
    assert state == stage.fit([rows(vectors)])
    found = stage.fitted_with(state)(table, ALL)
    assert found["label"].to_pylist()[45:] == [None] * 3
    assert found["status"].to_pylist()[44:] == ["ok", "no_vector", "no_vector", "not_finite"]


def test_too_few_rows():
    with pytest.raises(DataError, match=r"k is 3, and needs 5 distinct rows .* the pool has 4"):
        spectral(unit=False).fit([LINE])
    with pytest.raises(DataError, match="the pool has 0"):
        spectral().fit([])
    with pytest.raises(DataError, match=r"k is 24, and needs 26"):
        spectral("gain", unit=False).fit([LINE])


def test_memory_of_all_pairs():
    """5 matrices of 8 x 45 x 45 bytes are less than a MB, of 8 x 200 x 200 two."""
    assert spectral(memory_mb=1).fit([rows(around([20, 15, 10])[1])])
    many = rows(around([100, 60, 40])[1])
    with pytest.raises(DataError, match=r"200 rows take 2 MB, .* set memory_mb to 2 or more"):
        spectral(memory_mb=1).fit([many])
    assert spectral(form="sparse", memory_mb=1).fit([many])
    assert spectral(memory_mb=1).identity() == spectral().identity()


def test_says_what_it_found(monkeypatch):
    table = rows(around([20, 60, 40], 0.1)[1])
    stage = spectral()
    assert stage.found() == ""
    stage = stage.fitted_with(stage.fit([table, table]))
    assert stage.found() == "3 clusters of 20 to 60 of 120 distinct rows, form exact"
    monkeypatch.setattr("tamis.stages.signals.spectral.EXACT", 119)
    assert stage.found().endswith("form landmarks")


def test_says_who_is_similar_to_nobody(caplog, monkeypatch):
    """A row far from all landmarks has no coordinates; this one is drawn last."""
    monkeypatch.setattr("tamis.stages.manifold.LANDMARKS", 24)
    _, vectors = around([20, 15, 10], 0.05)
    stage = spectral(3, form="landmarks", unit=False, sigma=0.5)
    labels(stage, rows(vectors))
    assert not caplog.text
    found = labels(stage, rows([*vectors[:44], [50.0] * 8, *vectors[44:]]))
    assert "e.embedding: 1 rows are similar to nobody, and in the first cluster" in caplog.text
    assert found[44] in found[:44]


def test_a_sigma_that_tells_nothing():
    table = rows(around([20, 15, 10])[1])
    for form in FORMS:
        with pytest.raises(
            DataError, match=r"clusters of e\.embedding: with a sigma of 1e-200 most"
        ):
            spectral(form=form, sigma=1e-200).fit([table])


def test_settings_that_say_nothing_name_nothing():
    assert spectral(3, grid=(2, 9)).identity() == spectral(3).identity()
    assert spectral("gain", grid=(2, 9)).identity() != spectral("gain").identity()
    for plain in ({"form": "exact"}, {"form": "landmarks"}, {}, {"sigma": 1.0}):
        assert spectral(neighbours=9, **plain).identity() == spectral(**plain).identity()
    for read in ({"form": "sparse"}, {"sigma": "neighbours"}):
        assert spectral(neighbours=9, **read).identity() != spectral(**read).identity()
    official = spectral(mode="official").identity()
    for idle in ({"signs": "absolute"}, {"form": "exact"}):
        assert spectral(mode="official", **idle).identity() == official
    assert spectral(signs="absolute").identity() != spectral().identity()


def test_all_the_same():
    with pytest.raises(DataError, match=r"sigma \(median\) is 0"):
        spectral(2).fit([rows([[1.0, 0.0]] * 9)])


def test_vectors_of_two_lengths():
    with pytest.raises(ContractError, match="vectors of 3 and of 2 numbers"):
        spectral(2).fit([rows([[1, 0]]), rows([[1, 0, 0]])])


def test_a_row_from_elsewhere():
    stage = spectral(2, unit=False)
    stage = stage.fitted_with(stage.fit([LINE]))
    with pytest.raises(ContractError, match="was not in the pool"):
        stage(rows([[2.0]], ids=["z"]), ALL)
    with pytest.raises(ValueError, match="labels that `fit` finds"):
        spectral()(LINE, ALL)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"k": 1}, "greater than or equal to 2"),
        ({"grid": (4,)}, "two to 8 rising numbers"),
        ({"grid": (4, 3)}, "two to 8 rising numbers"),
        ({"grid": tuple(range(2, 11))}, "two to 8 rising numbers"),
        ({"mode": "official", "time": 1.0}, "mode official has no diffusion time"),
        ({"mode": "official", "form": "sparse"}, "exact as its only form"),
        ({"sigma": 0.0}, "greater than 0"),
        ({"of": "data.v"}, "must be the column of a signal"),
    ],
)
def test_settings(fields, message):
    with pytest.raises(ValueError, match=message):
        Spectral(**({"of": "e.embedding"} | fields))


@pytest.mark.parametrize("form", FORMS)
def test_contract(form):
    _, vectors = around([20, 15, 10], 0.3)
    check_stage(spectral(5, form=form), rows([*vectors, None]))
