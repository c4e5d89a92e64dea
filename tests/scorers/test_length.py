import pyarrow as pa
from tamis.scorers.checks import check_scorer
from tamis.scorers.length import Length


def test_longest_first():
    rows = pa.table({"length.answer_tokens": pa.array([3, 12], pa.int32())})
    assert Length()(rows)["score"].to_pylist() == [3, 12]
    assert Length(prefer="low")(rows)["score"].to_pylist() == [-3, -12]
    check_scorer(Length(), rows)


def test_reads_what_it_is_asked_for():
    scorer = Length(signal="texts", side="instruction", unit="words")
    assert scorer.reads.names == ["texts.instruction_words"]
