"""LESS by hand: goldens G6a to G6d, made of numpy in double precision."""

import numpy as np
import pyarrow as pa
import pytest
from tamis.errors import ContractError, DataError
from tamis.scorers.checks import check_scorer
from tamis.scorers.influence import Influence

README = [1.6877e-5, 1.2859e-5, 7.703e-6, 2.5616e-6]  # of the published code
FLOATS = pa.list_(pa.float32())


def column(vectors, kind):
    if kind == "signs":
        return pa.array([np.packbits(np.asarray(v) >= 0).tobytes() for v in vectors], pa.binary())
    return pa.array([np.asarray(v).tolist() for v in vectors], FLOATS).cast(kind)


def rows(vectors, kind=FLOATS):
    return pa.table(
        {
            "gradient.adam": column(vectors, kind),
            "gradient.given.status": ["ok"] * len(vectors),
            "gradient.status": ["ok"] * len(vectors),
        }
    )


def target(vectors, weights, subtasks=None, kind=FLOATS):
    n = len(vectors)
    return pa.table(
        {
            "gradient.plain": column(vectors, kind),
            "gradient.given.status": ["ok"] * n,
            "gradient.status": ["ok"] * n,
            "gradient.weights": pa.array([weights] * n, FLOATS),
            "subtask": pa.array(subtasks or [None] * n, pa.string()),
        }
    )


def run(scorer, table, goal, optional=()):
    return scorer(table, scorer.aim({"t": goal}), optional).to_pydict()


def at_angle(cosine):
    return [cosine, np.sqrt(1 - cosine**2)]


def test_g6a_weights_sum_to_one():
    found = Influence(target="t").weigh(target([[1] * 8], README))
    assert found == pytest.approx([0.421919, 0.321470, 0.192572, 0.064039], abs=1e-6)


def test_g6b_mean_over_shots_then_best_subtask():
    """Weights 3:1, cosines [[.2,.4,.1,.1],[0,.2,.5,.3]], two subtasks of two shots."""
    cosines = np.array([[0.2, 0.4, 0.1, 0.1], [0.0, 0.2, 0.5, 0.3]])
    queries = [np.concatenate([at_angle(a), at_angle(b)]) for a, b in cosines.T]
    goal = target(queries, [3.0, 1.0], ["a", "a", "b", "b"])
    row = rows([[5, 0, 0.1, 0]])  # of other lengths at the two checkpoints
    found = run(Influence(target="t"), row, goal, ["by_query"])
    assert found["by_query"][0] == pytest.approx([0.15, 0.35, 0.2, 0.15], abs=1e-6)
    assert found["score"] == pytest.approx([0.25], abs=1e-6)
    assert (found["subtask"], found["query"]) == (["a"], [1])
    whole = run(Influence(target="t", aggregate="mean"), row, goal)
    assert whole["score"] == pytest.approx([0.2125], abs=1e-6)
    most = run(Influence(target="t", aggregate="max"), row, goal)
    assert most["score"] == pytest.approx([0.35], abs=1e-6)


def test_g6c_mean_of_cosines_is_not_the_cosine_of_the_mean():
    goal = target([[1, 0], [0, 10]], [1.0])
    mean = run(Influence(target="t"), rows([[1, 0]]), goal)
    assert mean["score"] == pytest.approx([0.5])
    other = run(Influence(target="t", aggregate="cosine_of_mean"), rows([[1, 0]]), goal)
    assert other["score"] == pytest.approx([0.099504], abs=1e-6)


def test_g6d_a_projected_vector_is_taken_at_unit_length():
    """x = (1,2,0,-1) on the columns (1,-1,1,1) and (1,1,-1,1) is (-2, 2)."""
    columns = np.array([[1, -1, 1, 1], [1, 1, -1, 1]])
    projected = columns @ [1, 2, 0, -1]
    assert projected.tolist() == [-2, 2]
    found = run(
        Influence(target="t", aggregate="max"),
        rows([projected]),
        target([[1, 0], [0, 1]], [1.0]),
        ["by_query"],
    )
    assert found["by_query"][0] == pytest.approx([-0.707107, 0.707107], abs=1e-6)


def random_vectors(seed, n, numbers):
    return np.random.default_rng(seed).normal(size=(n, numbers))


def naive(vectors, queries, weights, subtasks):
    """The published matching: sum over checkpoints, mean over shots, max over subtasks."""
    n_checkpoints = len(weights)
    total = np.zeros((len(vectors), len(queries)))
    split = [np.split(np.asarray(a, np.float64), n_checkpoints, axis=1) for a in (vectors, queries)]
    for weight, x, q in zip(np.array(weights) / sum(weights), *split, strict=True):
        x = x / np.linalg.norm(x, axis=1, keepdims=True)
        q = q / np.linalg.norm(q, axis=1, keepdims=True)
        total += weight * x @ q.T
    names = np.array(subtasks)
    return np.max([total[:, names == name].mean(1) for name in set(subtasks)], axis=0)


@pytest.mark.parametrize(
    ("kind", "seen"),
    [
        (pa.list_(pa.float16()), lambda v: v.astype(np.float16)),
        (pa.list_(pa.int8()), np.round),
        ("signs", np.sign),
    ],
)
def test_equals_the_published_matching_in_every_storage(kind, seen):
    vectors, queries = random_vectors(1, 40, 4 * 32) * 9, random_vectors(2, 12, 4 * 32) * 9
    if kind == pa.list_(pa.int8()):
        vectors, queries = np.round(vectors), np.round(queries)
    elif kind != "signs":
        vectors, queries = (np.float32(np.float16(v)) for v in (vectors, queries))
    subtasks = ["a", "b", "c"] * 4
    goal = target(queries, README, subtasks, kind)
    found = run(Influence(target="t"), rows(vectors, kind), goal)
    expected = naive(seen(vectors), seen(queries), README, subtasks)
    assert found["score"] == pytest.approx(expected, abs=1e-6)


def test_a_pool_of_signs_against_a_target_of_floats():
    vectors, queries = random_vectors(3, 9, 64), random_vectors(4, 5, 64)
    found = run(Influence(target="t"), rows(vectors, "signs"), target(queries, [1.0, 2.0]))
    expected = naive(np.sign(vectors), np.float32(queries), [1.0, 2.0], ["x"] * 5)
    assert found["score"] == pytest.approx(expected, abs=1e-6)


def test_dim_takes_the_first_numbers_of_each_checkpoint():
    vectors, queries = random_vectors(5, 9, 2 * 16), random_vectors(6, 5, 2 * 16)
    vectors, queries = np.float32(vectors), np.float32(queries)
    found = run(Influence(target="t", dim=4), rows(vectors), target(queries, [3.0, 1.0]))
    first = [v.reshape(len(v), 2, 16)[:, :, :4].reshape(len(v), 8) for v in (vectors, queries)]
    assert found["score"] == pytest.approx(naive(*first, [3.0, 1.0], ["x"] * 5), abs=1e-6)
    with pytest.raises(
        ContractError, match=r"dim is 17, but gradient\.plain has 16 numbers at each"
    ):
        run(Influence(target="t", dim=17), rows(vectors), target(queries, [3.0, 1.0]))


def test_plain_directions():
    assert Influence(target="t", direction="plain").reads.names[0] == "gradient.plain"
    assert Influence(target="t").target_reads.names == [
        "gradient.plain",
        "gradient.given.status",
        "gradient.status",
        "gradient.weights",
    ]


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([[1.0], [2.0]], "same in every row"),
        ([[0.0], [0.0]], "not all 0"),
        ([[-1.0, 2.0]] * 2, "none negative"),
        ([None, None], "must be finite"),
        ([[1.0] * 3] * 2, "vectors of 4 numbers for 3 checkpoints"),
    ],
)
def test_weights_that_do_not_fit(weights, message):
    goal = target([[1, 0, 1, 0]] * 2, [1.0])
    place = goal.schema.get_field_index("gradient.weights")
    goal = goal.set_column(place, "gradient.weights", pa.array(weights, FLOATS))
    with pytest.raises(ContractError, match=message):
        Influence(target="t").aim({"t": goal})


def test_targets_of_other_checkpoints():
    goals = {"s": target([[1, 0]], [1.0]), "t": target([[1, 0]], [1.0, 1.0])}
    with pytest.raises(ContractError, match=r"targets\.t has other weights"):
        Influence(target=["s", "t"]).aim(goals)


def test_the_pass_of_a_row_says_why_it_has_no_number():
    goal = target([[1, 0], [0, 1]], [1.0])
    table = rows([[1, 0], [0, 1], [0, 0]]).set_column(
        1, "gradient.given.status", pa.array(["ok", "not_finite", "ok"])
    )
    found = run(Influence(target="t"), table, goal)
    assert found["status"] == ["ok", "not_finite", "no_vector"]
    assert [score is None for score in found["score"]] == [False, True, True]
    bad = goal.set_column(1, "gradient.given.status", pa.array(["ok", "not_finite"]))
    with pytest.raises(
        DataError, match=r"targets\.t: row 1 has no gradient\.plain .*\(status not_finite\)"
    ):
        Influence(target="t").aim({"t": bad})


def test_contract():
    goal = target(random_vectors(7, 12, 4 * 8), README, ["a", "b"] * 6)
    check_scorer(Influence(target="t"), rows(random_vectors(8, 150, 4 * 8)), {"t": goal})


@pytest.mark.parametrize(
    ("scorer", "signal", "message"),
    [
        ({"dim": 65}, {"dim": 64}, "dim is 65, but the signal has dim: 64"),
        ({"dim": 8}, {"dim": 64, "kind": "kronecker"}, "say nothing but in kind: dense"),
        ({"aggregate": "cosine_of_mean"}, {"normalise": True}, "needs gradients as long as"),
        ({"aggregate": "cosine_of_mean"}, {"normalise": False, "keep": "int8"}, "keep: int8"),
    ],
)
def test_settings_of_the_signal_that_do_not_fit(scorer, signal, message):
    assert message in Influence(target="t", **scorer).misfit(signal)
    assert Influence(target="t", **scorer).misfit({"dim": 65, "normalise": False}) == ""
