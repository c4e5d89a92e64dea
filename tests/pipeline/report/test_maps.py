import pytest
from tamis.pipeline.report.maps import _finding, maps
from tamis.pipeline.report.sampling import draw_sample


def test_kept_beside_random(run, beside):
    chapter = maps(run, beside, draw_sample(run, beside))
    shown = chapter.__html__()
    assert "Kept (20 rows shown)" in shown and "Random, same size (20 rows shown)" in shown
    assert "hashed TF-IDF" in shown and shown.count("<svg") == 2
    (found,) = chapter.findings
    assert "from the nearest of 20 kept ones" in found.text


@pytest.mark.parametrize(
    ("own", "level"), [(0.9, "ok"), (1.04, "ok"), (1.2, "minor"), (1.6, "major")]
)
def test_how_far_is_far(own, level):
    assert _finding(20, own, [0.99, 1.01]).level == level
