import pytest
from pydantic import ValidationError
from tamis.stages.checks import check_stage
from tamis.stages.filters.refusals import Refusals, shipped_patterns
from tamis.stages.judge import Judge
from tamis.tests.stages.filters.rows import answers, reasons, rows

FOUND = {
    "I'm sorry, but I can't help with that.": "refusal",
    "I\u2019m sorry, but that is not possible.": "refusal",
    "I cannot provide any information on this.": "refusal",
    "Unfortunately, I do not have access to current data.": "refusal",
    "I have no personal opinions about such matters.": "refusal",
    "I must decline to comment.": "refusal",
    "As an AI language model, I was trained on text.": "model",
    "As a large language model I like all teams.": "model",
    "I am just a virtual assistant.": "model",
    "Sure! Here is the answer you are looking for.": "filler",
    "N/A": "filler",
    "Click here to read the full article.": "filler",
    "Lorem ipsum dolor sit amet.": "placeholder",
    "[insert answer here]": "placeholder",
    "<nooutput>": "placeholder",
}
PASS = [
    "I apologize for being late to the meeting.",
    "I'm sorry that you are not happy with it. We will pay you back.",
    "The ledger serves as a digital record.",
    "Sure, I'll get the keys!",
    "Absolutely, teachers have an essential role in society.",
    "Sure! Here is a list:\n- apples\n- pears",
    "A language model predicts the next word.",
    "He could not help but laugh.",
    "None of the three is a prime number.",
    "Dear Sir, I am unable to complete the assignment in time.",
]


@pytest.mark.parametrize("answer", FOUND)
def test_found(answer):
    assert reasons(Refusals(), answers(answer)) == [FOUND[answer]]


@pytest.mark.parametrize("answer", PASS)
def test_passes(answer):
    assert reasons(Refusals(), answers(answer)) == [None]


def test_reason_and_match():
    found = Refusals()(answers("Well. As an AI\nlanguage model, no.").select(["messages"]))
    assert found.to_pylist() == [
        {"reason": "model: As an AI language model", "match": "As an AI language model"}
    ]


def test_only_near_the_beginning():
    text = "x" * 200 + " As an AI language model"
    assert reasons(Refusals(), answers(text)) == [None]
    assert reasons(Refusals(within=300), answers(text)) == ["model"]


def test_kinds():
    table = answers("As an AI language model, I cannot help with it.", "N/A")
    assert reasons(Refusals(kinds=("filler",)), table) == [None, "filler"]
    with pytest.raises(ValidationError, match="no patterns of kind 'rudeness'; there are refusal"):
        Refusals(kinds=("rudeness",))


@pytest.mark.parametrize("fields", [{"kinds": ()}, {"patterns": {}}])
def test_a_filter_that_looks_for_nothing_is_a_mistake(fields):
    with pytest.raises(ValidationError, match="at least 1 item"):
        Refusals(**fields)


def test_patterns_of_a_file_become_part_of_the_settings(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("sales: ['buy now', 'only \\d+ left']")
    own = Refusals(patterns=str(path))
    path.unlink()
    assert own.patterns == {"sales": ("buy now", r"only \d+ left")}
    assert reasons(own, answers("BUY NOW", "Only 3 left!", "no")) == ["sales", "sales", None]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: ['(']", "is no pattern"),
        ("a: [", "mine.yaml"),
        ("[a]", "valid dictionary"),
        ("# later", "mine.yaml holds no patterns"),  # and not those that come along
    ],
)
def test_mistakes_in_a_file(tmp_path, text, said):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(ValidationError, match=said):
        Refusals(patterns=str(path))


def test_no_such_file():
    with pytest.raises(ValidationError, match="nowhere"):
        Refusals(patterns="nowhere.yaml")


def test_the_patterns_are_part_of_the_identity():
    assert Refusals().identity()["patterns"] == dict(shipped_patterns())
    assert Refusals().identity() != Refusals(patterns={"a": ("b",)}).identity()


def test_any_answer_of_the_row():
    assert reasons(Refusals(), rows(["a", "Good.", "b", "As an AI model, no."])) == ["model"]


def test_contract():
    check_stage(Judge(filter=Refusals()), answers(*FOUND, *PASS))
