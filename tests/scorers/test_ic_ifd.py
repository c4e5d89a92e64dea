import pyarrow as pa
import pytest
from tamis.scorers.checks import check_scorer
from tamis.scorers.ic_ifd import ICIFD

UNDEFINED = {"paper": "too_few_tokens", "official": "too_few_tokens_or_several_turns"}


def rows(given, alone, instruction, turns=None):
    columns = {}
    for part, lists in (("given", given), ("alone", alone), ("instruction", instruction)):
        columns[f"base.{part}.token_loss"] = pa.array(lists, pa.list_(pa.float32()))
        columns[f"base.{part}.token_loss_sum"] = pa.array([float(sum(x)) for x in lists])
        columns[f"base.{part}.token_loss_count"] = pa.array([len(x) for x in lists], pa.int32())
    columns["base.given.turns"] = pa.array(turns or [[len(x)] for x in given], pa.list_(pa.int32()))
    for name in ("status", "given.status", "alone.status"):
        columns[f"base.{name}"] = pa.array(["ok"] * len(given))
    return pa.table(columns)


def score(scorer, *args, **kwargs):
    return scorer(rows(*args, **kwargs))["score"].to_pylist()


def test_g3():
    assert score(ICIFD(), [[0.5]], [[1.0]], [[2.5]]) == pytest.approx([0.2])


def test_g3_rank_flip():
    """The higher IFD has the lower IC-IFD."""
    found = score(ICIFD(), [[0.9], [0.8]], [[1.0], [1.0]], [[3.0], [2.0]])
    assert found == pytest.approx([0.3, 0.4])


def test_three_losses():
    assert score(ICIFD(), [[1.2]], [[2.0]], [[3.0]]) == pytest.approx([0.2])


def test_official_counts_the_joining_newline_to_the_answer():
    found = score(ICIFD(mode="official"), [[0.4, 0.8]], [[1.0]], [[3.0, 1.0, 0.3]])
    assert found == pytest.approx([(0.4 + 0.8 + 0.3) / 3 / (2.0 * 1.0)])


def test_official_has_no_number_for_several_turns():
    table = rows([[0.4, 0.8]], [[1.0, 1.0]], [[3.0, 1.0]], turns=[[1, 1]])
    assert ICIFD(mode="official")(table)["status"].to_pylist() == [UNDEFINED["official"]]
    assert ICIFD()(table)["status"].to_pylist() == ["ok"]


@pytest.mark.parametrize("mode", ["paper", "official"])
def test_missing_losses_have_a_reason(mode):
    found = ICIFD(mode=mode)(rows([[0.5], [0.5]], [[], [1.0]], [[2.5], []]))
    assert found["score"].to_pylist() == [None, None]
    assert found["status"].to_pylist() == [UNDEFINED[mode]] * 2


@pytest.mark.parametrize("mode", ["paper", "official"])
def test_contract(mode):
    check_scorer(
        ICIFD(mode=mode),
        rows([[0.5, 1], [0.25], [1, 2, 3]], [[1.0], [2.0], [0.5, 2]], [[2, 3.0], [1, 1], [4.0, 2]]),
    )
