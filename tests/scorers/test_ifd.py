import numpy as np
import pyarrow as pa
import pytest
from tamis.scorers.checks import check_scorer
from tamis.scorers.ifd import IFD

MODES = ("cherry", "superfiltering", "aligned")


def rows(given, alone, given_turns=None, alone_turns=None, status=None):
    """A signal's columns from lists of token losses, one per row."""
    n = len(given)
    columns = {}
    for part, lists, turns in (("given", given, given_turns), ("alone", alone, alone_turns)):
        columns[f"base.{part}.token_loss"] = pa.array(lists, pa.list_(pa.float32()))
        columns[f"base.{part}.token_loss_sum"] = pa.array([float(sum(x)) for x in lists])
        columns[f"base.{part}.token_loss_count"] = pa.array([len(x) for x in lists], pa.int32())
        counts = turns or [[len(x)] for x in lists]
        columns[f"base.{part}.turns"] = pa.array(counts, pa.list_(pa.int32()))
        columns[f"base.{part}.status"] = pa.array(["ok"] * n)
    columns["base.status"] = pa.array(status or ["ok"] * n)
    return pa.table(columns)


def score(scorer, *args, **kwargs):
    return scorer(rows(*args, **kwargs))["score"].to_pylist()


COND, DIRECT = [1.0, 0.5, 0.3, 0.2], [2.0, 1.0, 0.6, 0.4]


def test_g1_ratio_of_mean_losses():
    assert score(IFD(mode="cherry"), [COND], [DIRECT]) == pytest.approx([0.5])
    assert score(IFD(mode="cherry"), [[0.696]], [[0.761]]) == pytest.approx([0.9146], abs=5e-5)


def test_g2a_ratio_of_perplexities():
    assert score(IFD(), [COND], [DIRECT]) == pytest.approx([0.606531], abs=1e-6)


def test_g2b_without_bos_the_first_token_alone_has_no_loss():
    assert score(IFD(), [COND], [DIRECT[1:]]) == pytest.approx([0.846482], abs=1e-6)


def test_aligned_leaves_that_token_out_of_both():
    expected = np.exp(np.mean(COND[1:]) - np.mean(DIRECT[1:]))
    assert score(IFD(mode="aligned"), [COND], [DIRECT[1:]]) == pytest.approx([expected])
    assert score(IFD(mode="aligned"), [COND], [DIRECT]) == pytest.approx([0.606531], abs=1e-6)


def test_g2c_the_forms_rank_differently():
    given, alone = [[0.45], [3.72]], [[0.50], [4.0]]
    assert score(IFD(mode="cherry"), given, alone) == pytest.approx([0.900, 0.930])
    assert score(IFD(), given, alone) == pytest.approx([0.951229, 0.755784], abs=1e-6)


def test_a_value_of_exactly_one():
    for mode in MODES:
        assert score(IFD(mode=mode), [[0.5, 0.7]], [[0.5, 0.7]]) == [1.0]


def test_turns_combined_and_one_by_one():
    given, alone = [[1.0, 2.0, 4.0]], [[2.0, 2.0, 2.0]]
    turns = {"given_turns": [[2, 1]], "alone_turns": [[2, 1]]}
    assert score(IFD(mode="cherry"), given, alone, **turns) == pytest.approx([7 / 6])
    one_by_one = score(IFD(mode="cherry", turns="mean"), given, alone, **turns)
    assert one_by_one == pytest.approx([(1.5 / 2 + 4 / 2) / 2])


def test_aligned_turns_drop_the_first_token_of_each():
    given, alone = [[9.0, 1.0, 9.0, 3.0]], [[2.0, 4.0]]
    found = score(IFD(mode="aligned"), given, alone, given_turns=[[2, 2]], alone_turns=[[1, 1]])
    assert found == pytest.approx([np.exp(2.0 - 3.0)])


def test_a_turn_without_tokens_is_left_out_of_the_mean():
    given, alone = [[1.0, 2.0, 5.0]], [[2.0]]
    turns = {"given_turns": [[2, 1]], "alone_turns": [[1, 0]]}
    assert score(IFD(mode="cherry", turns="mean"), given, alone, **turns) == pytest.approx([0.75])


@pytest.mark.parametrize("mode", MODES)
def test_one_token_answers_and_bad_rows_have_a_reason_and_no_number(mode):
    table = rows(
        [[0.5], [0.5, 0.5], [0.5, 0.5]],
        [[], [0.4], [0.4]],
        status=["ok", "instruction_too_long", "truncated"],
    )
    found = IFD(mode=mode)(table)
    assert found["status"].to_pylist() == ["one_token_answer", "instruction_too_long", "truncated"]
    assert found["score"].to_pylist()[:2] == [None, None]
    assert found["score"][2].as_py() is not None


def test_nan_is_a_status():
    found = IFD()(rows([[float("nan"), 1.0]], [[1.0]]))
    assert found["score"].to_pylist() == [None]
    assert found["status"].to_pylist() != ["ok"]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("turns", ["combined", "mean"])
def test_contract(mode, turns):
    generator = np.random.default_rng(0)
    lengths = generator.integers(2, 9, 20)
    given = [generator.exponential(size=n).tolist() for n in lengths]
    alone = [generator.exponential(size=n - 1).tolist() for n in lengths]
    check_scorer(IFD(mode=mode, turns=turns), rows(given, alone))


def test_aligned_requires_the_same_tokens():
    assert IFD(mode="aligned").requires == {"tokenisation": "exact"}
    assert IFD().requires == {}
