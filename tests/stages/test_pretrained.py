import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from tamis.errors import ModelError
from tamis.stages.pretrained import (
    first_line,
    pretrained,
    skeleton,
    snapshot,
    stored_dtype,
    text_config,
)
from tamis.tests.tiny import make_model


def test_weights_come_as_they_are_stored_or_as_asked(gpt2):
    assert pretrained(str(gpt2)).dtype == torch.float32
    assert pretrained(str(gpt2), dtype=torch.bfloat16).dtype == torch.bfloat16


def test_a_folder_is_its_own_snapshot(gpt2):
    assert snapshot(str(gpt2), None) == gpt2
    with pytest.raises(ModelError, match=r"'no/such' at revision 'x' is neither a folder nor"):
        snapshot("no/such", "x")


def test_config_of_the_language_part(gpt2):
    assert text_config(str(gpt2), None).num_hidden_layers == 2


def test_a_config_that_is_broken_is_said(gpt2, tmp_path):
    for file in gpt2.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"model_type": "nothing"}))
    with pytest.raises(ModelError, match="cannot be loaded"):
        pretrained(str(tmp_path))
    for read in (text_config, skeleton):
        with pytest.raises(ModelError, match=r"the config of model .* cannot be read: "):
            read(str(tmp_path), None)
    (tmp_path / "config.json").unlink()
    with pytest.raises(ModelError, match=r"the folder has no config\.json"):
        text_config(str(tmp_path), None)


def test_a_skeleton_has_the_shapes_of_the_model(gpt2):
    bare, whole = skeleton(str(gpt2), None), pretrained(str(gpt2))
    assert [weight.shape for weight in bare.parameters()] == [w.shape for w in whole.parameters()]
    assert all(weight.is_meta for weight in bare.parameters())


def test_a_config_of_no_language_model(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "vit"}))
    with pytest.raises(ModelError, match="cannot be loaded"):
        skeleton(str(tmp_path), None)


def test_first_line():
    assert first_line(ValueError("a\nb")) == "a"
    assert first_line(KeyError()) == "KeyError"


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_the_dtype_of_the_weights(dtype, tmp_path):
    raw = make_model(tmp_path / "raw", "gpt2")
    pretrained(str(raw), dtype=dtype).save_pretrained(tmp_path / "saved")
    assert stored_dtype(tmp_path / "saved") == dtype


def test_weights_of_several_dtypes_are_refused(tmp_path):
    """One of them would be changed."""
    file = make_model(tmp_path, "gpt2") / "model.safetensors"
    weights = {name: weight.clone() for name, weight in load_file(file).items()}
    name = next(iter(weights))
    weights[name] = weights[name].bfloat16()
    save_file(weights, file, metadata={"format": "pt"})
    with pytest.raises(ModelError, match="the weights are BF16 and F32; a model to prune needs"):
        stored_dtype(tmp_path)
    file.unlink()
    with pytest.raises(ModelError, match="the weights are not there"):
        stored_dtype(tmp_path)
