"""LoRA adapters on a model: fresh ones, or those of a checkpoint (`stages.checkpoints`).

Only plain LoRA on linear layers: what a layer gives is ``base(x) + B(A(x)) * scale``, whose
gradients `stages.gradients` takes apart.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from ..errors import ModelError
from .checkpoints import KIND, adapter_settings, read_weights
from .models import LM

if TYPE_CHECKING:  # heavy
    from peft import LoraConfig

PEFT = "base_model.model."
NAME = "default"


@dataclass(frozen=True)
class Lora:
    """The adapters on a model, in the order of its layers.

    The coordinates of a gradient are those of A, row-major, then of B, layer after layer.

    Attributes:
        parameters: fp32 tensors by peft's names: A (rank, d_in) and B (d_out, rank) of each layer.
        modules: the linear modules that hold them, in the same order.
        settings: of adapter_config.json.
    """

    parameters: dict[str, nn.Parameter]
    modules: list[nn.Module]
    settings: Mapping[str, Any]

    @property
    def sizes(self) -> list[int]:
        """Numbers in each parameter."""
        return [parameter.numel() for parameter in self.parameters.values()]

    def fill(self, weights: Mapping[str, Tensor], folder: str) -> None:
        """Take the weights of a checkpoint.

        Raises:
            ModelError: they are for other layers, or of other shapes.
        """
        _check_names(self.parameters, weights, folder)
        with torch.no_grad():
            for name, parameter in self.parameters.items():
                parameter.copy_(weights[name])


def attention_layers(backbone: nn.Module) -> list[str]:
    """Return the names of all linear layers that stand in an attention module.

    A module is one if its class or its own name says so; these are q, k, v and o wherever they are
    layers of their own, and the fused ones of GPT-2, GPT-NeoX or Falcon.
    """
    return [
        f"{name}.{child}"
        for name, module in backbone.named_modules()
        if "attention" in type(module).__name__.lower()
        or any(word in name.rpartition(".")[2].lower() for word in ("attn", "attention"))
        for child, layer in module.named_children()
        if _is_linear(layer)
    ]


def attach_new(lm: LM, model: str, settings: Mapping[str, Any], targets: Sequence[str]) -> Lora:
    """Put fresh adapters on a model, in place; what they add is zero at first.

    Args:
        lm: the model.
        model: its name, for messages.
        settings: `r`, `lora_alpha` and `lora_dropout` of peft.
        targets: ends of names of layers; none: the attention's.

    Raises:
        ModelError: no such layers.
    """
    make = _peft().LoraConfig
    linear = _linear_layers(lm)
    found = attention_layers(lm.backbone)
    if targets:
        found = _ending(linear, targets)
    if not found:
        ends = sorted({name.rpartition(".")[2] for name in linear})
        asked = f"end in {' or '.join(targets)}" if targets else "stand in an attention module"
        raise ModelError(
            f"model {model!r}: no linear layers {asked}; name some in warmup.target_modules, "
            f"there are {', '.join(ends) or 'none'}"
        )
    short = sorted({".".join(name.split(".")[-2:]) for name in found})
    exact = set(_ending(linear, short)) == set(found)
    fields = dict(settings) | {"target_modules": short if exact else found}
    return _attach(lm, make(**fields, fan_in_fan_out=_transposed(lm, found)))


def attach_like(lm: LM, folder: str) -> Lora:
    """Put adapters of the kind that a folder holds on a model, in place.

    Raises:
        ModelError: no adapter in safetensors there, or one of a kind that is not plain LoRA.
    """
    make = _peft().LoraConfig
    said, linear = adapter_settings(folder), set(_linear_layers(lm))
    layers = set()
    for name in read_weights(folder):
        full = name.removeprefix(PEFT).removeprefix(f"{lm.backbone.base_model_prefix}.")
        layer, _, part = full.removesuffix(".weight").rpartition(".")
        if part not in ("lora_A", "lora_B") or layer not in linear:
            raise ModelError(f"adapter {folder!r}: {name} belongs to no linear layer of the model")
        layers.add(layer)
    fields = {name: said[name] for name in KIND if said.get(name) is not None}
    targets = sorted(layers)
    config = make(**fields, target_modules=targets, fan_in_fan_out=_transposed(lm, targets))
    return _attach(lm, config)


def _attach(lm: LM, config: "LoraConfig") -> Lora:
    peft = _peft()
    peft.inject_adapter_in_model(config, lm.backbone, NAME)
    prefix = f"{PEFT}{lm.backbone.base_model_prefix}."
    parameters: dict[str, nn.Parameter] = {}
    modules: list[nn.Module] = []
    for name, layer in lm.backbone.named_modules():
        if isinstance(layer, peft.tuners.lora.LoraLayer):
            for part in ("lora_A", "lora_B"):
                module = getattr(layer, part)[NAME].float()
                parameters[f"{prefix}{name}.{part}.weight"] = module.weight
                modules.append(module)
    lm.backbone.eval()
    return Lora(parameters, modules, _settings_of(config))


def _peft() -> ModuleType:
    """Import peft, which only those need who work with adapters.

    Raises:
        ModelError: it is not installed.
    """
    try:
        import peft  # heavy
    except ImportError as error:
        raise ModelError(
            f"adapters need peft, which cannot be imported ({error}); pip install 'tamis[train]'"
        ) from error
    found: ModuleType = peft
    return found


def _settings_of(config: "LoraConfig") -> dict[str, Any]:
    """The settings of adapters as adapter_config.json has them, in one spelling."""
    return {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "bias": "none",
        "inference_mode": True,
        "target_modules": sorted(config.target_modules or ()),
        "fan_in_fan_out": config.fan_in_fan_out,
        **{name: getattr(config, name) for name in KIND},
    }


def _linear_layers(lm: LM) -> list[str]:
    return [name for name, layer in lm.backbone.named_modules() if _is_linear(layer)]


def _ending(names: Sequence[str], ends: Sequence[str]) -> list[str]:
    """Names of which the last components are among `ends`."""
    return [name for name in names if f".{name}".endswith(tuple(f".{end}" for end in ends))]


def _is_linear(layer: nn.Module) -> bool:
    from transformers.pytorch_utils import Conv1D  # heavy

    return isinstance(layer, nn.Linear | Conv1D)


def _transposed(lm: LM, names: Sequence[str]) -> bool:
    """Whether layers keep their weights as (in, out), as GPT-2's do."""
    return not isinstance(lm.backbone.get_submodule(names[0]), nn.Linear)


def _check_names(expected: Mapping[str, Tensor], found: Mapping[str, Tensor], folder: str) -> None:
    for name in sorted({*expected, *found}):
        shapes = [tuple(some[name].shape) if name in some else None for some in (expected, found)]
        if shapes[0] != shapes[1]:
            raise ModelError(
                f"adapter {folder!r}: {name} has the shape {shapes[1]}, but {shapes[0]} is needed"
            )
