import json
import math
import time

import pytest
from tamis.stages.prompt import Prompt, Reply, load_prompt, names
from tamis.stages.replies import LONGEST, begins, expected, read_reply

ALPAGASUS = {
    "Score: 4.5\nGood": 4.5,
    "4\nThe answer is right.": 4,
    "4.5/5\nBecause": 4.5,
    "**Score:** 5": 5,
    "Rating: 5 out of 5": 5,
    "The score is 3.": 3,
    "4\n\n/5 of the way": 4,
    "**4** / 5\n": 4,
    "4 (good)": None,
    "Score:0": 0,
    # the published fallback takes the first character of what is not as expected, and -1 where
    # that is no digit: none of these is a rating
    "10/10": None,
    "Score: 10": None,
    "Score: 8/10": None,
    "Score: 4/10": None,
    "5 stars would be too much, 2 too few": None,
    "I think this is a good answer.": None,
    "Score: N/A": None,
    "Score: five": None,
    "Score: 3-4": None,
    "Score: 4,5": None,
    "Score: 80%": None,
    "-1": None,
    "Score: -1": None,
    "": None,
}


@pytest.mark.parametrize("text", ALPAGASUS)
def test_the_parser_trap_of_alpagasus(text):
    found = read_reply(text, load_prompt("alpagasus"))
    if ALPAGASUS[text] is None:
        assert found.status == "unparsable"
        assert math.isnan(found.rating)
    else:
        assert (found.status, found.rating) == ("ok", ALPAGASUS[text])
    assert found.text == text


@pytest.mark.parametrize("name", names())
@pytest.mark.parametrize(
    "fill", [" ", "!", "\n", "4 ", "/5", "{", "score is ", "1", "overall ", "-"]
)
def test_no_reply_takes_long_to_read(name, fill):
    """It took three seconds: two runs of the same signs one after the other."""
    prompt = load_prompt(name)
    for start in ("4", "score 4", ""):
        text = (start + fill * LONGEST)[: LONGEST - 1] + "x"
        began = time.process_time()
        read_reply(text, prompt)
        assert time.process_time() - began < 0.5


def test_only_what_the_scale_has():
    prompt = load_prompt("deita_quality")
    assert [read_reply(text, prompt).status for text in ("6", "0", "7", "3.5", "5.0")] == [
        *("ok", "unparsable", "unparsable", "unparsable", "ok")
    ]


def test_first_or_last():
    reply = {"find": (r"score\s+<number>",)}
    text = "SCORE 1 then score 2"
    first = Prompt(user="a", scale=[1, 2], reply=Reply(**reply))
    last = Prompt(user="a", scale=[1, 2], reply=Reply(**reply, take="last"))
    assert (read_reply(text, first).rating, read_reply(text, last).rating) == (1, 2)


def test_groups_in_an_expression_do_no_harm():
    prompt = Prompt(user="a", scale=[1, 2], reply=Reply(find=[r"(score|rating): <number>"]))
    assert read_reply("rating: 2", prompt).rating == 2


def test_criteria_as_lines():
    prompt = load_prompt("dataman")
    lines = [
        f"[{place}] {name.replace('_', ' ').title()}: {place % 5 + 1}/5"
        for place, name in enumerate(prompt.criteria, 1)
    ]
    found = read_reply("\n".join([*lines, "Domain: coding."]), prompt)
    assert found.status == "ok"
    assert found.rating == found.criteria["overall"] == 5  # the fourteenth
    assert (found.criteria["accuracy"], found.criteria["semantic_density"]) == (2, 5)
    assert found.labels == {"domain": "Coding"}
    assert read_reply("\n".join([*lines, "Domain: Magic"]), prompt).labels == {"domain": None}
    assert read_reply("\n".join(lines[1:]), prompt).status == "unparsable"


def test_criteria_as_json():
    prompt = load_prompt("ds2")
    fields = {"Rarity": 3, "complexity": "7", "Informativeness": 10, "overall": 8}
    found = read_reply(f"```json\n{json.dumps(fields)}\n```", prompt)
    assert (found.rating, found.criteria["complexity"]) == (8, 7)
    for wrong in (11, True, None, "high", {"score": 3}, [3], 1e400, "4/5"):
        text = json.dumps(fields | {"Rarity": wrong})
        assert read_reply(text, prompt).status == "unparsable", wrong
    assert read_reply("[" * 50_000, prompt).status == "unparsable"


def test_expectation_of_deita():
    """Logits (0, 0, 0, 0, 0, ln 5): probabilities .1 five times and .5, so 4.5."""
    prompt = load_prompt("deita_quality")
    tops = {str(rating): math.log(0.5 if rating == 6 else 0.1) for rating in range(1, 7)}
    probabilities, mass = expected(prompt, tops)
    assert probabilities @ prompt.scale == pytest.approx(4.5)
    assert mass == pytest.approx(1.0)
    assert expected(prompt, {"x": 0.0}) is None


def test_the_token_of_the_rating():
    assert begins(4, {" 4": -0.1, "5": -3.0})
    assert begins(4.5, {"4": -0.1})
    assert not begins(3, {"5": -0.1, "3": -3.0})  # of "out of 5: 3"
