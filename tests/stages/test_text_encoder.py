import json
import shutil
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tamis.errors import ModelError, WorkerError
from tamis.stages import text_encoder
from tamis.stages.text_encoder import check_there, load
from tamis.tests.tiny import SHAPE, TEXTS, alpaca, make_text_encoder

SOME = [*TEXTS, *(row["instruction"] for row in alpaca(40))]


@pytest.fixture(scope="module")
def with_dense(tmp_path_factory):
    return make_text_encoder(tmp_path_factory.mktemp("dense"), dense=True)


@pytest.fixture
def copy(text_model, tmp_path):
    return shutil.copytree(text_model, tmp_path / "copy")


def encoded(encoder, texts, batch_tokens=8192):
    return encoder.encode(texts, encoder.lengths(texts), batch_tokens)


@pytest.mark.parametrize("dense", [False, True])
def test_the_same_as_the_library(text_model, with_dense, dense):
    from sentence_transformers import SentenceTransformer

    folder = with_dense if dense else text_model
    own = SentenceTransformer(str(folder), device="cpu").encode(SOME, show_progress_bar=False)
    found = encoded(load(str(folder)), SOME)
    np.testing.assert_allclose(found.unit, own, atol=1e-6)
    assert found.unit.shape == (len(SOME), 16 if dense else 32)
    assert set(found.status) == {"ok"}


def test_neither_batches_nor_order_move_a_vector(text_model):
    encoder = load(str(text_model))
    whole = encoded(encoder, SOME).unit
    assert np.ptp(whole @ whole[0]) > 0.2  # they do differ
    for batch_tokens in (1, 60, 200):
        np.testing.assert_allclose(encoded(encoder, SOME, batch_tokens).unit, whole, atol=1e-6)
    np.testing.assert_allclose(encoded(encoder, SOME[::-1]).unit[::-1], whole, atol=1e-6)


def test_lengths_are_those_before_the_cut(text_model):
    """[CLS] and [SEP] beside the words; the tokenizer's window is 24, the positions are 40."""
    encoder = load(str(text_model), prompt="query")
    assert encoder.lengths(["what is", "what " * 50]) == [2 + 1 + 2, 2 + 1 + 50]
    assert encoder.window == 24
    found = encoded(encoder, ["what is", "what " * 50])
    assert (found.tokens, found.padded) == (5 + 24, 2 * 24)
    np.testing.assert_allclose(encoded(encoder, ["what " * 21]).unit[0], found.unit[1], atol=1e-6)


def test_max_tokens_cut_more_or_less(text_model):
    short, long = load(str(text_model), max_tokens=4), load(str(text_model), max_tokens=40)
    two, three = encoded(short, ["what is", "what is 12"]).unit
    np.testing.assert_allclose(two, three, atol=1e-6)
    one, other = encoded(long, ["what " * 37, "what " * 38]).unit
    assert np.abs(one - other).max() > 1e-4
    with pytest.raises(ModelError, match=r"max_tokens is 41, but .* has 40 positions to use"):
        load(str(text_model), max_tokens=41)


def test_prompts(text_model):
    bare = encoded(load(str(text_model)), ["hi"]).unit
    named = encoded(load(str(text_model), prompt="query"), ["hi"]).unit
    given = encoded(load(str(text_model), prefix="query: "), ["hi"]).unit
    np.testing.assert_array_equal(named, given)
    np.testing.assert_allclose(named, encoded(load(str(text_model)), ["query: hi"]).unit, atol=1e-6)
    assert np.abs(named - bare).max() > 1e-3
    with pytest.raises(ModelError, match=r"has no prompt 'passage'; it has query$"):
        load(str(text_model), prompt="passage")


def test_the_models_own_default_prompt(copy):
    config = copy / "config_sentence_transformers.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"default_prompt_name": "query"}))
    assert load(str(copy)).prompt == "query: "
    assert load(str(copy), prefix="").prompt == ""


def test_half_precision_is_of_all_modules(with_dense):
    whole = encoded(load(str(with_dense)), SOME).unit
    half = encoded(load(str(with_dense), dtype="bf16"), SOME).unit
    assert 1e-4 < np.abs(whole - half).max() < 0.1
    assert np.linalg.norm(half, axis=1) == pytest.approx(1, abs=1e-6)


def test_what_is_not_finite_or_has_no_length_is_said(text_model, monkeypatch):
    encoder = load(str(text_model))
    given = torch.tensor([[3.0, 4.0], [0.0, 0.0], [float("nan"), 1.0], [1e30, 0.0]])
    monkeypatch.setattr(encoder, "numbers", 2)
    monkeypatch.setattr(encoder.model, "encode", lambda *_, **__: given)
    found = encoder.encode(["a"] * 4, [3] * 4, 100)
    assert found.status.tolist() == ["ok", "no_vector", "not_finite", "ok"]
    np.testing.assert_allclose(found.unit[[0, 3]], [[0.6, 0.8], [1, 0]], rtol=1e-6)


def test_out_of_memory_halves_the_batch(text_model, monkeypatch):
    encoder = load(str(text_model))
    whole = encoded(encoder, SOME)
    own = encoder.model.encode

    def tight(texts, **fields):
        if len(texts) > most:
            raise torch.OutOfMemoryError("no more")
        return own(texts, **fields)

    most = 3
    monkeypatch.setattr(encoder.model, "encode", tight)
    halved = encoded(encoder, SOME)
    assert halved.splits > 0 == whole.splits
    np.testing.assert_allclose(halved.unit, whole.unit, atol=1e-6)
    most = 0
    with pytest.raises(WorkerError, match="does not fit into memory by itself"):
        encoded(encoder, SOME)


def test_a_transformer_in_a_folder_of_its_own(copy):
    """As older models have it."""
    modules = json.loads((copy / "modules.json").read_text())
    (copy / "0_Transformer").mkdir()
    for file in copy.glob("*"):
        if file.is_file() and file.name not in (
            "modules.json",
            "config_sentence_transformers.json",
        ):
            file.rename(copy / "0_Transformer" / file.name)
    before = check_there(str(copy), None)
    modules[0]["path"] = "0_Transformer"
    (copy / "modules.json").write_text(json.dumps(modules))
    assert encoded(load(str(copy)), SOME).unit.shape == (len(SOME), 32)
    weights = copy / "0_Transformer" / "model.safetensors"
    kept = {k: w for k, w in load_file(weights).items() if "layer.1" not in k}
    save_file(kept, weights, {"format": "pt"})
    assert check_there(str(copy), None) != before
    with pytest.raises(ModelError, match=r"lacks the weights encoder.layer.1"):
        load(str(copy))


@pytest.mark.parametrize(("family", "padding"), [("roberta", 1), ("mpnet", 1), ("roberta", 0)])
def test_positions_that_the_padding_takes(family, padding):
    """They count from behind it, so of 40 with the padding at 1 there are 38."""
    from types import SimpleNamespace

    from transformers import AutoConfig, AutoModel

    shape = SHAPE | {"vocab_size": 50, "max_position_embeddings": 40, "pad_token_id": padding}
    inner = AutoModel.from_config(AutoConfig.for_model(family, **shape)).eval()
    assert text_encoder._positions(SimpleNamespace(transformers_model=inner)) == 39 - padding
    inner(input_ids=torch.full((1, 39 - padding), 7))
    with pytest.raises((IndexError, RuntimeError)):
        inner(input_ids=torch.full((1, 40 - padding), 7))


class TestContent:
    def test_is_the_folders_and_not_its_place(self, text_model, copy):
        assert check_there(str(copy), None) == check_there(str(text_model), None)

    @pytest.mark.parametrize("name", ["1_Pooling/config.json", "config_sentence_transformers.json"])
    def test_is_also_that_of_the_folders_inside(self, text_model, copy, name):
        (copy / name).write_text((copy / name).read_text() + " ")
        assert check_there(str(copy), None) != check_there(str(text_model), None)


class TestRefused:
    def test_no_such_model(self):
        with pytest.raises(ModelError, match=r"'no/such' .*is neither a folder nor"):
            check_there("no/such", None)

    def test_a_causal_model(self, gpt2):
        with pytest.raises(ModelError, match=r"no modules.json, .* of the signal forward"):
            load(str(gpt2))

    def test_no_library(self, text_model, monkeypatch):
        monkeypatch.setitem(sys.modules, text_encoder.LIBRARY, None)
        with pytest.raises(ModelError, match=r"not installed; pip install 'tamis\[embed\]'"):
            check_there(str(text_model), None)

    @pytest.mark.parametrize("inside", ["", "2_Dense"])
    def test_a_pickle(self, with_dense, tmp_path, inside):
        folder = shutil.copytree(with_dense, tmp_path / "copy")
        weights = folder / inside / "model.safetensors"
        torch.save(load_file(weights), weights.with_name("pytorch_model.bin"))
        load(str(folder))  # a pickle beside them is not read
        weights.unlink()
        with pytest.raises(ModelError, match=r"pytorch_model.bin are a pickle, which can run code"):
            load(str(folder))

    def test_no_weights_at_all(self, copy):
        (copy / "model.safetensors").unlink()
        with pytest.raises(ModelError, match="cannot be loaded"):
            load(str(copy))

    @pytest.mark.parametrize("name", ["encoder.layer.1.output.dense.weight", "embeddings."])
    def test_weights_that_lack_some(self, copy, name):
        weights = load_file(copy / "model.safetensors")
        kept = {key: weight for key, weight in weights.items() if not key.startswith(name)}
        assert 0 < len(kept) < len(weights)
        save_file(kept, copy / "model.safetensors", {"format": "pt"})
        with pytest.raises(ModelError, match=f"lacks the weights {name}"):
            load(str(copy))

    def test_an_adapter(self, copy):
        (copy / "adapter_config.json").write_text("{}")
        with pytest.raises(ModelError, match="is an adapter of another model; merge it"):
            load(str(copy))

    def test_code_of_the_model(self, copy):
        """It would leave a file behind."""
        (copy / "mine.py").write_text(f"open({str(copy / 'ran')!r}, 'w')\nclass Mine: pass\n")
        modules = json.loads((copy / "modules.json").read_text())
        modules[2]["type"] = "mine.Mine"
        (copy / "modules.json").write_text(json.dumps(modules))
        with pytest.raises(ModelError, match=r"cannot be loaded: .*'mine.Mine'"):
            load(str(copy))
        assert not (copy / "ran").exists()

    def test_a_gpu_that_is_not_there(self, text_model, monkeypatch):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
        with pytest.raises(ModelError, match="device is cuda, but there is no GPU here"):
            load(str(text_model), device="cuda")


def test_word_vectors_have_no_window(tmp_path):
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding
    from tokenizers import Tokenizer, models, pre_tokenizers

    inner = Tokenizer(models.WordLevel({"[UNK]": 0, "a": 1, "b": 2}, unk_token="[UNK]"))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    weights = np.array([[0, 0], [3, 4], [3, -4]], np.float32)
    words = SentenceTransformer(modules=[StaticEmbedding(inner, weights)], device="cpu")
    words.save_pretrained(str(tmp_path), create_model_card=False)
    encoder = load(str(tmp_path))
    texts = ["a", "a b", "c", "a " * 5000]
    assert encoder.lengths(texts) == [1, 2, 1, 5000]
    found = encoded(encoder, texts)
    assert found.status.tolist() == ["ok", "ok", "no_vector", "ok"]
    np.testing.assert_allclose(found.unit[[0, 1, 3]], [[0.6, 0.8], [1, 0], [0.6, 0.8]], atol=1e-6)
    with pytest.raises(ModelError, match=r"max_tokens is 9, but .* has no window"):
        load(str(tmp_path), max_tokens=9)
