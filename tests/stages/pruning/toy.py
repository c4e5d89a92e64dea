"""A model so small that pruning it can be worked by hand."""

from types import SimpleNamespace

import torch
from torch import nn

FAMILIES = (
    *("gpt2", "llama", "qwen2", "qwen3", "mistral", "gemma2", "phi", "gpt_neox", "opt"),
    *("cohere", "granite", "olmo2", "mixtral"),
)


class Block(nn.Module):
    """One linear layer, with a residual connection if wanted."""

    def __init__(self, weight, residual):
        super().__init__()
        self.lin = nn.Linear(*reversed(weight.shape), bias=False)
        self.lin.weight.data = weight.clone()
        self.residual = residual

    def forward(self, hidden_states, scale=1.0):
        """A tuple, as many families give."""
        out = self.lin(hidden_states) * scale
        return (hidden_states + out if self.residual else out,)


class Toy(nn.Module):
    """Token i is row i of `vectors`; blocks follow. Its base model is itself."""

    device = torch.device("cpu")

    def __init__(self, vectors, weights, residual=False, scale=1.0):
        super().__init__()
        self.vectors, self.scale = torch.tensor(vectors), scale
        self.layers = nn.ModuleList(Block(torch.tensor(w), residual) for w in weights)
        text = SimpleNamespace(num_hidden_layers=len(weights))
        self.config = SimpleNamespace(get_text_config=lambda: text)

    @property
    def base_model(self):
        """Itself."""
        return self

    def forward(self, input_ids, use_cache):
        """The last hidden states."""
        states = self.vectors[input_ids]
        for layer in self.layers:
            (states,) = layer(states, scale=self.scale)
        return (states,)
