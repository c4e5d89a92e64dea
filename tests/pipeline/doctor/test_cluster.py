import pytest
from tamis.pipeline.doctor.cluster import workers


def test_nobody_there():
    found = workers("127.0.0.1:9")
    assert found.verdict == "MAJOR"
    assert "cannot join Ray" in found.said
    assert "--engine local" in found.advice


@pytest.mark.slow
def test_two_workers_come_up_and_a_token_is_asked_for():
    found = workers(None)
    assert found.verdict == "OK", found
    assert found.said.startswith("2 on a cluster of this machine's own in ")
    assert found.said.count("process ") == 2
    assert found.said.endswith("a token is asked for")
