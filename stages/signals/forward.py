"""One forward pass of a causal LM: losses and other statistics per token, and an embedding.

For the answer given its instruction (`given.*`), the answer alone (`alone.*`) and the instruction
(`instruction.*`, free with the first pass); only the wanted columns are computed. What a token's
statistics mean stands in `scorers.signals` and `kernels.token_stats`.

The numbers of a row do not depend on its batch beyond rounding: in fp32 a loss moves by less than
1e-5 relative when the batch budget changes. With the same partition they are the same bytes.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, final

import numpy as np
import pyarrow as pa

from ...scorers.signals import CONDITIONS, PER_TOKEN, column_type, token_columns
from ..columns import Sequences
from ..modelled import ModelStage
from ..tokenize import Encoded, Tokenisation, scored

if TYPE_CHECKING:  # torch
    from ..passes import PassResult

COLUMNS = (
    *(column for condition in CONDITIONS for column in token_columns(condition)),
    *("given.turns", "alone.turns", "given.status", "alone.status"),
    *("answer_tokens", "instruction_tokens", "embedding", "status"),
)
KERNEL_STATS = {"token_loss": "loss"} | {name: name for name in PER_TOKEN if name != "token_loss"}
WITHOUT_MODEL = ("answer_tokens", "instruction_tokens", "status")


@final
class Forward(ModelStage):
    """Token statistics and embedding of each row under one model."""

    tokenisation: Literal["exact", "official"] = "exact"
    """exact boundaries by character offsets, or tokenised apart as the published codes do."""
    pooling: Literal["mean", "weighted_mean", "last"] = "mean"
    """How the embedding is made from the last hidden states of instruction and answer."""

    @property
    def adds(self) -> pa.Schema:
        """Every statistic under every condition, and the embedding."""
        return pa.schema([(column, column_type(column)) for column in COLUMNS])

    def run(self, rows: pa.Table, wanted: Sequence[str]) -> pa.Table:
        """Return the wanted columns."""
        self._spent = {}
        encoded = self._encoded(rows)
        columns: dict[str, pa.Array] = {
            name: pa.array([getattr(row, name) for row in encoded], column_type(name))
            for name in WITHOUT_MODEL
        }
        if set(wanted) & set(pass_columns("given", "instruction")):
            columns |= self._given(encoded, wanted)
        if set(wanted) & set(pass_columns("alone")):
            columns |= self._alone(encoded, wanted)
        return pa.table({column: columns[column] for column in wanted})

    def _tokenised(self) -> Tokenisation:
        return self.tokenisation

    def _n_tokens(self, row: Encoded, wanted: Sequence[str]) -> int:
        n = 0
        if row.answers and set(wanted) & set(pass_columns("given", "instruction")):
            n += len(row.ids)
        if set(wanted) & set(pass_columns("alone")):
            n += sum(len(ids) for ids, _ in row.alone)
        return n

    def _given(self, encoded: list[Encoded], wanted: Sequence[str]) -> dict[str, pa.Array]:
        usable = [(i, row) for i, row in enumerate(encoded) if row.answers]
        answers = [[scored(*span) for span in row.answers] for _, row in usable]
        groups = {
            "given": [np.concatenate(spans) for spans in answers],
            "instruction": [instruction_positions(row) for _, row in usable],
        }
        found = self._pass([row.ids for _, row in usable], groups, wanted)
        rows = np.array([i for i, _ in usable], dtype=np.int64)
        sequences = Sequences(rows, found.status, len(encoded))
        columns = {"given.status": sequences.status_column()}
        lengths = np.array([len(span) for spans in answers for span in spans])
        n_turns = np.array([len(spans) for spans in answers])
        columns["given.turns"] = sequences.lists(lengths, n_turns, pa.int32())
        for name, positions in groups.items():
            columns |= _columns(name, found, sequences, positions)
        if found.vectors is not None:
            vectors = found.vectors.astype(np.float16)
            n_numbers = np.full(len(vectors), vectors.shape[1])
            columns["embedding"] = sequences.lists(vectors.ravel(), n_numbers, pa.float16())
        return columns

    def _alone(self, encoded: list[Encoded], wanted: Sequence[str]) -> dict[str, pa.Array]:
        usable = [(i, *answer) for i, row in enumerate(encoded) for answer in row.alone]
        positions = [scored(start, len(ids)) for _, ids, start in usable]
        found = self._pass([ids for _, ids, _ in usable], {"alone": positions}, wanted)
        rows = np.array([i for i, _, _ in usable], dtype=np.int64)
        sequences = Sequences(rows, found.status, len(encoded))
        lengths = np.array([len(span) for span in positions])
        turns = sequences.lists(lengths, np.ones(len(rows)), pa.int32())
        columns = {"alone.status": sequences.status_column(), "alone.turns": turns}
        return columns | _columns("alone", found, sequences, positions)

    def _pass(
        self, ids: list[list[int]], groups: dict[str, list[np.ndarray]], wanted: Sequence[str]
    ) -> "PassResult":
        from ..passes import Pass, Tokens  # torch

        assert self._lm is not None
        stats = {
            group: [
                kernel_name
                for name, kernel_name in KERNEL_STATS.items()
                if any(f"{group}.{name}{suffix}" in wanted for suffix in ("", "_sum", "_count"))
            ]
            for group in groups
        }
        embeds = "embedding" in wanted and "given" in groups
        asked = {group: names for group, names in stats.items() if names}
        if not asked and not embeds:  # of a status alone, which must be that beside numbers
            asked = {next(iter(groups)): ["loss"]}
        found = Pass(
            self._lm,
            ids,
            {group: Tokens.of(positions) for group, positions in groups.items()},
            asked,
            self.pooling if embeds else None,
            self.batch_tokens,
        ).run()
        self._count(found)
        return found


def pass_columns(*conditions: str) -> list[str]:
    """Return every column that the pass of these conditions makes."""
    columns = [column for column in COLUMNS if column.split(".")[0] in conditions]
    return [*columns, "embedding"] if "given" in conditions else columns


def instruction_positions(row: Encoded) -> np.ndarray:
    """Return the positions before the last answer that are not in an answer, but the first."""
    inside = np.zeros(row.answers[-1][0], dtype=bool)
    for first, last in row.answers[:-1]:
        inside[first:last] = True
    inside[:1] = True
    return np.flatnonzero(~inside)


def _columns(
    group: str, found: "PassResult", sequences: Sequences, positions: list[np.ndarray]
) -> dict[str, pa.Array]:
    counts = np.array([len(tokens) for tokens in positions])
    columns = {}
    for name, kernel_name in KERNEL_STATS.items():
        if kernel_name not in found.stats.get(group, {}):
            continue
        values = found.stats[group][kernel_name]
        columns[f"{group}.{name}"] = sequences.lists(values, counts, PER_TOKEN[name])
        sums, n = sequences.sums(values, counts)
        columns[f"{group}.{name}_sum"], columns[f"{group}.{name}_count"] = sums, n
    return columns
