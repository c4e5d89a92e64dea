"""No text, however it is made, keeps a filter busy for longer than its length asks for."""

import time

import pytest
from tamis.stages.filters.echo import Echo
from tamis.stages.filters.language import Language
from tamis.stages.filters.refusals import Refusals
from tamis.stages.filters.repetition import Repetition
from tamis.stages.filters.sft import Sft
from tamis.stages.text_rules import RULES
from tamis.tests.stages.filters.rows import rows

N = 100_000
TEXTS = {
    "one word": "a" * N,
    "one sign": "!" * N,
    "spaces": " " * N + "a",
    "lines": "a\n" * (N // 2),
    "no spaces": "语" * N,
    "fences": "```" * (N // 3),
    "phrase": "i understand " * (N // 13),
    "brackets": "[insert " * (N // 8),
    "escapes": "%a" * (N // 2),
    "apostrophes": "a'" * (N // 2),
    "mixed": "aB1" * (N // 3),
}
FILTERS = [
    Sft(),
    Sft(from_words=0, **dict.fromkeys(RULES, 1)),
    Repetition(),
    Echo(copied_input=True),
    Language(keep=("en",), min_characters=0),
    Refusals(),
]


@pytest.mark.slow
@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("own", FILTERS, ids=lambda own: type(own).__name__)
def test_long_text(own, name):
    table = rows([TEXTS[name], TEXTS[name]])
    begun = time.process_time()
    own(table.select(own.reads.names))
    assert time.process_time() - begun < 5
