import pytest
from tamis.pipeline.doctor.golden import HAND, ScorerGolden


def test_defaults():
    golden = ScorerGolden("column", HAND, {"data.x": [1]}, {"score": [1.0]})
    assert (dict(golden.settings), dict(golden.targets), golden.tolerance) == ({}, {}, 2e-6)
    with pytest.raises(AttributeError):
        golden.use = "other"
