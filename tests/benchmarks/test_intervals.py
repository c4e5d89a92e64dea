import numpy as np
import pytest
from tamis.benchmarks.intervals import against, mean_of, per_row, seeds_interval


def losses(sums, counts=(1, 3)):
    return {"sums": list(sums), "counts": list(counts)}


def test_means_over_tokens_and_over_rows():
    assert mean_of(losses([2.0, 3.0])) == 5 / 4
    assert per_row(losses([2.0, 3.0])).tolist() == [2.0, 1.0]


def test_interval_over_seeds():
    found = [losses([1.0, 3.0]), losses([2.0, 6.0])]  # 1 and 2: mean 1.5, standard error 0.5
    low, high = seeds_interval(found)
    assert (low, high) == pytest.approx((1.5 - 12.7062 * 0.5, 1.5 + 12.7062 * 0.5), abs=1e-4)


def test_a_difference_that_is_the_same_in_every_token():
    others = [losses([1.0, 9.0]), losses([3.0, 3.0])]
    found = [losses([2 - 0.25, 6 - 0.75])]  # of their means
    line = against(found, others)
    assert line == {
        "difference": -0.25,
        "over_rows": [-0.25, -0.25],
        "row_difference": -0.25,
        "row_over_rows": [-0.25, -0.25],
    }


def test_a_difference_in_one_row():
    line = against([losses([2.0, 3.0])], [losses([1.0, 3.0])])  # 1 over 4 tokens; 1 and 0 over rows
    assert (line["difference"], line["row_difference"]) == (0.25, 0.5)
    assert line["row_over_rows"] == [0.0, 1.0]


def test_bootstrap_is_paired_by_row():
    rng = np.random.default_rng(0)
    base, counts = rng.normal(100, 50, 400), np.full(400, 10)
    gain = rng.normal(1, 2, 400)  # standard error 0.1, however far rows lie apart
    found = against([losses(base + gain, counts)], [losses(base, counts)])
    low, high = found["over_rows"]
    width = 2 * 1.96 * gain.std() / np.sqrt(400) / 10
    assert high - low == pytest.approx(width, rel=0.05)
    assert low < found["difference"] < high


def test_welch_over_seeds():
    others = [losses([x, 3 * x]) for x in (1.0, 2.0, 3.0)]
    found = [losses([x, 3 * x]) for x in (0.0, 1.0, 2.0)]
    line = against(found, others)  # equal variances of 1: four degrees, standard error sqrt(2/3)
    assert line["over_seeds"] == pytest.approx(
        [-1 - 2.77645 * 0.8165, -1 + 2.77645 * 0.8165], abs=1e-3
    )
