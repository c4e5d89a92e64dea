"""Aggregations by hand, and that neither the batch nor the order of rows can be told."""

import numpy as np
import pyarrow as pa
import pytest
from tamis.errors import ContractError, DataError
from tamis.scorers.checks import check_scorer
from tamis.scorers.matching import ROWS_AT_ONCE
from tamis.scorers.similarity import Similarity

KIND = pa.list_(pa.float16())


def rows(vectors, status=None, **columns):
    """A table of embeddings as a signal gives them."""
    found = [None if v is None else np.asarray(v, np.float16) for v in vectors]
    status = status or ["no_room" if v is None else "ok" for v in vectors]
    passed = pa.array(["ok" if said == "ok" else None for said in status], pa.string())
    made = {"base.embedding": pa.array(found, KIND), "base.given.status": passed}
    return pa.table(made | {"base.status": status} | columns)


def target(vectors, subtasks=None, **kwargs):
    """The rows of a target as `aim` gets them."""
    subtasks = pa.array(subtasks or [None] * len(vectors), pa.string())
    return rows(vectors, **kwargs).append_column("subtask", subtasks)


def run(scorer, table, optional=(), **targets):
    return scorer(table, scorer.aim(targets), optional).to_pydict()


X, Y = [1, 0], [0, 1]
FOUR = [X, Y, [0.6, 0.8], [-1, 0]]  # with x: 1, 0, .6, -1


@pytest.mark.parametrize(
    ("aggregate", "score", "subtask", "query"),
    [
        ("max", 1.0, "a", 0),
        ("mean", 0.15, "a", 0),
        # a: rows 0 and 3, mean 0; b: rows 1 and 2, mean .3
        ("mean_max", 0.3, "b", 2),
        # a: the mean of (1,0) and (-1,0) has no direction; so b alone would be asked of another
    ],
)
def test_aggregations_by_hand(aggregate, score, subtask, query):
    scorer = Similarity(target="t", aggregate=aggregate)
    found = run(scorer, rows([X]), t=target(FOUR, ["a", "b", "b", "a"]))
    assert found["score"] == pytest.approx([score], abs=1e-3)
    assert (found["target"], found["subtask"], found["query"]) == (["t"], [subtask], [query])


def test_the_cosine_of_the_mean_counts_long_vectors_more():
    """G6c: of (1,0) and (0,10) the mean cosine with (1,0) is .5, that with their mean .0995."""
    goal = target([X, [0, 10]])
    mean = run(Similarity(target="t", aggregate="mean"), rows([X]), t=goal)
    assert mean["score"] == pytest.approx([0.5])
    of_mean = run(Similarity(target="t", aggregate="cosine_of_mean"), rows([X]), t=goal)
    assert of_mean["score"] == pytest.approx([0.099504], abs=1e-6)
    assert of_mean["query"] == [None]
    two = target([X, [0, 10], X], ["a", "a", "b"])
    found = run(Similarity(target="t", aggregate="cosine_of_mean"), rows([X]), ["by_query"], t=two)
    assert found["subtask"] == ["b"]
    np.testing.assert_allclose(found["by_query"], [[0.099504, 1.0]], atol=1e-6)


def test_several_targets():
    scorer = Similarity(target=["s", "t"])
    goals = {"s": target([X, [0.6, 0.8]]), "t": target([Y])}
    found = run(scorer, rows([X, Y, [-1, 0]]), ["by_query", "by_target"], **goals)
    assert (found["target"], found["query"]) == (["s", "t", "t"], [0, 0, 0])
    expected = [[1, 0.6, 0], [0, 0.8, 1], [-1, -0.6, 0]]
    np.testing.assert_allclose(found["by_query"], expected, atol=1e-3)
    np.testing.assert_allclose(found["by_target"], [[1, 0], [0.8, 1], [-0.6, 0]], atol=1e-3)
    assert found["score"] == pytest.approx([1, 1, 0], abs=1e-3)


def test_a_row_without_a_vector_has_a_status():
    table = rows([None, X, [0, 0], None], ["no_room", "truncated", "ok", "ok"])
    found = run(Similarity(target="t"), table, ["by_query"], t=target([X]))
    assert found["status"] == ["no_room", "truncated", "no_vector", "no_vector"]
    assert found["score"] == [None, 1.0, None, None]
    assert found["query"] == [None, 0, None, None]
    assert found["by_query"] == [None, [1.0], None, None]
    none = run(Similarity(target="t"), table.slice(3), t=target([X]))
    assert none["score"] == [None]


def test_the_pass_of_a_row_says_why_it_has_no_vector():
    """Also where a row that is cut came out of it broken."""
    passed = pa.array(["ok", "not_finite", "not_finite", "ok"])
    table = rows([X, None, None, Y], status=["ok", "ok", "truncated", "truncated"])
    table = table.set_column(1, "base.given.status", passed)
    found = run(Similarity(target="t"), table, t=target([X]))
    assert found["status"] == ["ok", "not_finite", "not_finite", "truncated"]
    goal = target([X, None], status=["ok", "ok"]).set_column(
        1, "base.given.status", passed.slice(0, 2)
    )
    with pytest.raises(DataError, match=r"row 1 has no base.embedding .*\(status not_finite\)"):
        Similarity(target="t").aim({"t": goal})


@pytest.mark.parametrize(
    ("goal", "message"),
    [
        (target([X, None]), r"targets.t: row 1 has no base.embedding .*\(status no_room\)"),
        (target([X, [0, 0]]), "row 1 has no base.embedding"),
        (target([X, X], status=["not_finite", "ok"]), r"row 0 .*\(status not_finite\)"),
    ],
)
def test_a_row_of_a_target_without_a_vector_is_an_error(goal, message):
    with pytest.raises(DataError, match=message):
        Similarity(target="t").aim({"t": goal})


def test_what_does_not_fit_is_said():
    scorer = Similarity(target="t")
    with pytest.raises(ContractError, match="vectors of 3 numbers, those of the targets have 2"):
        run(scorer, rows([[1, 0, 0]]), t=target([X]))
    with pytest.raises(ContractError, match="other lengths in other targets"):
        Similarity(target=["s", "t"]).aim({"s": target([X]), "t": target([[1, 0, 0]])})
    with pytest.raises(ValueError, match="needs what `aim` found"):
        scorer(rows([X]))
    for bad in ("", [], ["a", "a"]):
        with pytest.raises(ValueError, match="must be the name of a target"):
            Similarity(target=bad)


def random_rows(seed, n, numbers=24):
    generator = np.random.default_rng(seed)
    vectors = generator.normal(size=(n, numbers))
    return list(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


@pytest.mark.parametrize("aggregate", ["max", "mean", "mean_max", "cosine_of_mean"])
def test_contract(aggregate):
    """Other batches, another order, an empty table: the same numbers, to the last bit."""
    goals = {
        "s": target(random_rows(1, 13), ["a", "b", None] * 4 + ["a"]),
        "t": target(random_rows(2, 5)),
    }
    table = rows([*random_rows(3, ROWS_AT_ONCE + 9), None])
    check_scorer(Similarity(target=["s", "t"], aggregate=aggregate), table, goals)


def test_equals_the_loop():
    goal, table = random_rows(4, 30), random_rows(5, ROWS_AT_ONCE + 50)
    found = run(Similarity(target="t"), rows(table), ["by_query"], t=target(goal))
    for x, score, place, sims in zip(
        table, found["score"], found["query"], found["by_query"], strict=True
    ):
        each = [np.dot(x, q) for q in goal]
        assert score == pytest.approx(max(each), abs=2e-3)  # stored in fp16
        assert sims == pytest.approx(each, abs=2e-3)
        assert sims[place] == score


def test_which_of_two_equal_queries_is_the_first_in_any_block():
    random = np.random.default_rng(1)
    goal = random.normal(size=(3, 40))
    goal = np.concatenate([goal, goal])  # every query twice: their products may differ by rounding
    scorer = Similarity(target="t", aggregate="max")
    fitted = scorer.aim({"t": target(goal)})
    table = rows(random.normal(size=(150, 40)))
    found = [
        pa.concat_tables(scorer(table.slice(i, n), fitted) for i in range(0, 150, n))
        for n in (1, 3, 150)
    ]
    assert max(found[0]["query"].to_pylist()) < 3
    assert found[0] == found[1] == found[2]


def test_the_query_behind_the_number_of_each_target():
    scorer = Similarity(target=("s", "t"), aggregate="mean_max")
    goals = {"s": target([Y, X]), "t": target(FOUR, ["a", "b", "b", "a"])}
    found = run(scorer, rows([X, [0.6, 0.8]]), ("by_target", "query_by_target"), **goals)
    # t, row 0: b is the better subtask (.3 against 0), and in it row 2; row 1: b again
    assert found["query_by_target"] == [[1, 2], [0, 2]]
    assert found["by_target"][0] == pytest.approx([0.5, 0.3], abs=1e-3)
