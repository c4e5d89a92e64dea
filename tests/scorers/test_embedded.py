import pytest
from tamis.scorers.rds_plus import RdsPlus
from tamis.scorers.similarity import Similarity


@pytest.mark.parametrize("kind", [RdsPlus, Similarity])
def test_both_sides_read_the_embedding_of_the_signal(kind):
    scorer = kind(target="few", signal="other")
    names = ["other.embedding", "other.given.status", "other.status"]
    assert scorer.reads.names == scorer.target_reads.names == names
    assert scorer.compared == ("other.embedding", "other.embedding")
    assert kind(target="few").signal == "base"
