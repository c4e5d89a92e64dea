import pytest
import yaml
from tamis.errors import ConfigError
from tamis.stages.prompt import FOLDER, Prompt, Reply, load_prompt, names, title
from tamis.tests.tiny import conversation

TWO_TURNS = {
    "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hi\nthere"},
        {"role": "assistant", "content": "Hello."},
        {"role": "user", "content": "Bye"},
        {"role": "assistant", "content": "Bye."},
    ],
    "input_start": 3,
}


@pytest.mark.parametrize("name", names())
def test_each_prompt_is_complete(name):
    prompt = load_prompt(name)
    assert prompt.source
    assert prompt.wording
    (question, *_) = prompt.questions([conversation("Name <b>a city</b>.", "{{ 7 * 7 }}")])
    assert "Name <b>a city</b>." in question.user  # as it is: neither escaped nor a template
    assert "49" not in question.user
    assert prompt.lead_of(prompt.asked[0])
    assert question.messages[-1] == {"role": "user", "content": question.user}


def test_the_scales_are_those_of_the_papers():
    scales = {name: load_prompt(name).scale for name in names()}
    assert scales == {
        "alpagasus": (0, 1, 2, 3, 4, 5),
        "alpagasus_helpfulness": (0, 1, 2, 3, 4, 5),
        "deita_complexity": (1, 2, 3, 4, 5, 6),
        "deita_quality": (1, 2, 3, 4, 5, 6),
        "selectit": (1, 2, 3, 4, 5),
        "dataman": (1, 2, 3, 4, 5),
        "ds2": tuple(range(1, 11)),
    }
    assert len(load_prompt("dataman").criteria) == 14
    assert len(load_prompt("dataman").labels["domain"]) == 15
    assert len(load_prompt("selectit").user) == 5


def test_a_whole_row_and_each_turn():
    whole = Prompt(user="{{ system }}|{{ instruction }}|{{ input }}|{{ answer }}", scale=[1, 2])
    (question,) = whole.questions([TWO_TURNS])
    before = "User: Hi\nthere\nAssistant: Hello.\nUser: Bye"
    assert question.user == f"Be brief.|{before}||Bye."
    each = whole.model_copy(update={"each": "turn"})
    found = each.questions([{"messages": [], "input_start": None}, TWO_TURNS])
    assert [(one.row, one.turn, one.user) for one in found] == [
        (1, 0, "Be brief.|Hi|there|Hello."),
        (1, 1, "|Bye||Bye."),
    ]


def test_wordings_go_inside_turns():
    prompt = Prompt(user=["a {{ answer }}", "b {{ answer }}"], scale=[1, 2], each="turn")
    found = prompt.questions([TWO_TURNS])
    assert [one.user for one in found] == ["a Hello.", "b Hello.", "a Bye.", "b Bye."]


def test_where_it_lies_and_whose_words_it_has_is_not_its_content(tmp_path):
    path = tmp_path / "mine.yaml"
    text = (FOLDER / "alpagasus.yaml").read_text()
    path.write_text(text)
    assert load_prompt(str(path)).decides() == load_prompt("alpagasus").decides()
    path.write_text(text.replace("accuracy", "precision"))
    assert load_prompt(str(path)).decides() != load_prompt("alpagasus").decides()
    assert Prompt(user="a", scale=[1, 2]).tokens == ("1", "2")
    assert title("semantic_density") == "Semantic density"


MISTAKES = {
    "no_such_key: 1": "no_such_key: Extra inputs",
    "scale: [2, 1]": "scale must ascend",
    "scale: [1]": "scale: Tuple should have at least 2",
    "user: '{{ nobody }}'": "nobody",
    "user: '{{ x'": "is not valid",
    "system: '{{ [].__class__.__mro__ }}'": "is not valid",  # the sandbox
    "reply: {find: ['(']}": "no regular expression|must have <number>",
    "reply: {find: ['score']}": "must have <number>",
    "criteria: {a: x}": "main must be one of .'a'",
    "main: overall": "main must be one of",
    "reply: {find: []}": "find is empty",
    "reply: {find: ['(?<=<number>)a']}": "no regular expression",
    "labels: {'A b': [x]}": "name of a column",
}


@pytest.mark.parametrize("line", MISTAKES)
def test_mistakes_are_named(line, tmp_path):
    path = tmp_path / "mine.yaml"
    fields = {"user": "{{ answer }}", "scale": [1, 2]} | yaml.safe_load(line)
    path.write_text(yaml.safe_dump(fields))
    with pytest.raises(ConfigError, match=MISTAKES[line]):
        load_prompt(str(path))


def test_no_prompt_at_all(tmp_path):
    with pytest.raises(ConfigError, match="is not among alpagasus"):
        load_prompt("alpagasuss")
    with pytest.raises(ConfigError, match="No such file"):
        load_prompt(str(tmp_path / "none.yaml"))
    for text in ("a: [", "- a", "\x00"):
        path = tmp_path / "bad.yaml"
        path.write_text(text)
        with pytest.raises(ConfigError, match=r"not readable YAML|keys and values"):
            load_prompt(str(path))


def test_expressions_are_checked():
    assert Reply(find=["a <number>"]).find == ("a <number>",)
    with pytest.raises(ValueError, match="once"):
        Reply(find=["<number> <number>"])


def test_a_template_that_fails_with_a_row_is_named():
    prompt = Prompt(user="{{ answer.split()[0] }}", scale=[1, 2])
    with pytest.raises(ConfigError, match="fails with a row"):
        prompt.questions([conversation("a", " ")])
