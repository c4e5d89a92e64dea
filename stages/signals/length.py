"""Lengths of instruction and answer in characters, words and, with a tokenizer, tokens.

Needs no model. Tokens are those of the bare texts; all turns of a side are added up.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, final

import pyarrow as pa
from pydantic import PrivateAttr

from ...errors import PlanError
from ...scorers.signals import column_type
from ..base import ROWS, Stage
from ..templates import answer_text

if TYPE_CHECKING:  # heavy
    from transformers import PreTrainedTokenizerBase

TOKENIZER = "tokenizer_config.json"
SIDES = ("answer", "instruction")


@final
class Length(Stage):
    """Counts of characters, words (separated by white space) and tokens."""

    tokenizer: str | None = None
    """Folder or hub repository of a tokenizer; needed for the counts of tokens."""
    revision: str | None = None

    _tokenizer: "PreTrainedTokenizerBase | None" = PrivateAttr(default=None)

    @property
    def reads(self) -> pa.Schema:
        """The conversation."""
        return pa.schema([ROWS.field("messages")])

    @property
    def adds(self) -> pa.Schema:
        """Counts for both sides; tokens only with a tokenizer."""
        units = ("chars", "words", *(("tokens",) if self.tokenizer else ()))
        names = [f"{side}_{unit}" for side in SIDES for unit in units]
        return pa.schema([(name, column_type(name)) for name in names])

    def identity(self) -> dict[str, Any]:
        """Return the tokenizer's content in place of its address."""
        if self.tokenizer is None:
            return {"tokenizer": None}
        from ..models import resolve_revision  # torch

        return {"tokenizer": resolve_revision(self.tokenizer, self.revision, TOKENIZER)}

    def pinned(self) -> Self:
        """Return this stage with the commit of a tokenizer of the hub."""
        if self.tokenizer is None or Path(self.tokenizer).is_dir():
            return self
        from ..models import resolve_revision  # torch

        commit = resolve_revision(self.tokenizer, self.revision, TOKENIZER)
        return self.model_copy(update={"revision": commit})

    def setup(self) -> None:
        """Load the tokenizer."""
        if self.tokenizer is not None:
            from ..models import load_tokenizer  # torch

            self._tokenizer = load_tokenizer(self.tokenizer, self.revision)

    def run(self, rows: pa.Table, wanted: Sequence[str]) -> pa.Table:
        """Return the wanted counts."""
        texts: dict[str, list[list[str]]] = {"answer": [], "instruction": []}
        for messages in rows["messages"].to_pylist():
            answers = [answer_text(m) for m in messages if m["role"] == "assistant"]
            others = [m["content"] or "" for m in messages if m["role"] != "assistant"]
            texts["answer"].append(answers)
            texts["instruction"].append(others)
        columns = {}
        for name in wanted:
            side, _, unit = name.partition("_")
            columns[name] = pa.array(self._count(texts[side], unit), pa.int32())
        return pa.table(columns)

    def _count(self, texts: list[list[str]], unit: str) -> list[int]:
        if unit == "chars":
            return [sum(map(len, row)) for row in texts]
        if unit == "words":
            return [sum(len(text.split()) for text in row) for row in texts]
        if self._tokenizer is None:
            self.setup()
        if self._tokenizer is None:
            raise PlanError("a length in tokens needs the signal's `tokenizer`")
        flat = [text for row in texts for text in row]
        ids = self._tokenizer(flat, add_special_tokens=False)["input_ids"] if flat else []
        counts = iter(map(len, ids))
        return [sum(next(counts) for _ in row) for row in texts]
