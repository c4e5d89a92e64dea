import logging

import numpy as np
import pyarrow as pa
import pytest
from tamis.errors import ContractError, DataError
from tamis.stages.checks import check_stage
from tamis.stages.measures import Cosine
from tamis.stages.signals import knn
from tamis.stages.signals.knn import Knn
from tamis.tests.stages.signals.test_clusters import rows

ALL = ["place", "neighbours", "similarity", "status"]
ANGLES = np.radians([0, 10, 30, 100])
PLANE = np.stack([np.cos(ANGLES), np.sin(ANGLES)], 1).tolist()


def named(ids, vectors, **fields):
    table = rows(vectors, **fields)
    return table.set_column(0, "sample_id", pa.array(ids))


def graph(**fields):
    return Knn(of="e.embedding", **fields)


def fitted(stage, *tables):
    return stage.fitted_with(stage.fit(list(tables)))


def random_rows(n, numbers=12, seed=0):
    return rows(np.random.default_rng(seed).normal(size=(n, numbers)).tolist())


def test_by_hand():
    """Directions at 0, 10, 30 and 100 degrees, in the order of their ids d, c, b, a."""
    table = named(list("dcba"), PLANE)
    found = fitted(graph(k=2), table)(table, ALL)
    assert found["place"].to_pylist() == [3, 2, 1, 0]
    assert found["neighbours"].to_pylist() == [[2, 1], [3, 1], [2, 3], [1, 2]]
    wanted = np.cos(np.radians([[10, 30], [10, 20], [20, 30], [70, 90]]))
    np.testing.assert_allclose(found["similarity"].to_pylist(), wanted, atol=1e-3)  # fp16
    assert found["status"].to_pylist() == ["ok"] * 4


def test_lengths_do_not_matter():
    table, long = named(list("dcba"), PLANE), named(list("dcba"), (np.array(PLANE) * 8).tolist())
    assert graph(k=2).fit([table]) == graph(k=2).fit([long])


def test_copies_share_a_place():
    table = named(list("abcab"), [*PLANE[:3], *PLANE[:2]])
    found = fitted(graph(k=9), table)(table, ALL)
    assert found["place"].to_pylist() == [0, 1, 2, 0, 1]
    assert found["neighbours"].to_pylist()[3] == [1, 2]
    assert len(graph().fit([table])) == 3


def test_copies_whose_vectors_differ():
    """The first in the order of numbers is taken, wherever it stands."""
    near = [1.0, 0.01]
    tables = [named(list("aba"), v) for v in ([PLANE[0], PLANE[1], near], [near, PLANE[1], [1, 0]])]
    states = [graph(k=1).fit([table]) for table in tables]
    assert states[0] == states[1]


def test_rows_without_a_vector_have_no_place():
    status = ["ok", "truncated", "ok", "ok", "ok", "not_finite"]
    table = rows([[1, 0], [0, 1], None, [0, 0], [1, 1], [3, 1]], status)
    stage = fitted(graph(k=5), table)
    found = stage(table, ALL)
    none = [2, 3, 5]
    for name in ALL[:3]:
        assert [i for i, v in enumerate(found[name].to_pylist()) if v is None] == none
    assert found["status"].to_pylist()[2:] == ["no_vector", "no_vector", "ok", "not_finite"]
    assert all(len(each) == 2 for each in found["neighbours"].drop_null().to_pylist())


def test_nobody_and_one():
    assert fitted(graph())(rows([[1, 0]]), ALL)["place"].to_pylist() == [None]
    one = rows([[1, 0]])
    assert fitted(graph(), one)(one, ALL)["neighbours"].to_pylist() == [[]]
    assert fitted(graph(), rows([None]))(rows([None]), ALL)["status"].to_pylist() == ["no_vector"]


class TestWhatItDependsOn:
    TABLE = pa.concat_tables([random_rows(400), random_rows(30)])

    @pytest.mark.parametrize("index", ["exact", "ivf"])
    def test_not_on_the_order_the_parts_or_the_threads(self, index):
        stage = graph(k=5, index=index, probes=3, sample=40)
        state = stage.fit([self.TABLE])
        backwards = self.TABLE.take(np.arange(430)[::-1])
        stage.use_threads(3)
        parts = [backwards.slice(0, 7), backwards.slice(7, 300), backwards.slice(307)]
        assert stage.fit(parts) == state

    def test_lists_on_the_seed(self):
        states = [graph(k=5, index="ivf", probes=1, seed=seed).fit([self.TABLE]) for seed in (1, 2)]
        assert states[0] != states[1]


def test_recall_is_measured_and_said(caplog):
    table = random_rows(800)
    with caplog.at_level(logging.INFO):
        few = fitted(graph(k=5, index="ivf", probes=1, sample=100), table)
    assert "recall 0." in caplog.text
    assert "on 100 rows, 1 of 56 lists" in caplog.text
    share = few._fitted["recall"][0].as_py()
    assert 0.05 < share < 0.95
    assert few.found() == f"800 distinct rows, recall {share:.4f}"
    every = fitted(graph(k=5, index="ivf", probes=200), table)
    exact = fitted(graph(k=5, index="exact"), table)
    assert every._fitted == exact._fitted
    assert exact.found() == "800 distinct rows, recall 1.0000"
    assert graph().found() == fitted(graph()).found() == ""


def test_so_many_lists_as_the_recall_takes():
    table = random_rows(1500)
    wanted = (0.5, 0.8, 0.98)
    states = [graph(k=5, index="ivf", sample=700, recall=share).fit([table]) for share in wanted]
    found = [state["recall"][0].as_py() for state in states]
    np.testing.assert_allclose(found, wanted, atol=0.05)  # lists are whole, and other rows say it


def test_auto_takes_lists_beyond_a_size(monkeypatch):
    table = random_rows(300)
    exact, lists = (graph(k=5, probes=1, index=i).fit([table]) for i in ("exact", "ivf"))
    assert graph(k=5, probes=1).fit([table]) == exact != lists
    monkeypatch.setattr(knn, "EXACT_ROWS", 299)
    assert graph(k=5, probes=1).fit([table]) == lists


def test_memory_is_refused_with_what_is_needed():
    table = random_rows(700, 500)  # 1.34 MB as fp32
    with pytest.raises(DataError, match=r"700 distinct rows of 500 numbers take 2 MB, and"):
        graph(memory_mb=1).fit([table])
    assert len(graph(memory_mb=2, k=1).fit([table])) == 700
    with pytest.raises(DataError, match=r"many a second time, take 3 MB.*memory_mb to 3"):
        graph(memory_mb=2, index="ivf").fit([table])
    assert graph(memory_mb=2).identity() == graph().identity()


def test_vectors_of_two_lengths():
    with pytest.raises(ContractError, match="vectors of 3 and of 2 numbers"):
        graph().fit([rows([[1, 0]]), rows([[1, 0, 0]])])


def test_nothing_fitted():
    with pytest.raises(ValueError, match="the graph that `fit` finds"):
        graph()(rows([[1, 0]]), ALL)


def test_settings():
    with pytest.raises(ValueError, match="must be the column of a signal"):
        Knn(of="data.v")
    with pytest.raises(ValueError, match="must be the column of a signal"):
        Knn(of="e.embedding", weights="weights")


@pytest.mark.parametrize("kind", [pa.list_(pa.int8()), pa.binary()])
def test_int8_and_signs(kind):
    signs = np.where(np.random.default_rng(0).random((30, 16)) < 0.5, -1, 1)
    packed = [np.packbits(row > 0).tobytes() for row in signs]
    table = rows(signs.tolist() if pa.types.is_list(kind) else packed, kind=kind)
    state = graph(k=3).fit([table])
    assert state == graph(k=3).fit([rows(signs.tolist())])


def test_checkpoints_become_one_vector():
    table = rows([[1, 0, 1, 0], [1, 0, 0, 1], [0, 1, 1, 0]], weights=[3.0, 1.0])
    found = fitted(graph(k=1, weights="e.weights"), table)(table, ["similarity"])
    assert found["similarity"].to_pylist()[0] == pytest.approx([3 / np.sqrt(10)])


@pytest.mark.parametrize("index", ["exact", "ivf"])
def test_contract(index):
    status = ["ok"] * 40 + ["empty"]
    table = random_rows(41)
    table = table.set_column(table.column_names.index("e.status"), "e.status", pa.array(status))
    check_stage(graph(k=4, index=index), table)


@pytest.mark.parametrize("index", ["exact", "ivf"])
def test_equal_vectors_are_looked_for_as_one(index, monkeypatch):
    """Of three directions at right angles thirty rows each."""
    ids = [f"{i:02d}" for i in range(90)]
    table = named(ids, np.eye(3)[np.arange(90) % 3].tolist())
    monkeypatch.setattr(Cosine, "of_all", None)  # nobody is compared with all
    found = fitted(graph(k=40, index=index, probes=3 if index == "ivf" else None), table)
    assert found.found() == "90 distinct rows, recall 1.0000"
    columns = found(table, ALL)
    for place, others, cosines in zip(
        *(columns[name].to_pylist() for name in ALL[:3]), strict=True
    ):
        own = [other for other in range(90) if other % 3 == place % 3 and other != place]
        rest = [other for other in range(90) if other % 3 != place % 3]
        assert others == own + rest[:11]
        assert cosines == [1] * 29 + [0] * 11


def test_settings_that_say_nothing_name_nothing():
    plain = graph(index="exact").identity()
    for idle in ({"seed": 3}, {"sample": 9}, {"probes": 2}, {"recall": 0.5}):
        assert graph(index="exact", **idle).identity() == plain
        assert graph(**idle).identity() != graph().identity()
    assert graph(probes=2).identity() == graph(probes=2, recall=0.5).identity()
