import numpy as np
import pyarrow as pa
import pytest
from tamis.errors import ContractError
from tamis.scorers.checks import check_scorer
from tamis.scorers.tshirt import ROWS_AT_ONCE, TShirt

S0, S1 = [[-0.8, -0.005, -0.4], [-0.6, 0.01, -0.5]], [[-0.1, -0.9], [-0.3, -0.7]]
DETAILS = ["score", "deviation", "ifd", "copies", "selected"]


def rows(*pmis, status=None, **columns):
    """A signal's columns from the pmi (= -Delta) of each row's copies; None for no numbers."""
    status = status or ["no_room" if pmi is None else "ok" for pmi in pmis]

    def lists(kind, value):
        made = [None if pmi is None else value(pmi) for pmi in pmis]
        return pa.array(made, pa.list_(kind))

    table = {
        "noisy.delta": lists(pa.float32(), lambda pmi: [-x for copy in pmi for x in copy]),
        "noisy.given_mean": lists(
            pa.float64(), lambda pmi: [2 + (np.mean(copy) if copy else np.nan) for copy in pmi]
        ),
        "noisy.alone_mean": lists(pa.float64(), lambda pmi: [2.0] * len(pmi)),
        "noisy.status": pa.array(status),
        "noisy.given.status": pa.array(["ok"] * len(pmis)),
        "noisy.alone.status": pa.array(["ok"] * len(pmis)),
    }
    return pa.table({**table, **{f"noisy.{name}": values for name, values in columns.items()}})


def run(scorer, table):
    found = scorer(table, scorer.fit([table]))
    return {name: found[name].to_pylist() for name in found.column_names}


@pytest.mark.parametrize(
    ("k", "threshold", "means", "deviations", "selected"),
    [
        (50, 0.45, [0.513139, 0.451578], [0.063810, 0.045008], [3 / 6, 2 / 4]),
        (75, 0.15, [0.562881, 0.506550], [0.014069, 0.099980], [4 / 6, 3 / 4]),
    ],
)
def test_g4(k, threshold, means, deviations, selected):
    scorer, table = TShirt(k=k), rows(S0, S1)
    assert scorer.fit([table])["threshold"].to_pylist() == pytest.approx([threshold], abs=1e-7)
    found = run(scorer, table)
    assert found["score"] == pytest.approx(means, abs=1e-6)
    assert found["deviation"] == pytest.approx(deviations, abs=1e-6)
    assert found["ifd"] == pytest.approx(
        [np.mean([0.669204, 0.695355]), np.mean([0.606531, 0.606531])], abs=1e-6
    )
    assert found["copies"] == [2, 2]
    assert found["selected"] == pytest.approx(selected)
    assert found["status"] == ["ok", "ok"]


def test_g4_nothing_selected_scores_one():
    found = run(TShirt(k=50), rows(S1, [[0.01, -0.02], [0.0, 0.02]]))
    assert (found["score"][1], found["deviation"][1], found["selected"][1]) == (1.0, 0.0, 0.0)


def test_a_tie_with_the_threshold_is_not_selected():
    """|Delta| .5 .5 .5 .5 .5 1: the median is .5, and only 1 is more."""
    found = run(TShirt(), rows([[-0.5, -1.0], [0.5, 0.5]], [[0.5], [0.5]]))
    assert found["score"] == pytest.approx([(np.exp(-1.0) + 1) / 2, 1.0])
    assert found["selected"] == [0.25, 0.0]


def test_rows_without_numbers_take_no_part():
    nan, inf = float("nan"), float("inf")
    bad = [
        [[-9.0, nan], [-9.0, -9.0]],
        [[-9.0], [-inf]],
        None,
        [[-9.0]],
        [[], []],
        [[-9.0, -9.0]],
    ]
    table = rows(
        *bad, S0, S1, status=["ok", "ok", "no_room", "not_finite", "ok", "ok", "ok", "truncated"]
    )
    means = [*table["noisy.alone_mean"].to_pylist()[:5], [nan], [2.0, 2.0], [2.0, 2.0]]
    table = table.set_column(2, "noisy.alone_mean", pa.array(means, pa.list_(pa.float64())))
    scorer, good = TShirt(), rows(S0, S1)
    assert scorer.fit([table.slice(0, 7), table.slice(7)]).equals(scorer.fit([good]))
    found = run(scorer, table)
    for name in DETAILS:
        assert found[name][:6] == [None] * 6
        assert found[name][6:] == run(scorer, good)[name]
    none = "one_token_answer"
    assert found["status"] == [none, none, "no_room", "not_finite", none, none, "ok", "truncated"]


def test_rows_may_have_different_numbers_of_copies():
    found = run(TShirt(k=100), rows([[-1.0]], [[-0.5], [-0.5], [-2.0]], [[0.001], [-1.0]]))
    assert found["copies"] == [1, 3, 2]
    assert found["deviation"][0] == 0.0
    values = np.exp([-0.5, -0.5, -2.0])
    assert found["score"][1] == pytest.approx(values.mean())
    assert found["deviation"][1] == pytest.approx(values.std())


def naive(table, k):
    """The published way: one row, one copy at a time."""
    columns = (table[f"noisy.{name}"].to_pylist() for name in ("delta", "given_mean", "alone_mean"))
    data = [
        (np.array(d, np.float32).astype(np.float64).reshape(len(g), -1), np.exp(np.subtract(g, a)))
        for d, g, a in zip(*columns, strict=True)
    ]
    threshold = np.percentile(np.abs(np.concatenate([d.ravel() for d, _ in data])), 100 - k)
    made = []
    for delta, ifd in data:
        mask = np.abs(delta) > threshold
        values = np.exp(-(delta * mask).sum(1) / np.maximum(mask.sum(1), 1))
        made.append((values.mean(), values.std(), ifd.mean(), len(delta), mask.mean()))
    return [np.array(column) for column in zip(*made, strict=True)]


def random_rows(seed, n):
    generator = np.random.default_rng(seed)

    def pmi():
        length = generator.integers(1, 40)
        return generator.normal(-0.3, 1, (generator.integers(1, 8), length)).tolist()

    return rows(*(pmi() for _ in range(n)))


@pytest.mark.parametrize("k", [50, 75])
def test_equals_the_loop(k):
    table = random_rows(1, ROWS_AT_ONCE + 20)
    found = run(TShirt(k=k), table)
    for name, expected in zip(DETAILS, naive(table, k), strict=True):
        assert found[name] == pytest.approx(expected, rel=1e-6, abs=1e-7), name


def test_what_the_pool_is_cut_into_changes_nothing():
    table = random_rows(2, 2 * ROWS_AT_ONCE + 7)
    scorer = TShirt()
    fitted = scorer.fit([table])
    assert fitted.equals(scorer.fit([table.slice(0, 3), table.slice(3)]))
    halves = [scorer(part, fitted) for part in (table.slice(0, 100), table.slice(100))]
    assert pa.concat_tables(halves).combine_chunks().equals(scorer(table, fitted).combine_chunks())


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"delta": [[1.0, 2.0, 3.0]]}, "same copies"),
        ({"alone_mean": [[1.0]]}, "same copies"),
        ({"given_mean": [None], "alone_mean": [None]}, "without a copy"),
    ],
)
def test_lists_that_do_not_fit(columns, message):
    table = rows([[1.0], [2.0]])
    for name, values in columns.items():
        field = table.schema.field(f"noisy.{name}")
        place = table.schema.names.index(field.name)
        table = table.set_column(place, field, pa.array(values, field.type))
    with pytest.raises(ContractError, match=message):
        TShirt().fit([table])


def test_it_needs_the_threshold():
    with pytest.raises(ValueError, match="threshold of the pool"):
        TShirt()(rows(S0))


def test_contract():
    check_scorer(TShirt(), random_rows(3, 30))
    check_scorer(TShirt(k=75), rows(S0, None, S1, [[]]))
