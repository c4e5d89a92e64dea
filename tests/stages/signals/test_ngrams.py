import hashlib

import numpy as np
import pyarrow as pa
import pytest
from tamis.stages.base import ROWS
from tamis.stages.checks import check_stage
from tamis.stages.signals.ngrams import TOKENS, Ngrams, hashed
from tamis.tests.tiny import conversation

SCHEMA = pa.schema([ROWS.field("messages")])
TEXTS = [
    ("Is it? Don't!", "Is it, is it."),
    ("Grüße, 世界! 🙂", "naïve café x_1 3.14"),
    ("", ""),
    ("one", ""),
]
TABLE = pa.Table.from_pylist([conversation(*pair) for pair in TEXTS], schema=SCHEMA)


def bucket(gram, buckets=10_000):
    return int(hashlib.sha256(gram.encode("utf-8")).hexdigest(), 16) % buckets


def plain(words, n, buckets):
    counts = {}
    for size in range(1, n + 1):
        for at in range(len(words) - size + 1):
            own = bucket(" ".join(words[at : at + size]), buckets)
            counts[own] = counts.get(own, 0) + 1
    return sorted(counts.items())


def found(stage, table=TABLE):
    made = stage(table, stage.adds.names)
    return [
        list(zip(row["buckets"] or [], row["counts"] or [], strict=True))
        for row in made.to_pylist()
    ]


@pytest.mark.parametrize("n", [1, 2, 3, 5])
@pytest.mark.parametrize("buckets", [7, 10_000])
def test_counts_are_those_of_the_plain_procedure(n, buckets):
    words = [TOKENS("\n".join(pair).lower()) for pair in TEXTS]
    expected = [plain(own, n, buckets) for own in words]
    assert found(Ngrams(n=n, buckets=buckets)) == expected


def test_tokens_are_those_of_word_punct():
    from nltk.tokenize import WordPunctTokenizer

    for pair in TEXTS:
        text = "\n".join(pair).lower()
        assert TOKENS(text) == WordPunctTokenizer().tokenize(text)
    assert TOKENS("don't stop...") == ["don", "'", "t", "stop", "..."]


def test_the_length_can_be_recovered_from_the_counts():
    """L tokens have 2 L - 1 n-grams of one and two; the published code gets L back from these."""
    texts = [" ".join(str(i) for i in range(n)) for n in (1, 5, 100)]
    table = pa.Table.from_pylist([conversation(text, "") for text in texts], schema=SCHEMA)
    made = Ngrams()(table, ["counts", "tokens"])
    sums = [sum(counts) for counts in made["counts"].to_pylist()]
    assert sums == [1, 9, 199]
    assert [(n + 1) // 2 for n in sums] == made["tokens"].to_pylist() == [1, 5, 100]


def test_short_and_empty_rows():
    made = Ngrams()(TABLE, ["tokens", "status", "buckets"]).to_pylist()
    assert [row["status"] for row in made] == ["ok", "ok", "no_text", "ok"]
    assert made[2] == {"tokens": 0, "status": "no_text", "buckets": None}
    assert made[3] == {"tokens": 1, "status": "ok", "buckets": [bucket("one")]}


def test_one_side():
    only = Ngrams(text="answer")(TABLE, ["tokens"])["tokens"].to_pylist()
    assert only == [6, 6, 0, 0]


def test_no_rows_and_a_gram_longer_than_all_texts():
    for n in (1, 2, 9):
        row, buckets = hashed([], n, 10)
        assert (len(row), len(buckets)) == (0, 0)
        row, buckets = hashed([["a"], [], ["b"]], n, 10)
        assert row.tolist() == [0, 2]
    assert np.array_equal(hashed([["a", "b"], ["a"]], 2, 10)[0], [0, 0, 1, 0])


def test_contract():
    check_stage(Ngrams(), TABLE)
