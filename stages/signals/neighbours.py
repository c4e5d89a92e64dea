"""Losses of a row's answers in noisy copies of the row: what T-SHIRT (arXiv 2506.01317) scores.

Copy c of a row adds ``U(-1, 1) * alpha / sqrt(L d)`` to its token embeddings (NEFTune's noise; L
tokens of the conversation after the cut, d numbers of an embedding). The answer alone gets the
noise that its tokens have in the conversation, so that both passes differ by the instruction only:

    Delta_t = log p(y_t | x, y_<t) - log p(y_t | y_<t) = loss alone - loss given, nats

    aligned   the same token ids in both passes (`exact` of `stages.tokenize`); the means are over
              the tokens of `delta`.
    official  tokenised apart, as the published code does. The mean of each pass is over its own
              tokens, which for a tokenizer without BOS is one more given the instruction. Where a
              merge across the boundary leaves different numbers of tokens, both are matched from
              the end; if the window cuts such a row, its status is boundary_merge.

The published code stops at a tokenizer with BOS, at an instruction longer than the window and at an
answer that begins with a newline; here these rows have numbers or a status. Tokens before an
answer that is scored alone (BOS, header) take the noise of as many before it in the conversation.

The noise is named by seed, row content and copy (`kernels.noise`). The numbers of a copy therefore
do not depend on its batch, on the order of the rows or on the round, beyond rounding: in fp32 a
Delta moves by less than 1e-5 (relative to the losses) when the batch budget changes.
"""

from collections.abc import Iterator, Sequence
from itertools import islice, pairwise
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar, final

import numpy as np
import pyarrow as pa
from pydantic import Field, model_validator

from ...scorers.random import bits
from ...scorers.signals import column_type
from ..base import ROWS
from ..columns import Sequences
from ..modelled import ModelStage
from ..tokenize import Encoded, Tokenisation, mismatched, scored

if TYPE_CHECKING:  # torch
    from ..passes import PassResult

T = TypeVar("T")
SLAB = 128
"""Rows worked on at a time, which bounds the memory beside model and result: 16 bytes per copy and
scored token, 126 MB where each of the rows has 2,048 of them and 30 copies."""
COLUMNS = {
    "delta": pa.list_(pa.float32()),
    "given_mean": pa.list_(pa.float64()),
    "alone_mean": pa.list_(pa.float64()),
} | {name: column_type(name) for name in ("status", "given.status", "alone.status")}


@final
class Neighbours(ModelStage):
    """Differences of the token losses with and without the instruction, in noisy copies."""

    mode: Literal["official", "aligned"] = "aligned"
    """aligned: both passes score the same tokens; official: as the published code has it."""
    copies: int = Field(default=30, ge=1)
    """Noisy copies of each row."""
    alpha: float = Field(default=5.0, ge=0, allow_inf_nan=False)
    """Size of the noise, as in NEFTune."""
    seed: int | None = None
    antithetic: bool = False
    """Copy 2j + 1 has the negative noise of copy 2j."""
    rounds: tuple[int, ...] = ()
    """Copies there are after each round, the last being `copies`; by default all in one round."""

    @model_validator(mode="after")
    def _rounds_lead_to_copies(self) -> Self:
        if self.rounds and (
            self.rounds[-1] != self.copies or any(a >= b for a, b in pairwise((0, *self.rounds)))
        ):
            raise ValueError(
                f"rounds must rise from 1 or more to copies, {self.copies}; got {self.rounds}"
            )
        return self

    @property
    def reads(self) -> pa.Schema:
        """The conversation, and the hash of it that names its noise."""
        return pa.schema([ROWS.field("sample_id"), *super().reads])

    @property
    def adds(self) -> pa.Schema:
        """Lists copy after copy: of Delta per token of all answers, and of the mean losses."""
        return pa.schema(COLUMNS)

    @property
    def n_rounds(self) -> int:
        """Number of rounds."""
        return max(1, len(self.rounds))

    def copies_of(self, number: int) -> range:
        """Return the copies of a round, from 0 on."""
        ends = (0, *(self.rounds or (self.copies,)))
        return range(ends[number], ends[number + 1])

    def round_name(self, number: int) -> str:
        """Return a name by which later rounds serve other `rounds` with the same copies too."""
        copies = self.copies_of(number)
        return f"copies-{copies.start}-{copies.stop}"

    def round_size(self, number: int) -> int:
        """Return the copies of each row in a round."""
        return len(self.copies_of(number))

    def identity(self) -> dict[str, Any]:
        """Return what makes the numbers of a copy, and how many copies the first round has.

        Whatever the later rounds are: what the first found stays good when these change.
        """
        fields = super().identity()
        del fields["rounds"]
        return fields | {"copies": len(self.copies_of(0))}

    def run(self, rows: pa.Table, wanted: Sequence[str]) -> pa.Table:
        """Return the wanted columns for the copies of the first round."""
        return self.run_round(rows, wanted, 0)

    def run_round(self, rows: pa.Table, wanted: Sequence[str], number: int) -> pa.Table:
        """Return the wanted columns for the copies of one round."""
        self._spent = {}
        encoded, copies = self._encoded(rows), self.copies_of(number)
        starts = range(0, max(len(rows), 1), SLAB)
        slabs = [(rows.slice(low, SLAB), encoded[low : low + SLAB]) for low in starts]
        return pa.concat_tables([self._slab(*slab, wanted, copies) for slab in slabs])

    def _tokenised(self) -> Tokenisation:
        return "official" if self.mode == "official" else "exact"

    def _encode(self, rows: pa.Table) -> list[Encoded]:
        assert self._encoder is not None
        found, window = super()._encode(rows), self._encoder.window
        return [Encoded("boundary_merge") if mismatched(row, window) else row for row in found]

    def _n_tokens(self, row: Encoded, wanted: Sequence[str]) -> int:
        once = len(row.ids) + sum(len(ids) for ids, _ in self._bare(row))
        return self.round_size(0) * once if set(wanted) - {"status"} else 0

    def _slab(
        self, rows: pa.Table, encoded: list[Encoded], wanted: Sequence[str], copies: range
    ) -> pa.Table:
        columns = {"status": pa.array([row.status for row in encoded], pa.string())}
        if set(wanted) - set(columns):
            usable = np.array([i for i, row in enumerate(encoded) if row.answers], dtype=np.int64)
            keys = bits(self.seed or 0, rows["sample_id"].take(usable)).view(np.int64)
            some = [encoded[i] for i in usable]
            columns |= self._noisy(some, usable, keys, len(rows), copies)
        return pa.table({name: columns[name] for name in wanted})

    def _noisy(
        self,
        encoded: list[Encoded],
        usable: np.ndarray,
        keys: np.ndarray,
        n_rows: int,
        copies: range,
    ) -> dict[str, pa.Array]:
        """Run both passes of some rows, and put their numbers into columns of `n_rows`."""
        if not encoded:
            return {n: pa.nulls(n_rows, kind) for n, kind in COLUMNS.items() if n != "status"}
        n_copies = len(copies)
        turns = [len(row.answers) for row in encoded]
        owner = np.repeat(np.arange(len(encoded)), turns)
        lengths = np.array([len(row.ids) for row in encoded])
        spans = [scored(*span) for row in encoded for span in row.answers]
        whole = [np.concatenate(some) for some in _split(spans, turns)]
        ids = [np.array(row.ids) for row in encoded]
        given = self._pass(ids, whole, (keys, np.zeros_like(keys), lengths), copies)
        bare = [pair for row in encoded for pair in self._bare(row)]
        bare_spans = [scored(start, len(ids)) for ids, start in bare]
        ends = np.array([last for row in encoded for _, last in row.answers])
        first = ends - np.array([len(ids) for ids, _ in bare])
        ids = [ids for ids, _ in bare]
        alone = self._pass(ids, bare_spans, (keys[owner], first, lengths[owner]), copies)
        self._spent["copies"] = self._spent.get("copies", 0) + len(encoded) * n_copies
        passes = {
            "given.status": Sequences(np.repeat(usable, n_copies), given.status, n_rows),
            "alone.status": Sequences(np.repeat(usable[owner], n_copies), alone.status, n_rows),
        }
        compared = [
            self._compare(
                np.split(of_row, np.cumsum([len(span) for span in some])[:-1], 1), bare_of
            )
            for of_row, some, bare_of in zip(
                _losses(given, whole, n_copies),
                _split(spans, turns),
                _split(_losses(alone, bare_spans, n_copies), turns),
                strict=True,
            )
        ]
        ok = passes["given.status"].ok & passes["alone.status"].ok
        columns = {
            name: _lists([row[place] for row in compared], usable, ok, COLUMNS[name])
            for place, name in enumerate(("delta", "given_mean", "alone_mean"))
        }
        return columns | {name: one.status_column() for name, one in passes.items()}

    def _bare(self, row: Encoded) -> Iterator[tuple[np.ndarray, int]]:
        """Each answer alone: header and answer, and where it begins.

        `official` may keep one token more of an answer that is cut than there is in the
        conversation; not here, where both passes have the same tokens.
        """
        assert self._encoder is not None
        for (first, _), (ids, start) in zip(row.answers, row.alone, strict=True):
            yield np.array(ids[: start + self._encoder.window - first]), start

    def _compare(
        self, given: list[np.ndarray], alone: list[np.ndarray]
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return Delta (copies, tokens) and the two means (copies,) of a row.

        Args:
            given: for each answer the losses (copies, tokens) after the instruction.
            alone: the same of the answer alone.
        """
        shared = [min(g.shape[1], a.shape[1]) for g, a in zip(given, alone, strict=True)]
        # from the end: without BOS the first token of an answer alone has no loss
        matched = [
            np.concatenate(
                [loss[:, loss.shape[1] - n :] for loss, n in zip(side, shared, strict=True)], 1
            )
            for side in (given, alone)
        ]
        delta = matched[1] - matched[0]
        if self.mode == "official":
            matched = [np.concatenate(side, 1) for side in (given, alone)]
        return delta, _mean(matched[0]), _mean(matched[1])

    def _pass(
        self,
        ids: list[np.ndarray],
        positions: list[np.ndarray],
        noise: tuple[np.ndarray, np.ndarray, np.ndarray],
        copies: range,
    ) -> "PassResult":
        """Run every copy of some sequences.

        Args:
            ids: tokens of each sequence.
            positions: of its scored tokens.
            noise: for each sequence its key, the place of its first token in the noise, and the
                tokens of the whole conversation.
            copies: to make of each sequence.
        """
        from ..passes import Noise, Pass, Tokens  # torch

        assert self._lm is not None
        keys, first, lengths = (np.repeat(values, len(copies)) for values in noise)
        numbers = np.tile(np.asarray(copies), len(ids))
        scales = self.alpha / np.sqrt(np.maximum(lengths, 1) * self._lm.embedding_dim)
        if self.antithetic:
            scales, numbers = np.where(numbers % 2, -scales, scales), numbers - numbers % 2
        found = Pass(
            self._lm,
            [sequence for sequence in ids for _ in copies],
            {"answer": Tokens.of([some for some in positions for _ in copies])},
            {"answer": ("loss",)},
            batch_tokens=self.batch_tokens,
            noise=Noise(keys, numbers, first, scales),
        ).run()
        self._count(found)
        return found


def _split(items: list[T], counts: list[int]) -> list[list[T]]:
    """The items of each row, of which there are so many."""
    rest = iter(items)
    return [list(islice(rest, n)) for n in counts]


def _losses(found: "PassResult", positions: list[np.ndarray], n_copies: int) -> list[np.ndarray]:
    """The losses of each sequence in all copies, (copies, tokens) fp32."""
    losses = found.stats["answer"]["loss"]
    ends = np.cumsum([n_copies * len(some) for some in positions])
    return [part.reshape(n_copies, -1) for part in np.split(losses, ends[:-1])]


def _mean(losses: np.ndarray) -> np.ndarray:
    """The mean loss of each copy in float64; empty where nothing is scored."""
    return np.asarray(losses.mean(1, dtype=np.float64) if losses.shape[1] else np.empty(0))


def _lists(
    values: list[np.ndarray], usable: np.ndarray, ok: np.ndarray, kind: pa.DataType
) -> pa.Array:
    """Return the values of the usable rows as lists, null for rows that are not `ok`.

    Means of no tokens are null as well; a Delta of no tokens is an empty list.
    """
    counts, known = np.zeros(len(ok), dtype=np.int64), ok.copy()
    counts[usable] = [row.size for row in values]
    if kind == COLUMNS["given_mean"]:
        known &= counts > 0
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
    flat = pa.array(np.concatenate([row.ravel() for row in values]), kind.value_type)
    return pa.ListArray.from_arrays(pa.array(offsets), flat, mask=pa.array(~known))
