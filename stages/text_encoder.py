"""Models that make one vector of a text, in the format of sentence-transformers.

Such a model is a folder with a `modules.json`: mostly a transformer, how its hidden states are
pooled, and sometimes a matrix or a scaling to length 1 after that. The library runs the modules;
batches, lengths and what is refused are ours.

Refused: weights that are not safetensors (a pickle can run code), weights that are not there (the
library would go on with random numbers), adapters (their base model lies elsewhere, so that no
checksum of the folder names what comes out), and a repository's own code unless it is allowed.
"""

import json
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ..errors import ModelError
from .halving import run_halving
from .models import DEFAULT_WINDOW, DTYPES, resolve_revision
from .packing import pack
from .pretrained import first_line, snapshot

if TYPE_CHECKING:  # heavy
    from sentence_transformers import SentenceTransformer

MODULES = "modules.json"
LIBRARY = "sentence_transformers"
ROOMY = 1 << 30  # tokens; nothing is cut
UNUSED = "pooler."  # of BERT and its kin: after the hidden states, which are all that is pooled


@dataclass
class Vectors:
    """What came of some texts.

    Attributes:
        unit: (texts, numbers) fp32, of length 1 where the status is ok.
        status: (texts,) ok, not_finite, or no_vector where the length is 0.
        tokens, padded: run through the model, without and with padding.
        splits: batches that were halved for want of memory.
    """

    unit: np.ndarray
    status: np.ndarray
    tokens: int = 0
    padded: int = 0
    splits: int = 0


@dataclass
class TextEncoder:
    """A model that is loaded.

    Attributes:
        model: of sentence-transformers, in evaluation.
        window: tokens of the longest text; what is longer is cut at its end.
        prompt: put before each text.
        numbers: of a vector.
    """

    model: "SentenceTransformer"
    window: int
    prompt: str
    numbers: int

    def lengths(self, texts: Sequence[str]) -> list[int]:
        """Return the tokens of each text with its prompt, before any cut."""
        with self._uncut():
            one_by_one = (self.model.preprocess([text], prompt=self.prompt) for text in texts)
            return [int(features["input_ids"].numel()) for features in one_by_one]

    def encode(self, texts: Sequence[str], lengths: Sequence[int], batch_tokens: int) -> Vectors:
        """Return the vector of each text.

        Texts of like length go together, so a vector does not depend on the others beyond rounding.

        Args:
            texts: without the prompt.
            lengths: as from `lengths`.
            batch_tokens: padded tokens of a batch; a longer text is one by itself.
        """
        cut = [min(length, self.window) for length in lengths]
        found = Vectors(
            np.zeros((len(texts), self.numbers), np.float32),
            np.full(len(texts), "ok", dtype=object),
        )

        def run(batch: Sequence[int]) -> None:
            vectors = self.model.encode(
                [texts[i] for i in batch],
                prompt=self.prompt,
                batch_size=len(batch),
                show_progress_bar=False,
                convert_to_tensor=True,
            )
            found.unit[batch] = vectors.float().cpu().numpy()

        for batch in pack(cut, batch_tokens):
            found.splits += run_halving(batch, cut, run)
            found.tokens += sum(cut[i] for i in batch)
            found.padded += len(batch) * cut[batch[0]]
        lengths_of = np.linalg.norm(found.unit.astype(np.float64), axis=1)
        found.status[~np.isfinite(lengths_of)] = "not_finite"
        found.status[lengths_of == 0] = "no_vector"
        ok = found.status == "ok"
        found.unit[ok] = found.unit[ok] / lengths_of[ok, None]
        return found

    @contextmanager
    def _uncut(self) -> Iterator[None]:
        if self.model.tokenizer is None or not _has_window(self.model):
            yield
            return
        before = self.model.max_seq_length
        self.model.max_seq_length = ROOMY
        try:
            yield
        finally:
            self.model.max_seq_length = before


def check_there(model: str, revision: str | None) -> str:
    """Return what names the model's content, without loading it.

    A commit on the hub, a checksum of the folder with all that lies in it.

    Raises:
        ModelError: no such model, not one of sentence-transformers, or the library is missing.
    """
    if find_spec(LIBRARY) is None:
        raise ModelError(
            "embeddings of texts need sentence-transformers, which is not installed; "
            "pip install 'tamis[embed]'"
        )
    if not (snapshot(model, revision, [MODULES]) / MODULES).is_file():
        raise ModelError(
            f"model {model!r} has no {MODULES}, so it is not one of sentence-transformers; the "
            f"hidden states of a causal language model are the embedding of the signal forward"
        )
    return resolve_revision(model, revision, MODULES, inside=True)


def load(
    model: str,
    revision: str | None = None,
    *,
    dtype: str = "fp32",
    device: str = "cpu",
    max_tokens: int | None = None,
    prompt: str | None = None,
    prefix: str | None = None,
    trust_remote_code: bool = False,
) -> TextEncoder:
    """Load a model of sentence-transformers.

    Args:
        model: a folder, or a repository of the hub.
        revision: branch, tag or commit on the hub.
        dtype: fp32, bf16 or fp16.
        device: cpu or cuda.
        max_tokens: of the longest text; None: as the model says.
        prompt: name of one of the model's prompts, put before each text; None: its default one.
        prefix: text put before each text in place of a prompt.
        trust_remote_code: run code that comes with the model.

    Raises:
        ModelError: no such model or prompt, one that is refused, or fewer positions than asked for.
    """
    check_there(model, revision)
    if device == "cuda" and not torch.cuda.is_available():
        raise ModelError(f"model {model!r}: device is cuda, but there is no GPU here")
    folder = snapshot(model, revision)
    _check_files(model, folder)
    from transformers.utils import logging as transformers_logging  # heavy

    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    logging.getLogger(LIBRARY).setLevel(logging.ERROR)
    try:
        from sentence_transformers import SentenceTransformer  # heavy

        found = SentenceTransformer(
            str(folder),
            device=device,
            local_files_only=True,
            trust_remote_code=trust_remote_code,
            model_kwargs={"use_safetensors": True, "dtype": DTYPES[dtype]},
        )
        found = found.to(DTYPES[dtype]).eval()  # also the modules after the transformer
        numbers = found.encode(["a"], show_progress_bar=False, convert_to_tensor=True).shape[1]
        absent = _absent(found, folder, trust_remote_code)
    except Exception as error:  # broken configs and weights fail in any way there is
        raise ModelError(f"model {model!r} cannot be loaded: {first_line(error)}") from error
    if absent:
        raise ModelError(f"model {model!r} lacks the weights {', '.join(sorted(absent)[:5])}")
    window = _set_window(model, found, max_tokens)
    return TextEncoder(found, window, _prompt_of(model, found, prompt, prefix), numbers)


def _check_files(model: str, folder: Path) -> None:
    """Raise for weights that only a pickle holds, and for adapters."""
    for pickled in sorted(folder.rglob("pytorch_model*.bin")):
        if not list(pickled.parent.glob("*.safetensors")):
            raise ModelError(
                f"model {model!r}: the weights in {pickled.relative_to(folder)} are a pickle, "
                f"which can run code; save the model as safetensors"
            )
    for adapter in folder.rglob("adapter_config.json"):
        raise ModelError(
            f"model {model!r}: {adapter.relative_to(folder)} is an adapter of another model; merge "
            f"it into that model and save the whole"
        )


def _absent(found: "SentenceTransformer", folder: Path, trust_remote_code: bool) -> set[str]:
    """The weights that the transformer lacks, in whose place the library puts random numbers."""
    inner = found.transformers_model
    if inner is None:  # word vectors: the library itself says what is missing
        return set()
    first = json.loads((folder / MODULES).read_text("utf-8"))[0]
    _, loading = type(inner).from_pretrained(
        folder / first["path"],
        config=inner.config,
        output_loading_info=True,
        device_map="meta",  # names only: no memory is taken
        use_safetensors=True,
        trust_remote_code=trust_remote_code,
    )
    absent = {*loading["missing_keys"], *map(str, loading["mismatched_keys"])}
    if getattr(found[0], "module_output_name", None) == "token_embeddings":
        absent = {name for name in absent if not name.startswith(UNUSED)}
    return absent


def _has_window(found: "SentenceTransformer") -> bool:
    return hasattr(found.tokenizer, "model_max_length")  # word vectors take any length


def _set_window(model: str, found: "SentenceTransformer", asked: int | None) -> int:
    """Set what the model cuts texts to, and return it."""
    if not _has_window(found):
        if asked is not None:
            raise ModelError(f"max_tokens is {asked}, but {model!r} has no window; leave it out")
        return ROOMY
    positions = _positions(found)
    own: int | None = found.max_seq_length
    own = own if own and own < ROOMY else None  # transformers say 1e30 for none
    known = [size for size in (own, positions) if size]
    if asked is not None and positions and asked > positions:
        raise ModelError(f"max_tokens is {asked}, but {model!r} has {positions} positions to use")
    window = asked or (min(known) if known else DEFAULT_WINDOW)
    found.max_seq_length = window
    return window


def _positions(found: "SentenceTransformer") -> int | None:
    """How many positions the transformer has to use; None where nothing bounds them."""
    inner = found.transformers_model
    if inner is None:
        return None
    has: int | None = getattr(inner.config.get_text_config(), "max_position_embeddings", None)
    for name, module in inner.named_modules():
        padding = getattr(module, "padding_idx", None)
        # RoBERTa's kin count positions from behind the padding's
        if has and name.endswith("position_embeddings") and padding is not None:
            return has - int(padding) - 1
    return has


def _prompt_of(
    model: str, found: "SentenceTransformer", prompt: str | None, prefix: str | None
) -> str:
    prompts: dict[str, Any] = {name: text for name, text in found.prompts.items() if text}
    if prefix is not None:
        return prefix
    if prompt is None:
        return str(prompts.get(found.default_prompt_name or "", ""))
    if prompt not in prompts:
        known = ", ".join(prompts) or "none at all"
        raise ModelError(f"model {model!r} has no prompt {prompt!r}; it has {known}")
    return str(prompts[prompt])
