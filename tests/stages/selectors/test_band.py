import pyarrow as pa
import pytest
from tamis.stages.checks import check_selector
from tamis.stages.selectors.band import Band
from tamis.stages.selectors.base import Budget


def pool(scores):
    return pa.table(
        {
            "row_id": range(len(scores)),
            "sample_id": [f"{i:03d}" for i in range(len(scores))],
            "s.score": pa.array(scores, pa.float32()),
            "tokens": pa.array([2] * len(scores), pa.int32()),
        }
    )


TWELVE = pool([float(i) for i in range(1, 13)])


def values(choice, table, n):
    return [table["s.score"][int(i)].as_py() for i in choice.order[:n]]


def test_g2d_middle_sampling():
    """Perplexities 1..12, 25 and 75 %: bounds 3.75 and 9.25, three picks."""
    choice = Band(by="s.score", pick="spread")(TWELVE, Budget(3))
    assert values(choice, TWELVE, 3) == [4, 6, 8]
    assert choice.n_kept == 6
    assert sorted(values(choice, TWELVE, 6)) == [4, 5, 6, 7, 8, 9]
    assert choice.margin[2:4].tolist() == pytest.approx([-0.75, 0.25])


def test_spread_with_a_budget_in_tokens():
    choice = Band(by="s.score", pick="spread")(TWELVE, Budget(6, "tokens"))
    assert values(choice, TWELVE, 3) == [4, 6, 8]


def test_centre_out():
    choice = Band(by="s.score")(TWELVE, Budget(3))
    assert set(values(choice, TWELVE, 2)) == {6, 7}
    assert set(values(choice, TWELVE, 4)) == {5, 6, 7, 8}


def test_fewer_rows_than_wanted():
    choice = Band(by="s.score", pick="spread")(TWELVE, Budget(50))
    assert values(choice, TWELVE, 6) == [4, 5, 6, 7, 8, 9]


def test_reasons():
    choice = Band(by="s.score")(TWELVE, Budget(3))
    assert choice.reason[0] == "s.score outside the band"


def test_bounds_must_be_in_order():
    with pytest.raises(ValueError, match="less than high"):
        Band(by="s.score", low=0.5, high=0.5)


@pytest.mark.parametrize("pick", ["centre", "spread"])
def test_contract(pick):
    check_selector(Band(by="s.score", pick=pick), TWELVE)
