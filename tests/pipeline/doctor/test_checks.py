import pytest
from tamis.pipeline.doctor.checks import Asked, checks, examine


def test_what_is_asked_for_is_looked_at():
    n = len(list(checks(Asked(ray=False))))
    assert len(list(checks(Asked()))) == n + 1
    assert len(list(checks(Asked(ray=False, online=True)))) == n + 1
    assert len(list(checks(Asked(ray=False, models=("a", "b"))))) == n + 2


@pytest.mark.slow  # every library is imported
def test_all_of_it_but_ray(tmp_path):
    found = list(examine(Asked(store=str(tmp_path / "s"), out=str(tmp_path / "o"), ray=False)))
    names = [finding.name for finding in found]
    assert len(set(names)) == len(names)
    order = [
        "python",
        "torch",
        "device",
        "store",
        "model, embedded",
        "scorer ifd",
        "selector paser",
    ]
    assert [name for name in names if name in order] == order
    assert "ray, workers" not in names
    assert "hub, online" not in names
    assert not (tmp_path / "s").exists()
