import copy

import pytest
from tamis.errors import ConfigError
from tamis.pipeline.overrides import Overrides, blocks, parse_budget


def base():
    return {
        "data": [{"name": "d", "path": "p"}],
        "signals": {
            "m": {"use": "forward", "model": "old", "revision": "r"},
            "l": {"use": "length"},
        },
        "selector": [{"use": "random"}],
    }


def applied(**said):
    raw = base()
    Overrides(**said).apply(raw)
    return raw


@pytest.mark.parametrize(
    ("text", "budget"),
    [
        ("5%", {"fraction": 0.05}),
        (" 0.5 ", {"fraction": 0.5}),
        ("1000", {"rows": 1000}),
        ("1_000", {"rows": 1000}),
        ("100%", {"fraction": 1.0}),
        ("1.0", {"fraction": 1.0}),
    ],
)
def test_budgets(text, budget):
    assert parse_budget(text) == pytest.approx(budget)
    assert applied(budget=text)["budget"] == pytest.approx(budget)


@pytest.mark.parametrize("text", ["five", "5 percent", "%", ""])
def test_no_budget(text):
    with pytest.raises(ConfigError, match=r"write 5%, 0\.05 or 1000"):
        parse_budget(text)


def test_data_takes_one_or_several_paths(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a.jsonl", "a.csv", "with space.json"):
        (tmp_path / name).touch()
    assert applied(data=["a.jsonl"])["data"] == [{"name": "a", "path": str(tmp_path / "a.jsonl")}]
    several = applied(data=["a.jsonl a.csv org/set"])["data"]
    assert [source["name"] for source in several] == ["a", "a-2", "set"]
    assert several[2]["path"] == "org/set"
    spaced = applied(data=["with space.json"])["data"]
    assert spaced == [{"name": "with-space", "path": str(tmp_path / "with space.json")}]
    assert applied(data=["x/*.jsonl"])["data"][0]["name"] == "data"
    with pytest.raises(ConfigError, match="an empty path"):
        applied(data=[" "])


def test_labels_go_with_the_data_that_has_them():
    """`tamis select cascade --data my.jsonl` would ask for a column of the embedded pool."""
    raw = {"data": [{"name": "pool", "path": "pool.jsonl"}], "labels": "data.fault"}
    for fields, labels in (
        ({"data": ["x"]}, None),
        ({"data": ["x"], "sets": ["labels=data.mine"]}, "data.mine"),
        ({"limit": 5}, "data.fault"),
    ):
        own = copy.deepcopy(raw)
        Overrides(**fields).apply(own)
        assert own.get("labels") == labels


def test_addresses_stay_as_they_are():
    raw = applied(data=["s3://b/x.jsonl gs://b/f/*.jsonl"], store="s3://b/store", out="s3://b/runs")
    assert raw["data"] == [
        {"name": "x", "path": "s3://b/x.jsonl"},
        {"name": "data", "path": "gs://b/f/*.jsonl"},
    ]
    assert (raw["store"], raw["out"]) == ("s3://b/store", "s3://b/runs")


def test_a_limit_goes_to_every_data_entry():
    assert applied(limit=5)["data"] == [{"name": "d", "path": "p", "limit": 5}]
    both = applied(data=["a", "b"], limit=5)["data"]
    assert [entry["limit"] for entry in both] == [5, 5]
    assert "limit" not in applied()["data"][0]


def test_model_and_dtype_go_to_every_signal_that_has_them(tmp_path):
    raw = applied(model=str(tmp_path), dtype="fp32")
    assert raw["signals"]["m"] == {"use": "forward", "model": str(tmp_path), "dtype": "fp32"}
    assert raw["signals"]["l"] == {"use": "length"}
    assert applied(model="gpt2")["signals"]["m"]["model"] == "gpt2"
    raw = base() | {"signals": {}}
    with pytest.raises(ConfigError, match="model 'gpt2' is given, but no signal"):
        Overrides(model="gpt2").apply(raw)


def test_a_language_model_is_not_for_texts():
    """Unless there is nothing else that it could be meant for."""
    raw = {"signals": {"t": {"use": "embedding", "model": "mini"}, "m": {"use": "forward"}}}
    Overrides(model="gpt2", dtype="fp32").apply(raw)
    assert raw["signals"]["t"] == {"use": "embedding", "model": "mini", "dtype": "fp32"}
    assert raw["signals"]["m"]["model"] == "gpt2"
    raw = {"signals": {"t": {"use": "embedding", "model": "mini", "revision": "r"}}}
    Overrides(model="other").apply(raw)
    assert raw["signals"]["t"] == {"use": "embedding", "model": "other"}


def test_places_and_engine():
    raw = applied(out="o", store="s", engine="local")
    assert (raw["out"], raw["store"], raw["engine"]) == ("o", "s", {"kind": "local"})


def test_sets_reach_anything():
    raw = applied(
        sets=[
            "seed=3",
            "data.0.path=q",
            "signals.m.template='{{ instruction }}'",
            "budget.rows=5",
            "selector.0={use: top_k, by: a.score}",
            "new.key=[1, 2]",
        ]
    )
    assert raw["seed"] == 3
    assert raw["data"][0]["path"] == "q"
    assert raw["signals"]["m"]["template"] == "{{ instruction }}"
    assert raw["signals"]["m"]["template"] == "{{ instruction }}" or True
    assert raw["budget"] == {"rows": 5}
    assert raw["selector"] == [{"use": "top_k", "by": "a.score"}]
    assert raw["new"] == {"key": [1, 2]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("seed", "must be key.path=value"),
        ("=3", "must be key.path=value"),
        ("data.5.path=x", "'5' is not a place in a list of 1"),
        ("data.x=1", "'x' is not a place"),
        ("signals.m.model.deeper=1", "model holds the value 'old'"),
        ("a=[1", "not YAML"),
    ],
)
def test_sets_that_reach_nothing_are_named(text, message):
    with pytest.raises(ConfigError, match=message):
        applied(sets=[text])


def test_blocks():
    assert [b["use"] for b in blocks(base(), "signals", "selector")] == [
        "forward",
        "length",
        "random",
    ]
    assert blocks({"selector": {"use": "random"}}, "selector") == [{"use": "random"}]
    assert blocks({"signals": None, "scorers": [3]}, "signals", "scorers") == []


def test_what_a_server_calls_its_model_is_left_as_it_is():
    judge = {"use": "rating_server", "base_url": "http://x/v1", "model": "judge"}
    raw = {"signals": {"judge": dict(judge), "base": {"use": "forward", "model": "a"}}}
    Overrides(model="b").apply(raw)
    assert raw["signals"] == {"judge": judge, "base": {"use": "forward", "model": "b"}}
    with pytest.raises(ConfigError, match="no signal of the config has one"):
        Overrides(model="b").apply({"signals": {"judge": dict(judge)}})
