"""Instruction-following difficulty: how little the instruction helps to foresee the answer.

With L(A|Q) the mean loss of the answer given the instruction and L(A) that of the answer alone,
both in nats per token:

    cherry          L(A|Q) / L(A)            Li et al. 2023, arXiv 2308.12032, eq. 5
    superfiltering  exp(L(A|Q) - L(A))       Li et al. 2024, arXiv 2402.00530: ratio of perplexities
    aligned         exp(L(A|Q) - L(A))       the same, both means over the same tokens

A high value says that the answer is hard to derive from its instruction, and the row is worth
keeping; a value over 1 says that the instruction misleads, and the row is usually dropped (by a
`threshold` selector: superfiltering keeps values under 1, cherry also 1 itself). The forms rank
differently. With a tokenizer that has no BOS (GPT-2) the first token of an answer on its own has no
loss: `superfiltering`, as published, then compares means over N and N - 1 tokens; `aligned` leaves
that token out of both.

Rows of several turns: `combined` pools the tokens of all answers, `mean` averages the score of the
answers one by one.
"""

from collections.abc import Mapping
from typing import Literal, final

import numpy as np
import pyarrow as pa

from .base import Scorer
from .signals import schema
from .turns import Turns, divide, mean, read_turns


@final
class IFD(Scorer):
    """Instruction-following difficulty from the losses of one model."""

    signal: str = "base"
    mode: Literal["cherry", "superfiltering", "aligned"] = "superfiltering"
    turns: Literal["combined", "mean"] = "combined"

    @property
    def undefined(self) -> str:
        """Why a row has no score."""
        return "one_token_answer"

    @property
    def reads(self) -> pa.Schema:
        """Sums and counts; whole lists only where tokens or turns must be told apart."""
        parts = ("given", "alone")
        if self._by_turn:
            columns = [f"{part}.{column}" for part in parts for column in ("token_loss", "turns")]
        else:
            columns = [f"{part}.token_loss_{kind}" for part in parts for kind in ("sum", "count")]
        return schema(self.signal, *columns)

    @property
    def requires(self) -> Mapping[str, str]:
        """The same tokens in both passes are only to be had from one tokenisation."""
        return {"tokenisation": "exact"} if self.mode == "aligned" else {}

    @property
    def _by_turn(self) -> bool:
        return self.mode == "aligned" or self.turns == "mean"

    def score(self, rows: pa.Table, fitted: pa.Table | None = None) -> pa.Array:
        """Return the difficulty of each row; null where the answer alone has no scored token."""
        if not self._by_turn:
            given, alone = (
                mean(rows, f"{self.signal}.{part}.token_loss") for part in ("given", "alone")
            )
            return pa.array(self._ratio(given, alone), from_pandas=True)
        return pa.array(self._score_by_turn(rows), from_pandas=True)

    def _score_by_turn(self, rows: pa.Table) -> np.ndarray:
        given, alone = (
            read_turns(rows, f"{self.signal}.{part}.token_loss", f"{self.signal}.{part}.turns")
            for part in ("given", "alone")
        )
        n_given, n_alone = _tokens(given), _tokens(alone)
        if self.mode == "aligned":
            n_given = n_alone = np.minimum(n_given, n_alone)
        sums = given.sums(n_given), alone.sums(n_alone)

        def by_row(values: np.ndarray) -> np.ndarray:
            sums: np.ndarray = np.bincount(given.row, weights=values, minlength=len(rows))
            return sums

        if self.turns == "combined":
            means = (
                divide(by_row(sums[0]), by_row(n_given)),
                divide(by_row(sums[1]), by_row(n_alone)),
            )
            return self._ratio(*means)
        ratios = self._ratio(divide(sums[0], n_given), divide(sums[1], n_alone))
        defined = np.isfinite(ratios)
        return divide(by_row(np.where(defined, ratios, 0.0)), by_row(defined))

    def _ratio(self, given: np.ndarray, alone: np.ndarray) -> np.ndarray:
        ratio: np.ndarray = divide(given, alone) if self.mode == "cherry" else np.exp(given - alone)
        return ratio


def _tokens(turns: Turns) -> np.ndarray:
    counts: np.ndarray = turns.ends - turns.starts
    return counts
