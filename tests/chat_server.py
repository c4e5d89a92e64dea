"""A real HTTP server that speaks chat completions, and misbehaves as it is told."""

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Said:
    """What the server does with a request.

    Attributes:
        text: of the reply.
        code: of the response.
        headers: further ones.
        raw: the body, in place of a completion.
        wait_s: before anything is sent.
        drip_s: between the bytes of the body.
        drop: the connection is closed without a word.
        fields: further fields of the choice.
    """

    text: str = "Score: 4"
    code: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    raw: bytes | None = None
    wait_s: float = 0.0
    drip_s: float = 0.0
    drop: bool = False
    fields: dict[str, object] = field(default_factory=dict)


@dataclass
class ChatServer:
    """What was asked.

    Attributes:
        url: for `base_url`.
        behave: what to do with a request: its body, and how often the same was asked before.
        bodies, headers: of all requests.
        paid: completions that were sent off.
        at_once: requests that were at work at the same time, at most.
    """

    url: str
    behave: Callable[[dict, int], Said]
    bodies: list[dict] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    paid: int = 0
    at_once: int = 0
    _now: int = 0
    _seen: Counter = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def n(self) -> int:
        """How many requests there were."""
        return len(self.bodies)

    def said(self, body: dict, headers: dict[str, str]) -> Said:
        """Note a request, and return what is done with it."""
        with self._lock:
            text = json.dumps(body["messages"], sort_keys=True)
            before = self._seen[text]
            self._seen[text] += 1
            self.bodies.append(body)
            self.headers.append(headers)
            self.times.append(time.monotonic())
            self._now += 1
            self.at_once = max(self.at_once, self._now)
        return self.behave(body, before)

    def done(self, said: Said) -> None:
        """Note that a request is answered."""
        with self._lock:
            self._now -= 1
            self.paid += said.code == 200 and said.raw is None and not said.drop


def completion(body: dict, said: Said) -> bytes:
    """The bytes of a completion."""
    prompt = sum(len(message["content"]) for message in body["messages"]) // 4
    message = {"role": "assistant", "content": said.text}
    choice = {"index": 0, "message": message, "finish_reason": "stop"} | said.fields
    usage = {"prompt_tokens": prompt, "completion_tokens": 10, "total_tokens": prompt + 10}
    found = {"id": "x", "object": "chat.completion", "choices": [choice], "usage": usage}
    return json.dumps(found).encode()


@contextmanager
def chat_server(behave: Callable[[dict, int], Said] = lambda body, before: Said()) -> Iterator:
    """Serve on a free port of this machine until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            said = state.said(body, {"path": self.path, **self.headers})
            try:
                self._send(body, said)
            except OSError:  # the client has gone
                self.close_connection = True
            finally:
                state.done(said)

        def _send(self, body: dict, said: Said) -> None:
            time.sleep(said.wait_s)
            if said.drop:
                self.close_connection = True
                return
            raw = completion(body, said) if said.raw is None else said.raw
            self.send_response(said.code)
            for name, value in {"Content-Length": str(len(raw)), **said.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            for byte in [raw] if not said.drip_s else [raw[i : i + 1] for i in range(len(raw))]:
                self.wfile.write(byte)
                self.wfile.flush()
                time.sleep(said.drip_s)

        def log_message(self, *args: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 128

        def handle_error(self, *args: object) -> None:
            pass

    server = Server(("127.0.0.1", 0), Handler)
    state = ChatServer(f"http://127.0.0.1:{server.server_port}/v1", behave)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
