import pytest
from tamis.errors import ContractError
from tamis.pipeline.fingerprint import canonical, key


def test_one_spelling():
    assert canonical({"b": [1, 2.5, None], "a": "é"}) == '{"a":"é","b":[1,2.5,null]}'
    assert canonical({"a": 1, "b": 2}) == canonical({"b": 2, "a": 1})


def test_keys_are_short_and_differ():
    assert len(key("x")) == 16
    assert key("x") != key("y")


@pytest.mark.parametrize("value", [{"a": {1, 2}}, {"a": print}, {1: "a"}, [object()]])
def test_what_has_no_one_spelling_is_refused(value):
    with pytest.raises(ContractError, match="cannot name a result"):
        canonical(value)
