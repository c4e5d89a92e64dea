"""Instruction-complexity-aware IFD: IFD divided by how hard the instruction itself is.

    IC-IFD(Q, A) = L(A|Q) / (L(Q) L(A))        Hui et al. 2024, arXiv 2412.11231, eq. 2

with mean losses in nats per token; the unit is 1/nat, so only the ranking carries meaning. (The
paper's prose speaks of the instruction's perplexity; its equation and its code use the loss.)

    paper     instruction and answer as the signal cuts them
    official  the published code counts the newline that joins instruction and answer to the answer,
              not to the instruction (it must be a token of its own: template `none`); the code
              knows one turn only, so rows of several get no score
"""

from collections.abc import Mapping
from typing import Literal, final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from .base import Scorer, floats
from .signals import schema
from .turns import divide, last_of, mean


@final
class ICIFD(Scorer):
    """IFD over the loss of the instruction; an over-hard instruction lowers the score."""

    signal: str = "base"
    mode: Literal["paper", "official"] = "paper"

    @property
    def undefined(self) -> str:
        """Why a row has no score."""
        return "too_few_tokens" if self.mode == "paper" else "too_few_tokens_or_several_turns"

    @property
    def requires(self) -> Mapping[str, str]:
        """A newline between instruction and answer, and nothing else."""
        return {"template": "none"} if self.mode == "official" else {}

    @property
    def reads(self) -> pa.Schema:
        """Sums and counts of all three conditions; `official` also the losses one by one."""
        columns = [
            f"{part}.token_loss_{kind}"
            for part in ("given", "alone", "instruction")
            for kind in ("sum", "count")
        ]
        if self.mode == "official":
            columns += ["instruction.token_loss", "given.turns"]
        return schema(self.signal, *columns)

    def score(self, rows: pa.Table, fitted: pa.Table | None = None) -> pa.Array:
        """Return the score of each row; null where one of the three losses has no token."""
        if self.mode == "official":
            given, instruction = self._with_newline(rows)
        else:
            given = mean(rows, f"{self.signal}.given.token_loss")
            instruction = mean(rows, f"{self.signal}.instruction.token_loss")
        alone = mean(rows, f"{self.signal}.alone.token_loss")
        return pa.array(divide(given, instruction * alone), from_pandas=True)

    def _with_newline(self, rows: pa.Table) -> tuple[np.ndarray, np.ndarray]:
        """Move the last token of the instruction to the answer; rows of several turns give NaN."""
        sums, counts = (
            {
                part: floats(rows, f"{self.signal}.{part}.token_loss_{kind}")
                for part in ("given", "instruction")
            }
            for kind in ("sum", "count")
        )
        newline = last_of(rows, f"{self.signal}.instruction.token_loss")
        turns = pc.list_value_length(rows[f"{self.signal}.given.turns"].combine_chunks())
        single = np.asarray(pc.fill_null(pc.equal(turns, 1), False))
        newline = np.where(single, newline, np.nan)
        given = divide(sums["given"] + newline, counts["given"] + 1)
        return given, divide(sums["instruction"] - newline, counts["instruction"] - 1)
