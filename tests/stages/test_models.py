import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from tamis.errors import ModelError
from tamis.kernels.token_stats import token_stats
from tamis.stages import heads, models
from tamis.tests.tiny import FAMILIES, make_model

FAMILY_NAMES = (
    "gpt2",
    "llama",
    "qwen2",
    "qwen3",
    "mistral",
    "gemma2",
    "phi",
    "gpt_neox",
    "opt",
    "cohere",
    "granite",
    "olmo2",
    "mixtral",
    "qwen2_moe",
    "falcon_h1",
)


@pytest.mark.parametrize(
    "family",
    [
        pytest.param(name, marks=pytest.mark.slow) if name == "falcon_h1" else name  # by far
        for name in FAMILY_NAMES
    ],
)
def test_losses_are_those_of_the_models_own_logits(family, tmp_path):
    """Token losses equal log-softmax of the model's own logits to 1e-5 in fp32."""
    from transformers import AutoModelForCausalLM

    folder = make_model(tmp_path, family)
    lm = models.load(str(folder))
    own = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    ids = torch.randint(4, 300, (3, 24), generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        logp = own(input_ids=ids, use_cache=False).logits[:, :-1].double().log_softmax(-1)
        expected = -logp.gather(2, ids[:, 1:, None]).squeeze(2)
        states = lm.hidden(ids)[:, :-1].reshape(-1, lm.head.weight.shape[1])
        found = token_stats(states, lm.head, ids[:, 1:].reshape(-1))["loss"].reshape(3, -1)
    assert expected.std() > 0.3  # the losses differ, so that agreement means something
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-5)
    with torch.inference_mode():  # noise of zero goes through the embeddings, and changes nothing
        clean, zero = lm.hidden(ids), torch.zeros(*ids.shape, lm.embedding_dim)
        torch.testing.assert_close(lm.hidden(ids, zero), clean)
        assert not torch.allclose(lm.hidden(ids, zero + 0.1), clean)


def test_the_fused_gelu_is_the_same_function(gpt2):
    from transformers.activations import NewGELUActivation

    lm = models.load(str(gpt2))
    assert not any(isinstance(module, NewGELUActivation) for module in lm.backbone.modules())
    x = torch.linspace(-9, 9, 1001)
    fused = torch.nn.GELU(approximate="tanh")(x)
    torch.testing.assert_close(fused, NewGELUActivation()(x), rtol=1e-6, atol=1e-6)


@pytest.mark.slow
def test_what_a_family_does_to_its_logits_is_read_from_its_config(tmp_path):
    heads = {}
    for family in ("gemma2", "cohere", "granite", "phi", "falcon_h1"):
        heads[family] = models.load(str(make_model(tmp_path / family, family))).head
    assert heads["gemma2"].softcap == 30.0
    assert heads["cohere"].scale == FAMILIES["cohere"]["logit_scale"]
    assert heads["granite"].scale == 1 / FAMILIES["granite"]["logits_scaling"]
    assert heads["phi"].bias is not None


def test_a_head_that_does_not_give_the_models_logits_is_refused(tmp_path, monkeypatch):
    folder = make_model(tmp_path, "cohere")
    monkeypatch.setattr(heads, "SCALES", {})
    with pytest.raises(ModelError, match=r"CohereForCausalLM.*differ from its own logits by"):
        models.load(str(folder))


@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
def test_the_self_check_holds_in_every_dtype(gpt2, dtype):
    assert models.load(str(gpt2), dtype=dtype).head.weight.dtype == models.DTYPES[dtype]


def test_weights_that_are_missing_are_named(gpt2, tmp_path):
    for file in gpt2.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    weights = load_file(gpt2 / "model.safetensors")
    gone = next(name for name in weights if "c_fc.weight" in name)
    save_file(
        {n: w for n, w in weights.items() if n != gone},
        tmp_path / "model.safetensors",
        metadata={"format": "pt"},
    )
    with pytest.raises(ModelError, match=r"lacks the weights .*c_fc\.weight"):
        models.load(str(tmp_path))


def test_pickled_weights_are_not_read(gpt2, tmp_path):
    for file in gpt2.iterdir():
        if file.suffix != ".safetensors":
            (tmp_path / file.name).write_bytes(file.read_bytes())
    torch.save(load_file(gpt2 / "model.safetensors"), tmp_path / "pytorch_model.bin")
    with pytest.raises(ModelError, match="safetensors"):
        models.load(str(tmp_path))


def test_a_model_that_is_nowhere_is_named(tmp_path):
    for name in ("no/such-model", "gpt2-nowhere", str(tmp_path / "gone")):
        with pytest.raises(ModelError, match="neither a folder nor to be had from the hub"):
            models.load(name)
    with pytest.raises(ModelError, match=r"config\.json"):
        models.resolve_revision(str(tmp_path), None)


def test_a_model_without_an_lm_head_is_refused(tmp_path):
    class Headless:
        config = None

        def get_output_embeddings(self):
            return None

    with pytest.raises(ModelError, match="Headless has no LM head"):
        models.lm_head(Headless())


def test_the_revision_of_a_folder_is_its_content(gpt2, tmp_path):
    for file in gpt2.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    same = models.resolve_revision(str(tmp_path), None)
    assert same == models.resolve_revision(str(gpt2), None)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"n_ctx": 1}))
    assert models.resolve_revision(str(tmp_path), None) != same


def test_window(gpt2):
    assert models.window_of(str(gpt2), None, None) == 512
    assert models.window_of(str(gpt2), None, 64) == 64
    with pytest.raises(ModelError, match=r"max_tokens is 513, but .* has 512 positions"):
        models.window_of(str(gpt2), None, 513)


def test_tokenizer_that_cannot_be_loaded(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ModelError, match="tokenizer of"):
        models.load_tokenizer(str(tmp_path), None)


def test_the_window_of_longrope_ends_where_it_depends_on_the_batch(tmp_path):
    factors = {"short_factor": [1.0] * 4, "long_factor": [2.0] * 4}
    rope = {"rope_type": "longrope", "rope_theta": 1e4, **factors}
    rope["original_max_position_embeddings"] = 64
    folder = make_model(tmp_path, "llama", rope_parameters=rope)
    assert models.window_of(str(folder), None, None) == 64
    with pytest.raises(ModelError, match=r"max_tokens is 65, but .* has 64 positions to use"):
        models.window_of(str(folder), None, 65)


def test_the_code_of_a_model_is_part_of_it(gpt2, tmp_path):
    for file in gpt2.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    before = models.resolve_revision(str(tmp_path), None)
    (tmp_path / "modeling.py").write_text("x = 1")
    assert models.resolve_revision(str(tmp_path), None) != before


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_broken_files_are_one_sentence(gpt2, tmp_path, name):
    for file in gpt2.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / name).write_text("version https://git-lfs.github.com/spec/v1")
    with pytest.raises(ModelError, match="cannot be loaded"):
        models.load(str(tmp_path))


def test_no_gpu_is_said():
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(ModelError, match="device is cuda, but there is no GPU here"):
        models.load("any", device="cuda")


def test_triton_is_never_replaced_in_silence(gpt2, monkeypatch):
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    with pytest.raises(ModelError, match="backend triton cannot run on cpu: it needs an NVIDIA"):
        models.load(str(gpt2), kernel="triton")
