"""Jobs on a real Ray cluster of two nodes, and what is left when one of them dies."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress

import psutil
import pytest
from tamis import __version__
from tamis.pipeline.load import load
from tamis.pipeline.lookup import ROOT
from tamis.pipeline.overrides import Overrides
from tamis.pipeline.parcel import make_parcel
from tamis.pipeline.run import select
from tamis.pipeline.wheel import build_wheel, unpack
from tamis.tests.clusters import cluster
from tamis.tests.runs import digest, hear_ctrl_c, quiet, run_config

pytestmark = pytest.mark.slow

# A scorer of the user's that takes its time, and says which process was at which part.
SLOW = """
import os, pathlib, time
import pyarrow as pa
import tamis
from tamis.scorers.base import Scorer

class Slow(Scorer):
    folder: str

    @property
    def reads(self):
        return pa.schema([("sample_id", pa.string())])

    def score(self, rows, fitted=None):
        ids = rows["sample_id"].to_pylist()
        pathlib.Path(self.folder, f"{ids[0]}-{os.getpid()}").write_text(tamis.__file__)
        time.sleep(0.5)
        return pa.array([int(one[:8], 16) / 2**32 for one in ids])
"""
N = 320  # rows: 20 parts


@pytest.fixture(scope="module")
def nodes():
    with cluster(2, RAY_metrics_report_interval_ms="500") as found:
        yield found


@pytest.fixture
def config(tmp_path):
    (tmp_path / "slow.py").write_text(SLOW)
    (tmp_path / "calls").mkdir()
    slow = {"use": str(tmp_path / "slow.py"), "folder": str(tmp_path / "calls")}
    return run_config(
        tmp_path,
        N,
        scorers={"slow": slow, "long": {"use": "length", "unit": "chars"}},
        selector=[{"use": "top_k", "by": "slow.score"}],
    )


def start(nodes, tmp_path, config, *words, **environment):
    """`tamis` in a process of its own, which has nothing of the cluster but the token."""
    (tmp_path / "c.yaml").write_text(config.to_yaml())
    own = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    own |= {"RAY_AUTH_TOKEN": nodes.environment["RAY_AUTH_TOKEN"], "RAY_USAGE_STATS_ENABLED": "0"}
    return subprocess.Popen(
        [sys.executable, "-m", "tamis", words[0], "c.yaml", *words[1:]],
        cwd=tmp_path,
        env=own | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=hear_ctrl_c,
    )


def submit(nodes, tmp_path, config, *words, **environment):
    return start(
        nodes, tmp_path, config, "submit", "--address", nodes.dashboard, *words, **environment
    )


def ended(process, code):
    out, err = process.communicate(timeout=300)
    assert process.returncode == code, out + err
    assert "Traceback" not in out + err
    return out, err


def expected(tmp_path, config):
    """What the local engine leaves, in folders of its own."""
    other = {"store": str(tmp_path / "other-store"), "out": str(tmp_path / "other-runs")}
    return digest(select(config.model_copy(update=other), quiet()).folder.path)


def with_ray(config, **engine):
    own = config.engine.model_copy(update={"kind": "ray"} | engine)
    return config.model_copy(update={"engine": own})


def workers_of(node):
    """The processes of a node."""
    return {p.pid for p in psutil.Process(node.pid).children(recursive=True)}


def calls(tmp_path):
    return [int(path.name.rpartition("-")[2]) for path in (tmp_path / "calls").iterdir()]


def test_a_job_finishes_and_its_log_is_shown(nodes, tmp_path, config):
    out, err = ended(submit(nodes, tmp_path, with_ray(config), "--allow-code"), 0)
    assert f"slow: {N - 1}/{N - 1} rows" in out
    assert f"{N} rows in, 10 kept" in out
    assert f"every machine of the cluster must see {tmp_path / 'store'}" in err
    by = set(calls(tmp_path))
    assert len(by) >= 2  # one worker on each node
    for path in (tmp_path / "calls").iterdir():  # which ran what was sent, not this checkout
        assert path.read_text().startswith(str(nodes.folder))
    assert digest(tmp_path / "runs/run") == expected(tmp_path, config)
    token = nodes.environment["RAY_AUTH_TOKEN"]
    assert token not in out + err
    for folder in (tmp_path, nodes.folder):  # all that it left, Ray's own logs and files as well
        for path in folder.rglob("*"):
            assert not path.is_file() or token.encode() not in path.read_bytes(), path


def metrics(nodes):
    """What the nodes tell Prometheus of Tamis: a value for each name and step."""
    found = {}
    for group in json.loads((nodes.folder / "prom_metrics_service_discovery.json").read_text()):
        for target in group["targets"]:
            assert target.startswith("127.0.0.1:")
            with suppress(OSError), urllib.request.urlopen(f"http://{target}/metrics") as answer:
                for line in answer.read().decode().splitlines():
                    if line.startswith("ray_tamis_"):
                        name, step = line.partition("{")[0], re.search('step="([a-z]+)-', line)
                        found[name, step[1]] = float(line.rpartition(" ")[2])
    return found


def test_metrics_of_a_run_stand_beside_those_of_ray(nodes, tmp_path, config):
    process = submit(nodes, tmp_path, with_ray(config), "--allow-code")
    seen = {}
    while process.poll() is None:  # a run takes its metrics along as it ends
        seen |= metrics(nodes)
        time.sleep(0.3)
    ended(process, 0)
    assert 0 < seen["ray_tamis_rows_total", "slow"] <= N - 1
    assert 0 < seen["ray_tamis_parts_total", "slow"] <= 20
    assert 0 <= seen["ray_tamis_parts_left", "slow"] < 20


def test_a_mistake_ends_the_job_with_its_sentence_and_code(nodes, tmp_path, config):
    fields = config.model_dump(mode="json") | {"scorers": {"long": {"use": "length"}}}
    wrong = type(config).model_validate(fields | {"selector": {"use": "top_k", "by": "no.score"}})
    out, _ = ended(submit(nodes, tmp_path, with_ray(wrong)), 2)
    assert "error: selector.0 reads no.score, which nobody makes" in out


def test_an_installation_sends_its_version_and_finds_its_own_data(nodes, tmp_path):
    (tmp_path / "site").mkdir()
    unpack(build_wheel(ROOT, tmp_path), tmp_path / "site")
    config = make_parcel(load("quickstart", Overrides(limit=40)), tmp_path)
    out, err = ended(submit(nodes, tmp_path, config, PYTHONPATH=str(tmp_path / "site")), 0)
    assert "40 rows in, 4 kept" in out
    assert "quickstart" not in err  # the cluster has pool and model
    (tmp_path / "site/tamis/__init__.py").write_text('__version__ = "9.9.9"')
    out, _ = ended(submit(nodes, tmp_path, config, PYTHONPATH=str(tmp_path / "site")), 2)
    assert f"Tamis 9.9.9 has submitted this, and on the cluster it is {__version__}" in out


def test_ctrl_c_asks_the_job_to_stop(nodes, tmp_path, config):
    process = submit(nodes, tmp_path, with_ray(config), "--allow-code", "--submission-id", "mine")
    while not calls(tmp_path):
        assert process.poll() is None
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, err = ended(process, 130)
    assert "asking job mine to stop" in err
    assert nodes.ask("/api/jobs/mine")["status"] == "STOPPED"
    again = submit(nodes, tmp_path, with_ray(config), "--allow-code", "--submission-id", "mine")
    assert (
        "the job is not taken: ValueError: Job with submission_id mine already exists"
        in (ended(again, 2)[1])
    )


def test_another_token_is_refused(nodes, tmp_path, config):
    process = submit(nodes, tmp_path, config, "--allow-code", RAY_AUTH_TOKEN="0" * 64)
    assert "the cluster refuses the token" in ended(process, 2)[1]


def test_nothing_listens_beyond_loopback(nodes):
    own = {pid for node in nodes.nodes.values() for pid in (node.pid, *workers_of(node))}
    heard = {
        c.laddr.ip
        for c in psutil.net_connections("tcp")
        if c.pid in own and c.status == psutil.CONN_LISTEN
    }
    assert heard <= {"127.0.0.1", "::1", "::ffff:127.0.0.1"}
    assert heard


def test_a_node_that_dies_in_the_middle_changes_no_byte(nodes, tmp_path, config):
    """SIGKILL of a whole node while a part is computed on it."""
    engine = {"address": nodes.address, "workers": 2}
    process = start(
        nodes,
        tmp_path,
        with_ray(config, **engine),
        "select",
        "--allow-code",
        RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER="0",
        RAY_AUTH_MODE="token",
    )
    there = set[int]()
    while not set(calls(tmp_path)) & there:
        there = workers_of(nodes.nodes[1])
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    nodes.kill(1)
    done = len(list((tmp_path / "store").glob("slow-*/score/*.parquet")))
    assert done < 20
    ended(process, 0)
    assert "a worker died" in (tmp_path / "runs/run/log.jsonl").read_text()
    assert digest(tmp_path / "runs/run") == expected(tmp_path, config)


def test_a_run_without_the_token_says_so(nodes, tmp_path, config):
    engine = {"address": nodes.address, "workers": 1}
    process = start(
        nodes,
        tmp_path,
        with_ray(config, **engine),
        "select",
        "--allow-code",
        RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER="0",
        RAY_AUTH_TOKEN="0" * 64,
        RAY_AUTH_MODE="token",
    )
    assert "cannot join Ray: " in (said := ended(process, 2)[1])
    assert "(where it asks for a token: RAY_AUTH_MODE=token and RAY_AUTH_TOKEN)" in said
