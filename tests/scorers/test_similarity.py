import pytest
from tamis.scorers.checks import check_scorer
from tamis.scorers.similarity import Similarity
from tamis.tests.scorers.test_matching import X, Y, rows, run, target


def test_reads_the_embedding_of_any_signal():
    scorer = Similarity(target="t", signal="other")
    assert scorer.reads.names == ["other.embedding", "other.given.status", "other.status"]
    assert scorer.target_reads == scorer.reads
    assert scorer.requires == {}


def test_by_hand():
    found = run(Similarity(target="t", aggregate="mean"), rows([X, Y]), t=target([X, X, Y]))
    assert found["score"] == pytest.approx([2 / 3, 1 / 3])
    assert found["query"] == [0, 2]


def test_contract():
    check_scorer(Similarity(target="t"), rows([X, Y]), {"t": target([X])})
