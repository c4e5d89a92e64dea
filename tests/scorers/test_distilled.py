import numpy as np
import pyarrow as pa
import pytest
from tamis.errors import ContractError, DataError
from tamis.scorers.checks import check_scorer
from tamis.scorers.distilled import Distilled

HALF = pa.list_(pa.float16())


def rows(n=300, share=0.5, seed=0, numbers=8):
    """Rows whose rating is a line of their vector, with noise, and rated for a share of them."""
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(n, numbers))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    ratings = np.clip(np.round(2.5 + 4 * vectors[:, 0] + 0.3 * rng.normal(size=n)), 0, 5)
    table = pa.table(
        {
            "sample_id": [f"{i * 7919 % 100_003:05x}" for i in range(n)],
            "base.embedding": pa.array([list(v.astype(np.float16)) for v in vectors], HALF),
            "base.given.status": ["ok"] * n,
            "base.status": ["ok"] * n,
            "data.rating": pa.array(ratings, mask=rng.random(n) >= share),
        }
    )
    return table, ratings


def run(table, **fields):
    scorer = Distilled(rating="data.rating", **fields)
    return scorer(table, scorer.fit([table]))


def test_rows_without_a_rating_are_scored():
    table, ratings = rows()
    found = run(table)
    unrated = np.asarray(table["data.rating"].is_null())
    assert found["status"].to_pylist() == ["ok"] * 300
    assert np.corrcoef(found["score"].to_numpy()[unrated], ratings[unrated])[0, 1] > 0.9


def test_the_status_of_the_judge_does_not_matter():
    """A row that the judge was not asked about has a status there, and a score here."""
    assert "judge.status" not in Distilled().reads.names


def test_agreement_is_said():
    table, _ = rows()
    scorer = Distilled(rating="data.rating")
    n = len(table) - table["data.rating"].null_count
    said = scorer.found(scorer.fit([table]))
    assert said.startswith(f"learnt from {n} rated rows; on held-out ones rank correlation 0.9")
    upper = Distilled(rating="data.rating", at_least=3)
    assert "area under the ROC curve 0.9" in upper.found(upper.fit([table]))
    shuffled = table.set_column(
        4, "data.rating", table["data.rating"].take(np.random.default_rng(0).permutation(300))
    )
    rank = float(scorer.found(scorer.fit([shuffled])).split("correlation ")[1].split(",")[0])
    assert abs(rank) < 0.25


def test_a_classifier():
    table, ratings = rows()
    found = run(table, at_least=3)["score"].to_numpy()
    assert found.min() >= 0 and found.max() <= 1
    assert found[ratings >= 3].mean() > 0.8 > 0.2 > found[ratings < 3].mean()


@pytest.mark.parametrize("fields", [{}, {"at_least": 3}, {"most": 60}], ids=str)
def test_order_parts_and_copies(fields):
    table, _ = rows()
    scorer = Distilled(rating="data.rating", **fields)
    state = scorer.fit([table])
    other = table.take(np.random.default_rng(1).permutation(300))
    assert scorer.fit([other.slice(0, 70), other.slice(70, 0), other.slice(70)]).equals(state)
    assert scorer.fit([table, table]).equals(state)


def test_most_and_seed_choose_what_is_learnt_from():
    table, _ = rows()
    states = [Distilled(rating="data.rating", most=60, seed=s).fit([table]) for s in (0, 1)]
    assert states[0]["said"][0].as_py().startswith("learnt from 60 rated rows")
    assert not states[0].equals(states[1])


def test_too_few_ratings():
    table, _ = rows(share=0.1)
    n = len(table) - table["data.rating"].null_count
    message = rf"distilled: {n} rows have a rating in data\.rating and a vector .* takes 50"
    with pytest.raises(DataError, match=message):
        run(table)
    run(table, fewest=20)
    none = table.set_column(4, "data.rating", pa.array([None] * 300, pa.float32()))
    with pytest.raises(DataError, match="distilled: 0 rows"):
        run(none)


def test_ratings_that_are_all_the_same():
    table, _ = rows()
    same = table.set_column(4, "data.rating", pa.array([4] * 300))
    with pytest.raises(DataError, match=r"all 300 ratings in data\.rating are 4; .* nothing"):
        run(same)
    with pytest.raises(DataError, match="are on one side of 9"):
        run(table, at_least=9)


def test_rows_without_a_vector():
    table, _ = rows()
    bad = table.slice(0, 2).set_column(1, "base.embedding", pa.array([None, None], HALF))
    both = pa.concat_tables([table.slice(2), bad])
    found = run(both)
    assert found["status"].to_pylist()[-2:] == ["no_vector"] * 2
    with pytest.raises(ContractError, match="of 8 and of 4 numbers"):
        Distilled(rating="data.rating").fit([table, rows(numbers=4)[0]])


def test_what_it_reads():
    with pytest.raises(ValueError, match="must be the column of a signal"):
        Distilled(of="data.vector")
    with pytest.raises(ValueError, match="model that `fit` learns"):
        Distilled(rating="data.rating").score(rows(3)[0])


@pytest.mark.parametrize("fields", [{}, {"at_least": 3}], ids=str)
def test_contract(fields):
    check_scorer(Distilled(rating="data.rating", fewest=20, **fields), rows(60)[0])


def test_a_probability_far_from_even():
    """exp(1000) is no number, and numpy warns of it."""
    table, _ = rows(20)
    far = pa.table({"weights": [[1e6] * 8], "intercept": [-1e7], "said": [""]})
    scorer = Distilled(rating="data.rating", at_least=3)
    assert scorer(table, far)["score"].to_pylist() == [0.0] * 20
