"""How the families of language models turn hidden states into logits."""

from typing import TYPE_CHECKING

from ..errors import ModelError
from ..kernels.logits import LMHead

if TYPE_CHECKING:  # heavy
    from transformers import PreTrainedModel

# config fields by which families multiply (+1) or divide (-1) their logits
SCALES = {
    "logit_scale": 1,  # Cohere
    "lm_head_multiplier": 1,  # Falcon-H1
    "output_multiplier": 1,
    "logits_scaling": -1,  # Granite
}


def lm_head(lm: "PreTrainedModel") -> LMHead:
    """Return how a Hugging Face causal LM turns hidden states into logits.

    Raises:
        ModelError: the model has no output embedding.
    """
    output = lm.get_output_embeddings()
    if output is None or getattr(output, "weight", None) is None:
        raise ModelError(f"{type(lm).__name__} has no LM head; a causal language model is needed")
    config = lm.config.get_text_config()
    scale = 1.0
    for field, power in SCALES.items():
        if (value := getattr(config, field, None)) is not None:
            scale *= float(value) ** power
    softcap = getattr(config, "final_logit_softcapping", None)
    return LMHead(output.weight, getattr(output, "bias", None), scale, softcap)
