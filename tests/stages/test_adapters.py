import json
import sys

import pytest
import torch
from tamis.errors import ArtifactError, ModelError
from tamis.stages import models
from tamis.stages.adapters import attach_like, attach_new, attention_layers
from tamis.stages.checkpoints import read_weights
from tamis.tests.stages.trained import SETTINGS, adapted, make_checkpoints
from tamis.tests.tiny import make_model

PROJECTIONS = {
    "gpt2": {"c_attn", "c_proj"},
    "llama": {"q_proj", "k_proj", "v_proj", "o_proj"},
    "qwen2": {"q_proj", "k_proj", "v_proj", "o_proj"},
    "gpt_neox": {"query_key_value", "dense"},
    "opt": {"q_proj", "k_proj", "v_proj", "out_proj"},
    "falcon": {"query_key_value", "dense"},
    "qwen2_moe": {"q_proj", "k_proj", "v_proj", "o_proj"},
}


@pytest.mark.parametrize("family", sorted(PROJECTIONS))
def test_attention_projections_of_a_family(family, tmp_path):
    lm = models.load(str(make_model(tmp_path, family)))
    found = attention_layers(lm.backbone)
    assert {name.rpartition(".")[2] for name in found} == PROJECTIONS[family]
    assert len(found) == 2 * len(PROJECTIONS[family])
    lora = attach_new(lm, "tiny", SETTINGS, ())
    assert len(lora.parameters) == len(lora.modules) == 2 * len(found)
    assert all(weight.dtype == torch.float32 for weight in lora.parameters.values())
    trained = [p for p in lm.backbone.parameters() if p.requires_grad]
    assert {id(p) for p in trained} == {id(p) for p in lora.parameters.values()}


def test_layers_by_name(gpt2):
    lm = models.load(str(gpt2))
    lora = attach_new(lm, "tiny", SETTINGS, ("mlp.c_fc",))
    assert len(lora.parameters) == 4 and all("mlp.c_fc" in name for name in lora.parameters)
    with pytest.raises(ModelError, match=r"end in q_proj; .* c_attn, c_fc, c_proj"):
        attach_new(models.load(str(gpt2)), "tiny", SETTINGS, ("q_proj",))


def test_a_model_without_attention(gpt2, monkeypatch):
    monkeypatch.setattr("tamis.stages.adapters.attention_layers", lambda backbone: [])
    with pytest.raises(ModelError, match="stand in an attention module; name some in warmup"):
        attach_new(models.load(str(gpt2)), "tiny", SETTINGS, ())


PEFT_S_OWN = "ignore:`is_gradient_checkpointing` is deprecated:FutureWarning"


@pytest.mark.filterwarnings(PEFT_S_OWN)
@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_peft_reads_what_is_written(family, request, tmp_path):
    """The adapted hidden states are those of the whole model under peft, and ours read again."""
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    folder = request.getfixturevalue(family)
    (path,) = make_checkpoints(folder, tmp_path, 1)
    lm, _ = adapted(folder, seed=1)
    ids = torch.arange(12)[None]
    with torch.inference_mode():
        ours = lm.hidden(ids) @ lm.head.weight.T
        plain = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
        bare = plain(input_ids=ids).logits
        theirs = PeftModel.from_pretrained(plain, path).eval()(input_ids=ids).logits
        again = models.load(str(folder))
        attach_like(again, path).fill(read_weights(path), path)
        read = again.hidden(ids) @ again.head.weight.T
    assert (bare - ours).abs().max() > 1e-2
    torch.testing.assert_close(theirs, ours, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(read, ours, rtol=1e-4, atol=1e-4)


@pytest.mark.filterwarnings(PEFT_S_OWN)
def test_ours_reads_what_peft_writes(llama, tmp_path):
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    plain = AutoModelForCausalLM.from_pretrained(llama, dtype=torch.float32)
    config = LoraConfig(r=2, lora_alpha=3, target_modules=["q_proj", "down_proj"], use_rslora=True)
    wrapped = get_peft_model(plain, config)
    with torch.no_grad():
        for name, weight in wrapped.named_parameters():
            if "lora_B" in name:
                weight.normal_(0, 0.1)
    wrapped.save_pretrained(tmp_path)
    lm = models.load(str(llama))
    attach_like(lm, str(tmp_path)).fill(read_weights(str(tmp_path)), str(tmp_path))
    ids = torch.arange(12)[None]
    with torch.inference_mode():
        ours, theirs = lm.hidden(ids) @ lm.head.weight.T, wrapped.eval()(input_ids=ids).logits
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def test_adapters_of_another_model(gpt2, llama, tmp_path):
    (path,) = make_checkpoints(gpt2, tmp_path, 1)
    with pytest.raises(ModelError, match="belongs to no linear layer of the model"):
        attach_like(models.load(str(llama)), path)


def test_peft_is_not_there(gpt2, monkeypatch):
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(ModelError, match=r"adapters need peft.*pip install 'tamis\[train\]'"):
        attach_new(models.load(str(gpt2)), "tiny", SETTINGS, ())


def test_weights_of_another_shape(gpt2, tmp_path):
    (path,) = make_checkpoints(gpt2, tmp_path, 1)
    lm = models.load(str(gpt2))
    lora = attach_new(lm, "tiny", SETTINGS | {"r": 8}, ())
    with pytest.raises(ModelError, match=r"has the shape \(4, 32\), but \(8, 32\) is needed"):
        lora.fill(read_weights(path), path)


def test_damaged_weights(gpt2, tmp_path):
    (path,) = make_checkpoints(gpt2, tmp_path, 1)
    (tmp_path / "checkpoint-1/adapter_model.safetensors").write_bytes(b"broken")
    with pytest.raises(ArtifactError, match="adapter_model"):
        attach_like(models.load(str(gpt2)), path)


def test_settings_are_written_in_one_spelling(gpt2, tmp_path):
    make_checkpoints(gpt2, tmp_path, 1)
    said = json.loads((tmp_path / "checkpoint-1/adapter_config.json").read_text())
    assert said["target_modules"] == ["attn.c_attn", "attn.c_proj"]
    assert said["fan_in_fan_out"] is True and said["r"] == 4
