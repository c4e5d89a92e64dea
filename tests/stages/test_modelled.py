import pytest
from tamis.stages.base import ROWS
from tamis.stages.modelled import ModelStage
from tamis.stages.signals.forward import Forward
from tamis.stages.signals.neighbours import Neighbours


@pytest.mark.parametrize("kind", [Forward, Neighbours])
def test_shared_by_stages_with_a_model(kind, gpt2):
    stage = kind(model=str(gpt2), device="cpu", dtype="fp32")
    assert isinstance(stage, ModelStage)
    assert {"messages", "tools", "input_start"} <= set(stage.reads.names) <= set(ROWS.names)
    assert stage.resources().gpus == 0
    identity = stage.identity()
    assert str(gpt2) not in str(identity)
    assert not {"batch_tokens", "revision"} & set(identity)
    assert stage.pinned() == stage
    stage.setup()
    assert stage._lm.embedding_dim == 32
    assert stage._encoder.window == 512


@pytest.mark.parametrize("kind", [Forward, Neighbours])
def test_an_unknown_template_is_refused_with_its_place(kind):
    with pytest.raises(ValueError, match="template"):
        kind(model="x", template="nothing")


def test_pinned_says_what_auto_means(gpt2):
    pinned = Forward(model=str(gpt2), device="auto").pinned()
    assert pinned.device in ("cpu", "cuda")
    assert pinned.dtype in ("fp32", "bf16", "fp16")
