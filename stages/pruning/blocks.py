"""The decoder blocks of a language model, and their linear layers in one layout."""

from typing import TYPE_CHECKING

from torch import Tensor, nn

from ...errors import ModelError

if TYPE_CHECKING:  # heavy
    from transformers import PreTrainedModel


def decoder_blocks(lm: "PreTrainedModel") -> tuple[str, nn.ModuleList]:
    """Return the decoder blocks of a model, with their name: the first list of as many modules.

    Raises:
        ModelError: there is none.
    """
    n_layers = lm.config.get_text_config().num_hidden_layers
    for name, module in lm.named_modules():
        if isinstance(module, nn.ModuleList) and len(module) == n_layers:
            return name, module
    raise ModelError(
        f"{type(lm).__name__} has no list of {n_layers} decoder layers, as its config says"
    )


def linear_layers(block: nn.Module) -> dict[str, nn.Module]:
    """Return the linear layers of a block by name: `Linear`, and GPT-2's `Conv1D`.

    Raises:
        ModelError: it has none.
    """
    from transformers.pytorch_utils import Conv1D  # heavy

    found = {n: m for n, m in block.named_modules() if isinstance(m, nn.Linear | Conv1D)}
    if not found:
        raise ModelError(f"{type(block).__name__} holds neither Linear nor Conv1D layers to prune")
    return found


def rows_of(layer: nn.Module) -> Tensor:
    """Return the weight of a linear layer as (outputs, inputs): a view, which can be written to."""
    weight = layer.weight.data
    assert isinstance(weight, Tensor)
    return weight if isinstance(layer, nn.Linear) else weight.T  # Conv1D keeps (inputs, outputs)
