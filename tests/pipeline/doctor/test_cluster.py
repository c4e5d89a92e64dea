import subprocess
import sys

import pytest
from tamis.pipeline.doctor.cluster import workers
from tamis.tests.clusters import cluster


def test_nobody_there():
    found = workers("127.0.0.1:9")
    assert found.verdict == "MAJOR"
    assert "cannot join Ray" in found.said
    assert "--engine local" in found.advice


@pytest.mark.slow
def test_two_workers_come_up_and_a_token_is_asked_for(monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    found = workers(None)
    assert found.verdict == "OK", found
    assert found.said.startswith("2 workers came up and scored 2 rows in ")
    assert found.said.endswith("a token is asked for")


ASK = "from tamis.pipeline.doctor.cluster import workers; print(workers({!r}))"


@pytest.mark.slow
def test_a_cluster_that_is_there():
    """It has two nodes with a core each: room for two workers once the second one is up."""
    with cluster(1) as found:
        for verdict, said in (
            ("MAJOR", "2 workers at once need"),
            ("OK", "has room for 2 workers"),
        ):
            done = subprocess.run(
                [sys.executable, "-c", ASK.format(found.address)],
                env=dict(found.environment),
                capture_output=True,
                text=True,
                timeout=120,
                check=True,
            )
            assert f"verdict='{verdict}'" in done.stdout, done.stdout + done.stderr
            assert said in done.stdout
            if verdict == "MAJOR":
                port = found.address.rpartition(":")[2]
                found.add(f"--address=127.0.0.1:{port}")
