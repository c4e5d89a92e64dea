import pyarrow as pa
import pytest
from tamis.scorers.signals import column_type, schema, token_columns


def test_types():
    assert column_type("given.token_loss") == pa.list_(pa.float32())
    assert column_type("alone.rank") == pa.list_(pa.int32())
    assert column_type("instruction.entropy_sum") == pa.float64()
    assert column_type("given.max_prob_count") == pa.int32()
    assert column_type("instruction.jsd") == pa.list_(pa.float32())
    assert column_type("given.jsd_sum") == pa.float64()
    assert column_type("delta") == pa.list_(pa.float32())
    assert column_type("given_mean") == column_type("alone_mean") == pa.list_(pa.float64())
    assert column_type("embedding") == pa.list_(pa.float16())
    assert column_type("buckets") == column_type("counts") == pa.list_(pa.int32())


@pytest.mark.parametrize("name", ["given.loss", "given.token_loss_mean", "other.rank", "lengths"])
def test_no_such_column(name):
    with pytest.raises(KeyError):
        column_type(name)


def test_a_schema_brings_the_statuses_of_its_passes():
    names = schema("m", "given.token_loss_sum", "alone.token_loss_sum").names
    assert names[2:] == ["m.given.status", "m.alone.status", "m.status"]
    assert schema("m", "embedding").names == ["m.embedding", "m.given.status", "m.status"]
    assert schema("m", "adam").names == ["m.adam", "m.given.status", "m.status"]
    assert schema("m", "answer_tokens").names == ["m.answer_tokens"]


def test_token_columns():
    assert token_columns("given", ("rank",)) == ["given.rank", "given.rank_sum", "given.rank_count"]
