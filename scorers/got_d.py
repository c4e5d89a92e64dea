"""GOT-D: the rows whose growing share would bring the pool nearest to a target.

With OT(pool, target) the cost of moving the pool's rows, each of the same mass, onto the target's,
and f the potential of its dual problem, f_i says how the cost grows with the mass of row i:

    g_i = f_i - mean of f_j over the other rows j          score = -g_i

g sums to 0, and a constant in f does not matter. What the pool has too little of comes first, and
not what is most like the target: of that there may be enough. Source: Kang et al. 2024, arXiv
2405.02774, with the calibration of LAVA (Just et al. 2023, arXiv 2305.00054).

The cost of a pair is 1 - cosine of their embeddings. The transport is entropic, by the Sinkhorn
iterations of POT in logarithms. Pools beyond `chunk` rows are cut into equal chunks by sample_id, a
hash, so each is a sample; each is moved onto the target, and the potentials h of the target's rows
are averaged. From these each row has its f, whatever chunk it was in:

    f(x) = -r log mean over target rows y of exp((h(y) - cost(x, y)) / r)      r: regularisation
"""

import logging
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar, final

import numpy as np
import pyarrow as pa
from pydantic import Field

from ..errors import DataError
from .examples import OfExamples, check_length, example_vectors
from .features import there
from .matrices import lists, matrix
from .transport import check_installed, target_potentials

log = logging.getLogger(__name__)


@final
class GotD(OfExamples):
    """Minus the calibrated gradient of the transport cost by the mass of a row."""

    neutral: ClassVar[frozenset[str]] = frozenset({"memory_mb"})

    regularisation: float = Field(default=0.05, gt=0, allow_inf_nan=False)
    """Of the transport, in units of the cost (0 to 2): the smaller, the nearer to the exact one,
    and the more iterations."""
    chunk: int = Field(default=4096, ge=2)
    """Rows that are moved at a time."""
    iterations: int = Field(default=2000, ge=1)
    """At most, of each chunk."""
    tolerance: float = Field(default=1e-6, gt=0)
    """Of the target's masses, at which the iterations end."""
    memory_mb: int = Field(default=4096, ge=1)
    """For the vectors of chunks; changes no result."""

    @property
    def undefined(self) -> str:
        """Why a row has no score."""
        return "no_vector"

    def misfit(self, signal: Mapping[str, Any]) -> str:
        """Return why it cannot work with its signal; asked before the pool is worked on.

        Raises:
            PlanError: POT is missing.
        """
        check_installed()
        return super().misfit(signal)

    def fit_to_targets(self, pool: Iterable[pa.Table], targets: Mapping[str, pa.Table]) -> pa.Table:
        """Return the potential of each row of the targets, and the mean of the pool's.

        Reads the pool three times, and more often where `memory_mb` does not hold its vectors.

        Raises:
            DataError: a row of a target has no vector, or a chunk does not fit into `memory_mb`.
            PlanError: POT is missing.
        """
        examples = example_vectors(targets, self.targets, self.features).astype(np.float32)
        ids = self._ids(pool)
        n_chunks = -(-len(ids) // self.chunk)
        starts = np.unique(ids[[len(ids) * place // n_chunks for place in range(n_chunks)]])
        sums, worst = np.zeros(len(examples)), 0.0
        for group in self._groups(starts, ids, examples.shape[1]):
            for vectors in self._gathered(pool, starts, group, examples):
                cost = 1 - vectors @ examples.T.astype(np.float64)
                limits = (self.regularisation, self.iterations, self.tolerance)
                potentials, off = target_potentials(cost, *limits)
                sums += len(vectors) * (potentials - potentials.mean())
                worst = max(worst, off)
        if worst > self.tolerance:
            log.warning(
                "got_d: after %d iterations the target's masses are off by %.1e, not %.1e; raise "
                "iterations or regularisation",
                self.iterations,
                worst,
                self.tolerance,
            )
        state = pa.table(
            {"vector": lists(examples), "potential": pa.array(sums / max(len(ids), 1))}
        )
        own = [f for rows in pool for f in self._potentials(rows, state).tolist() if f == f]
        mean = math.fsum(own) / max(len(own), 1)
        state = state.append_column("mean", pa.array([mean] * len(state)))
        return state.append_column("rows", pa.array([len(own)] * len(state)))

    def score(self, rows: pa.Table, fitted: pa.Table | None = None) -> pa.Array:
        """Return minus the calibrated gradient of each row.

        Raises:
            ValueError: nothing was fitted.
        """
        if fitted is None:
            raise ValueError("got_d needs the potentials that `fit_to_targets` finds")
        mean, n = fitted["mean"][0].as_py(), fitted["rows"][0].as_py()
        return pa.array(-calibrated(self._potentials(rows, fitted), mean, n))

    @property
    def _room(self) -> int:
        """Bytes for vectors."""
        return self.memory_mb << 20

    def _ids(self, pool: Iterable[pa.Table]) -> np.ndarray:
        """The ids of all rows with a vector, sorted; copies as often as they are there."""
        found = [np.zeros(0, dtype="S32")]
        for rows in pool:
            ids = rows["sample_id"].to_numpy().astype("S")
            found += [ids[some][there(block)] for some, block in self.features.blocks(rows)]
        return np.sort(np.concatenate(found))

    def _groups(self, starts: np.ndarray, ids: np.ndarray, numbers: int) -> Iterator[range]:
        """Chunks whose vectors fit into the memory together."""
        room = self._room // (8 * numbers)
        ends = np.append(np.searchsorted(ids, starts[1:]), len(ids)) if len(starts) else starts
        first, before = 0, 0
        for place, end in enumerate(ends.tolist()):
            size = end - (ends[place - 1] if place else 0)
            if size > room:
                raise DataError(
                    f"got_d: {size:,} vectors of {numbers:,} numbers do not fit into memory_mb "
                    f"{self.memory_mb}; set it to {8 * numbers * size // (1 << 20) + 1} or more, "
                    f"or chunk to less"
                )
            if end - before > room:
                yield range(first, place)
                first, before = place, end - size
        if len(starts):
            yield range(first, len(starts))

    def _gathered(
        self, pool: Iterable[pa.Table], starts: np.ndarray, group: range, examples: np.ndarray
    ) -> Iterator[np.ndarray]:
        """The vectors of some chunks, (rows, numbers) float64, in the order of their ids."""
        held: dict[int, list[tuple[bytes, bytes]]] = {chunk: [] for chunk in group}
        for rows in pool:
            ids = rows["sample_id"].to_numpy().astype("S")
            owner = np.searchsorted(starts, ids, "right") - 1
            for some, block in self.features.blocks(rows):
                for place in np.flatnonzero(there(block)).tolist():
                    if (chunk := int(owner[some][place])) in held:
                        check_length(block, examples, self.features.of)
                        held[chunk].append((bytes(ids[some][place]), block[place].tobytes()))
        for own in held.values():
            own.sort()  # copies, whose vectors may differ by rounding, by these
            joined = b"".join(vector for _, vector in own)
            yield np.frombuffer(joined, np.float64).reshape(len(own), -1)

    def _potentials(self, rows: pa.Table, state: pa.Table) -> np.ndarray:
        """The potential f of each row, (rows,) float64, NaN without a vector."""
        examples = matrix(state["vector"], "vector")
        h = state["potential"].to_numpy()
        found = np.full(len(rows), np.nan)
        for some, block in self.features.blocks(rows):
            known = there(block)
            if known.any():
                check_length(block, examples, self.features.of)
                cost = 1 - block[known] @ examples.T
                own = np.full(len(block), np.nan)
                own[known] = potential(cost, h, self.regularisation)
                found[some] = own
        return found


def potential(cost: np.ndarray, h: np.ndarray, regularisation: float) -> np.ndarray:
    """Return the potential of each row that belongs to those of the target, (rows,).

    Args:
        cost: (rows, target rows).
        h: (target rows,) their potentials.
        regularisation: of the transport.
    """
    exponents = (h - cost) / regularisation
    most = exponents.max(axis=1)
    found: np.ndarray = np.log(np.exp(exponents - most[:, None]).mean(axis=1)) + most
    return -regularisation * found


def calibrated(f: np.ndarray, mean: float, n: int) -> np.ndarray:
    """Return potentials minus the mean of the other rows' potentials.

    Args:
        f: of some rows.
        mean: of all of them.
        n: rows there are; of a single one it is 0.
    """
    gradient: np.ndarray = (f - mean) * (n / max(n - 1, 1))
    return gradient
