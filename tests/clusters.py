"""Ray clusters of several nodes on this machine, on loopback, started and ended by process id."""

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from shutil import rmtree

import psutil

OBJECT_STORE = 100_000_000
UP_S = 120
# `ray start` takes 127.0.0.1 for the machine's address on the network, and refuses a second node on
# loopback: as on macOS, where it says how to go on all the same. A node ends with the tests.
START = """
import ctypes, signal
ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG
from ray._private import ray_constants, services
services.get_node_ip_address = lambda *_: "127.0.0.1"
ray_constants.ENABLE_RAY_CLUSTER = True
from ray.scripts.scripts import main
main()
"""


@dataclass
class Cluster:
    """A running cluster.

    Attributes:
        port: of its GCS.
        dashboard: address of its dashboard.
        environment: for processes that may use it, with the token.
        folder: temporary files and logs of Ray.
        nodes: by number; the head is 0.
    """

    port: int
    dashboard: str
    environment: Mapping[str, str]
    folder: Path
    nodes: dict[int, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def address(self) -> str:
        """For `engine.address`."""
        return f"127.0.0.1:{self.port}"

    def kill(self, number: int) -> None:
        """End a node without a word: its raylet, agents and workers."""
        node = self.nodes.pop(number)
        own = psutil.Process(node.pid).children(recursive=True)
        os.killpg(node.pid, signal.SIGKILL)  # a group of its own; what left it is in `own`
        node.wait()
        for process in own:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        _, left = psutil.wait_procs(own, timeout=20)
        assert all(process.status() == psutil.STATUS_ZOMBIE for process in left)

    def close(self) -> None:
        """End every node that is left, the head last."""
        for number in sorted(self.nodes, reverse=True):
            self.kill(number)

    def ask(self, path: str) -> object:
        """What the dashboard answers."""
        token = self.environment["RAY_AUTH_TOKEN"]
        request = urllib.request.Request(
            f"{self.dashboard}{path}", headers={"Authorization": f"Bearer {token}"}
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)

    def add(self, *words: str) -> None:
        """Start a node with one core, and wait until it is up."""
        number = max(self.nodes, default=-1) + 1
        log = (self.folder / f"node-{number}.log").open("wb")
        self.nodes[number] = subprocess.Popen(
            [
                *(sys.executable, "-c", START, "start", "--block", "--num-cpus=1"),
                *("--node-ip-address=127.0.0.1", f"--object-store-memory={OBJECT_STORE}", *words),
            ],
            env=dict(self.environment),
            stdout=log,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        log.close()
        end = time.monotonic() + UP_S
        while self.alive() < len(self.nodes):
            assert self.nodes[number].poll() is None, (
                self.folder / f"node-{number}.log"
            ).read_text()
            assert time.monotonic() < end, f"node {number} is not up after {UP_S} s"
            time.sleep(0.2)

    def alive(self) -> int:
        """How many nodes are up."""
        try:
            found = self.ask("/nodes?view=summary")
        except (OSError, urllib.error.URLError):
            return 0
        nodes = found["data"]["summary"]  # type: ignore[index]
        return sum(node["raylet"].get("state") == "ALIVE" for node in nodes)


@contextmanager
def cluster(nodes: int = 2, **environment: str) -> Iterator[Cluster]:
    """A cluster of so many nodes with one core each, which asks for a token.

    Args:
        nodes: how many, the head among them.
        environment: of the nodes, on top of what they need; an empty value takes one away.
    """
    folder = Path(tempfile.mkdtemp(prefix="ray-"))  # short: names of sockets have their limit
    port, dashboard = _free_port(), _free_port()
    needed = {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
        "RAY_USAGE_STATS_ENABLED": "0",
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    own = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    found = Cluster(port, f"http://127.0.0.1:{dashboard}", own | needed | environment, folder)
    try:
        found.add(
            *("--head", f"--port={port}", f"--ray-client-server-port={_free_port()}"),
            *("--dashboard-host=127.0.0.1", f"--dashboard-port={dashboard}"),
            *(f"--temp-dir={folder}", f"--dashboard-agent-listen-port={_free_port()}"),
        )
        for _ in range(nodes - 1):
            found.add(
                *(f"--address={found.address}", f"--dashboard-agent-listen-port={_free_port()}")
            )
        yield found
    finally:
        found.close()
        rmtree(folder)


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
