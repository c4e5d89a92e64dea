"""Runs that ask a real server: nothing is paid twice, and the key stands nowhere."""

import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import pyarrow.parquet as pq
import pytest
from tamis.errors import LimitReached, RemoteError
from tamis.pipeline.run import select
from tamis.stages import chat
from tamis.tests.chat_server import Said, chat_server
from tamis.tests.runs import digest, quiet, run_config

RUN = ("name", "engine", "part_rows", "store", "out")
KEY = "sk-secret-of-the-test-0123456789"


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    monkeypatch.setenv("KEY_OF_TEST", KEY)
    monkeypatch.setattr(chat, "FIRST_WAIT_S", 0.01)


def by_length(body, before):
    """A rating that depends on the row alone."""
    return Said(f"Score: {len(body['messages'][-1]['content']) % 6}")


def config(folder, url, n=60, **fields):
    block = {
        **{"use": "rating_server", "base_url": url, "server": "test", "model": "judge"},
        **{"prompt": "alpagasus", "api_key_env": "KEY_OF_TEST", "concurrency": 4},
    }
    own = {name: fields.pop(name) for name in list(fields) if name not in RUN}
    return run_config(
        folder,
        n,
        signals={"quality": block | own},
        scorers={"rated": {"use": "column", "column": "quality.rating"}},
        selector={"use": "top_k", "by": "rated.score"},
        **fields,
    )


def run(asked):
    return select(asked, quiet())


def everything(folder):
    """All bytes of all files."""
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


def test_a_second_run_pays_nothing_and_the_key_is_nowhere(tmp_path):
    with chat_server(by_length) as server:
        run(config(tmp_path, server.url))
        paid = server.n
        assert paid == 59  # one of the 60 rows is rejected when read
        assert server.headers[0]["Authorization"] == f"Bearer {KEY}"
        run(config(tmp_path, server.url, name="again"))
        run(config(tmp_path, server.url, part_rows=7, out=str(tmp_path / "others")))
        assert server.n == paid
    assert digest(tmp_path / "runs" / "run") == digest(tmp_path / "others" / "run")
    assert KEY.encode() not in everything(tmp_path)
    assert b"KEY_OF_TEST" in everything(tmp_path / "runs")
    ledger = pq.read_table(tmp_path / "runs" / "run" / "ledger.parquet")
    assert ledger["rated.status"].to_pylist().count("ok") == 59


@pytest.mark.slow
def test_the_cap_of_cost_stops_a_run_that_goes_on_in_its_folder(tmp_path):
    prices = {"price_in": 10.0, "price_out": 100.0, "max_tokens": 10}
    with chat_server(by_length) as server:
        with pytest.raises(LimitReached, match="raise max_cost"):
            run(config(tmp_path, server.url, max_cost=0.05, **prices))
        assert 5 < server.n < 40
        run(config(tmp_path, server.url, max_cost=5.0, **prices))
        assert server.n == 59
    assert [path.name for path in (tmp_path / "runs").iterdir() if path.is_dir()] == ["run"]


@pytest.mark.slow
def test_rows_without_an_answer_are_asked_for_again_in_the_next_start(tmp_path):
    def behave(body, before):
        fails = len(body["messages"][-1]["content"]) % 10 == 0
        return Said(code=503, raw=b"") if fails else by_length(body, before)

    with chat_server(behave) as server:
        with pytest.raises(RemoteError, match="server_error: 503"):
            run(config(tmp_path, server.url, retries=0, part_rows=60))
        asked = server.n
        server.behave = by_length
        run(config(tmp_path, server.url, retries=0, part_rows=60))
        assert server.paid == 59
        assert server.n < asked + 59


def tamis(folder, asked):
    (folder / "c.yaml").write_text(asked.to_yaml())
    return subprocess.Popen(
        [sys.executable, "-m", "tamis", "select", "c.yaml"],
        cwd=folder,
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@contextmanager
def killed_after(n, server, process, how=signal.SIGKILL):
    """Wait until a server has got so many requests, then kill the process that sends them."""
    while server.n < n and process.poll() is None:
        time.sleep(0.005)
    process.send_signal(how)
    yield process.communicate()[0]


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_run_pays_only_the_rest(how, tmp_path):
    """In the middle of a part; what was out when it died may be asked for twice."""

    def behave(body, before):
        said = by_length(body, before)
        said.wait_s = 0.05
        return said

    with chat_server(behave) as server:
        asked = config(tmp_path, server.url, part_rows=60)
        with killed_after(20, server, tamis(tmp_path, asked), how) as said:
            assert KEY not in said
        assert 20 <= server.n < 59
        process = tamis(tmp_path, asked)
        output, _ = process.communicate()
        assert process.returncode == 0, output
        assert 59 <= server.n <= 59 + 4
        assert KEY not in output
    assert KEY.encode() not in everything(tmp_path)


@pytest.mark.slow
def test_on_ray_the_same(tmp_path):
    """Asked by one process, so that limits hold, whatever the workers."""
    with chat_server(by_length) as server:
        engine = {"kind": "ray", "workers": 2}
        run(config(tmp_path, server.url, engine=engine))
        assert server.n == 59
        assert server.at_once <= 4
        other = {"store": str(tmp_path / "s"), "out": str(tmp_path / "others")}
        run(config(tmp_path, server.url, **other))
        assert server.n == 2 * 59
    assert digest(tmp_path / "runs" / "run") == digest(tmp_path / "others" / "run")
    assert KEY.encode() not in everything(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("code", "exit_code", "says"),
    [(401, 2, "does not take the key in KEY_OF_TEST"), (404, 2, "no such model"), (500, 1, "500")],
)
def test_exit_codes(code, exit_code, says, tmp_path):
    with chat_server(lambda body, n: Said(code=code, raw=b'{"error": "x"}')) as server:
        process = tamis(tmp_path, config(tmp_path, server.url, retries=0))
        output, _ = process.communicate()
    assert process.returncode == exit_code
    assert says in " ".join(output.split())
    assert "Traceback" not in output


@pytest.mark.slow
def test_plan_says_how_many_requests(tmp_path):
    with chat_server(by_length) as server:
        asked = config(tmp_path, server.url, price_out=1e6, max_tokens=10)
        (tmp_path / "c.yaml").write_text(asked.to_yaml())
        line = [sys.executable, "-m", "tamis", "plan", "c.yaml", "--measure", "--json"]
        found = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, check=True)
        assert server.n == 0
    assert "at most 59 requests" in found.stdout
    assert "cost up to about 590.00" in found.stdout
