import json
from pathlib import Path

import pytest
from tamis.errors import UsageError
from tamis.pipeline.prune import describe, prune
from tamis.tests.pipeline.test_cli import tamis
from tamis.tests.tiny import alpaca, write_jsonl


def test_what_is_said():
    said = {"method": "layers", "removed": [2, 5], "of": 8}
    assert describe(Path("out"), said) == "out: layers, removed 2 of 8 layers (2, 5)"
    said = {"method": "wanda", "zeros": 500, "weights": 1000, "zero_share": 0.5}
    said["blocks_share"] = 0.4567
    expected = "500 of 1,000 weights of the linear layers are zero (50.00%; 45.67% of the decoder"
    assert expected in describe(Path("out"), said)


@pytest.mark.slow
def test_wanda_on_the_command_line(tmp_path, gpt2):
    write_jsonl(tmp_path / "pool.jsonl", alpaca(20))
    words = ["prune", str(gpt2), "out", "--method", "wanda", "--pattern", "2:4"]
    out = tamis(tmp_path, *words, "--data", "pool.jsonl", "--rows", "6", "--max-tokens", "64")
    assert "out: wanda, " in out and "(50.00%" in out
    said = json.loads((tmp_path / "out" / "pruned.json").read_text())
    assert (said["rows"], said["seed"], said["pattern"]) == (6, 0, "2:4")
    assert said["tokens"] <= 6 * 64
    assert str(gpt2.parent) not in json.dumps(said)


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"method": "obs", "share": 0.5}, "method 'obs' is not one of magnitude, wanda,"),
        ({"method": "magnitude", "share": 50.0}, "share is 50; it must lie between 0 and 1"),
        ({"method": "wanda", "share": 0.5}, "needs calibration rows; name a file with --data"),
        (
            {"method": "magnitude", "share": 0.5, "data": "pool.jsonl"},
            "--data 'pool.jsonl' is given, but method magnitude looks at no rows",
        ),
        (
            {"method": "magnitude", "share": 0.5, "rows": 5},
            "--rows 5 is given, but method magnitude looks at no rows",
        ),
        (
            {"method": "layers", "layers": 1, "max_tokens": 64},
            "--max-tokens 64 is given, but method layers by the rule last looks at no rows",
        ),
        (
            {"method": "magnitude", "share": 0.5, "template": "none"},
            "--template 'none' is given, but method magnitude looks at no rows",
        ),
        (
            {"method": "magnitude", "share": 0.5, "seed": 0},
            "--seed 0 is given, but method magnitude looks at no rows",
        ),
        (
            {"method": "magnitude", "share": 0.5, "revision": "main"},
            "revision 'main' is for models of the hub, but '",
        ),
        (
            {"method": "wanda", "pattern": "2:7", "data": "gone.jsonl"},
            "no multiple of 7 as pattern 2:7 needs; in this model M of N:M must divide",
        ),
        ({"method": "layers", "layers": 9}, "layers is 9, but the model has 2"),
        ({"method": "layers", "layers": 1, "device": "tpu"}, "device 'tpu' is not one of auto,"),
        (
            {"method": "layers", "layers": 1, "out": "s3://b/m"},
            "'s3://b/m' is an address; a model is written to a folder of this machine",
        ),
        (
            {"method": "wanda", "share": 0.5, "data": "pool.jsonl", "rows": 99},
            "99 rows are asked for, but the data has 5 usable ones",
        ),
        (
            {"method": "wanda", "share": 0.5, "data": "gone.jsonl"},
            "'gone.jsonl' is neither a file or folder nor a dataset to be had from the hub",
        ),
    ],
)
def test_a_mistake_is_one_message_and_leaves_nothing(said, message, tmp_path, gpt2, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_jsonl(tmp_path / "pool.jsonl", alpaca(5))
    with pytest.raises(UsageError) as caught:
        prune(**{"model": str(gpt2), "out": "out"} | said)
    assert message in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["pool.jsonl"]


def test_what_is_there_is_not_overwritten(tmp_path, gpt2):
    (tmp_path / "out").mkdir()
    words = ["prune", str(gpt2), "out", "--method", "magnitude", "--share", "0.5"]
    assert "'out' is there already" in tamis(tmp_path, *words, code=2)
