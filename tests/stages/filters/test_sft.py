from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError
from tamis.stages.checks import check_stage
from tamis.stages.filters.sft import Sft
from tamis.stages.judge import Judge
from tamis.stages.text_rules import RULES
from tamis.tests.stages.filters.rows import answers, reasons, rows

PAGE = Path(__file__).resolve().parents[3] / "docs" / "methods" / "filters.md"
GOOD = {  # what the published rules would drop, and what is good in it
    "one word": "Paris",
    "a number": "42",
    "a sum": "2 + 2 = 4",
    "a sign": "\u03c0",
    "one line": "The capital of France is Paris.",
    "code with braces": "```java\nfor (int i = 0; i < n; i++) {\n    sum += a[i];\n}\n```",
    "python": "def add(a, b):\n    return a + b\n\n\ndef sub(a, b):\n    return a - b",
    "json": '{"name": "Ada", "born": 1815, "tags": ["a", "b"]}',
    "html": "<ul>\n" + "\n".join(f"  <li>Item {i}</li>" for i in range(20)) + "\n</ul>",
    "bullets": "\n".join(f"- {fruit}" for fruit in ("apple", "pear", "plum", "fig")),
    "a table": "| a | b |\n|---|---|\n" + "\n".join(f"| {i} | {i * i} |" for i in range(20)),
    "chinese": "中国的首都是北京。它位于华北。",
    "russian": "Столица Франции — Париж.",
    "hindi": "फ्रांस की राजधानी पेरिस है।",
    "a song": "We sing a song of home tonight,\nof windows and of stars.\n" * 2
    + "The road is long, the moon is bright,\nand we have come so far.\nNo one will ask.",
    "emoji": "\U0001f600",
    "an address": "https://example.org/search?q=two%20words",
}  # fmt: skip


@pytest.mark.parametrize("name", GOOD)
def test_good_answers_pass(name):
    assert reasons(Sft(), answers(GOOD[name])) == [None]


def test_broken_answers_and_their_reasons():
    table = answers(
        "",
        "K\u00c3\u00a4se und Gr\u00c3\u00bc\u00c3\u0178e",
        "The%20answer%20is%20five.",
        "x9Kq vT2bR7 zPd4Wm a8Yc3 LkQ0 nB5vX jH1sG6",
        "qzxv kjhgf wrtp xcvbn mnbvc zxqj",
        " ".join(["the very same ten words come again and again here"] * 12),
    )
    found = Sft()(table.select(["messages"]))
    assert reasons(Sft(), table) == [
        "min_characters",
        "mojibake",
        "percent_escapes",
        "mixed_characters",
        "letter_pairs",
        "duplicate_10_grams",
    ]
    assert found["reason"][0].as_py() == "min_characters: 0 is below 1"
    assert found["reason"][2].as_py() == "percent_escapes: 0.36 is above 0.2"
    assert found["percent_escapes"][2].as_py() == pytest.approx(9 / 25)
    assert found["letter_pairs"][0].as_py() is None


def test_the_first_broken_rule_is_the_reason_and_all_values_are_there():
    own = Sft(min_words=3, max_words=1)
    found = own(answers("two words").select(["messages"])).to_pylist()[0]
    assert found["reason"] == "min_words: 2 is below 3"
    assert (found["min_words"], found["max_words"]) == (2, 2)


def test_shares_are_told_of_long_texts_only():
    own = Sft(bullet_lines=0.5, from_words=4)
    assert reasons(own, answers("- a", "- a b c", "- a\n- b")) == [
        None,
        "bullet_lines",
        "bullet_lines",
    ]
    found = own(answers("- a").select(["messages"]))
    assert found["bullet_lines"].to_pylist() == [None]


def test_rules_that_are_off_have_no_column():
    own = Sft(**dict.fromkeys(RULES))
    assert own.details.names == []
    assert reasons(own, answers("", "\ufffd")) == [None, None]


def test_the_worst_of_several_answers():
    table = rows(["a", "Fine.", "b", ""], ["a", "Fine.", "b", "Good."])
    assert reasons(Sft(), table) == ["min_characters", None]


def test_side():
    table = rows(["", "Fine."], ["Fine?", ""])
    assert reasons(Sft(side="instruction"), table) == ["min_characters", None]
    assert reasons(Sft(), table) == [None, "min_characters"]


def test_bounds_are_numbers_from_zero():
    with pytest.raises(ValidationError, match="greater than or equal to 0"):
        Sft(mojibake=-1)


def test_contract():
    table = answers(*GOOD.values(), "", "x9Kq vT2bR7 zPd4Wm a8Yc3 LkQ0 nB5vX jH1sG6")
    check_stage(Judge(filter=Sft()), table)


def published():
    """The block of the page with the published bounds."""
    text = PAGE.read_text()
    block = text.split("<!-- published -->")[1].split("```yaml\n")[1].split("```")[0]
    return yaml.safe_load(block)["filters"]["web"]


def test_published_bounds_are_those_of_the_papers():
    block = published()
    assert block.pop("use") == "sft" and block.pop("from_words") == 0
    ours = {"min_characters", "mojibake", "percent_escapes", "mixed_characters", "letter_pairs"}
    assert {name for name, bound in block.items() if bound is None} == ours - {"min_characters"}
    assert set(block) == set(RULES) - {"unfinished", "min_characters"}
    assert [block[f"top_{n}_gram"] for n in (2, 3, 4)] == [0.2, 0.18, 0.16]
    assert [block[f"duplicate_{n}_grams"] for n in range(5, 11)] == [
        0.15,
        0.14,
        0.13,
        0.12,
        0.11,
        0.1,
    ]
    own = {n: b for n, b in block.items() if b is not None and "gram" not in n}
    assert own == {
        "duplicate_paragraphs": 0.3, "duplicate_paragraph_chars": 0.2,
        "duplicate_lines": 0.3, "duplicate_line_chars": 0.2,
        "min_words": 50, "max_words": 100_000, "min_mean_word": 3, "max_mean_word": 10,
        "hashes": 0.1, "ellipses": 0.1, "bullet_lines": 0.9, "ellipsis_lines": 0.3,
        "alphabetic_words": 0.8, "stop_words": 2,
        "punctuated_lines": 0.12, "short_lines": 0.67, "repeated_line_chars": 0.01,
        "line_breaks": 0.3, "lorem_ipsum": 0, "curly_brackets": 0, "sentences": 5,
    }  # fmt: skip


def test_published_bounds_drop_what_is_good():
    """Why they are off: the trap that the page tells of."""
    block = published()
    block.pop("use")
    own = Sft(**block)
    assert None not in reasons(own, answers(*GOOD.values()))
    essay = (
        "The old harbour lies at the end of a narrow street, and most of the boats that once "
        "filled it have gone. A few people still fish there. They leave before dawn, with nets "
        "that their fathers mended! In winter the sea takes back part of the wall. Nobody knows "
        "how long it will last, but every spring some men bring stones. Would you have stayed?"
    )
    assert reasons(own, answers(essay)) == [None]
