import pytest
from tamis.errors import ModelError
from tamis.stages.heads import lm_head
from tamis.tests.tiny import make_model
from transformers import AutoModel, AutoModelForCausalLM


@pytest.mark.parametrize(
    ("family", "scale", "softcap"),
    [("gpt2", 1.0, None), ("cohere", 0.25, None), ("granite", 0.25, None), ("gemma2", 1.0, 30.0)],
)
def test_what_a_family_does_to_its_logits(tmp_path, family, scale, softcap):
    model = AutoModelForCausalLM.from_pretrained(make_model(tmp_path, family))
    head = lm_head(model)
    assert head.scale == scale
    assert head.softcap == softcap
    assert head.weight is model.get_output_embeddings().weight


def test_a_model_without_a_head_is_refused(gpt2):
    with pytest.raises(ModelError, match="has no LM head; a causal language model is needed"):
        lm_head(AutoModel.from_pretrained(gpt2))
