import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tamis.scorers.percentile import Histogram, percentile, prefixes, value_at

FINITE = st.floats(0, float(np.float32(3e38)), width=32, allow_subnormal=True)
ANY = st.one_of(
    FINITE, st.sampled_from([0.0, 0.45, 0.45, 1.0]), st.just(float("nan")), st.just(np.inf)
)
Q = st.one_of(st.floats(0, 100), st.sampled_from([0, 25, 50, 75, 100]))


def expected(values, q):
    """numpy's value, from the float32 order statistics in float64."""
    values = np.asarray(values, np.float32).astype(np.float64)
    return np.percentile(values[np.isfinite(values)], q)


def cut(values, n):
    return [part.astype(np.float32) for part in np.array_split(np.asarray(values), n)]


@settings(max_examples=200, deadline=None)
@given(st.lists(ANY, min_size=1, max_size=60), Q, st.integers(1, 5))
def test_equals_numpy(values, q, n_tables):
    tables = cut(values, n_tables)
    found = percentile(lambda: tables, q)
    if not np.isfinite(np.asarray(values, np.float32)).any():
        assert found is None
    else:
        assert found == expected(values, q)


@pytest.mark.parametrize(
    "values",
    [[0.3], [0.3] * 7, [0.0, 0.0, 1e-45], [0.1, 0.1, 0.1, 0.2], [-0.0, 0.0], [1e-45, 3e38]],
    ids=["one", "equal", "subnormal", "ties", "zeros", "ends"],
)
@pytest.mark.parametrize("q", [0, 1, 25, 50, 66.6, 75, 100])
def test_edges(values, q):
    assert percentile(lambda: cut(values, 2), q) == expected(values, q)


def test_a_value_between_two_bins():
    values = [0.1, 100.0]
    coarse = Histogram()
    coarse.add(np.array(values))
    assert len(prefixes(coarse, 50)) == 2
    assert len(prefixes(coarse, 0)) <= 2
    assert percentile(lambda: cut(values, 1), 50) == expected(values, 50)


@pytest.mark.parametrize("seed", range(3))
def test_many_values(seed):
    generator = np.random.default_rng(seed)
    values = np.abs(generator.standard_t(2, 300_000)).astype(np.float32)
    values[::7] = 0.5
    for q in (25, 50, 99.9):
        assert percentile(lambda: cut(values, 9), q) == expected(values, q)


def test_counts_beyond_32_bits():
    """Ten thousand million values, which nobody could hold: half 1, half 2, and one 4."""
    coarse = Histogram()
    coarse.add(np.array([1.0, 2.0, 4.0]))
    n = 5_000_000_000
    coarse.counts[np.array([0x3F80, 0x4000])] = n
    fine = [Histogram(prefix) for prefix in prefixes(coarse, 50)]
    for histogram in fine:
        histogram.counts[0] = n
    assert coarse.total == 2 * n + 1
    assert value_at(coarse, fine, 50) == 2.0
    assert coarse.find(n - 1) == (0x3F80, n - 1)
    assert coarse.find(n) == (0x4000, 0)


@settings(max_examples=50, deadline=None)
@given(st.lists(FINITE, min_size=4, max_size=40), Q, st.permutations(range(4)))
def test_workers_add_up_in_any_order(values, q, order):
    tables = cut(values, 4)

    def merged(prefix):
        whole = Histogram(prefix)
        for i in order:
            share = Histogram(prefix)
            share.add(tables[i])
            whole.merge(share)
        return whole

    coarse = merged(None)
    fine = [merged(prefix) for prefix in prefixes(coarse, q)]
    assert value_at(coarse, fine, q) == expected(values, q)


def test_what_is_refused():
    with pytest.raises(ValueError, match="not negative"):
        Histogram().add(np.array([-1.0]))
    with pytest.raises(ValueError, match="do not add up"):
        Histogram(3).merge(Histogram())
    with pytest.raises(IndexError, match="no rank 0"):
        Histogram().find(0)
    assert percentile(lambda: [np.array([np.nan, 1e300])], 50) is None
