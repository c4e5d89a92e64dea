import pyarrow as pa
from tamis.scorers.checks import check_scorer
from tamis.scorers.entropy import Entropy


def rows():
    return pa.table(
        {
            "base.given.entropy_sum": [3.0, 0.5, None],
            "base.given.entropy_count": pa.array([2, 1, None], pa.int32()),
            "base.given.status": ["ok", "ok", "out_of_memory"],
            "base.status": ["ok", "ok", "ok"],
        }
    )


def test_mean_entropy():
    found = Entropy()(rows())
    assert found["score"].to_pylist() == [1.5, 0.5, None]
    assert found["status"].to_pylist() == ["ok", "ok", "out_of_memory"]
    assert Entropy(prefer="low")(rows())["score"].to_pylist() == [-1.5, -0.5, None]


def test_contract():
    check_scorer(Entropy(), rows())
