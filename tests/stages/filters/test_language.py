from importlib.metadata import version

import pytest
from pydantic import ValidationError
from tamis.stages.checks import check_stage
from tamis.stages.filters.language import KNOWN, NAMES, NO_LANGUAGE, Language
from tamis.stages.judge import Judge
from tamis.tests.stages.filters.rows import answers, reasons, rows
from tamis.tests.stages.test_letter_pairs import LANGUAGES

CHINESE = (
    "人人生而自由，在尊严和权利上一律平等。他们赋有理性和良心，并应以兄弟关系的精神相对待。" * 2
)


@pytest.mark.parametrize("code", LANGUAGES)
def test_languages(code):
    table = answers(LANGUAGES[code])
    found = Language(keep=("en",))(table.select(["messages"]))
    assert found["language"].to_pylist() == [code]
    assert found["probability"][0].as_py() > 0.99
    assert reasons(Language(keep=("en",)), table) == [None if code == "en" else "language"]
    assert reasons(Language(keep=("en", code)), table) == [None]


def test_reason():
    found = Language(keep=("de", "en"))(answers(CHINESE).select(["messages"]))
    share = found["probability"][0].as_py()
    assert found["reason"].to_pylist() == [f"language: zh with {share:.2f}"] and share > 0.9


@pytest.mark.parametrize(
    "answer",
    [
        "", "Oui.", "Paris", "2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43",
        "def add(a, b):\n    return a + b", "SELECT name, age FROM people WHERE age > 30;",
        "for (int i = 0; i < n; i++) {\n    total += prices[i];\n}",
        "```python\nfür_alle = [größe for größe in liste]\n```",
        '{"name": "Ada", "city": "London", "born": 1815}', "1. Tokyo\n2. Osaka\n3. Kyoto",
        "\U0001f600" * 40, "https://www.example.de/die/seite/ist/auf/deutsch/geschrieben",
    ],
)  # fmt: skip
def test_code_names_and_short_answers_pass(answer):
    assert reasons(Language(keep=("en",)), answers(answer)) == [None]


def test_translations_pass():
    table = rows(["Translate into German.", LANGUAGES["de"]], ["Go on.", LANGUAGES["de"]])
    assert reasons(Language(keep=("en",)), table) == [None, "language"]


def test_short_text_has_no_language():
    found = Language(keep=("en",), min_characters=30)(answers("Guten Tag").select(["messages"]))
    assert found.to_pylist() == [{"reason": None, "language": None, "probability": None}]


def test_a_very_long_text_is_no_less_sure():
    assert reasons(Language(keep=("en",)), answers(f"{LANGUAGES['de']} " * 4000)) == ["language"]


def test_what_is_unsure():
    table = answers("Tokyo, Osaka, Kyoto (Japan); New Delhi, Mumbai, Bangalore (India)")
    assert reasons(Language(keep=("de",)), table) == [None]
    assert reasons(Language(keep=("de",), unsure="drop"), table) == ["unsure"]


def test_side_and_all_turns():
    table = rows([LANGUAGES["de"], LANGUAGES["en"]])
    assert reasons(Language(keep=("en",), side="instruction"), table) == ["language"]
    assert reasons(Language(keep=("en",)), table) == [None]


def test_among():
    found = Language(keep=("de",), among=("de", "fr"))(
        answers(LANGUAGES["es"]).select(["messages"])
    )
    assert found["language"][0].as_py() in ("de", "fr")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"keep": ()}, "at least 1"),
        ({"keep": ("English",)}, "'English' is none of the languages that can be found: ace"),
        ({"keep": ("en",), "among": ("xq", "en")}, "xq"),
        ({"keep": ("en",), "among": ()}, "at least 1"),
        ({"keep": ("de", "en"), "among": ("de", "fr")}, "keep has 'en', which is not among"),
    ],
)
def test_mistakes(fields, said):
    with pytest.raises(ValidationError, match=said):
        Language(**fields)


def test_contract():
    check_stage(Judge(filter=Language(keep=("en",))), answers(*LANGUAGES.values(), "", "Oui."))


def test_the_languages_are_those_of_the_model():
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    model = LanguageIdentifier.from_model_file(MODEL_FILE)
    assert set(model.nb_classes) == KNOWN | {NO_LANGUAGE}
    assert set(NAMES) <= KNOWN


def test_the_model_is_part_of_the_identity():
    assert Language(keep=("en",)).identity()["py3langid"] == version("py3langid")
