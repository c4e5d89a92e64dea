import pytest
from pydantic import ValidationError
from tamis.stages.source import Source, Target


def source(**fields):
    return Source(name="pool", path="pool.jsonl", **fields)


def test_columns_say_which_field_plays_which_part():
    columns = {"instruction": "question", "answer": "reply"}
    assert source(columns=columns).columns == columns


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"format": "alpacca"}, "'alpacca' is not one of auto, messages"),
        ({"columns": {"reply": "a"}}, r"columns \['reply'\] are not among messages, instruction"),
        ({"columns": {"instruction": "q"}}, "must name messages, or instruction and answer"),
        ({"limit": 0}, "greater than 0"),
        ({"limit": 2.5}, "valid integer"),
        ({"rows": []}, "one place or more"),
        ({"rows": [3, 3]}, "each once"),
        ({"rows": [1], "limit": 2}, "give limit or rows, not both"),
        ({"n_rows": 7}, "Extra inputs are not permitted"),
    ],
)
def test_what_does_not_fit_is_said(fields, message):
    with pytest.raises(ValidationError, match=message):
        source(**fields)


def test_a_place_in_the_config_and_rows_in_order():
    assert source(rows=[5, 0]).rows == (0, 5)
    assert source().place == "data.pool"
    target = Target(path="p", name="gsm", subtask="data.kind")
    assert target.place == "targets.gsm"
    assert "name" not in target.model_dump()
    with pytest.raises(ValidationError, match="should match pattern"):
        Target(path="p", subtask="kind")
