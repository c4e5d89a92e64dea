import pytest
from tamis.errors import RemoteError
from tamis.stages import asking, chat
from tamis.stages.answers import Answers
from tamis.stages.asking import Asking
from tamis.stages.chat import Server, Unanswered
from tamis.stages.pace import Purse
from tamis.tests.chat_server import Said, chat_server


def questions(n):
    return [[{"role": "user", "content": f"question {i}"}] for i in range(n)]


def made(server, **fields):
    one = Server(f"{server.url}/chat/completions", retries=0, timeout_s=2.0)
    return Asking(one, {"model": "m"}, Answers(), Purse(1.0, 1.0), **fields)


def test_figures():
    with chat_server() as server:
        one = made(server)
        answers = one.run([*questions(3), *questions(2)])
        assert [answer.text for answer in answers] == ["Score: 4"] * 5
        assert (one.requests, one.tokens_in, one.tokens_out, one.reused) == (3, 6, 30, 0)
        assert one.cost == pytest.approx(36e-6)
        one.run(questions(3))
    assert (one.requests, one.reused, server.n) == (3, 3, 3)
    assert one.purse.spent == pytest.approx(36e-6)


def test_none_at_all():
    with chat_server() as server:
        assert made(server).run([]) == []


def test_tokens_are_estimated_where_a_server_counts_none():
    raw = b'{"choices": [{"message": {"content": "four"}, "finish_reason": "stop"}]}'
    with chat_server(lambda body, n: Said(raw=raw)) as server:
        one = made(server)
        (answer,) = one.run(questions(1))
    assert (answer.tokens_in, answer.tokens_out) == (4, 1)  # role and text: 14 characters


def test_a_server_that_is_gone_is_not_asked_for_ever(monkeypatch):
    monkeypatch.setattr(chat, "FIRST_WAIT_S", 0.0)
    monkeypatch.setattr(asking, "LOST", 5)
    with chat_server(lambda body, n: Said(code=502, raw=b"")) as server:
        with pytest.raises(RemoteError, match="5 questions in a row"):
            made(server, concurrency=2).run(questions(100))
        assert server.n <= 6


def test_some_that_fail_do_not_stop_the_others(monkeypatch):
    monkeypatch.setattr(asking, "LOST", 5)

    def behave(body, n):
        even = int(body["messages"][0]["content"].split()[1]) % 2 == 0
        return Said(code=500, raw=b"") if even else Said()

    with chat_server(behave) as server:
        found = made(server, concurrency=1).run(questions(20))
    assert [isinstance(one, Unanswered) for one in found] == [True, False] * 10


def test_questions_that_are_rejected_before_others_are_answered():
    """A rejection comes at once: many may be there before the first answer is."""

    def behave(body, n):
        long = int(body["messages"][0]["content"].split()[1]) < 9
        return Said(code=400, raw=b"too long") if long else Said(wait_s=0.1)

    with chat_server(behave) as server:
        found = made(server, concurrency=4).run(questions(20))
    assert [isinstance(one, Unanswered) for one in found] == [True] * 9 + [False] * 11


def test_what_is_left_of_answered_questions_may_be_rejected_as_a_whole():
    """In another start only those that had no answer are asked."""
    with chat_server() as server:
        one = made(server)
        one.run(questions(3))
        server.behave = lambda body, n: Said(code=400, raw=b"too long")
        again = made(server)
        again.answers = one.answers
        found = again.run(questions(10))
    assert sum(isinstance(answer, Unanswered) for answer in found) == 7


def test_a_server_that_rejects_is_there(monkeypatch):
    monkeypatch.setattr(asking, "LOST", 5)
    codes = [200, *[400] * 6, 500]

    def behave(body, n):
        code = codes[int(body["messages"][0]["content"].split()[1])]
        return Said(code=code, raw=None if code == 200 else b"")

    with chat_server(behave) as server:
        found = made(server, concurrency=1).run(questions(8))
    assert str(found[-1]) == "server_error: 500"


def test_in_a_running_loop():
    """As in a notebook."""
    import asyncio

    async def cell():
        with chat_server() as server:
            return made(server).run(questions(2))

    assert len(asyncio.run(cell())) == 2


def test_a_full_disk_is_said_as_such(tmp_path, monkeypatch):
    def full(self, name, answer):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Answers, "add", full)
    with chat_server() as server, pytest.raises(OSError, match="No space left"):
        made(server).run(questions(3))
