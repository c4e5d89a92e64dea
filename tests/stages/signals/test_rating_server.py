"""Ratings by a server: each row ends rated or with a status, and nothing is paid twice."""

import json
import pickle
import time

import numpy as np
import pyarrow as pa
import pytest
from tamis.errors import ConfigError, LimitReached, NoAnswer, PlanError, RemoteError
from tamis.stages import chat
from tamis.stages.checks import check_stage
from tamis.stages.ratings import questions_about
from tamis.stages.signals.rating_server import RatingServer
from tamis.tests.chat_server import Said, chat_server
from tamis.tests.tiny import conversation

KEY = "sk-secret-of-the-test-0123456789"
ROWS = [conversation(f"Name city {i}.", f"City {i}.") for i in range(6)]


def table(rows=ROWS):
    stage = stage_at("http://127.0.0.1:1")
    return pa.Table.from_pylist([dict(row) for row in rows], schema=stage.reads)


def stage_at(url, **fields):
    base = {"base_url": url, "model": "judge", "prompt": "alpagasus", "concurrency": 4}
    return RatingServer(**(base | fields))


@pytest.fixture(autouse=True)
def short_waits(monkeypatch):
    monkeypatch.setattr(chat, "FIRST_WAIT_S", 0.01)


def rated(url, rows=ROWS, **fields):
    stage = stage_at(url, **fields)
    return stage(table(rows), ["rating", "status", "text"]).to_pydict(), stage


def place(body):
    """The number of the row that is asked about."""
    return int(body["messages"][-1]["content"].split("Name city ")[1].split(".")[0])


def test_replies_become_ratings():
    with chat_server(lambda body, n: Said(f"Score: {place(body) % 5}.5\nFine.")) as server:
        found, stage = rated(server.url)
    assert found["rating"] == [0.5, 1.5, 2.5, 3.5, 4.5, 0.5]
    assert found["status"] == ["ok"] * 6
    assert found["text"][0] == ["Score: 0.5\nFine."]
    body = server.bodies[0]
    assert body["model"] == "judge"
    assert body["temperature"] == 0
    assert body["max_tokens"] == 256
    assert [message["role"] for message in body["messages"]] == ["system", "user"]
    assert server.headers[0]["path"] == "/v1/chat/completions"
    assert "Authorization" not in server.headers[0]
    assert stage.spent()["requests"] == 6


def test_the_limit_of_a_reply_goes_by_the_name_that_the_server_wants():
    with chat_server(lambda body, n: Said("Score: 3")) as server:
        rated(server.url, ROWS[:1], limit_field="max_completion_tokens")
    assert server.bodies[0]["max_completion_tokens"] == 256
    assert "max_tokens" not in server.bodies[0]


def test_a_reply_without_a_rating_is_never_a_number():
    replies = ["I like it.", "10/10", "Score: -1", "", "5 stars? no: 3-4", "Score: 4"]
    with chat_server(lambda body, n: Said(replies[place(body)])) as server:
        found, _ = rated(server.url)
    assert found["status"] == ["unparsable"] * 5 + ["ok"]
    assert found["rating"] == [None] * 5 + [4.0]
    assert found["text"][0] == ["I like it."]


def test_unparsable_replies_are_asked_for_again():
    def behave(body, before):
        return Said("Hm." if before < 2 else "Score: 2")

    with chat_server(behave) as server:
        found, _ = rated(server.url, ROWS[:1], asks=3, asks_temperature=0.7)
        assert found["rating"] == [2.0]
        assert [body["temperature"] for body in server.bodies] == [0.0, 0.7, 0.7]
        found, _ = rated(server.url, ROWS[1:2], asks=2)
    assert found["status"] == ["unparsable"]


MISBEHAVIOUR = {
    "broken_json": Said(raw=b'{"choices": [{'),
    "no_choices": Said(raw=b'{"choices": []}'),
    "another_shape": Said(raw=b'[1, 2, "three"]'),
    "no_text": Said(raw=b'{"choices": [{"message": {"content": 7}, "finish_reason": "stop"}]}'),
    "html": Said(raw=b"<html>proxy</html>"),
    "error_as_200": Said(raw=b'{"error": {"message": "overloaded"}}'),
    "500": Said(code=500, raw=b"oops"),
    "503": Said(code=503, raw=b"{}"),
    "dropped": Said(drop=True),
    "429": Said(code=429, raw=b"{}"),
    "half": Said(headers={"Content-Length": "100000"}, raw=b"x"),
}
STATUS = dict.fromkeys(MISBEHAVIOUR, "bad_reply") | {
    "500": "server_error: 500",
    "503": "server_error: 503",
    "dropped": "no_connection",
    "429": "rate_limited",
    "half": "timeout",
}


CITIES = [conversation(f"Name city {i}.", f"City {i}.") for i in range(len(MISBEHAVIOUR) + 1)]


def misbehave(body, before):
    """Each row has its own way to fail; the last one is fine."""
    return [*MISBEHAVIOUR.values(), Said("Score: 1")][place(body)]


def test_what_passes_is_tried_again():
    def behave(body, before):
        return Said("Score: 1") if before else misbehave(body, before)

    with chat_server(behave) as server:
        found, _ = rated(server.url, CITIES, retries=1, timeout_s=0.5, concurrency=12)
    assert found["rating"] == [1.0] * len(CITIES)
    assert server.n == 2 * len(CITIES) - 1


def test_what_does_not_pass_stops_the_run_or_is_a_status():
    quick = {"retries": 0, "timeout_s": 0.4, "concurrency": 12}
    with chat_server(misbehave) as server:
        with pytest.raises(NoAnswer, match=r"11 questions .* unanswered: keep") as stopped:
            rated(server.url, CITIES, **quick)
        assert "bad_reply (6)" in str(stopped.value)
        found, _ = rated(server.url, CITIES, **quick, unanswered="keep")
    assert found["status"] == [*STATUS.values(), "ok"]
    assert found["rating"] == [None] * 11 + [1.0]


def test_a_slow_server_is_not_waited_for():
    behave = lambda body, n: Said(wait_s=2.0 if place(body) == 0 else 0.0)  # noqa: E731
    with chat_server(behave) as server:
        began = time.monotonic()
        found, _ = rated(server.url, ROWS[:2], retries=1, timeout_s=0.2, unanswered="keep")
        assert time.monotonic() - began < 1.5
    assert found["status"] == ["timeout", "ok"]


@pytest.mark.slow
def test_a_server_that_drips_is_not_waited_for():
    with chat_server(lambda body, n: Said(drip_s=0.05)) as server:  # a byte is no progress
        began = time.monotonic()
        found, _ = rated(server.url, ROWS[:1], retries=0, timeout_s=0.3, unanswered="keep")
        assert time.monotonic() - began < 1.5
    assert found["status"] == ["timeout"]


def test_retry_after_is_kept_to():
    def behave(body, before):
        return Said("Score: 3") if before else Said("", 429, {"Retry-After": "0.4"}, b"{}")

    with chat_server(behave) as server:
        found, _ = rated(server.url, ROWS[:1])
    assert found["rating"] == [3.0]
    assert server.times[1] - server.times[0] >= 0.4


def test_a_very_long_retry_after_ends_the_start():
    reply = Said(code=429, headers={"Retry-After": "3600"}, raw=b"{}")
    with chat_server(lambda body, n: reply) as server, pytest.raises(RemoteError, match="3,600 s"):
        rated(server.url)


@pytest.mark.parametrize(("code", "says"), [(401, "does not take"), (403, "does not"), (404, "no")])
def test_a_key_or_model_that_is_not_taken_ends_the_run_at_once(code, says, monkeypatch):
    monkeypatch.setenv("KEY_OF_TEST", KEY)
    raw = json.dumps({"error": {"message": f"bad key {KEY} or model"}}).encode()
    with chat_server(lambda body, n: Said(code=code, raw=raw)) as server:
        with pytest.raises(ConfigError, match=says) as error:
            rated(server.url, api_key_env="KEY_OF_TEST")
        assert KEY not in str(error.value)
        assert server.n <= 4  # those that were out
    assert server.headers[0]["Authorization"] == f"Bearer {KEY}"


def test_what_is_paid_for_may_be_used_up():
    raw = json.dumps({"error": {"code": "insufficient_quota", "message": "no money"}}).encode()
    with (
        chat_server(lambda body, n: Said(code=429, raw=raw)) as server,
        pytest.raises(LimitReached, match="no money"),
    ):
        rated(server.url)


def test_a_question_that_is_rejected_has_that_as_its_status():
    def behave(body, before):
        return Said(code=400, raw=b'{"error": "too long"}') if place(body) == 2 else Said()

    with chat_server(behave) as server:
        found, _ = rated(server.url, concurrency=1)
    assert found["status"] == ["ok", "ok", "rejected: 400", "ok", "ok", "ok"]
    assert server.n == 6  # nothing is tried again


def test_a_server_that_rejects_everything_ends_the_run():
    raw = b'{"error": {"message": "top_logprobs is unknown here"}}'
    with (
        chat_server(lambda body, n: Said(code=422, raw=raw)) as server,
        pytest.raises(ConfigError, match="top_logprobs is unknown here"),
    ):
        rated(server.url)


def test_refusals_have_a_status():
    fields = {"finish_reason": "content_filter"}
    with chat_server(lambda body, n: Said("No.", fields=fields)) as server:
        found, _ = rated(server.url, ROWS[:1], asks=3)
        assert server.n == 1
    assert found["status"] == ["refused"]


def test_no_server_at_all():
    with pytest.raises(NoAnswer, match="no_connection"):
        rated("http://127.0.0.1:9/v1", retries=0)
    with pytest.raises(RemoteError, match="20 questions in a row"):
        rated("http://127.0.0.1:9/v1", [conversation(f"{i}", "x") for i in range(40)], retries=0)


def test_log_probabilities_become_probabilities():
    """Worked by hand: p(4) = .6 with and without a space, p(5) = .2; the rest is no rating."""
    tops = [{"token": t, "logprob": v} for t, v in ((" 4", -0.916291), ("4", -1.609438))]
    tops += [{"token": "5", "logprob": -1.609438}, {"token": "x", "logprob": -1.0}]
    content = [{"token": "Score", "logprob": 0.0, "top_logprobs": []}]
    content += [{"token": " 4", "logprob": -0.916291, "top_logprobs": tops}]
    fields = {"logprobs": {"content": content}}
    with chat_server(lambda body, n: Said("Score: 4", fields=fields)) as server:
        stage = stage_at(server.url, logprobs=True)
        found = stage(table(ROWS[:1]), stage.adds.names).to_pydict()
    assert server.bodies[0]["logprobs"] is True
    assert found["probabilities"][0] == pytest.approx([0, 0, 0, 0, 0.75, 0.25], abs=1e-6)
    assert found["rating"][0] == pytest.approx(4.25, abs=1e-6)
    assert found["mass"][0] == pytest.approx([0.8], abs=1e-6)
    assert found["scale"][0] == [0, 1, 2, 3, 4, 5]


def test_log_probabilities_of_another_number_are_no_rating():
    content = [{"token": token, "logprob": 0.0, "top_logprobs": []} for token in ("5", "3")]
    fields = {"logprobs": {"content": content}}
    with chat_server(lambda body, n: Said("Of 5. Score: 3", fields=fields)) as server:
        found, _ = rated(server.url, ROWS[:1], logprobs=True)
    assert (found["status"], found["rating"]) == (["unparsable"], [None])


def test_an_edit_in_the_middle_of_a_run_changes_nothing(tmp_path):
    """The results bear the name of the prompt as it was."""
    path = tmp_path / "mine.yaml"
    path.write_text("user: 'Name city {{ answer }}.'\nscale: [1, 5]\nreply: {find: [<number>]}\n")
    stage = stage_at("http://x/v1", prompt=str(path))
    name = stage.identity()
    path.write_text("user: 'Another {{ answer }}'\nscale: [1, 2]\n")
    assert stage.identity() == name
    (question,) = questions_about(stage._prompt, table(ROWS[:1]), np.ones(1, bool))
    assert question.user == "Name city City 0.."
    assert pickle.loads(pickle.dumps(stage)).identity() == name
    path.unlink()
    assert pickle.loads(pickle.dumps(stage)).adds.names == stage.adds.names  # on another machine


def test_at_most_as_many_requests_as_are_said():
    rows = [conversation("\u57ce\u5e02" * 2000, "\u57ce")]
    prices = {"price_in": 1.0, "price_out": 1.0, "max_tokens": 10}
    with chat_server(lambda body, n: Said("Hm.")) as server:
        stage = stage_at(server.url, asks=3, **prices)
        said = stage.requests_of(table(rows))
        stage(table(rows), ["rating"])
    assert server.n == said[0] == 3
    assert said[1] > 3 * 3000  # a Chinese character is more than a quarter of a token
    assert said[2] == pytest.approx((said[1] + 30) / 1e6)


def test_equal_rows_are_asked_about_once():
    with chat_server() as server:
        found, _ = rated(server.url, [ROWS[0]] * 5 + [ROWS[1]])
    assert found["rating"] == [4.0] * 6
    assert server.n == 2


def test_each_turn_and_each_criterion():
    turns = [
        {"role": role, "content": text}
        for role, text in zip(("user", "assistant") * 2, "abcd", strict=False)
    ]
    rows = [{"messages": turns, "input_start": None}]
    with chat_server(
        lambda body, n: Said("6" if "b" in body["messages"][0]["content"][-3:] else "2")
    ) as server:
        stage = stage_at(server.url, prompt="deita_quality")
        found = stage(pa.Table.from_pylist(rows, stage.reads), stage.adds.names).to_pydict()
        assert found["ratings"] == [[6.0, 2.0]]
        assert (found["rating"], found["turns"]) == ([4.0], [2])
        replies = json.dumps({"rarity": 1, "complexity": 2, "informativeness": 3, "overall": 9})
        server.behave = lambda body, n: Said(replies)
        stage = stage_at(server.url, prompt="ds2")
        found = stage(table(ROWS[:1]), stage.adds.names).to_pydict()
    assert (found["rating"], found["criteria.rarity"]) == ([9.0], [1.0])
    assert found["criteria.overall"] == [9.0]


def test_at_most_so_many_at_once():
    with chat_server(lambda body, n: Said(wait_s=0.05)) as server:
        rated(server.url, concurrency=2)
        assert server.at_once == 2
        rated(server.url, concurrency=6)
    assert server.at_once == 6


@pytest.mark.slow
def test_at_most_so_many_a_minute():
    with chat_server() as server:
        rated(server.url, requests_per_minute=600, concurrency=6)  # one in 0.1 s
    gaps = [b - a for a, b in zip(server.times, server.times[1:], strict=False)]
    assert server.times[-1] - server.times[0] >= 0.45
    assert min(gaps) > 0.05


def in_store(stage, folder):
    stage.use_store(str(folder))
    stage.setup()
    return stage


def test_an_answer_is_paid_once(tmp_path):
    with chat_server() as server:
        first = in_store(stage_at(server.url), tmp_path)(table(), ["rating"])
        assert server.n == 6
        again = in_store(stage_at(server.url), tmp_path)(table(ROWS[::-1]), ["rating", "text"])
        in_store(stage_at(server.url, concurrency=1, retries=0), tmp_path)(table(), ["rating"])
        assert server.n == 6
        assert again["rating"].to_pylist() == first["rating"].to_pylist()[::-1]
        in_store(stage_at(server.url, temperature=0.5), tmp_path)(table(), ["rating"])
        assert server.n == 12
        moved = stage_at("http://127.0.0.1:9/v1", server=server.url)  # under the same name
        in_store(moved, tmp_path)(table(), ["rating"])


def test_the_cap_of_cost_stops_and_keeps_what_is_paid(tmp_path):
    """A prompt of 150 tokens, about, at 10 a million, and 10 tokens at 100: some 0.0025 a row."""
    prices = {"price_in": 10.0, "price_out": 100.0, "max_tokens": 10, "concurrency": 1}
    with chat_server() as server:
        stage = in_store(stage_at(server.url, max_cost=0.008, **prices), tmp_path)
        with pytest.raises(LimitReached, match=r"max_cost is 0.008, and 0\.00\d+ are spent"):
            stage(table(), ["rating"])
        paid = server.n
        assert 1 <= paid <= 3
        stage = in_store(stage_at(server.url, max_cost=0.008, **prices), tmp_path)
        with pytest.raises(LimitReached):
            stage(table(), ["rating"])
        assert server.n == paid
        stage = in_store(stage_at(server.url, max_cost=1.0, **prices), tmp_path)
        assert stage(table(), ["status"])["status"].to_pylist() == ["ok"] * 6
        assert server.n == 6
        assert stage.spent()["reused"] == paid


def test_what_had_no_answer_is_asked_for_again_by_another_attempt(tmp_path):
    behave = lambda body, n: Said(code=500, raw=b"") if place(body) == 0 else Said()  # noqa: E731
    with chat_server(behave) as server:
        kept = stage_at(server.url, unanswered="keep", retries=0)
        assert in_store(kept, tmp_path)(table(), ["status"])["status"][0].as_py() != "ok"
        server.behave = lambda body, n: Said()
        more = stage_at(server.url, unanswered="keep", retries=0, attempt=2)
        assert in_store(more, tmp_path)(table(), ["status"])["status"].to_pylist() == ["ok"] * 6
        assert server.n == 7
    assert kept.identity() != more.identity()


def test_a_store_at_an_address_is_refused():
    with pytest.raises(PlanError, match="store on this machine"):
        stage_at("http://x/v1").use_store("s3://bucket/store")


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"base_url": "https://user:pw@host/v1"}, "must hold no user"),
        ({"base_url": "https://host/v1?key=abc"}, "must hold no user"),
        ({"base_url": "ftp://host"}, "is no address"),
        ({"base_url": "http://localhost:99999/v1"}, "is no address"),
        ({"base_url": "http://localhost:80a/v1"}, "is no address"),
        ({"base_url": "http://exa mple/v1"}, "is no address"),
        ({"api_key_env": "sk-abc"}, "name of a variable"),
        ({"max_cost": 1.0}, "price_in"),
        ({"request": {"model": "x"}}, "must not hold model"),
        ({"prompt": "nobody"}, "is not among"),
        ({"prompt": "ds2", "logprobs": True}, "'ds2' asks for several"),
    ],
)
def test_settings_that_are_refused(fields, says):
    with pytest.raises(ValueError, match=says) as error:
        stage_at("http://x/v1", **fields)
    assert "pw" not in str(error.value).split("input_value")[0]


def test_criteria_that_would_all_find_the_same_number(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("user: a\nscale: [1, 2]\ncriteria: {a: x, b: y}\nmain: a\n")
    with pytest.raises(ValueError, match="needs <criterion>"):
        stage_at("http://x/v1", prompt=str(path))


def test_a_variable_that_is_not_set(monkeypatch):
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    with pytest.raises(ConfigError, match="NO_SUCH_KEY"):
        stage_at("http://x/v1", api_key_env="NO_SUCH_KEY").setup()


def test_a_variable_that_holds_no_key(monkeypatch):
    monkeypatch.setenv("ODD_KEY", "sk-\u00fc\nX: y")
    with pytest.raises(ConfigError, match="is no key") as error:
        stage_at("http://x/v1", api_key_env="ODD_KEY").setup()
    assert "sk-" not in str(error.value)


def test_how_it_is_asked_does_not_name_the_result():
    one = stage_at("http://x/v1")
    two = stage_at("http://x/v1/", concurrency=1, max_cost=1, price_in=1, timeout_s=1, retries=1)
    assert one.identity() == two.identity()
    assert one.identity()["prompt"]["scale"] == [0, 1, 2, 3, 4, 5]
    assert (
        stage_at("http://y/v1", server="s").identity()
        == stage_at("http://z", server="s").identity()
    )


def test_contract():
    with chat_server(lambda body, n: Said(f"Score: {place(body) % 5}")) as server:
        check_stage(stage_at(server.url), table())
