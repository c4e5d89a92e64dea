"""What stages that hold a causal LM share: which model, how it runs, and rows to tokens.

Not a signal by itself: `signals.forward`, `neighbours`, `gradient` and `divergence` build on it.
"""

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np
import pyarrow as pa
from pydantic import Field, PrivateAttr, field_validator

from ..errors import ConfigError
from .base import ROWS, Resources, Stage, resolve_device
from .templates import check_template
from .tokenize import Encoded, Encoder, Tokenisation

if TYPE_CHECKING:  # torch and transformers
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from .gradients import GradientPass
    from .models import LM
    from .passes import PassResult
    from .rating_tokens import NextWords

CONVERSATION = pa.schema([ROWS.field(name) for name in ("messages", "tools", "input_start")])


class ModelStage(Stage):
    """A stage that runs one causal LM over tokenised rows."""

    depends_on_hardware: ClassVar[bool] = True

    model: str
    """A folder in Hugging Face format, or a repository of the hub."""
    revision: str | None = None
    """Branch, tag or commit on the hub."""
    template: str = "none"
    """none (instruction, newline), alpaca, vicuna, chat (the tokenizer's own) or a Jinja string."""
    max_tokens: int | None = Field(default=None, ge=2)
    """Longest sequence; by default the model's window, at most 2048."""
    dtype: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """auto: bf16 where the processor computes it, else fp32."""
    attention: Literal["auto", "eager", "sdpa", "flash_attention_2"] = "auto"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    kernel: Literal["auto", "torch", "triton"] = "torch"
    """What computes the statistics; triton needs an NVIDIA GPU, and has not been timed on one.
    auto: triton where it can run, else torch."""
    precision: Literal["exact", "fast"] = "exact"
    """Of the products with the LM head; fast rounds logits to bf16 on a CPU, see kernels.logits."""
    batch_tokens: int = Field(default=8192, ge=1)
    """Tokens of a batch with its padding; bounds memory, and moves results by rounding only."""
    trust_remote_code: bool = False
    """Run code that comes with the model."""

    _lm: "LM | None" = PrivateAttr(default=None)
    _encoder: Encoder | None = PrivateAttr(default=None)
    _counting: "ModelStage | None" = PrivateAttr(
        default=None
    )  # with an encoder, and without a model
    _prepared: dict[int, tuple[pa.Table, list[Encoded]]] = PrivateAttr(default_factory=dict)
    _spent: dict[str, float] = PrivateAttr(default_factory=dict)

    @field_validator("template")
    @classmethod
    def _known_template(cls, template: str) -> str:
        try:
            check_template(template)
        except ConfigError as error:
            raise ValueError(str(error)) from error  # so that pydantic adds the place
        return template

    @property
    def reads(self) -> pa.Schema:
        """The conversation."""
        return CONVERSATION

    def identity(self) -> dict[str, Any]:
        """Return the model's content in place of its address, and what was chosen for `auto`."""
        from .hardware import resolve_dtype, resolve_kernel
        from .models import resolve_revision

        device = resolve_device(self.device)
        fields = self.model_dump(mode="json", exclude={"batch_tokens", "revision", *self.neutral})
        return fields | {
            "model": resolve_revision(self.model, self.revision),
            "dtype": resolve_dtype(self.dtype, device),
            "device": device,
            "kernel": resolve_kernel(self.kernel, device),
        }

    def pinned(self) -> Self:
        """Return this stage with the commit of a hub model, and what `auto` means here."""
        from .hardware import resolve_dtype, resolve_kernel  # torch
        from .models import resolve_revision

        device = resolve_device(self.device)
        exact: dict[str, str] = {
            "device": device,
            "dtype": resolve_dtype(self.dtype, device),
            "kernel": resolve_kernel(self.kernel, device),
        }
        if not Path(self.model).is_dir():
            exact["revision"] = resolve_revision(self.model, self.revision)
        return self.model_copy(update=exact)

    def resources(self) -> Resources:
        """One GPU where the model runs on one."""
        return Resources(gpus=1.0 if resolve_device(self.device) == "cuda" else 0.0)

    def encoder(self, tokenizer: "PreTrainedTokenizerBase | None" = None) -> Encoder:
        """Return what makes tokens of rows; loads a tokenizer if none is given, and no model."""
        from . import models  # torch and transformers

        found = tokenizer or models.load_tokenizer(
            self.model, self.revision, self.trust_remote_code
        )
        window = models.window_of(
            self.model, self.revision, self.max_tokens, self.trust_remote_code
        )
        return Encoder(found, self.template, self._tokenised(), window, self._ends_answers())

    def setup(self) -> None:
        """Load the model and check it against its own logits."""
        self._lm = self._load(self.model, self.revision)
        self._encoder = self.encoder(self._lm.tokenizer)
        self._encoder.check(self.model)

    def _load(
        self,
        model: str,
        revision: str | None,
        change: "Callable[[PreTrainedModel], object] | None" = None,
    ) -> "LM":
        """Load a model as this stage runs models; see `models.load`."""
        from . import hardware, models  # torch and transformers

        device = resolve_device(self.device)
        return models.load(
            model,
            revision,
            dtype=hardware.resolve_dtype(self.dtype, device),
            device=device,
            attention=self.attention,
            kernel=self.kernel,
            precision=self.precision,
            trust_remote_code=self.trust_remote_code,
            change=change,
        )

    def prepare(self, rows: pa.Table) -> None:
        """Make tokens of the rows, for `run`."""
        if self._encoder is not None:
            self._prepared[id(rows)] = rows, self._encode(rows)

    def smaller(self) -> Self | None:
        """Return this stage with half the tokens in a batch."""
        if self.batch_tokens == 1:
            return None
        return self.model_copy(update={"batch_tokens": self.batch_tokens // 2})

    def tokens_of(self, rows: pa.Table, wanted: Sequence[str]) -> np.ndarray | None:
        """Return the tokens of each row; loads a tokenizer, and no model."""
        if self._encoder is None and self._counting is None:
            self._counting = self.model_copy()
            self._counting._encoder = self.encoder()
        stage: ModelStage = self._counting or self
        return np.array([stage._n_tokens(row, wanted) for row in stage._encode(rows)], np.int64)

    def _n_tokens(self, row: Encoded, wanted: Sequence[str]) -> int:
        """Return the tokens that the passes of a row take; by default its conversation, once."""
        return len(row.ids)

    def _encoded(self, rows: pa.Table) -> list[Encoded]:
        """Return the tokens of rows, which may have been prepared; sets up if nobody has."""
        if self._encoder is None:
            self.setup()
        _, found = self._prepared.pop(id(rows), (rows, None))
        return self._encode(rows) if found is None else found

    def _encode(self, rows: pa.Table) -> list[Encoded]:
        assert self._encoder is not None
        return self._encoder.encode(rows.select(CONVERSATION.names).to_pylist())

    def spent(self) -> Mapping[str, float]:
        """Tokens run through the model, with and without padding, and halved batches."""
        return self._spent

    def _count(self, found: "PassResult | GradientPass | NextWords") -> None:
        """Add what a pass used up to what `spent` reports."""
        for name in ("tokens", "padded", "splits"):
            self._spent[name] = self._spent.get(name, 0) + getattr(found, name)

    @abstractmethod
    def _tokenised(self) -> Tokenisation:
        """Return how rows become tokens."""

    def _ends_answers(self) -> bool:
        """Return whether an answer goes on to the token that ends it; default: no."""
        return False
