"""What scorers share that compare the vectors of rows with those of targets.

A *query* is a row of a target. With x a row, q a query and sim(x, q) the cosine of their vectors
(where there are several checkpoints, the weighted mean of the cosines at each):

============== ===============================================================================
aggregate      score of x
============== ===============================================================================
max            max over q of sim(x, q)
mean           mean over q of sim(x, q), for each target; the best target
mean_max       mean over the q of a subtask, then the best subtask (all targets' subtasks)
cosine_of_mean sim(x, mean of the vectors of a subtask, as long as they are), the best subtask
============== ===============================================================================

A target without a subtask column is one subtask. Vectors are compared in double precision and the
result is rounded to float32, so that neither the batch nor the place of a row in it can be told
from its score, but for a rounding that falls exactly between two floats. Rows are taken in blocks;
rows x queries are in memory for one block only (and for one part, where `by_query` is wanted).
"""

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, cast

import numpy as np
import pyarrow as pa

from ..errors import ContractError, DataError
from .aimed import Aimed
from .base import NUMBERED, Scorer, row_status
from .matrices import lists, matrix, unit

Aggregate = Literal["max", "mean", "mean_max", "cosine_of_mean"]
ROWS_AT_ONCE = 128  # with 4 checkpoints of 8,192 numbers 34 MB; bounds memory
STATE = ("target", "subtask", "query", "vector", "checkpoints", "numbers")


@dataclass(frozen=True)
class _Queries:
    """What `aim` found.

    Attributes:
        vectors: (numbers, queries) float64; a product with unit vectors is the similarity.
        target, subtask, query: (queries,) of each.
        groups: places of the queries of each subtask (or target, as the aggregate wants).
        owner: (groups,) number of its target.
        checkpoints: that a row's vector is made of.
        numbers: of a stored vector at one checkpoint; of these the first `kept` count.
    """

    vectors: np.ndarray
    target: list[str]
    subtask: list[str | None]
    query: list[int | None]
    groups: list[np.ndarray]
    owner: np.ndarray
    checkpoints: int
    numbers: int

    @property
    def kept(self) -> int:
        """How many numbers of a vector at one checkpoint count."""
        return len(self.vectors) // self.checkpoints


class Matching(Aimed, Scorer):
    """Similarity of each row to the rows of targets."""

    @property
    def undefined(self) -> str:
        """Why a row has no score: it has no vector, or one without a direction."""
        return "no_vector"

    @property
    def details(self) -> pa.Schema:
        """Which row of which target it is most like, of those that its score comes from."""
        return pa.schema([("target", pa.string()), ("subtask", pa.string()), ("query", pa.int32())])

    @property
    def optional(self) -> pa.Schema:
        """Similarity to each query; the score for each target, and the query that it is from."""
        lists, places = pa.list_(pa.float32()), pa.list_(pa.int32())
        return pa.schema([("by_query", lists), ("by_target", lists), ("query_by_target", places)])

    @property
    @abstractmethod
    def compared(self) -> tuple[str, str]:
        """The columns of vectors: of a row, and of a target's row."""

    @property
    @abstractmethod
    def how(self) -> Aggregate:
        """How the similarities become one score."""

    def weigh(self, rows: pa.Table) -> np.ndarray:
        """Return how much each checkpoint counts, from the rows of a target; sums to 1."""
        return np.ones(1)

    def cut_at(self, numbers: int) -> int:
        """Return how many of the stored numbers of one checkpoint count."""
        return numbers

    def aim(self, targets: Mapping[str, pa.Table]) -> pa.Table:
        """Return one vector per query, in the order of `target` and of the rows.

        With `cosine_of_mean` there is one per subtask, and no `query`. A vector holds the unit
        vectors of its checkpoints times the weight of each.

        Raises:
            DataError: a row of a target without a vector.
            ContractError: vectors of other lengths, or other weights, than in the first target.
        """
        lines: list[pa.Table] = []
        weights = self.weigh(targets[self.targets[0]])
        for name in self.targets:
            rows = targets[name]
            if not np.array_equal(self.weigh(rows), weights):
                raise ContractError(f"targets.{name} has other weights of the checkpoints")
            vectors = self._checkpoints(matrix(rows[self.compared[1]], self.compared[1]), weights)
            _check(name, rows, vectors, self.compared[1])
            lines.append(self._lines(name, rows["subtask"].to_pylist(), vectors, weights))
        whole = pa.concat_tables(lines)
        if len(set(whole["numbers"].to_pylist())) > 1:
            raise ContractError(f"{self.compared[1]} has vectors of other lengths in other targets")
        return whole

    def score(self, rows: pa.Table, fitted: pa.Table | None = None) -> pa.Table:
        """Return score, target, subtask and query of each row."""
        return self.score_with(rows, fitted, ())

    def score_with(
        self, rows: pa.Table, fitted: pa.Table | None, optional: Sequence[str]
    ) -> pa.Table:
        """Return that and the optional details.

        Raises:
            ValueError: nothing was aimed at.
            ContractError: vectors of another length than those of the targets.
        """
        if fitted is None:
            raise ValueError(f"{type(self).__name__} needs what `aim` found in the targets")
        queries = self._queries(fitted)
        blocks = [self._block(block, queries, optional) for block in _blocks(rows)]
        found = {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}
        best = found.pop("best")
        columns: dict[str, pa.Array] = {"score": pa.array(found["score"])}
        for name, kind in zip(self.details.names, self.details.types, strict=True):
            columns[name] = pa.array(getattr(queries, name), kind).take(pa.array(best))
        for name in optional:
            columns[name] = lists(found[name])
        return pa.table(columns)

    def _block(
        self, rows: pa.Table, queries: _Queries, optional: Sequence[str]
    ) -> dict[str, np.ndarray]:
        """Score, place of the best query, and the optional details of a few rows."""
        sims = self._similarities(rows, queries)
        by_group = np.stack([self._of_group(sims[:, g]) for g in queries.groups], axis=1)
        # rounded, or which of two equal queries is the best would depend on the block
        sims, by_group = sims.astype(np.float32), by_group.astype(np.float32)
        first = np.stack([g[sims[:, g].argmax(1)] for g in queries.groups], axis=1)
        line = np.arange(len(sims))
        found = {"score": by_group.max(1), "best": first[line, by_group.argmax(1)]}
        if "by_query" in optional:
            found["by_query"] = sims
        owners = [
            np.flatnonzero(queries.owner == owner) for owner in range(queries.owner.max() + 1)
        ]
        if "by_target" in optional:
            of_target = [by_group[:, own].max(1) for own in owners]
            found["by_target"] = np.stack(of_target, axis=1)
        if "query_by_target" in optional:
            nearest = [first[line, own[by_group[:, own].argmax(1)]] for own in owners]
            places = np.array([-1 if place is None else place for place in queries.query])
            found["query_by_target"] = places[np.stack(nearest, axis=1)].astype(np.int32)
        return found

    def _of_group(self, sims: np.ndarray) -> np.ndarray:
        return np.asarray(sims.max(1) if self.how == "max" else sims.mean(1))

    def _similarities(self, rows: pa.Table, queries: _Queries) -> np.ndarray:
        """(rows, queries), NaN for a row without a vector."""
        column, n = self.compared[0], queries.checkpoints * queries.numbers
        stored = matrix(rows[column], column)
        if not stored.shape[1]:  # no row of the block has one
            return np.full((len(rows), queries.vectors.shape[1]), np.nan)
        if stored.shape[1] != n:
            raise ContractError(
                f"{column} has vectors of {stored.shape[1]} numbers, those of the targets have {n}"
            )
        split = stored.reshape(len(rows), queries.checkpoints, queries.numbers)
        vectors = unit(split[:, :, : queries.kept]).reshape(len(rows), -1)
        return np.asarray(vectors @ queries.vectors)

    def _checkpoints(self, vectors: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Stored vectors as (rows, checkpoints, numbers)."""
        n = vectors.shape[1]
        if n % len(weights):
            raise ContractError(
                f"{self.compared[1]} has vectors of {n} numbers for {len(weights)} checkpoints"
            )
        return vectors.reshape(len(vectors), len(weights), -1)

    def _lines(
        self, name: str, subtasks: list[str | None], vectors: np.ndarray, weights: np.ndarray
    ) -> pa.Table:
        """The state of one target."""
        places: list[int | None] = list(range(len(subtasks)))
        numbers = vectors.shape[2]
        vectors = vectors[:, :, : self.cut_at(numbers)]
        if self.how == "cosine_of_mean":
            each = list(dict.fromkeys(subtasks))
            own = [np.array([s == subtask for s in subtasks]) for subtask in each]
            vectors = np.stack([vectors[members].mean(0) for members in own])
            subtasks, places = each, [None] * len(each)
        weighted = unit(vectors) * weights[:, None]
        n = len(subtasks)
        return pa.table(
            {
                "target": pa.array([name] * n, pa.string()),
                "subtask": pa.array(subtasks, pa.string()),
                "query": pa.array(places, pa.int32()),
                "vector": lists(weighted.reshape(n, -1).astype(np.float32)),
                "checkpoints": pa.array([len(weights)] * n, pa.int32()),
                "numbers": pa.array([numbers] * n, pa.int32()),
            }
        )

    def _queries(self, fitted: pa.Table) -> _Queries:
        target, subtask = fitted["target"].to_pylist(), fitted["subtask"].to_pylist()
        apart = self.how in ("mean_max", "cosine_of_mean")
        groups: dict[tuple[str, str | None], list[int]] = {}
        for place, pair in enumerate(zip(target, subtask, strict=True)):
            groups.setdefault(pair if apart else (pair[0], None), []).append(place)
        names = list(dict.fromkeys(target))
        return _Queries(
            np.ascontiguousarray(matrix(fitted["vector"], "vector").T),
            target,
            subtask,
            cast("list[int | None]", fitted["query"].to_pylist()),
            [np.array(places) for places in groups.values()],
            np.array([names.index(name) for name, _ in groups]),
            fitted["checkpoints"][0].as_py(),
            fitted["numbers"][0].as_py(),
        )


def _check(name: str, rows: pa.Table, vectors: np.ndarray, column: str) -> None:
    """Raise where a row of a target cannot be compared with anything.

    Raises:
        DataError: the first such row, with its status.
    """
    lengths = np.square(vectors).sum(2)
    usable = (np.isfinite(lengths) & (lengths > 0)).all(1)
    said = row_status(rows).to_pylist()
    usable &= np.isin(said, NUMBERED)
    if not usable.all():
        place = int(np.flatnonzero(~usable)[0])
        raise DataError(
            f"targets.{name}: row {place} has no {column} to compare with (status {said[place]}); "
            f"leave it out of the target"
        )


def _blocks(rows: pa.Table) -> Iterator[pa.Table]:
    """The rows, few at a time; an empty table as it is."""
    for start in range(0, max(len(rows), 1), ROWS_AT_ONCE):
        yield rows.slice(start, ROWS_AT_ONCE)
