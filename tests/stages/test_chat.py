"""What is made of responses; how requests behave is seen in signals/test_rating_server.py."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tamis.errors import ConfigError, LimitReached
from tamis.stages import chat
from tamis.stages.chat import Server, Unanswered, read_answer
from tamis.tests.chat_server import Said, chat_server


def completion(**fields):
    choice = {"message": {"content": "Score: 4"}, "finish_reason": "stop"} | fields
    return json.dumps({"choices": [choice]})


def test_a_completion():
    found = read_answer(completion())
    assert (found.text, found.finish, found.tokens_in, found.refused) == (
        "Score: 4",
        "stop",
        0,
        False,
    )


@pytest.mark.parametrize(
    "fields",
    [
        {"message": {"content": None, "refusal": "I cannot."}},
        {"message": {"content": ""}, "finish_reason": "content_filter"},
    ],
)
def test_refusals(fields):
    assert read_answer(completion(**fields)).refused


def test_a_reply_of_thoughts_alone_is_empty():
    assert read_answer(completion(message={"content": None}, finish_reason="length")).text == ""


def test_log_probabilities_of_the_first_rating():
    def place(token, *tops):
        return {"token": token, "logprob": -1.0, "top_logprobs": [dict(top) for top in tops]}

    tops = [{"token": "5", "logprob": -2.0}, {"token": "x", "logprob": -0.1}]
    tops += [{"token": " 3", "logprob": float("nan")}, {"token": "2", "logprob": "much"}]
    content = [place("I", {"token": "1", "logprob": -3.0}), place(" 4", *tops), place("5")]
    text = completion(logprobs={"content": content})
    assert read_answer(text, ("1", "2", "3", "4", "5")).tops == {" 4": -1.0, "5": -2.0}
    for odd in (None, [], {"content": None}, {"content": [7]}, "x"):
        assert read_answer(completion(logprobs=odd), ("4",)).tops == {}


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(["choices", "message", "content", "logprobs", "usage", "token"])
            | st.sampled_from(["prompt_tokens", "refusal", "top_logprobs", "logprob"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(JSON, JSON, JSON)
@settings(max_examples=150, deadline=None)
def test_whatever_comes_is_an_answer_or_none(whole, message, logprobs):
    choice = {"message": message, "logprobs": logprobs, "finish_reason": "stop"}
    for found in (whole, {"choices": [choice], "usage": whole}):
        try:
            answer = read_answer(json.dumps(found), ("1", "2"))
        except chat._Again as again:
            assert again.status == "bad_reply"
        else:
            answer.text.encode()
            assert answer.tokens_in >= 0


def test_half_a_character():
    assert read_answer(completion(message={"content": "\ud83d Score: 4"})).text == "? Score: 4"


def test_retry_after():
    assert chat._wait_of("7") == 7
    assert chat._wait_of("-7") == 0
    assert chat._wait_of(None) is chat._wait_of("soon") is chat._wait_of("nan") is None
    when = format_datetime(datetime.now(UTC) + timedelta(seconds=30))
    assert 25 < chat._wait_of(when) <= 31


def ask(server, **fields):
    async def work():
        one = Server(f"{server.url}/chat/completions", retries=0, timeout_s=2.0, **fields)
        async with one.client(1) as client:
            body = {"messages": [{"role": "user", "content": "Name city 1."}]}
            return await one.ask(client, body, 1)

    return asyncio.run(work())


def test_redirects_are_not_followed():
    """A key must not go where the config does not say."""
    reply = Said(code=307, headers={"Location": "http://127.0.0.1:9/"}, raw=b"")
    with chat_server(lambda body, n: reply) as server, pytest.raises(ConfigError, match="307"):
        ask(server)
    assert server.n == 1


def test_a_reply_without_end_is_cut_off(monkeypatch):
    monkeypatch.setattr(chat, "MOST_BYTES", 1000)
    with (
        chat_server(lambda body, n: Said("x" * 5000)) as server,
        pytest.raises(Unanswered, match="bad_reply"),
    ):
        ask(server)


def test_a_key_in_a_reply_is_blotted_out():
    key = "sk-secret-of-the-test"
    with chat_server(lambda body, n: Said(f"Your key is {key}")) as server:
        assert ask(server, key=key, key_name="K").text == "Your key is ***"
    assert key not in repr(Server("http://x", key=key))


def test_a_key_that_json_spells_otherwise_is_blotted_out():
    key = "sk-secret/of/the/test"
    raw = completion(message={"content": f"It is {key}."}).replace("/", "\\/").encode()
    with chat_server(lambda body, n: Said(raw=raw)) as server:
        assert ask(server, key=key, key_name="K").text == "It is ***."
    error = json.dumps({"error": {"message": "y" * (chat.SAID - 5) + f" {key}"}}).encode()
    reply = Said(code=401, raw=error)
    with chat_server(lambda body, n: reply) as server, pytest.raises(ConfigError) as refused:
        ask(server, key=key, key_name="K")
    assert "sk-s" not in str(refused.value)


@pytest.mark.parametrize("key", ["4", "token", "x", "null"])
def test_a_placeholder_in_place_of_a_key_spoils_no_reply(key):
    """As local servers take it, which look at no key."""
    content = [{"token": "4", "logprob": -1.0, "top_logprobs": []}]
    fields = {"logprobs": {"content": content}}
    with chat_server(lambda body, n: Said("Six tokens: 4", fields=fields)) as server:
        found = ask(server, key=key, key_name="K", words=("4",))
    assert (found.text, found.tops, found.tokens_out) == ("Six tokens: 4", {"4": -1.0}, 10)


@pytest.mark.parametrize(("code", "kind"), [(402, ""), (400, "billing_hard_limit_reached")])
def test_money_that_is_used_up_is_no_fault_of_the_question(code, kind):
    """A row would else be `rejected` for good, and never asked about again."""
    raw = json.dumps({"error": {"message": "Insufficient Balance", "code": kind}}).encode()
    reply = Said(code=code, raw=raw)
    with (
        chat_server(lambda body, n: reply) as server,
        pytest.raises(LimitReached, match="Insufficient Balance"),
    ):
        ask(server)


@pytest.mark.parametrize("code", [204, 402, 406, 410, 418, 424, 451, 499])
def test_only_what_is_known_to_be_the_question_is_rejected_for_good(code):
    with chat_server(lambda body, n: Said(code=code, raw=b"")) as server:
        try:
            ask(server)
        except Unanswered as why:
            assert not why.final
        except LimitReached:
            assert code == 402


def test_tokens_beyond_all_numbers():
    usage = {"prompt_tokens": 10**400, "completion_tokens": 1}
    text = json.dumps(json.loads(completion()) | {"usage": usage})
    found = read_answer(text)
    assert found.tokens_in / 1e6 > 0  # 10**400 is no float
    assert found.tokens_out == 1


def test_an_address_that_is_none():
    class Odd:
        url = "http://[::1/v1"

    with pytest.raises(ConfigError, match="is no address"):
        ask(Odd)


def test_tls_is_verified():
    """The server of this test speaks no TLS at all, and is not taken for one."""
    with chat_server() as server, pytest.raises(Unanswered, match="no_connection"):
        server.url = server.url.replace("http:", "https:")
        ask(server)


@pytest.mark.slow
def test_a_certificate_that_nobody_vouches_for_ends_the_run(tmp_path):
    import ssl
    import subprocess
    import threading
    from http.server import BaseHTTPRequestHandler, HTTPServer

    pair = [str(tmp_path / name) for name in ("cert.pem", "key.pem")]
    line = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1"]
    line += ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([*line, "-out", pair[0], "-keyout", pair[1]], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*pair)
    server = HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    server.handle_error = lambda *args: None
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    url = f"https://127.0.0.1:{server.server_port}/v1/chat/completions"

    async def work():
        one = Server(url, key="sk-secret", retries=0, timeout_s=5.0)
        async with one.client(1) as client:
            return await one.ask(client, {"messages": []}, 1)

    try:
        with pytest.raises(ConfigError, match="cannot be verified"):
            asyncio.run(work())
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
