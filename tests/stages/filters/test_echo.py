import pytest
from tamis.stages.checks import check_stage
from tamis.stages.filters.echo import Echo, covered
from tamis.stages.judge import Judge
from tamis.tests.stages.filters.rows import reasons, rows

ASKED = "Name three rivers in the north of Spain."


def row(instruction, answer, given=""):
    text = f"{instruction}\n{given}" if given else instruction
    return rows([text, answer], starts=[len(instruction) + 1 if given else None])


def test_covered_by_hand():
    words = ["a", "b", "c", "d", "e", "f"]
    assert covered(words, ["x", "a", "b", "c", "d", "y"], 4) == 4 / 6
    assert covered(words, ["b", "c", "d", "e", "x", "a", "b", "c"], 3) == 5 / 6  # abc, bcd, cde
    assert covered(["a", "b"], ["x", "a", "b"], 4) == 1  # all of a short text
    assert covered(["a", "b"], ["b", "a"], 4) == 0


@pytest.mark.parametrize(
    "answer",
    [ASKED, ASKED.lower(), f"You asked: {ASKED}", f"Question: {ASKED}", f"{ASKED} {ASKED}"],
)
def test_echoes(answer):
    assert reasons(Echo(), row(ASKED, answer)) == ["echo"]


def test_instruction_and_input_again():
    given = "The dog sleeps."
    said = "Put the sentence into the plural."
    assert reasons(Echo(), row(said, f"{said} {given}", given)) == ["echo"]
    assert reasons(Echo(), row(said, said, given)) == ["echo"]


@pytest.mark.parametrize(
    ("instruction", "answer", "given"),
    [
        ("What is the capital of France?", "The capital of France is Paris.", ""),
        ("Compute the average of 1, 4, 7, and 10.", "The average of 1, 4, 7, and 10 is 5.5.", ""),
        ("Fix the grammar: He go to school.", "He goes to school.", ""),
        ("Fix the grammar: He goes to school.", "He goes to school.", ""),
        ("Add a full stop.", "He goes to school.", "He goes to school"),
        ("Which word is a verb?", "goes", "He goes to school"),
        ("Sort the words.", "apple, pear", "apple, pear"),
        ("Say yes.", "Yes.", ""),
        ("Hello there", "Hello there", ""),
        ("Name three rivers in the north of Spain.", "", ""),
    ],
)
def test_legitimate_answers(instruction, answer, given):
    assert reasons(Echo(), row(instruction, answer, given)) == [None]


def test_copied_input_is_a_choice():
    table = row("Sort the words.", " apple, pear\n", "apple, pear")
    assert reasons(Echo(copied_input=True), table) == ["copied_input"]
    assert reasons(Echo(copied_input=True), row("Sort the words.", "apple", "apple, pear")) == [
        None
    ]


def test_shares():
    found = Echo()(row("one two three four five", "one two three four six seven"))
    assert found["repeated"][0].as_py() == pytest.approx(4 / 5)
    assert found["new"][0].as_py() == pytest.approx(2 / 6)


def test_every_turn_is_compared_with_its_own_message():
    table = rows(["Say it in French.", "Bonjour", ASKED, ASKED], [ASKED, "Ebro", "Again?", ASKED])
    assert reasons(Echo(), table) == ["echo", None]


def test_contract():
    table = rows([ASKED, ASKED], [ASKED, "Ebro"], ["Hi", "Hi"], [ASKED, f"{ASKED} Now."])
    check_stage(Judge(filter=Echo()), table)
