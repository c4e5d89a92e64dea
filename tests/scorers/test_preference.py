import numpy as np
import pyarrow as pa
import pytest
from tamis.scorers import preference
from tamis.scorers.preference import fit_quantiles, prefer


def value(rows):
    return rows["x"].to_numpy()


def test_middle_needs_the_pool():
    with pytest.raises(ValueError, match="quantiles"):
        prefer(np.array([1.0]), "middle", None)


def test_ties_share_their_middle():
    fitted = fit_quantiles([pa.table({"x": [1.0, 1.0, 2.0, 2.0]})], value)
    found = prefer(np.array([1.0, 2.0, np.nan]), "middle", fitted)
    assert found.to_pylist() == [-0.25, -0.25, None]


def test_large_pools_are_thinned_with_small_error(monkeypatch):
    monkeypatch.setattr(preference, "QUANTILES", 1001)
    values = np.random.default_rng(0).normal(size=30_000)
    tables = [pa.table({"x": part}) for part in np.split(values, 3)]
    fitted = fit_quantiles(tables, value)
    assert len(fitted) == 1001
    ranks = np.argsort(np.argsort(values)) / len(values)
    found = prefer(values, "middle", fitted).to_numpy()
    assert np.abs(found + np.abs(ranks - 0.5)).max() < 2e-3


def test_an_empty_pool():
    assert len(fit_quantiles([], value)) == 0
