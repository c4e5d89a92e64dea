"""ZIP: the rows whose text, all of it together, can be compressed least.

The ratio of a text is its bytes / its bytes compressed by zlib at level 9. In rounds, until the
budget is spent:

    1. of the k1 rows with the smallest ratio so far, compute that of chosen text + row;
    2. take the k2 smallest of these;
    3. of these one after the other, k3 in all, the row with the smallest ratio of
       the text chosen in this step + row.

At first a row's ratio is its own. Source: Yin et al. 2024, arXiv 2407.06645, and its code
(USTC-StarTeam/ZIP). That compresses the chosen text anew for each row; here the compressor is
copied where the chosen text ends, which gives the same ratios. It compresses the Python form of a
row with the names of its fields; here the messages joined by line breaks, with an empty line
between rows. zlib looks for repetitions in the last 32 KB, so what was taken long ago counts no
more.

zlib adds some bytes to every text, so a short row has a small ratio of its own: the first rounds
prefer short ones. A row without text would have the smallest, and is never taken.

Reads the texts of all rows that reach it, up to 2 GB, as Arrow has them, and turns k1 of them into
bytes at a time.
"""

import zlib
from typing import Literal, Self, final

import numpy as np
import pyarrow as pa
from pydantic import Field, model_validator

from ..base import ROWS
from ..signals.embedding import View, text_of
from .base import Budget, Choice, Selector
from .queries import Spending
from .turns import in_turn
from .vectors import even

LEVEL = 9
BETWEEN = b"\n\n"
NO_TEXT = "no_text"
LAST = np.finfo(np.float64).max  # behind all others that are left
AT_ONCE = 10_000  # texts; bounds memory


@final
class Zip(Selector):
    """Keeps the rows that compress least together, until the budget is spent."""

    text: View = "both"
    k1: int = Field(default=10_000, ge=1)
    """Rows that are looked at in a round."""
    k2: int = Field(default=200, ge=1)
    """Of these, rows that may be taken."""
    k3: int = Field(default=100, ge=1)
    """Of these, rows that are taken."""
    left_over: Literal["again", "official"] = "again"
    """What becomes of the k2 - k3 rows that a round leaves: they may be taken in a later one or, as
    the published code has it, only when all others are gone."""

    @model_validator(mode="after")
    def _narrowing(self) -> Self:
        if not self.k1 >= self.k2 >= self.k3:
            raise ValueError(f"must narrow: k1 {self.k1} >= k2 {self.k2} >= k3 {self.k3}")
        return self

    @property
    def reads(self) -> pa.Schema:
        """The conversations."""
        return pa.schema([ROWS.field("messages")])

    def select(self, pool: pa.Table, budget: Budget) -> Choice:
        """Order as taken, then by the last ratio that was computed of a row, smallest first."""
        rows = even(pool)
        texts = _Texts(pool["messages"], rows, self.text)
        alone = texts.ratios()
        usable, known = rows[alone > 0], alone[alone > 0]
        spending = Spending.of(pool, usable, budget)
        turns = self._rounds(_Texts(pool["messages"], usable, self.text), known, spending)
        status = pa.array(np.full(len(pool), NO_TEXT), pa.string())
        return in_turn(pool, budget, usable, turns, status)

    def _rounds(
        self, texts: "_Texts", ratios: np.ndarray, spending: Spending
    ) -> tuple[np.ndarray, np.ndarray]:
        """The rows in the order they are taken, and minus the last ratio of each row."""
        waiting, picks, chosen = ratios.copy(), list[int](), Chosen()
        while len(picks) < len(ratios):
            some = _smallest(waiting, min(self.k1, len(ratios) - len(picks)))
            own = texts.of(some)
            ratios[some] = waiting[some] = [chosen.ratio_with(text) for text in own]
            near = _smallest(waiting[some], self.k2)
            if self.left_over == "official":
                waiting[some[near]] = LAST
            for place in near[self._one_by_one([own[place] for place in near])].tolist():
                row = int(some[place])
                picks.append(row)
                waiting[row] = np.inf
                chosen.add(own[place])
                if not spending.spend(row):
                    return np.array(picks), -ratios
        return np.array(picks, dtype=np.int64), -ratios

    def _one_by_one(self, texts: list[bytes]) -> list[int]:
        """The places of k3 texts, each with the smallest ratio behind those before it."""
        chosen, picks, left = Chosen(), list[int](), dict(enumerate(texts))
        while left and len(picks) < self.k3:
            best = min(left, key=lambda place: (chosen.ratio_with(left[place]), place))
            picks.append(best)
            chosen.add(left.pop(best))
        return picks


class Chosen:
    """The text chosen so far, as the compressor stands at its end."""

    def __init__(self) -> None:
        self._compressor, self._read, self._written = zlib.compressobj(LEVEL), 0, 0

    def add(self, text: bytes) -> None:
        """Put a row's text at the end."""
        more = self._more(text)
        self._written += len(self._compressor.compress(more))
        self._read += len(more)

    def ratio_with(self, text: bytes) -> float:
        """Return the ratio of the text with that of a row at its end; 0 of no text at all."""
        more, compressor = self._more(text), self._compressor.copy()
        written = len(compressor.compress(more)) + len(compressor.flush())
        return (self._read + len(more)) / (self._written + written)

    def _more(self, text: bytes) -> bytes:
        return BETWEEN + text if self._read else text


class _Texts:
    """The texts of some rows, made when they are wanted."""

    def __init__(self, messages: pa.ChunkedArray, rows: np.ndarray, view: View) -> None:
        self._messages, self._rows, self._view = messages, rows, view

    def of(self, places: np.ndarray) -> list[bytes]:
        rows = self._messages.take(pa.array(self._rows[places]))
        return [text_of(own, self._view).strip().encode() for own in rows.to_pylist()]

    def ratios(self) -> np.ndarray:
        """The ratio of each text alone, (rows,) float64."""
        n, found = len(self._rows), list[float]()
        for start in range(0, n, AT_ONCE):
            texts = self.of(np.arange(start, min(start + AT_ONCE, n)))
            found += [Chosen().ratio_with(text) for text in texts]
        return np.array(found, dtype=np.float64)


def _smallest(values: np.ndarray, n: int) -> np.ndarray:
    """The places of the n smallest, smallest first; of equal ones the one in front."""
    return np.argsort(values, kind="stable")[:n]
