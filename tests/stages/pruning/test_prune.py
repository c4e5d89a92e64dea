import json

import pytest
import torch
from safetensors.torch import load_file
from tamis.errors import ConfigError, ModelError, UsageError
from tamis.stages import models
from tamis.stages.pretrained import pretrained
from tamis.stages.pruning.prune import Calibration, check, prune
from tamis.stages.pruning.settings import Pruning
from tamis.tests.tiny import make_model

SEQUENCES = [[5, 6, 7, 8, 9, 10], [11, 12, 13], list(range(14, 60))]
ROWS = Calibration(SEQUENCES, 0, "none")
HALF = Pruning("magnitude", share=0.5)
# how the weights of linear layers in decoder blocks are called in the files
LINEAR = {
    "gpt2": ("c_attn.weight", "c_proj.weight", "c_fc.weight"),
    "llama": ("_proj.weight",),
    "opt": ("_proj.weight", "fc1.weight", "fc2.weight"),
}


def weights_of(folder):
    return load_file(folder / "model.safetensors")


def is_linear(name, family):
    return name.endswith(LINEAR[family]) and "embed" not in name and "project_" not in name


@pytest.mark.parametrize("family", LINEAR)
@pytest.mark.parametrize(
    "how",
    [
        HALF,
        Pruning("magnitude", pattern="2:4"),
        Pruning("wanda", share=0.5),
        Pruning("wanda", pattern="2:4"),
    ],
    ids=lambda how: f"{how.method}-{how.pattern or how.share}",
)
def test_only_weights_of_linear_layers_in_blocks_become_zero(family, how, tmp_path):
    folder, out = make_model(tmp_path / "a", family), tmp_path / "b"
    said = prune(str(folder), None, out, how, ROWS)
    before, after = weights_of(folder), weights_of(out)
    assert before.keys() == after.keys()
    n_zero = n_weights = 0
    for name, weight in before.items():
        if not is_linear(name, family):
            assert torch.equal(after[name], weight), name
            continue
        gone = after[name] == 0
        assert torch.equal(after[name], weight.masked_fill(gone, 0)), name
        assert int(gone.sum()) * 2 == gone.numel()  # exactly half
        rows = gone.T if family == "gpt2" else gone
        if how.pattern:
            assert (rows.reshape(-1, 4).sum(1) == 2).all()
        elif how.method == "wanda":
            assert (rows.sum(1) * 2 == rows.shape[1]).all()
        n_zero, n_weights = n_zero + int(gone.sum()), n_weights + gone.numel()
    assert (said["zeros"], said["weights"], said["zero_share"]) == (n_zero, n_weights, 0.5)
    assert 0.4 < said["blocks_share"] < 0.5
    assert json.loads((out / "pruned.json").read_text()) == said
    assert ("rows" in said) == (how.method == "wanda")


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_folder_is_a_model_like_others(dtype, tmp_path):
    from transformers import AutoTokenizer

    raw = make_model(tmp_path / "raw", "gpt2")
    for saved in (AutoTokenizer.from_pretrained(raw), pretrained(str(raw), dtype=dtype)):
        saved.save_pretrained(tmp_path / "a")
    prune(str(tmp_path / "a"), None, tmp_path / "b", HALF)
    assert models.load(str(tmp_path / "b")).tokenizer("hello")["input_ids"]
    before, after = (weights_of(tmp_path / name) for name in "ab")
    assert {weight.dtype for weight in after.values()} == {dtype}
    assert torch.equal(after["transformer.wte.weight"], before["transformer.wte.weight"])


@pytest.mark.parametrize("rule", ["last", "influence"])
def test_whole_layers_go_and_the_others_stay(rule, tmp_path):
    folder = make_model(tmp_path / "a", "llama", num_hidden_layers=4)
    how = Pruning("layers", layers=2, rule=rule)
    said = prune(str(folder), None, tmp_path / "b", how, ROWS)
    gone = said["removed"]
    if rule == "last":
        assert gone == [1, 2]
    else:
        order = sorted(range(4), key=said["influences"].__getitem__)
        assert gone == sorted(order[:2])
    assert said["of"] == 4
    before, after = (weights_of(tmp_path / name) for name in "ab")
    kept = [number for number in range(4) if number not in gone]
    for name, weight in after.items():
        parts = name.split(".")
        if parts[1] == "layers":
            parts[2] = str(kept[int(parts[2])])
        assert torch.equal(weight, before[".".join(parts)])
    assert models.load(str(tmp_path / "b")).backbone.config.num_hidden_layers == 2


def test_the_same_again_gives_the_same_bytes(llama, tmp_path):
    how = Pruning("wanda", share=0.5)
    for name in "ab":
        prune(str(llama), None, tmp_path / name, how, ROWS)
    for file in (tmp_path / "a").iterdir():
        assert file.read_bytes() == (tmp_path / "b" / file.name).read_bytes()


def test_the_order_of_the_rows_moves_lengths_by_rounding_only(llama, tmp_path):
    how = Pruning("wanda", share=0.5)
    prune(str(llama), None, tmp_path / "a", how, ROWS)
    prune(str(llama), None, tmp_path / "b", how, Calibration(SEQUENCES[::-1], 0, "none"))
    before, after = (weights_of(tmp_path / name) for name in "ab")
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_what_is_missing_is_said_before_the_model_is_read(tmp_path):
    with pytest.raises(ConfigError, match="is there already"):
        prune("gone", None, tmp_path, HALF)
    with pytest.raises(ConfigError, match="method wanda needs calibration rows"):
        prune("gone", None, tmp_path / "out", Pruning("wanda", share=0.5))


@pytest.mark.parametrize(
    ("how", "fields", "message"),
    [
        (Pruning("wanda", pattern="2:7"), {}, "M of N:M must divide "),
        (Pruning("layers", layers=2, rule="influence"), {}, "layers is 2, but the model has 2"),
        (HALF, {"device": "cuda"}, "device is cuda, but there is no GPU here"),
        (HALF, {"revision": "main"}, "revision 'main' is for models of the hub, but '"),
    ],
)
def test_what_does_not_fit_is_said_before_weights_are_read(how, fields, message, gpt2, tmp_path):
    if fields.get("device") and torch.cuda.is_available():
        pytest.skip("there is a GPU")
    fields = {"revision": None, "device": "cpu"} | fields
    folder = tmp_path / "model"  # without weights
    folder.mkdir()
    (folder / "config.json").write_bytes((gpt2 / "config.json").read_bytes())
    with pytest.raises(UsageError, match=message):
        check(str(folder), out=tmp_path / "out", how=how, **fields)
    with pytest.raises(UsageError, match=message):
        prune(str(folder), out=tmp_path / "out", how=how, rows=ROWS, **fields)


def test_a_folder_that_is_no_model(tmp_path):
    with pytest.raises(ModelError, match=r"the folder has no config\.json"):
        prune(str(tmp_path), None, tmp_path / "out", HALF)


def test_more_layers_than_there_are(gpt2, tmp_path):
    with pytest.raises(ConfigError, match="layers is 2, but the model has 2"):
        prune(str(gpt2), None, tmp_path / "out", Pruning("layers", layers=2))
    assert list(tmp_path.iterdir()) == []


def test_a_quantised_model_is_refused(tmp_path):
    """Its weights are not what its linear layers say."""
    config = make_model(tmp_path / "a", "gpt2") / "config.json"
    said = json.loads(config.read_text()) | {"quantization_config": {"quant_method": "gptq"}}
    config.write_text(json.dumps(said))
    with pytest.raises(ModelError, match="is quantised; prune the model it was made of"):
        prune(str(tmp_path / "a"), None, tmp_path / "b", HALF)
