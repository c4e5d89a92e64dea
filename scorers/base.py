"""The contract of a scorer: signal columns in, one score column out; higher = keep first.

A scorer whose result is more than one number, such as a mean with its deviation, names the rest in
`details`; selectors read them like scores, as `<scorer>.<detail>`.

A scorer is its own configuration (a frozen pydantic model): its public fields are the keys that
stand beside `use:` in a config. Work that needs the whole pool goes into `fit`, which *returns* its
state as an Arrow table, so that it is stored and sent to workers like any other result. So does
`aim` of a scorer that compares rows with the rows of targets, and `fit_to_targets` of one that
needs both.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, ConfigDict

from ..errors import ContractError, DataError

NUMBERED = ("ok", "truncated")  # statuses that carry a number


class Params(BaseModel):
    """Parameters of a scorer, stage or selector, checked and frozen.

    A field named `seed` that is left at None takes the `seed` of the config.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")

    version: ClassVar[int] = 1
    """Raised by hand when the same parameters give other numbers."""

    neutral: ClassVar[frozenset[str]] = frozenset()
    """Fields that change no result beyond rounding, such as a bound of memory."""

    def identity(self) -> dict[str, Any]:
        """Return what makes the result what it is: by default every field that is not neutral."""
        return self.model_dump(mode="json", exclude=set(self.neutral))


class Reader(Params, ABC):
    """What says something of a row from columns, and may have to know the pool or targets first.

    Scorers and filters are such. Cheap and pure; a row never depends on its batch.
    """

    @property
    @abstractmethod
    def reads(self) -> pa.Schema:
        """The columns it needs, with their types."""

    @property
    def details(self) -> pa.Schema:
        """Further columns beside what every one of its kind makes, without its name; default: none.

        They are null where it says nothing of a row, and a NaN in them becomes null.
        """
        return pa.schema([])

    @property
    def optional(self) -> pa.Schema:
        """Details that are made only where a selector reads them, such as one number per query.

        Default: none.
        """
        return pa.schema([])

    @property
    def requires(self) -> Mapping[str, str]:
        """Settings that its signal must have, checked before anything runs; default: none."""
        return {}

    def misfit(self, signal: Mapping[str, Any]) -> str:
        """Return why it cannot work with the settings of its signal; empty if it can.

        By default they must be those of `requires`.

        Args:
            signal: its fields, as the config has them; a user's own may have others.
        """
        wrong = [(name, v) for name, v in self.requires.items() if signal.get(name, v) != v]
        return ", ".join(f"needs {name}: {v}, but it is {signal[name]}" for name, v in wrong)

    @property
    def fits_pool(self) -> bool:
        """Whether it must see the whole pool before it can say anything of a row; default: no."""
        return False

    def fit(self, pool: Iterable[pa.Table]) -> pa.Table | None:
        """Return what must be known of the whole pool.

        Args:
            pool: tables of the `reads` columns; can be read more than once.
        """
        return None

    def found(self, fitted: pa.Table) -> str:
        """Return what `fit` found in a few words, to be shown; default: nothing."""
        return ""

    @property
    def targets(self) -> tuple[str, ...]:
        """The targets of the config that it compares rows with; default: none."""
        return ()

    @property
    def target_reads(self) -> pa.Schema:
        """The columns of the targets' rows that it needs, of signals or of the rows."""
        return pa.schema([])

    def aim(self, targets: Mapping[str, pa.Table]) -> pa.Table:
        """Return what must be known of the targets.

        What has targets has this in place of `fit`, so that what it says does not depend on the
        pool.

        Args:
            targets: the rows of each of `targets` by name: its `target_reads` columns, and
                `subtask` (string, null where the target has no such column). A row's place here is
                its place in the target.
        """
        raise NotImplementedError(f"{type(self).__name__} has targets, but no aim")

    def fit_to_targets(self, pool: Iterable[pa.Table], targets: Mapping[str, pa.Table]) -> pa.Table:
        """Return what must be known of pool and targets together.

        What has targets and `fits_pool` has this in place of `fit` and `aim`.

        Args:
            pool: as for `fit`.
            targets: as for `aim`.
        """
        raise NotImplementedError(f"{type(self).__name__} fits pool and targets, but not together")

    @final
    def known(self, pool: Iterable[pa.Table], targets: Mapping[str, pa.Table]) -> pa.Table | None:
        """Return what must be known before the first row, as its kind has it.

        Args:
            pool: as for `fit`.
            targets: as for `aim`; empty where it has none.
        """
        if not targets:
            return self.fit(pool)
        return self.fit_to_targets(pool, targets) if self.fits_pool else self.aim(targets)


class Scorer(Reader, ABC):
    """One score per row from signal columns."""

    @property
    def undefined(self) -> str:
        """Status of a row whose inputs are fine but that has no score."""
        return "undefined"

    @abstractmethod
    def score(self, rows: pa.Table, fitted: pa.Table | None = None) -> pa.Array | pa.Table:
        """Return one float per row, null or NaN where there is no score.

        With `details`: a table of the column `score` and of those.
        """

    def score_with(
        self, rows: pa.Table, fitted: pa.Table | None, optional: Sequence[str]
    ) -> pa.Table:
        """Return what `score` does and some of the `optional` details."""
        raise NotImplementedError(f"{type(self).__name__} has optional details, but no score_with")

    @final
    def __call__(
        self, rows: pa.Table, fitted: pa.Table | None = None, optional: Sequence[str] = ()
    ) -> pa.Table:
        """Return `score` (float32), `status` and the details of `rows`, with the promise checked.

        Args:
            rows: the columns of `reads`.
            fitted: what `fit` or `aim` gave.
            optional: which of the optional details are wanted.

        Raises:
            ContractError: not floats, not one for each row, or other details than promised.
        """
        fields = [*self.details, *(self.optional.field(name) for name in optional)]
        score = self.score_with(rows, fitted, optional) if optional else self.score(rows, fitted)
        columns = self._checked(score, pa.schema(fields), len(rows))
        status = row_status(rows)
        values = columns.pop("score").cast(pa.float32())
        usable = pc.is_in(status, pa.array(NUMBERED))
        scored = pc.and_(usable, pc.fill_null(pc.is_finite(values), False))
        status = pc.if_else(pc.and_(usable, pc.invert(scored)), self.undefined, status)
        table = {"score": only(scored, values), "status": status}
        return pa.table(table | {name: only(scored, column) for name, column in columns.items()})

    def _checked(
        self, found: pa.Array | pa.Table, details: pa.Schema, n: int
    ) -> dict[str, pa.Array]:
        """What `score` gave by name, as whole arrays.

        Raises:
            ContractError: it is not what was promised.
        """
        name = type(self).__name__
        if {"score", "status"} & set(details.names) or len(set(details.names)) < len(details):
            raise ContractError(f"{name}.details must have names of their own: {details.names}")
        if isinstance(found, pa.Table):
            if sorted(found.column_names) != sorted(["score", *details.names]):
                promised = ["score", *details.names]
                raise ContractError(
                    f"{name}.score gave columns {found.column_names}, promised {promised}"
                )
            columns = {column: found[column] for column in ("score", *details.names)}
        elif details.names:
            raise ContractError(
                f"{name}.score must return a table of score and {details.names}, "
                f"not {type(found).__name__}"
            )
        else:
            columns = {"score": found}
        columns = {c: v.combine_chunks() if _chunked(v) else v for c, v in columns.items()}
        values = columns["score"]
        if not isinstance(values, pa.Array) or not pa.types.is_floating(values.type):
            kind = values.type if isinstance(values, pa.Array) else type(values).__name__
            raise ContractError(f"{name}.score must return an Arrow array of floats, not {kind}")
        if len(values) != n:
            raise ContractError(f"{name}.score gave {len(values)} values for {n} rows")
        for field in details:
            if (made := columns[field.name].type) != field.type:
                raise ContractError(f"{name}.score gave {field.name} as {made}, not {field.type}")
        return columns


def _chunked(values: object) -> bool:
    return isinstance(values, pa.ChunkedArray)


def only(scored: pa.Array, values: pa.Array | pa.ChunkedArray) -> pa.Array:
    """Return the values of the rows that have a score, null elsewhere and for NaN.

    Args:
        scored: (rows,) bool.
        values: (rows,) of any type.
    """
    values = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    if pa.types.is_floating(values.type):
        scored = pc.and_(scored, pc.invert(pc.fill_null(pc.is_nan(values), True)))
    return pc.if_else(scored, values, pa.scalar(None, values.type))


def row_status(rows: pa.Table) -> pa.Array:
    """Return each row's status over all `….status` columns: the worst, the first among equals."""
    status = pa.array(np.full(len(rows), "ok", dtype=object), pa.string())
    for name in rows.column_names:
        if name.startswith("data.") or not name.endswith(".status"):
            continue
        # null: the row took no part in that pass; another status says why
        other = pc.fill_null(rows[name].combine_chunks(), "ok")
        # ok gives way to anything, truncated only to a status without a number
        bad = pc.invert(pc.is_in(other, pa.array(NUMBERED)))
        takes = pc.or_(pc.equal(status, "ok"), pc.and_(pc.equal(status, "truncated"), bad))
        status = pc.if_else(takes, other, status)
    return status


def floats(rows: pa.Table, name: str) -> np.ndarray:
    """Return a numeric column as float64, NaN where null.

    Raises:
        DataError: it holds something else.
    """
    try:
        column = rows[name].combine_chunks().cast(pa.float64(), safe=False)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise DataError(f"{name} is {rows[name].type}, and numbers are needed") from error
    return np.asarray(column.to_numpy(zero_copy_only=False), dtype=np.float64)
