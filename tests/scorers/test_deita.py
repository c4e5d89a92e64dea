import pyarrow as pa
from tamis.scorers.checks import check_scorer
from tamis.scorers.deita import Deita

LISTS = pa.list_(pa.float32())


def rows(complexity, quality, status=None):
    ok = ["ok"] * len(complexity)
    return pa.table(
        {
            "complexity.ratings": pa.array(complexity, LISTS),
            "complexity.status": ok,
            "quality.ratings": pa.array(quality, LISTS),
            "quality.status": status or ok,
        }
    )


def test_products_of_expectations():
    """2.5 x 4 = 10 comes after 3 x 3.5 = 10.5, and 4.5 is the expectation of .1 x 5 and .5."""
    expected = sum(0.1 * rating for rating in range(1, 6)) + 0.5 * 6
    found = Deita()(rows([[2.5], [3.0], [expected]], [[4.0], [3.5], [2.0]]))
    assert found["score"].to_pylist() == [10.0, 10.5, 9.0]


def test_turns_are_multiplied_each_and_then_summed():
    """2 x 3 + 1 x 4 = 10, and not (2 + 1) x (3 + 4)."""
    assert Deita()(rows([[2.0, 1.0]], [[3.0, 4.0]]))["score"].to_pylist() == [10.0]


def test_a_turn_without_a_rating_leaves_the_row_without_a_score():
    table = rows(
        [[2.0, None], [2.0], [2.0, 1.0], [], None],
        [[3.0, 4.0], [3.0], [3.0], [], None],
        ["ok", "unparsable", "ok", "ok", "ok"],
    )
    found = Deita()(table)
    assert found["score"].to_pylist() == [None] * 5
    assert found["status"].to_pylist() == ["no_rating", "unparsable", *["no_rating"] * 3]


def test_ratings_that_the_rows_carry():
    table = pa.table({"data.complexity": [2, 3], "data.quality": ["4", "x"]})
    found = Deita(complexity="data.complexity", quality="data.quality")(table)
    assert found.to_pydict() == {"score": [8.0, None], "status": ["ok", "no_rating"]}


def test_contract():
    check_scorer(Deita(), rows([[2.0], [1.0, 3.0], None], [[3.0], [2.0, 2.0], [1.0]]))
