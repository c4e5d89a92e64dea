import io

from tamis.stages import csv_records as module
from tamis.stages.csv_records import csv_records


def read(text, max_chars=100):
    return list(csv_records(io.BytesIO(text.encode()), ",", max_chars))


def test_fields_of_several_lines():
    (record,) = read('a,b\n"x\ny",2\n')
    assert record.value == {"a": "x\ny", "b": "2"}


def test_a_field_that_never_ends_is_the_last_and_gives_no_rows(monkeypatch):
    monkeypatch.setattr(module, "CHUNK", 64)
    found = read('a,b\n1,2\n3,"' + "inner,line\n" * 500, max_chars=16)
    assert found[0].value == {"a": "1", "b": "2"}
    assert len(found) == 2
    assert found[1].error.startswith("file breaks off here: field larger than field limit")


def test_a_line_that_is_too_long_is_not_held(monkeypatch):
    monkeypatch.setattr(module, "CHUNK", 64)
    found = read("a,b\n1,2\n" + "x" * 10_000, max_chars=16)
    assert [record.error for record in found] == [
        None,
        "file breaks off here: a line over 256 characters",
    ]
