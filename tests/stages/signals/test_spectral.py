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


@pytest.mark.parametrize(
    ("form", "mode"), [("exact", "paper"), ("sparse", "paper"), ("auto", "official")]
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


@pytest.mark.parametrize("form", ["exact", "sparse"])
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

    @pytest.mark.parametrize("form", ["exact", "sparse"])
    def test_not_on_order_parts_or_threads(self, form):
        stage = spectral(5, form=form)
        state = stage.fit([self.TABLE])
        backwards = self.TABLE.take(np.arange(300)[::-1])
        parts = [backwards.slice(0, 7), backwards.slice(7, 200), backwards.slice(207)]
        assert stage.fit(parts) == state
        stage.use_threads(2)
        assert stage.fit(parts) == state

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
        exact, sparse = (spectral(5, form=form).fit([self.TABLE]) for form in ("exact", "sparse"))
        assert exact != sparse
        assert spectral(5).fit([self.TABLE]) == exact
        monkeypatch.setattr("tamis.stages.signals.spectral.EXACT", 299)
        assert spectral(5).fit([self.TABLE]) == sparse

    def test_sparse_comes_near_exact(self):
        from sklearn.metrics import adjusted_rand_score

        table = rows(around([100, 80, 60, 40, 20])[1])
        exact, sparse = (
            spectral(5, form=form).fit([table])["label"].to_pylist() for form in ("exact", "sparse")
        )
        assert adjusted_rand_score(exact, sparse) > 0.95


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
        ({"mode": "official", "form": "sparse"}, "and no sparse form"),
        ({"sigma": 0.0}, "greater than 0"),
        ({"of": "data.v"}, "must be the column of a signal"),
    ],
)
def test_settings(fields, message):
    with pytest.raises(ValueError, match=message):
        Spectral(**({"of": "e.embedding"} | fields))


@pytest.mark.parametrize("form", ["exact", "sparse"])
def test_contract(form):
    _, vectors = around([20, 15, 10], 0.3)
    check_stage(spectral(5, form=form), rows([*vectors, None]))
