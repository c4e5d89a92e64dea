from tamis.stages.records import Record


def test_a_record_is_good_unless_it_says_why_not():
    assert Record(1, {"a": 1}).error is None
    assert Record(2, None, "bad JSON", "{").raw == "{"
