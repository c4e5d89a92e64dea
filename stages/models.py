"""Causal language models: an exact revision, the backbone that gives hidden states, and the head.

The backbone's last hidden states and the LM head go to the fused kernel, so the model's own logits
are never built; except once, at set-up, to check on one batch that both agree. A model family whose
logits are made in another way is refused there, and never scored wrongly.
"""

import functools
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
import xxhash
from torch import Tensor

from ..errors import ModelError
from ..kernels.backend import Asked, Backend
from ..kernels.logits import LMHead, Precision
from ..kernels.token_stats import token_stats
from .hardware import resolve_kernel
from .heads import lm_head
from .pretrained import WEIGHTS, first_line, pretrained, snapshot, stored_dtype, text_config

if TYPE_CHECKING:  # heavy
    from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

log = logging.getLogger(__name__)

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
DEFAULT_WINDOW = 2048


@dataclass(frozen=True)
class LM:
    """A causal language model, ready to run.

    Attributes:
        backbone: gives `last_hidden_state` (batch, positions, dim) from token ids.
        head: how these become logits.
        tokenizer: Hugging Face tokenizer.
        device: cpu or cuda.
        kernel: torch or triton, which computes the statistics.
        precision: of the head's products, see `kernels.logits`.
    """

    backbone: "PreTrainedModel"
    head: LMHead
    tokenizer: "PreTrainedTokenizerBase"
    device: str
    kernel: Backend = "torch"
    precision: Precision = "exact"

    def stats(self, states: Tensor, targets: Tensor, names: Sequence[str]) -> dict[str, Tensor]:
        """Return statistics of `targets` (tokens,), foreseen from `states` (tokens, dim)."""
        return token_stats(states, self.head, targets, names, self.kernel, self.precision)

    @property
    def embedding_dim(self) -> int:
        """Numbers in a token embedding, which in some families is not the hidden size."""
        dim: int = self.backbone.get_input_embeddings().weight.shape[1]
        return dim

    def hidden(self, ids: Tensor, noise: Tensor | None = None) -> Tensor:
        """Return the last hidden states (batch, positions, dim) of ids padded at the end.

        `noise` (batch, positions, embedding dim) fp32 is added in fp32 to what the embedding module
        gives: after a scale inside it (Gemma), before position embeddings (GPT-2).
        """
        given = {"input_ids": ids}
        if noise is not None:
            clean = self.backbone.get_input_embeddings()(ids)
            given = {"inputs_embeds": (noise + clean).to(clean.dtype)}
        states: Tensor = self.backbone(**given, use_cache=False).last_hidden_state
        return states


def resolve_revision(
    model: str, revision: str | None, needed: str = "config.json", inside: bool = False
) -> str:
    """Return what names a model's content: a commit on the hub, a checksum of a local folder.

    Args:
        model: a folder, or a repository of the hub.
        revision: branch, tag or commit on the hub.
        needed: a file that it must have; another one for a tokenizer alone.
        inside: of a local folder, also the files in the folders inside it.

    Raises:
        ModelError: neither such a folder nor reachable on the hub.
    """
    folder = Path(model)
    if not folder.is_dir():
        return _commit(model, revision, needed)
    if not (folder / needed).is_file():
        raise ModelError(f"model {model!r}: the folder has no {needed}")
    find = folder.rglob if inside else folder.glob
    files = sorted({path for pattern in WEIGHTS for path in find(pattern)})
    facts = [(path, path.stat()) for path in files]
    sizes = tuple((path, stat.st_size, stat.st_mtime_ns) for path, stat in facts)
    return _checksum(folder, sizes)


@functools.lru_cache(maxsize=32)
def _commit(model: str, revision: str | None, needed: str) -> str:
    return snapshot(model, revision, [needed]).name


@functools.lru_cache(maxsize=32)
def _checksum(folder: Path, files: tuple[tuple[Path, int, int], ...]) -> str:
    """Checksum of a folder's files; size and time say when one must be read again."""
    checksum = xxhash.xxh3_128()
    for path, _, _ in files:
        checksum.update(path.relative_to(folder).as_posix().encode() + b"\0")
        with path.open("rb") as stream:
            while block := stream.read(1 << 24):
                checksum.update(block)
    return checksum.hexdigest()


def load_tokenizer(
    model: str, revision: str | None, trust_remote_code: bool = False
) -> "PreTrainedTokenizerBase":
    """Return the tokenizer of a model.

    Raises:
        ModelError: it cannot be loaded.
    """
    from transformers import AutoTokenizer  # heavy
    from transformers.utils import logging as transformers_logging

    transformers_logging.set_verbosity_error()  # warns of long rows, which are cut here
    folder = snapshot(model, revision, WEIGHTS[1:])
    try:
        return AutoTokenizer.from_pretrained(folder, trust_remote_code=trust_remote_code)
    except Exception as error:  # broken files fail in any way there is
        raise ModelError(f"tokenizer of {model!r} cannot be loaded: {first_line(error)}") from error


def window_of(
    model: str, revision: str | None, asked: int | None, trust_remote_code: bool = False
) -> int:
    """Return the longest sequence to use: what is asked for, or the model's window up to 2048.

    Raises:
        ModelError: more is asked for than the model has positions.
    """
    config = text_config(model, revision, trust_remote_code)
    has = getattr(config, "max_position_embeddings", None)
    if (steady := _steady_positions(config)) is not None:
        has = min(has or steady, steady)
    if asked is None:
        return min(has or DEFAULT_WINDOW, DEFAULT_WINDOW)
    if has is not None and asked > has:
        raise ModelError(f"max_tokens is {asked}, but {model!r} has {has} positions to use")
    return asked


def _steady_positions(config: "PreTrainedConfig") -> int | None:
    """Positions up to which LongRoPE is the same for every batch; None for other encodings.

    Beyond them it takes other angles for a whole batch as soon as one row of it is longer, so that
    a row's losses would depend on its neighbours.
    """
    rope = getattr(config, "rope_parameters", None) or getattr(config, "rope_scaling", None) or {}
    if "longrope" not in (rope.get("rope_type"), rope.get("type")):
        return None
    original = rope.get("original_max_position_embeddings")
    return original or getattr(config, "original_max_position_embeddings", None)


def load(
    model: str,
    revision: str | None = None,
    *,
    dtype: str = "fp32",
    device: str = "cpu",
    attention: str = "auto",
    kernel: Asked = "torch",
    precision: Precision = "exact",
    trust_remote_code: bool = False,
    change: "Callable[[PreTrainedModel], object] | None" = None,
) -> LM:
    """Load a causal LM and check it against its own logits.

    Args:
        model: a folder, or a repository of the hub.
        revision: branch, tag or commit on the hub.
        dtype: fp32, bf16 or fp16.
        device: cpu or cuda.
        attention: auto, eager, sdpa or flash_attention_2.
        kernel: torch, triton or auto.
        precision: exact or fast.
        trust_remote_code: run code that comes with the model.
        change: is given the model in the dtype of its files, to prune it for instance.

    Raises:
        ModelError: no such model, no safetensors weights, or logits that the head does not give.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise ModelError(f"model {model!r}: device is cuda, but there is no GPU here")
    backend = resolve_kernel(kernel, device)
    asked = DTYPES[dtype]
    at_first = asked if change is None else stored_dtype(snapshot(model, revision))
    lm = pretrained(model, revision, at_first, attention, trust_remote_code)
    if change is not None:
        change(lm)
        for weight in lm.parameters():  # and no buffers: positions stay in fp32
            weight.data = weight.data.to(asked)
    fuse_gelu(lm)
    lm = lm.to(device).eval().requires_grad_(False)
    found = LM(
        lm.base_model,
        lm_head(lm),
        load_tokenizer(model, revision, trust_remote_code),
        device,
        backend,
        precision,
    )
    _self_check(model, lm, found)
    return found


def fuse_gelu(lm: torch.nn.Module) -> None:
    """Swap GELU's tanh form, where it is spelt out in eight operations, for the fused one.

    The formula is the same; in GPT-2 on a CPU it is a third of the forward pass.
    """
    from transformers.activations import NewGELUActivation  # heavy

    for parent in lm.modules():
        for name, child in parent.named_children():
            if isinstance(child, NewGELUActivation):
                setattr(parent, name, torch.nn.GELU(approximate="tanh"))


@torch.inference_mode()
def _self_check(name: str, lm: "PreTrainedModel", found: LM) -> None:
    """Compare one batch of losses with the model's own logits.

    Raises:
        ModelError: they differ by more than the dtype explains.
    """
    generator = torch.Generator().manual_seed(0)
    vocab = min(len(found.head.weight), lm.get_input_embeddings().num_embeddings)
    ids = torch.randint(vocab, (2, 16), generator=generator).to(found.device)
    logits = lm(input_ids=ids, use_cache=False).logits[:, :-1].float()
    targets = ids[:, 1:].reshape(-1)
    own = torch.nn.functional.cross_entropy(
        logits.reshape(-1, logits.shape[-1]), targets, reduction="none"
    )
    states = found.hidden(ids)[:, :-1].reshape(len(targets), -1)
    ours = token_stats(states, found.head, targets, backend=found.kernel)["loss"]  # exact
    # half precision: the model's own logits are rounded to it, ours are not
    rounding = {torch.float32: 1e-5}.get(lm.dtype, torch.finfo(lm.dtype).eps)
    allowed = 2 * rounding * max(1.0, float(logits.abs().max()))
    worst = float((own - ours).abs().max())
    if not worst <= allowed:
        raise ModelError(
            f"model {name!r} ({type(lm).__name__}): losses from hidden states and LM head differ "
            f"from its own logits by {worst:.3g} nats (allowed {allowed:.3g}); this family makes "
            f"its logits in a way that is not supported"
        )
