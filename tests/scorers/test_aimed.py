import pytest
from pydantic import ValidationError
from tamis.scorers.dsir import Dsir
from tamis.scorers.similarity import Similarity
from tamis.stages.filters.contamination import Contamination


@pytest.mark.parametrize("kind", [Dsir, Similarity, Contamination])
def test_one_name_or_several(kind):
    assert kind(target="exam").targets == ("exam",)
    assert kind(target=["exam", "other"]).targets == ("exam", "other")


@pytest.mark.parametrize("target", ["", [], ["exam", "exam"]])
def test_no_target_and_one_twice(target):
    with pytest.raises(ValidationError, match="the name of a target, or several, each once"):
        Dsir(target=target)
