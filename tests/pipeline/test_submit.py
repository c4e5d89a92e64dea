import asyncio
import json
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from ray.exceptions import AuthenticationError
from ray.job_submission import JobStatus
from tamis import __version__
from tamis.pipeline import cli, parcel, submit
from tamis.tests.tiny import alpaca, write_jsonl

CONFIG = """
name: mine
data: [{name: pool, path: pool.jsonl}]
scorers: {long: {use: length, unit: chars}}
selector: {use: top_k, by: long.score}
budget: {rows: 3}
"""
LOG = ["one\ntw", "o\n", "\x1b[31mred\n"]


class Client:
    """A cluster whose job writes `LOG`; the connection breaks after so many pieces of it."""

    def __init__(self, status="SUCCEEDED", code=0, breaks=(), message="m"):
        self.status, self.code, self.message = JobStatus(status), code, message
        self.breaks, self.sent, self.stopped, self.ended = list(breaks), {}, False, False

    def get_address(self):
        return "http://host:8265"

    def submit_job(self, **sent):
        folder = Path(sent["runtime_env"]["working_dir"])
        self.files = {
            p.relative_to(folder).as_posix(): p.read_bytes()
            for p in folder.rglob("*")
            if p.is_file()
        }
        self.sent = sent
        return sent["submission_id"] or "raysubmit_1"

    async def tail_job_logs(self, job):
        stop = self.breaks.pop(0) if self.breaks else len(LOG)
        for text in LOG[:stop]:
            yield text
        if stop < len(LOG):
            raise RuntimeError("WebSocket connection closed unexpectedly")
        self.ended = True

    def get_job_info(self, job):
        status = self.status if self.ended else JobStatus.RUNNING
        return SimpleNamespace(status=status, driver_exit_code=self.code, message=self.message)

    def get_job_status(self, job):
        return self.get_job_info(job).status

    def stop_job(self, job):
        self.stopped = self.ended = True


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "c.yaml").write_text(CONFIG)
    write_jsonl(tmp_path / "pool.jsonl", alpaca(9))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(submit, "PAUSE_S", 0.0)

    def build(root, folder):
        path = folder / "tamis-1-py3-none-any.whl"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("tamis/__init__.py", "")
        return path

    monkeypatch.setattr(parcel, "build_wheel", build)
    return tmp_path


@pytest.fixture
def tamis(folder, monkeypatch, capsys):
    """Run `tamis submit c.yaml …` with a client; return its exit code and what it wrote."""

    def run(client, *words):
        monkeypatch.setattr(submit, "_client", lambda address, no_auth: client)
        monkeypatch.setattr(sys, "argv", ["tamis", "submit", "c.yaml", *words])
        with pytest.raises(SystemExit) as end:
            cli.main()
        return end.value.code, *capsys.readouterr()

    return run


HERE = ("--address", "http://host:8265")


def test_a_job_is_sent_and_followed(tamis, folder):
    client = Client()
    code, out, err = tamis(client, *HERE, "--budget", "2", "--workers", "5", "--overwrite")
    assert code == 0
    assert out == "one\ntwo\n\N{REPLACEMENT CHARACTER}[31mred\n"
    assert "job raysubmit_1" in err
    for name in ("pool.jsonl", "store", "runs"):
        assert f"every machine of the cluster must see {folder / name}" in err
    words = f"python job.py {__version__} select config.yaml --overwrite"
    assert client.sent["entrypoint"] == words
    assert set(client.files) == {"config.yaml", "job.py", "tamis/__init__.py"}
    config = yaml.safe_load(client.files["config.yaml"])
    assert (config["budget"]["rows"], config["engine"]["workers"]) == (2, 5)
    assert config["store"] == str(folder / "store")
    assert not Path(client.sent["runtime_env"]["working_dir"]).exists()


def test_a_connection_that_breaks_shows_each_line_once(tamis):
    code, out, _ = tamis(Client(breaks=[1, 0, 2]), *HERE)
    assert code == 0
    assert out == "one\ntwo\n\N{REPLACEMENT CHARACTER}[31mred\n"


def test_a_connection_that_is_dead_without_a_word_is_made_anew(tamis, monkeypatch):
    monkeypatch.setattr(submit, "QUIET_S", 0.01)
    client, whole, asked = Client(), Client.tail_job_logs, []

    async def tail(job):
        asked.append(job)
        async for text in whole(client, job):
            yield text
            if len(asked) == 1:
                await asyncio.sleep(60)

    client.tail_job_logs = tail
    assert tamis(client, *HERE)[:2] == (0, "one\ntwo\n\N{REPLACEMENT CHARACTER}[31mred\n")
    assert len(asked) == 2


def test_a_cluster_that_is_gone_leaves_the_job_to_itself(tamis, monkeypatch):
    monkeypatch.setattr(submit, "PATIENCE_S", -1)
    code, _, err = tamis(Client(breaks=[1, 1]), *HERE)
    assert code == 1
    assert "closed unexpectedly); job raysubmit_1 goes on by itself" in err


@pytest.mark.parametrize(("code", "passed"), [(1, 1), (2, 2), (130, 130)])
def test_the_exit_code_is_passed_on(tamis, code, passed):
    assert tamis(Client("FAILED", code), *HERE)[0] == passed


@pytest.mark.parametrize(("status", "code"), [("FAILED", 137), ("FAILED", None), ("STOPPED", None)])
def test_a_job_that_ended_otherwise_is_said(tamis, status, code):
    found, _, err = tamis(Client(status, code, message="it failed\nmore\nOSError: gone\n."), *HERE)
    assert found == 1
    assert f"error: job raysubmit_1 ended as {status}: it failed … OSError: gone\n" in err


def test_a_job_that_has_not_started_is_not_silent(tamis, monkeypatch):
    monkeypatch.setattr(submit, "QUIET_S", 0.01)
    client, asked = Client(message="waiting for room"), []

    async def tail(job):
        asked.append(job)
        if len(asked) < 3:
            await asyncio.sleep(60)
        client.ended = True
        yield "log\n"

    client.tail_job_logs, info = tail, client.get_job_info

    def get_job_info(job):
        found = info(job)
        return (
            found
            if client.ended
            else SimpleNamespace(**vars(found) | {"status": JobStatus.PENDING})
        )

    client.get_job_info = get_job_info
    code, out, err = tamis(client, *HERE)
    assert (code, out) == (0, "log\n")
    assert err.count("job raysubmit_1: waiting for room\n") == 2


def test_ctrl_c_asks_the_job_to_stop(tamis, monkeypatch):
    client = Client("STOPPED")

    def interrupt(client, job):
        raise KeyboardInterrupt

    monkeypatch.setattr(submit, "_watch", interrupt)
    code, _, err = tamis(client, *HERE)
    assert code == 130
    assert client.stopped
    assert "asking job raysubmit_1 to stop" in err


def test_a_job_that_cannot_be_asked_to_stop_is_said(tamis, monkeypatch):
    def gone(*_):
        raise OSError("connection refused")

    def interrupt(client, job):
        raise KeyboardInterrupt

    client = Client()
    client.stop_job = gone
    monkeypatch.setattr(submit, "_watch", interrupt)
    code, _, err = tamis(client, *HERE)
    assert code == 130
    assert "it cannot be asked, and goes on: connection refused" in err


def test_no_wait_prints_the_id_alone(tamis):
    client = Client()
    code, out, _ = tamis(client, *HERE, "--no-wait", "--submission-id", "tonight-1")
    assert (code, out) == (0, "tonight-1\n")
    assert not client.ended


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "error: --address is missing"),
        ((*HERE, "--submission-id", "a b"), "error: --submission-id 'a b' is not of letters"),
        (("--kuberay",), "error: --image is missing"),
        (("--kuberay", "--image", "i"), "error: --kuberay must be told how many workers"),
        ((*HERE, "--budget", "many"), "budget 'many' is none"),
    ],
)
def test_mistakes_are_one_sentence(tamis, monkeypatch, words, said):
    monkeypatch.delenv("RAY_API_SERVER_ADDRESS", raising=False)
    code, _, err = tamis(Client(), *words)
    assert code == 2
    assert said in err
    assert err.count("\n") == 1


def test_what_the_cluster_refuses_is_one_sentence(tamis):
    client = Client()

    def refuse(**_):
        raise RuntimeError("Request failed: Traceback\n  File x\nValueError: the id is taken\n.")

    client.submit_job = refuse
    code, _, err = tamis(client, *HERE)
    assert code == 2
    expected = (
        "error: --address http://host:8265: the job is not taken: ValueError: the id is taken"
    )
    assert err.splitlines()[-1] == expected

    def keep_out(**_):
        raise AuthenticationError("no")

    client.submit_job = keep_out
    assert "the cluster refuses the token" in tamis(client, *HERE)[2]


def test_code_is_sent_only_when_it_may_run(tamis, folder):
    (folder / "mine.py").write_text(
        "import pyarrow as pa\nfrom tamis.scorers.base import Scorer\n\n\n"
        "class Mine(Scorer):\n    @property\n    def reads(self):\n        return pa.schema([])\n\n"
        "    def score(self, rows, fitted=None):\n        return pa.array([])\n"
    )
    own = ("--set", "scorers.mine={use: ./mine.py}")
    client = Client()
    assert "add --allow-code" in tamis(client, *HERE, *own)[2]
    assert client.sent == {}
    assert tamis(client, *HERE, *own, "--allow-code")[0] == 0
    assert client.files["code/0/mine.py"] == (folder / "mine.py").read_bytes()
    assert client.sent["entrypoint"].endswith(" --allow-code")


def test_kuberay_prints_a_file_and_sends_nothing(tamis, monkeypatch, folder):
    monkeypatch.setenv("RAY_AUTH_TOKEN", "c0ffee" * 8)
    client = Client()
    words = ("--kuberay", "--image", "tamis:1", "--workers", "2", "--claim", "pool")
    code, out, err = tamis(client, *words, "--mount", "/data", "--token-secret", "mine")
    assert code == 0
    assert client.sent == {}
    job = yaml.safe_load(out)
    assert job["kind"] == "RayJob"
    assert "c0ffee" not in out + err
    assert '"name": "mine", "key": "auth_token"' in json.dumps(job)
    assert "/data/store" in out
    assert err == f"every machine of the cluster must see {folder / 'pool.jsonl'}\n"
