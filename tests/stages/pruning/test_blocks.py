import pytest
from tamis.errors import ModelError
from tamis.stages.pretrained import pretrained
from tamis.stages.pruning.blocks import decoder_blocks, linear_layers, rows_of
from tamis.tests.tiny import make_model
from torch import nn

LAYERS = {
    "gpt2": {"attn.c_attn": (96, 32), "attn.c_proj": (32, 32), "mlp.c_fc": (128, 32)},
    "llama": {"self_attn.k_proj": (16, 32), "mlp.down_proj": (32, 64)},
    "gpt_neox": {"attention.query_key_value": (96, 32)},
    "opt": {"self_attn.q_proj": (32, 32), "fc1": (64, 32)},
}


@pytest.mark.parametrize("family", LAYERS)
def test_blocks_and_layers_of_a_family(family, tmp_path):
    lm = pretrained(str(make_model(tmp_path, family)))
    name, blocks = decoder_blocks(lm)
    assert name.endswith(("layers", "h"))
    assert len(blocks) == 2
    found = {n: tuple(rows_of(layer).shape) for n, layer in linear_layers(blocks[0]).items()}
    assert LAYERS[family].items() <= found.items()  # outputs first, also of Conv1D
    head = lm.get_output_embeddings()
    assert all(layer is not head for block in blocks for layer in linear_layers(block).values())


def test_rows_can_be_written_to(gpt2):
    layer = linear_layers(decoder_blocks(pretrained(str(gpt2)))[1][0])["mlp.c_fc"]
    rows_of(layer)[3].zero_()
    assert not layer.weight[:, 3].any()  # Conv1D keeps inputs first


def test_no_blocks_or_no_layers_are_said(gpt2):
    lm = pretrained(str(gpt2))
    lm.config.num_hidden_layers = 7
    with pytest.raises(ModelError, match="GPT2LMHeadModel has no list of 7 decoder layers"):
        decoder_blocks(lm)
    with pytest.raises(ModelError, match="LayerNorm holds neither Linear nor Conv1D"):
        linear_layers(nn.LayerNorm(3))
