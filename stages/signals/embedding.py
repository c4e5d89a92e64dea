"""One vector for the text of each row, by a model of sentence-transformers: unit norm, fp16.

    text         of a row, its messages joined by newlines
    instruction  all that is not an answer, of all turns: system, user (with an Alpaca `input` as it
                 stands in the user's message) and tool results
    answer       the answers of all turns; tool calls are written as JSON
    both         all messages in order

No template is applied: what such models were trained on is plain text. `prompt` names one of the
prompts that the model brings along, `prefix` is any text (E5 wants "query: " or "passage: "); by
default it is the model's own default prompt, mostly none.

A text longer than the window is cut at its end, as the model does it (status `truncated`). A row
without text has the status `no_text`; `given.status` says of the others whether the vector is
finite, and `no_vector` where it has no length.

The numbers of a row do not depend on its batch beyond rounding: before they are kept in fp16, a
cosine of two rows moves in fp32 by less than 1e-6 and in bf16 by about 1e-3 (measured on a BERT of
6 layers of 384). With the same partition they are the same bytes.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, final

import numpy as np
import pyarrow as pa
from pydantic import Field, PrivateAttr, model_validator

from ...scorers.signals import column_type
from ..base import ROWS, Resources, Stage, resolve_device
from ..columns import Sequences
from ..templates import answer_text

if TYPE_CHECKING:  # torch
    from ..text_encoder import TextEncoder

View = Literal["instruction", "answer", "both"]
COLUMNS = ("embedding", "given.status", "status")


@final
class Embedding(Stage):
    """The embedding of each row's text under one model."""

    depends_on_hardware: ClassVar[bool] = True
    neutral: ClassVar[frozenset[str]] = frozenset({"batch_tokens", "revision"})

    model: str
    """A folder in the format of sentence-transformers, or a repository of the hub."""
    revision: str | None = None
    """Branch, tag or commit on the hub."""
    text: View = "instruction"
    """Which part of the conversation."""
    prompt: str | None = None
    """Name of one of the model's own prompts, such as query; by default its default one."""
    prefix: str | None = None
    """Text put before each text in place of a prompt; "" for none."""
    max_tokens: int | None = Field(default=None, ge=3)
    """Longest text, with prefix and special tokens; by default as the model says."""
    dtype: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """auto: bf16 where the processor computes it, else fp32."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    batch_tokens: int = Field(default=8192, ge=1)
    """Tokens of a batch with its padding; bounds memory, and moves results by rounding only."""
    trust_remote_code: bool = False
    """Run code that comes with the model."""

    _encoder: "TextEncoder | None" = PrivateAttr(default=None)
    _spent: dict[str, float] = PrivateAttr(default_factory=dict)

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if self.prompt is not None and self.prefix is not None:
            raise ValueError(
                f"prompt ({self.prompt!r}) and prefix ({self.prefix!r}) are both given; take one"
            )
        return self

    @property
    def reads(self) -> pa.Schema:
        """The conversation."""
        return pa.schema([ROWS.field("messages")])

    @property
    def adds(self) -> pa.Schema:
        """The embedding, and why a row has none."""
        return pa.schema([(name, column_type(name)) for name in COLUMNS])

    def identity(self) -> dict[str, Any]:
        """Return the model's content in place of its address, and what was chosen for `auto`."""
        return super().identity() | self._settled() | {"model": self._content()}

    def pinned(self) -> Self:
        """Return this stage with the commit of a hub model, and what `auto` means here.

        Raises:
            ModelError: no such model, not one of sentence-transformers, or the library is missing.
        """
        exact, content = self._settled(), self._content()
        if not Path(self.model).is_dir():
            exact["revision"] = content
        return self.model_copy(update=exact)

    def resources(self) -> Resources:
        """One GPU where the model runs on one."""
        return Resources(gpus=1.0 if resolve_device(self.device) == "cuda" else 0.0)

    def setup(self) -> None:
        """Load the model."""
        from .. import text_encoder  # torch, and sentence-transformers in it

        self._encoder = text_encoder.load(
            self.model,
            self.revision,
            **self._settled(),
            max_tokens=self.max_tokens,
            prompt=self.prompt,
            prefix=self.prefix,
            trust_remote_code=self.trust_remote_code,
        )

    def spent(self) -> Mapping[str, float]:
        """Tokens run through the model, with and without padding, and halved batches."""
        return self._spent

    def run(self, rows: pa.Table, wanted: Sequence[str]) -> pa.Table:
        """Return the wanted columns."""
        if self._encoder is None:
            self.setup()
        assert self._encoder is not None
        self._spent = {}
        texts = [text_of(messages, self.text) for messages in rows["messages"].to_pylist()]
        usable = [place for place, text in enumerate(texts) if text.strip()]
        some = [texts[place] for place in usable]
        lengths = self._encoder.lengths(some)
        status = np.full(len(rows), "no_text", dtype=object)
        long = np.array(lengths, dtype=np.int64) > self._encoder.window
        status[usable] = np.where(long, "truncated", "ok")
        columns: dict[str, pa.Array] = {"status": pa.array(status, pa.string())}
        if set(wanted) - columns.keys():
            found = self._encoder.encode(some, lengths, self.batch_tokens)
            self._spent = {name: getattr(found, name) for name in ("tokens", "padded", "splits")}
            sequences = Sequences(np.array(usable, dtype=np.int64), found.status, len(rows))
            vectors = found.unit.astype(np.float16)
            # of a row whose status is not ok there is nothing to keep
            ok = found.status == "ok"
            counts = np.where(ok, vectors.shape[1], 0)
            columns["embedding"] = sequences.lists(vectors[ok].ravel(), counts, pa.float16())
            columns["given.status"] = sequences.status_column()
        return pa.table({name: columns[name] for name in wanted})

    def _settled(self) -> dict[str, str]:
        from ..hardware import resolve_dtype  # torch

        device = resolve_device(self.device)
        return {"device": device, "dtype": resolve_dtype(self.dtype, device)}

    def _content(self) -> str:
        from ..text_encoder import check_there  # torch

        return check_there(self.model, self.revision)


def text_of(messages: Iterable[Mapping[str, Any]], view: View) -> str:
    """Return the text of a conversation; see the top of the file."""
    texts = []
    for message in messages:
        answers = message["role"] == "assistant"
        if view == "both" or answers == (view == "answer"):
            texts.append(answer_text(message) if answers else message["content"] or "")
    return "\n".join(texts)
