"""How far the predictions of two models lie apart, token by token: an original and a pruned one.

    JSD(P, Q) = KL(P || M) / 2 + KL(Q || M) / 2,  M = (P + Q) / 2,  in nats, at most ln 2

of the two next-token distributions that predict a token (J. Lin 1991; PASER, arXiv 2502.12594,
takes it for what pruning has cost). Where rows lie farthest apart, the pruned model has lost most.

    given.jsd        of each token of the answer, after the instruction
    instruction.jsd  of each token of the instruction, but the first of the sequence

The published code sums over the positions of a row's instruction, its last one included, which
predicts what comes next: with `template: none` that is the newline after the instruction, so for a
row without input its sum is `instruction.jsd_sum`.

A pruned model is a folder, or the same model pruned while it is loaded:

    other: half                                     # of `tamis prune`, or from elsewhere
    other: {method: magnitude, share: 0.5}          # or {method: layers, layers: 1}

Rows are tokenised once, with the tokenizer of `model`; `other` must have the same words under the
same ids. It may be of another width, depth or family.

The numbers of a row do not depend on its batch beyond rounding: when the batch budget changes, a
divergence moves in fp32 by less than 1e-6 nats (measured: 2e-7), in bf16 by what rounding the
hidden states to it does (measured: 1e-3). With the same partition they are the same bytes, whether
both models are in memory or one after the other (`apart`).

bf16 makes small divergences larger, since each of the two models is rounded by itself. Against a
softmax in fp64, fp32 was off by at most 2.4e-6 nats per token, bf16 by up to 0.039. For a model
that pruning has hardly changed (5 % of the weights by magnitude) the mean of rows came out 60 % too
high, and their rank correlation with fp32 was 0.979; for one of Wanda 2:4 it was 0.9995. So set
`dtype: fp32` where pruning was mild.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self, final

import numpy as np
import pyarrow as pa
from pydantic import Field, PrivateAttr, model_validator

from ...scorers.signals import column_type, token_columns
from ..base import resolve_device
from ..columns import Sequences
from ..modelled import ModelStage
from ..pruning.settings import Pruned
from ..tokenize import Encoded, Encoder, Tokenisation, scored
from .forward import instruction_positions

if TYPE_CHECKING:  # torch and transformers
    from transformers import PreTrainedTokenizerBase

    from ..comparison import Comparison
    from ..models import LM
    from ..passes import PassResult

GROUPS = ("given", "instruction")
WITHOUT_MODEL = ("answer_tokens", "instruction_tokens", "status")
COLUMNS = (
    *(column for group in GROUPS for column in token_columns(group, ("jsd",))),
    *("given.status", *WITHOUT_MODEL),
)


@final
class Divergence(ModelStage):
    """Jensen-Shannon divergence of each token's prediction under two models."""

    neutral: ClassVar[frozenset[str]] = frozenset({"apart", "slab_tokens", "other_revision"})

    other: str | Pruned
    """The model to compare with, such as a pruned one: a folder, a repository of the hub, or how
    `model` is pruned."""
    other_revision: str | None = None
    """Branch, tag or commit on the hub."""
    apart: bool = False
    """Load one model after the other instead of both. The hidden states of the first wait in main
    memory, in its dtype: hidden size x 2 (bf16) or 4 (fp32) bytes for each of `slab_tokens`."""
    slab_tokens: int = Field(default=1 << 17, ge=1)
    """Tokens worked on at a time: with `apart` both models take turns once for so many, so more
    means fewer loads. Moves results by rounding only."""

    _other: "LM | None" = PrivateAttr(default=None)

    @model_validator(mode="after")
    def _only_exact(self) -> Self:
        if self.precision != "exact":
            raise ValueError(
                f"precision: {self.precision} is not for divergences, which would be of the size "
                f"of the rounding; leave it out"
            )
        return self

    @model_validator(mode="after")
    def _one_revision(self) -> Self:
        if self.other_revision is not None and isinstance(self.other, Pruned):
            raise ValueError("other_revision is for another model of the hub, not for a pruned one")
        return self

    @property
    def adds(self) -> pa.Schema:
        """Divergences of answer and instruction, token by token, their sums, and statuses."""
        return pa.schema([(column, column_type(column)) for column in COLUMNS])

    def identity(self) -> dict[str, Any]:
        """Return what makes the numbers: both models' contents, not where they lie."""
        from ..models import resolve_revision  # torch

        fields = super().identity()
        if isinstance(self.other, Pruned):
            return fields
        return fields | {"other": resolve_revision(self.other, self.other_revision)}

    def pinned(self) -> Self:
        """Return it with all settled, as every stage with a model; the other model's commit too.

        Raises:
            ModelError: the two models do not have the same words.
        """
        from ..likeness import check_same_words  # torch and transformers
        from ..models import resolve_revision

        stage = super().pinned()
        if isinstance(self.other, Pruned):
            return stage
        if not Path(self.other).is_dir():
            commit = resolve_revision(self.other, self.other_revision)
            stage = stage.model_copy(update={"other_revision": commit})
        check_same_words(*stage._models(), stage.trust_remote_code)
        return stage

    def encoder(self, tokenizer: "PreTrainedTokenizerBase | None" = None) -> Encoder:
        """Return what makes tokens of rows, within the window of both models."""
        from ..models import window_of  # torch and transformers

        found = super().encoder(tokenizer)
        if isinstance(self.other, Pruned):
            return found
        window = window_of(self.other, self.other_revision, self.max_tokens, self.trust_remote_code)
        return replace(found, window=min(found.window, window))

    def setup(self) -> None:
        """Load both models, or with `apart` none yet.

        Raises:
            ModelError: a model that cannot be used, or two that do not have the same words.
        """
        from ..likeness import check_same_words  # torch and transformers

        if not isinstance(self.other, Pruned):
            check_same_words(*self._models(), self.trust_remote_code)
        if not self.apart:
            super().setup()
            self._other = self._load_other()
            return
        self._encoder = self.encoder()
        self._encoder.check(self.model)

    def run(self, rows: pa.Table, wanted: Sequence[str]) -> pa.Table:
        """Return the wanted columns."""
        self._spent = {}
        encoded = self._encoded(rows)
        columns: dict[str, pa.Array | pa.ChunkedArray] = {
            name: pa.array([getattr(row, name) for row in encoded], column_type(name))
            for name in WITHOUT_MODEL
        }
        passed = [name for name in wanted if name not in columns]
        if passed:
            slabs = [self._compared(slab, passed) for slab in self._slabs(encoded)]
            found = pa.concat_tables(slabs)
            columns |= {name: found[name] for name in passed}
        return pa.table({name: columns[name] for name in wanted})

    def _n_tokens(self, row: Encoded, wanted: Sequence[str]) -> int:
        passes = row.answers and set(wanted) - set(WITHOUT_MODEL)
        return 2 * len(row.ids) if passes else 0  # under both models

    def _tokenised(self) -> Tokenisation:
        return "exact"

    def _models(self) -> tuple[tuple[str, str | None], tuple[str, str | None]]:
        assert isinstance(self.other, str)
        return (self.model, self.revision), (self.other, self.other_revision)

    def _load_other(self) -> "LM":
        if isinstance(self.other, str):
            return self._load(self.other, self.other_revision)
        from ..pruning.prune import prune_by_weights  # torch

        return self._load(self.model, self.revision, partial(prune_by_weights, how=self.other.how))

    def _slabs(self, encoded: list[Encoded]) -> Iterator[list[Encoded]]:
        """Rows of together at most `slab_tokens`, or one; at least one slab."""
        slab: list[Encoded] = []
        tokens = 0
        for row in encoded:
            if slab and tokens + len(row.ids) > self.slab_tokens:
                yield slab
                slab, tokens = [], 0
            slab.append(row)
            tokens += len(row.ids)
        yield slab

    def _compared(self, encoded: list[Encoded], wanted: Sequence[str]) -> pa.Table:
        """Run both models over some rows; return the columns that need them."""
        from ..comparison import JSD, Comparison  # torch
        from ..hardware import resolve_kernel
        from ..passes import Tokens

        usable = [(i, row) for i, row in enumerate(encoded) if row.answers]
        positions = {
            "given": [np.concatenate([scored(*span) for span in row.answers]) for _, row in usable],
            "instruction": [instruction_positions(row) for _, row in usable],
        }
        device = resolve_device(self.device)
        asked = [name for name in GROUPS if any(w.startswith(f"{name}.jsd") for w in wanted)]
        found = self._both(
            Comparison(
                [row.ids for _, row in usable],
                {name: Tokens.of(some) for name, some in positions.items()},
                asked or ["given"],  # a status alone must be that beside numbers
                self.batch_tokens,
                device,
                resolve_kernel(self.kernel, device),
            )
        )
        self._count(found)
        rows = np.array([i for i, _ in usable], dtype=np.int64)
        sequences = Sequences(rows, found.status, len(encoded))
        columns = {"given.status": sequences.status_column()}
        for name, stats in found.stats.items():
            counts = np.array([len(tokens) for tokens in positions[name]])
            columns[f"{name}.jsd"] = sequences.lists(stats[JSD], counts, pa.float32())
            sums, n = sequences.sums(stats[JSD], counts)
            columns[f"{name}.jsd_sum"], columns[f"{name}.jsd_count"] = sums, n
        return pa.table({name: columns[name] for name in wanted})

    def _both(self, comparison: "Comparison") -> "PassResult":
        """Run the comparison; apart, begin with the model that is in memory already."""
        if not self.apart:
            assert self._lm is not None and self._other is not None
            return comparison.run(self._lm, self._other)
        if self._other is None:
            kept = comparison.keep(self._lm or self._turn("model"))
            return comparison.run(kept, self._turn("other"))
        kept = comparison.keep(self._other)
        return comparison.run(self._turn("model"), kept)

    def _turn(self, which: str) -> "LM":
        """Let go of the model in memory, and load the other one."""
        from ..hardware import free_memory  # torch

        self._lm = self._other = None
        free_memory()
        if which == "other":
            self._other = found = self._load_other()
        else:
            self._lm = found = self._load(self.model, self.revision)
        return found
