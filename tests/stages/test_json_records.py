import io
import json

import pytest
from tamis.stages import json_records
from tamis.stages.json_records import Extent, json_array, json_lines


def array(text, max_chars=1000):
    return list(json_array(io.BytesIO(text.encode()), max_chars))


@pytest.mark.parametrize("chunk", [1, 3, 7, 1000])
def test_one_bad_record_costs_no_other(monkeypatch, chunk):
    monkeypatch.setattr(json_records, "CHUNK", chunk)
    bad = '{"a": "\\q }, { ]", "b": {"c": [1, 2]}}'
    found = array(f'[{{"a": 1}}, {bad}, {{"a": 2}},\n{{"a" 3}}, {{"a": "\\"}}"}}]')
    assert [record.value for record in found] == [{"a": 1}, None, {"a": 2}, None, {"a": '"}'}]
    assert [record.place for record in found] == [1, 2, 3, 4, 5]
    assert found[1].error.startswith("bad JSON: ")


def test_a_record_that_is_too_long_is_skipped_in_pieces(monkeypatch):
    monkeypatch.setattr(json_records, "CHUNK", 64)
    rows = [{"a": 1}, {"a": 'x\\"}, {' * 2000, "b": [{}]}, {"a": 2}]
    found = array(json.dumps(rows), max_chars=100)
    assert [record.value for record in found] == [rows[0], None, rows[2]]
    assert found[1].error.startswith("too long: over ")
    assert len(found[1].raw) <= 2000


def test_a_record_that_never_ends_is_the_last():
    found = array('[{"a": 1}, {"a": [1, 2}')
    assert found[0].value == {"a": 1}
    assert found[1].error.endswith("nothing after it is read")
    assert len(found) == 2


@pytest.mark.parametrize("cut", range(11))
def test_an_extent_may_come_in_pieces(cut):
    text = '{"\\"}": {}}, '
    extent = Extent()
    first = extent.feed(text[:cut], 0)
    assert first is None
    assert extent.feed(text[cut:], 0) == len(text) - 2 - cut


def test_lines():
    found = list(json_lines(io.BytesIO(b'{"a": 1}\n\n{"a": \n"' + b"x" * 500 + b'"\n2\n'), 100))
    assert [(record.place, record.value) for record in found] == [
        (1, {"a": 1}),
        (3, None),
        (4, None),
        (5, 2),
    ]
    assert found[2].error == "too long: a line over 400 bytes"
