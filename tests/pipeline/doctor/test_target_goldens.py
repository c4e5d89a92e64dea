from tamis.pipeline.doctor.scorer_goldens import GOLDENS as ALL
from tamis.pipeline.doctor.target_goldens import GOLDENS


def test_they_are_among_all():
    assert set(golden.use for golden in GOLDENS) == {"dsir", "got_d", "tsds", "grape"}
    assert all(golden in ALL for golden in GOLDENS)
