import numpy as np
import pyarrow as pa
import pytest
from tamis.scorers.checks import check_scorer
from tamis.scorers.ifd import IFD
from tamis.scorers.sifd import SIFD, Deltas, fit_threshold, selective_ifd, threshold_of


def rows(given, alone, given_turns=None, alone_turns=None, status=None):
    """A signal's columns from lists of token losses, one per row."""
    columns = {}
    for part, lists, turns in (("given", given, given_turns), ("alone", alone, alone_turns)):
        columns[f"base.{part}.token_loss"] = pa.array(lists, pa.list_(pa.float32()))
        counts = turns or [None if x is None else [len(x)] for x in lists]
        columns[f"base.{part}.turns"] = pa.array(counts, pa.list_(pa.int32()))
        columns[f"base.{part}.status"] = pa.array(["ok"] * len(given))
    columns["base.status"] = pa.array(status or ["ok"] * len(given))
    return pa.table(columns)


def from_pmi(*lists, **kwargs):
    """Rows whose loss given minus loss alone is that of the lists."""
    return rows(
        [[2 + x for x in row] for row in lists], [[2.0] * len(row) for row in lists], **kwargs
    )


def score(scorer, table):
    return scorer(table, scorer.fit([table]))["score"].to_pylist()


def deltas(*pmi):
    return Deltas(-np.concatenate(pmi).astype(np.float32), np.array([len(x) for x in pmi]))


S0, S1 = [[-0.8, -0.005, -0.4], [-0.6, 0.01, -0.5]], [[-0.1, -0.9], [-0.3, -0.7]]


def test_g4_formula():
    """Four noisy copies of G4, each an answer of its own."""
    four = deltas(*S0, *S1)
    for k, threshold, expected in (
        (50, 0.45, [0.449329, 0.576950, 0.406570, 0.496585]),
        (75, 0.15, [0.548812, 0.576950, 0.406570, 0.606531]),
    ):
        fitted = fit_threshold(lambda: [four.values], k)
        assert threshold_of(fitted) == pytest.approx(threshold, abs=1e-7)
        found, counts = selective_ifd(four, threshold_of(fitted))
        assert found == pytest.approx(expected, abs=1e-6)
        assert counts.sum() == (5 if k == 50 else 7)


def test_g4_as_clean_rows():
    found = score(SIFD(k=50), from_pmi(*S0, *S1))
    assert found == pytest.approx([0.449329, 0.576950, 0.406570, 0.496585], abs=1e-6)


def test_nothing_selected_is_exactly_one():
    found, counts = selective_ifd(deltas([0.1, -0.2], [0.7], []), 0.7 + 1e-6)
    assert found[:2].tolist() == [1.0, 1.0]
    assert np.isnan(found[2])
    assert counts.tolist() == [0, 0, 0]


def test_a_tie_with_the_threshold_is_not_selected():
    """|Delta| .5 .5 .5 1: the median is .5, and only 1 is more."""
    found = score(SIFD(k=50), from_pmi([-0.5, -1.0], [0.5, 0.5]))
    assert found == pytest.approx([np.exp(-1.0), 1.0])
    assert found[1] == 1.0


def test_all_tokens_give_the_ifd():
    """But for the smallest |Delta| of the pool, which is never strictly greater than itself."""
    table = from_pmi([-0.5, -1.0, 0.25], [-0.1])
    assert score(SIFD(k=100), table)[0] == pytest.approx(np.exp((-0.5 - 1.0 + 0.25) / 3))
    assert score(SIFD(k=100), table)[1] == 1.0


def test_tokens_are_aligned_at_the_end():
    table = rows([[9.0, 1.0, 2.0], [9.0, 1.0]], [[2.0, 2.5], [1.5]])
    found = SIFD()(table, pa.table({"threshold": [0.0]}))
    assert found["score"].to_pylist() == pytest.approx([np.exp(-0.75), np.exp(-0.5)])
    fitted = SIFD(k=100).fit([table])
    assert threshold_of(fitted) == 0.5


def test_turns_pool_their_tokens_as_ifd_does():
    table = rows(
        [[9.0, 1.0, 9.0, 3.0, 4.0]], [[2.0, 4.0, 8.0]], given_turns=[[2, 3]], alone_turns=[[1, 2]]
    )
    found = SIFD()(table, pa.table({"threshold": [0.0]}))["score"].to_pylist()
    assert found == pytest.approx([np.exp(-(1 + 1 + 4) / 3)])
    assert found == IFD(mode="aligned")(table)["score"].to_pylist()
    one = SIFD()(table, pa.table({"threshold": [1.0]}))["score"].to_pylist()
    assert one == pytest.approx([np.exp(-4.0)])


def test_rows_without_numbers_take_no_part():
    bad = [[np.nan, 1.0], [1.0, np.inf], [5.0, 5.0], [0.5], None]
    alone = [[50.0, 1.0], [50.0, 1.0], [90.0, 90.0], [], None]
    status = ["ok", "ok", "not_finite", "ok", "no_room"]
    good = from_pmi(*S0, *S1)
    table = pa.concat_tables([rows(bad, alone, status=status), good])
    scorer = SIFD()
    assert scorer.fit([table]).equals(scorer.fit([good]))
    found = scorer(table, scorer.fit([table.slice(0, 2), table.slice(2)]))
    assert found["score"].to_pylist()[:5] == [None] * 5
    assert found["score"].to_pylist()[5:] == score(scorer, good)
    none = "one_token_answer"
    assert found["status"].to_pylist()[:5] == [none, none, "not_finite", none, "no_room"]


def test_a_pool_without_numbers():
    table = rows([[0.5]], [[]])
    assert SIFD().fit([table])["threshold"].to_pylist() == [None]
    assert score(SIFD(), table) == [None]
    with pytest.raises(ValueError, match="threshold of the pool"):
        SIFD()(table)


def test_official_alignment_is_that_of_the_published_code():
    table = rows(
        [[1.0, 2.0], [1.0, 2.0], [1.0, 2.0, 3.0], [1.0]], [[3.0, 3.0], [3.0], [3.0], [2.0, 3.0]]
    )
    fitted = pa.table({"threshold": [0.0]})
    official = SIFD(mode="official")(table, fitted)
    assert official["score"].to_pylist() == pytest.approx([np.exp(-1.5), np.exp(-1.0), None, None])
    assert official["status"].to_pylist()[2:] == ["one_token_answer_or_not_aligned"] * 2
    assert SIFD()(table, fitted)["score"].null_count == 0


def test_it_requires_its_tokenisation():
    assert SIFD().requires == {"tokenisation": "exact"}
    assert SIFD(mode="official").requires == {"tokenisation": "official"}


@pytest.mark.parametrize("k", [0, -1, 101, float("nan")])
def test_k_is_a_percentage(k):
    with pytest.raises(ValueError, match="k"):
        SIFD(k=k)


@pytest.mark.parametrize("mode", ["aligned", "official"])
def test_contract(mode):
    generator = np.random.default_rng(0)
    lengths = generator.integers(1, 300, 30)
    given = [generator.exponential(size=n).tolist() for n in lengths]
    alone = [generator.exponential(size=n - 1).tolist() for n in lengths]
    check_scorer(SIFD(mode=mode), rows(given, alone))
