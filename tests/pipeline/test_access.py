import socket
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import ClassVar

import pytest
from tamis.errors import ConfigError, PlanError
from tamis.pipeline.access import headers_for


@pytest.fixture
def server():
    """A dashboard that answers as it is told, and remembers what it was asked."""

    class Dashboard(BaseHTTPRequestHandler):
        status = 200
        asked: ClassVar[list] = []

        def do_GET(self):
            self.asked.append((self.path, self.headers.get("Authorization")))
            self.send_response(self.status)
            self.end_headers()

        def log_message(self, *_):
            pass

    Dashboard.asked.clear()
    found = HTTPServer(("127.0.0.1", 0), Dashboard)
    thread = threading.Thread(target=found.serve_forever)
    thread.start()
    Dashboard.address = f"http://127.0.0.1:{found.server_port}"
    yield Dashboard
    found.shutdown()
    thread.join()
    found.server_close()


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("RAY_AUTH_TOKEN", raising=False)
    monkeypatch.delenv("RAY_AUTH_TOKEN_PATH", raising=False)
    return tmp_path


def test_a_cluster_without_authentication_is_refused(server, monkeypatch):
    monkeypatch.setenv("RAY_AUTH_TOKEN", "abc")
    with pytest.raises(
        PlanError, match=r"asks for no token.*RAY_AUTH_MODE=token, or add --no-auth"
    ):
        headers_for(server.address, no_auth=False)
    assert headers_for(server.address, no_auth=True) == {"Authorization": ""}
    assert {sent for _, sent in server.asked} == {None}  # nobody there learns the token


def test_the_token_is_found_where_ray_looks_for_it(server, home, monkeypatch):
    server.status = 401
    with pytest.raises(
        ConfigError, match=r"there is none in RAY_AUTH_TOKEN or .*/\.ray/auth_token"
    ):
        headers_for(server.address, no_auth=False)
    (home / ".ray").mkdir()
    (home / ".ray/auth_token").write_text("third\n")
    assert headers_for(server.address, False) == {"Authorization": "Bearer third"}
    (home / "mine").write_text("second")
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(home / "mine"))
    assert headers_for(server.address, False) == {"Authorization": "Bearer second"}
    monkeypatch.setenv("RAY_AUTH_TOKEN", "first")
    assert headers_for(f"{server.address}/", True) == {"Authorization": "Bearer first"}
    assert {path for path, _ in server.asked} == {"/api/version"}


def test_a_file_that_is_named_is_not_passed_over(server, home, monkeypatch):
    """Ray fails on it too, instead of taking another token."""
    server.status = 403
    (home / ".ray").mkdir()
    (home / ".ray/auth_token").write_text("third")
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(home / "missing"))
    with pytest.raises(ConfigError, match=r"none in RAY_AUTH_TOKEN or .*/missing"):
        headers_for(server.address, False)


def test_something_else_answers(server):
    server.status = 404
    with pytest.raises(PlanError, match="no dashboard of Ray there, it answers 404"):
        headers_for(server.address, False)


def test_something_that_does_not_speak_http():
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def greet():
            found, _ = listening.accept()
            with found:
                found.sendall(b"SSH-2.0-server\r\n")
                found.recv(1000)

        thread = threading.Thread(target=greet)
        thread.start()
        address = f"http://127.0.0.1:{listening.getsockname()[1]}"
        with pytest.raises(PlanError, match=r"no dashboard of Ray there: BadStatusLine: SSH-2\.0"):
            headers_for(address, no_auth=False)
        thread.join()


def test_nobody_answers():
    with pytest.raises(PlanError, match=r"--address http://127.0.0.1:1: nobody answers: .*refused"):
        headers_for("http://127.0.0.1:1", False)


@pytest.mark.parametrize(
    "address", ["host:8265", "ray://host:10001", "auto", "http://me:secret@host:8265", "http://"]
)
def test_an_address_is_one_of_http(address):
    with pytest.raises(ConfigError, match=r"--address .* is none; write http://host:8265") as error:
        headers_for(address, False)
    assert "secret" not in str(error.value)
