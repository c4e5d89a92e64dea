import pytest
import yaml
from pydantic import ValidationError
from tamis.pipeline.config import BudgetConfig, Config, use_of
from tamis.scorers.random import Random

MINIMAL = {"name": "x", "data": [{"name": "d", "path": "p"}]}


def config(**fields):
    return Config.model_validate(MINIMAL | fields)


def test_blocks_become_objects():
    found = config(
        signals={"m": {"use": "forward", "model": "gpt2"}},
        scorers={"r": {"use": "random"}},
        selector={"use": "top_k", "by": "r.score"},
    )
    assert found.signals["m"].model == "gpt2"
    assert isinstance(found.scorers["r"], Random)
    assert [use_of(s) for s in found.selector] == ["top_k"]


def test_the_seed_reaches_every_block_that_leaves_its_own_open():
    found = config(
        seed=7,
        scorers={"a": {"use": "random"}, "b": {"use": "random", "seed": 1}},
        selector=[{"use": "random"}],
    )
    assert (found.scorers["a"].seed, found.scorers["b"].seed, found.selector[0].seed) == (7, 1, 7)


def test_yaml_replays():
    found = config(
        signals={"m": {"use": "forward", "model": "gpt2", "template": "{{ instruction }}\n"}},
        scorers={"i": {"use": "ifd", "signal": "m", "mode": "cherry"}},
        selector=[{"use": "threshold", "by": "i.score", "below": 1}, {"use": "random"}],
        budget={"fraction": 0.5},
    )
    assert Config.model_validate(yaml.safe_load(found.to_yaml())) == found


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"name": "../x"}, "pattern"),
        ({"data": []}, "at least 1 item"),
        ({"data": [{"name": "d", "path": "p"}] * 2}, "two data entries"),
        ({"signals": {"S": {"use": "length"}}}, "pattern"),
        ({"scorers": {"data": {"use": "random"}}}, "cannot be the name"),
        ({"signals": {"a": {"use": "length"}}, "scorers": {"a": {"use": "random"}}}, "both called"),
        ({"scorers": {"a": "random"}}, "must be a block with `use:`"),
        ({"scorers": {"a": {"mode": "x"}}}, "must be a block with `use:`"),
        ({"scorers": {"a": {"use": "./mine.py"}}}, "no file"),
        ({"engine": {"kind": "dask"}}, "'ray' or 'local'"),
        ({"engine": {"workers": 0}}, "greater than 0"),
        ({"part_rows": 0}, "greater than 0"),
        ({"budget": {}}, "give one of rows, fraction, answer_tokens; got none"),
        ({"budget": {"rows": 1, "fraction": 0.5}}, "give one of"),
        ({"budget": {"fraction": 1.5}}, "less than or equal to 1"),
        ({"store": ""}, "at least 1 character"),
        (
            {"signals": {"m": {"use": "forward", "model": "s3://b/m"}}},
            "signals.m.model is at an address; models, tokenizers and adapters are folders of this",
        ),
        (
            {"signals": {"m": {"use": "length", "tokenizer": "gs://b/m"}}},
            "signals.m.tokenizer is at an address",
        ),
        (
            {"signals": {"m": {"use": "gradient", "model": "x", "adapters": ["a", "s3://b"]}}},
            "signals.m.adapters is at an address",
        ),
        (
            {"signals": {"m": {"use": "forward", "model": "x", "trust_remote_code": True}}},
            "--allow-code",
        ),
    ],
)
def test_what_is_wrong_is_said(fields, message):
    with pytest.raises(ValidationError, match=message):
        config(**fields)


def test_budget_in_rows():
    assert BudgetConfig(rows=10).rows_of(5) == 10
    assert BudgetConfig(fraction=0.05).rows_of(9225) == 461
    assert BudgetConfig(fraction=0.07).rows_of(100) == 7  # 7.000000000000001 in floats
    assert BudgetConfig(fraction=0.29).rows_of(100) == 29  # 28.999999999999996
