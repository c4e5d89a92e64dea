"""How much memory it takes to score a large store of gradients."""

import argparse

import pytest
from tamis.benchmarks.influence import measured


@pytest.mark.slow
def test_scoring_takes_no_more_memory_for_more_rows(tmp_path):
    """Four times the rows, 82 and 328 MB of vectors; ids and scores are some 100 bytes a row."""
    said = argparse.Namespace(dim=2048, folder=str(tmp_path), repeats=1, alone=True)
    few, many = (measured(n, said) for n in (20_000, 80_000))
    assert many["store_gb"] > 0.25  # or there would be nothing to be held
    peaks = [case["methods"][-1]["peak_mb"] for case in (few, many)]
    assert peaks[1] < peaks[0] + 60, peaks
