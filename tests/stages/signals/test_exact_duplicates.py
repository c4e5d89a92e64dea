import numpy as np
import pyarrow as pa
import pytest
from tamis.stages.checks import check_stage
from tamis.stages.signals.exact_duplicates import ExactDuplicates
from tamis.tests.conversations import pairs

ROWS = pairs(
    ("Add 2+2.", "4"),
    ("add  2+2.", "4"),  # 1: form alone
    ("Add 2-2.", "4"),  # 2: other punctuation
    ("Add 2+2.", "It is 4."),  # 3: another answer
    ("Something else", "4"),
    ("Add 2+2.", "4"),  # 5: a copy
)


def grouped(rows=ROWS, **fields):
    """Places of the rows in each group of several, and the sizes that rows have."""
    stage = ExactDuplicates(**fields)
    stage = stage.fitted_with(stage.fit([rows.slice(0, 2), rows.slice(2)]))
    found = stage(rows, ["group", "size", "status"])
    names = found["group"].to_pylist()
    places = {name: [i for i, other in enumerate(names) if other == name] for name in names}
    assert found["size"].to_pylist() == [len(places[name]) for name in names]
    ids = rows["sample_id"].to_pylist()
    assert all(name == min(ids[i] for i in own) for name, own in places.items())
    assert set(found["status"].to_pylist()) <= {"ok"}
    return sorted(own for own in places.values() if len(own) > 1)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, [[0, 1, 5]]),
        ({"punctuation": "ignore"}, [[0, 1, 2, 5]]),
        ({"side": "instruction"}, [[0, 1, 3, 5]]),
        ({"side": "answer"}, [[0, 1, 2, 4, 5]]),
    ],
)
def test_by_hand(fields, expected):
    assert grouped(**fields) == expected


def test_where_the_sides_meet_counts():
    assert grouped(pairs(("a b", "c"), ("a", "b c"))) == []


def test_the_order_of_the_pool_does_not_matter():
    turned = ROWS.take(np.array([3, 5, 0, 4, 2, 1]))
    assert ExactDuplicates().fit([turned]) == ExactDuplicates().fit([ROWS])
    assert grouped(turned) == [[1, 2, 5]]


def test_promises():
    check_stage(ExactDuplicates(side="instruction"), ROWS)
    with pytest.raises(ValueError, match="needs the groups"):
        ExactDuplicates()(ROWS, ["group"])


def test_what_it_found():
    stage = ExactDuplicates()
    assert stage.found() == ""
    assert stage.fitted_with(stage.fit([ROWS])).found() == "3 rows in 1 groups of several"


def test_no_rows_and_rows_without_text():
    nothing = ROWS.slice(0, 0)
    stage = ExactDuplicates()
    assert len(stage.fitted_with(stage.fit([]))(nothing, ["group"])) == 0
    assert grouped(pa.concat_tables([pairs(("", "")), pairs(("", " "))])) == [[0, 1]]
