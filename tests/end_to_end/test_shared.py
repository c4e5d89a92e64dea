"""Real data and a small model, where they lie beside the checkout."""

import json

import numpy as np
import pyarrow as pa
import pytest
import torch
from datasets import load_from_disk
from tamis.pipeline.foresee import foresee
from tamis.pipeline.load import load
from tamis.pipeline.overrides import Overrides
from tamis.pipeline.run import select
from tamis.scorers.ifd import IFD
from tamis.stages.packing import pack
from tamis.stages.signals.forward import Forward
from tamis.tests.runs import quiet
from tamis.tests.tiny import conversation

pytestmark = pytest.mark.shared
N = 200


@pytest.fixture
def rows(shared):
    data = json.loads((shared / "data/alpaca-9k.json").read_text("utf-8"))
    return [row for row in data if row["output"].strip()]


def published_loop(folder, rows):
    """Superfiltering one row at a time, with the model's own logits."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    window = model.config.n_positions

    def loss(ids, first):
        labels = ids.clone()
        labels[:, :first] = -100
        return model(input_ids=ids, labels=labels).loss.item()

    found = []
    with torch.inference_mode():
        for row in rows:
            before = row["instruction"] + "\n" + (row["input"] + "\n" if row["input"] else "")
            whole = tokenizer(
                before + row["output"], return_tensors="pt", truncation=True, max_length=window
            )["input_ids"]
            n = len(tokenizer(before)["input_ids"])
            alone = tokenizer(
                row["output"], return_tensors="pt", truncation=True, max_length=window - n + 1
            )["input_ids"]
            found.append(np.exp(loss(whole, n) - loss(alone, 0)))
    return np.array(found)


def test_superfiltering_equals_the_plain_loop(shared, rows):
    folder = shared / "models/alpaca-5m"
    stage = Forward(model=str(folder), tokenisation="official", dtype="fp32")
    table = pa.Table.from_pylist(
        [conversation(r["instruction"], r["output"], r["input"]) for r in rows[:N]],
        schema=stage.reads,
    )
    scorer = IFD(signal="base")
    columns = stage(table, [name.removeprefix("base.") for name in scorer.reads.names])
    columns = columns.rename_columns([f"base.{name}" for name in columns.column_names])
    found = scorer(columns)
    scores = found["score"].to_numpy()
    expected = published_loop(folder, rows[:N])
    one_token = np.array([s == "one_token_answer" for s in found["status"].to_pylist()])
    assert np.isnan(expected[one_token]).all()
    np.testing.assert_allclose(scores[~one_token], expected[~one_token], rtol=1e-5)


def test_padding_is_under_five_percent(shared, rows):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(shared / "models/alpaca-5m")
    tokens = padded = 0
    for key in ("whole", "output"):
        texts = [
            f"{r['instruction']}\n{r['input']}\n{r['output']}" if key == "whole" else r["output"]
            for r in rows
        ]
        lengths = [min(len(ids), 512) for ids in tokenizer(texts)["input_ids"]]
        for start in range(0, len(lengths), 1024):
            part = lengths[start : start + 1024]
            batches = pack(part, 8192)
            tokens += sum(part)
            padded += sum(part[batch[0]] * len(batch) for batch in batches)
    assert 1 - tokens / padded < 0.05


def test_a_forecast_of_alpaca(shared, tmp_path):
    """Tokens are exact, bytes near; times are left to benchmarks/forecast.py."""
    said = Overrides(
        data=[str(shared / "data/alpaca-9k.json")],
        model=str(shared / "models/alpaca-5m"),
        limit=2500,
        engine="local",
        out=str(tmp_path / "runs"),
        store=str(tmp_path / "store"),
    )
    config = load("ifd", said)
    foretold = foresee(config, quiet())
    assert foretold.sampled[0] == 256
    found = select(config, quiet()).manifest["forecast"]
    assert found["compared"] == found["of"] == 2
    assert found["tokens"]["off"] == 0.0 and found["tokens"]["really"] > 300_000
    assert abs(found["size"]["off"]) < 0.25
    assert -0.7 < found["steps"][0]["off"]["peak"] < 0.1  # at least so much


@pytest.mark.slow
def test_the_main_job(shared, tmp_path):
    """Alpaca through the ifd config; then another budget from what is scored already."""
    said = Overrides(
        data=[str(shared / "data/alpaca-9k.json")],
        model=str(shared / "models/alpaca-5m"),
        budget="5%",
        out=str(tmp_path / "runs"),
        store=str(tmp_path / "store"),
    )
    first = select(load("ifd", said), quiet())
    assert first.manifest["pool"]["rejected"] == {"empty answer": 4}
    assert first.manifest["rows_kept"] == 461
    curated = load_from_disk(str(first.folder.path / "curated/arrow/train"))
    assert len(curated) == 461
    assert max(curated["ifd.score"]) < 1
    more = Overrides(**{**vars(said), "budget": "10%"})
    second = select(load("ifd", more), quiet())
    assert [step["computed"] for step in second.manifest["steps"]] == [0, 0]
    assert second.manifest["rows_kept"] == 922
    wider = load_from_disk(str(second.folder.path / "curated/arrow/train"))
    assert set(curated["row_id"]) < set(wider["row_id"])
