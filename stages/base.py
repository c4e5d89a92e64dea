"""The contract of a stage: a table in, added columns out, for the same rows in the same order.

A stage may work in *rounds*: all rows take part in the first, later ones add to the lists of the
rows that a selector still doubts. What a row has after all rounds does not depend on who asked.

A stage that must see the whole pool before it can say anything of a row has `fits_pool`: then `fit`
returns what it found as an Arrow table, which is stored and sent to workers like any other result.
Such a stage works in one round, on the pool only and not on targets.

A stage is expensive and may hold a model. Like a scorer it is its own configuration. Its name in
the config prefixes its columns: a stage that adds `status` and is called `base` makes
`base.status`; inside the stage the prefix does not appear.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self, final

import numpy as np
import pyarrow as pa
from pydantic import PrivateAttr

from ..errors import ContractError
from ..scorers.base import Params

MESSAGE = pa.struct(
    [
        ("role", pa.string()),
        ("content", pa.string()),
        ("name", pa.string()),
        ("tool_calls", pa.string()),  # JSON
        ("tool_call_id", pa.string()),
    ]
)

ROWS = pa.schema(
    [
        ("row_id", pa.int64()),  # zero-based position in the input, rejected rows counted
        ("sample_id", pa.string()),  # hash of the canonical content
        ("source", pa.string()),  # name of the `data` entry
        ("messages", pa.list_(MESSAGE)),
        ("tools", pa.string()),  # JSON, or null
        ("input_start", pa.int32()),  # where an Alpaca `input` begins in the first user turn
    ]
)


@dataclass(frozen=True)
class Resources:
    """What one worker of a stage needs; never part of a result's identity.

    Attributes:
        gpus: of one worker.
        here: it works in the process that began the run, whatever the engine, and alone: it keeps
            to limits per minute, for instance, or uses a key that only that process has.
    """

    gpus: float = 0.0
    here: bool = False


class Stage(Params, ABC):
    """Adds columns to the rows of a part."""

    depends_on_hardware: ClassVar[bool] = False
    """True if last digits depend on the number of threads, which then is part of its identity."""

    _fitted: pa.Table | None = PrivateAttr(default=None)

    @property
    @abstractmethod
    def reads(self) -> pa.Schema:
        """The columns it needs, under their full names."""

    @property
    @abstractmethod
    def adds(self) -> pa.Schema:
        """Every column it can add, without the stage's name in the config."""

    def pinned(self) -> Self:
        """Return this stage with all that is open settled: hub branches, `auto` devices."""
        return self

    @property
    def n_rounds(self) -> int:
        """In how many rounds its columns come; the later ones for some rows only."""
        return 1

    def round_name(self, number: int) -> str:
        """Return what names the results of a later round, beside `identity`.

        Args:
            number: from 1 to `n_rounds` - 1.
        """
        return f"round-{number}"

    def round_size(self, number: int) -> int:
        """Return how many units of work a row is in a round, such as noisy copies; default: one.

        Args:
            number: from 0 to `n_rounds` - 1.
        """
        return 1

    @property
    def fits_pool(self) -> bool:
        """Whether `fit` must see the whole pool before any row can be run; default: no."""
        return False

    def fit(self, pool: Iterable[pa.Table]) -> pa.Table | None:
        """Return what must be known of the whole pool, small enough to hold in every worker.

        Args:
            pool: tables of the `reads` columns, part by part; can be read more than once.
        """
        return None

    def fitted_with(self, state: pa.Table | None) -> Self:
        """Return this stage with what `fit` found, which `run` then has as `_fitted`."""
        stage = self.model_copy()
        stage._fitted = state
        return stage

    def found(self) -> str:
        """Return what `fit` found in a few words, to be shown; default: nothing."""
        return ""

    def use_threads(self, threads: int) -> None:
        """Let the libraries that `fit` and `run` call use so many threads; default: as they do."""

    def resources(self) -> Resources:
        """Return what one worker needs."""
        return Resources()

    def use_store(self, root: str) -> None:
        """Learn where the store is, before `setup`; default: it does not matter.

        Only those whose `resources` say `here` are told.
        """

    def setup(self) -> None:
        """Load what is needed once per worker, such as a model."""

    def prepare(self, rows: pa.Table) -> None:
        """Make what can be made of rows before `run` gets the same table, such as tokens.

        It may be called from another thread, while `run` works on other rows; default: nothing.
        """

    def smaller(self) -> "Self | None":
        """Return this stage in less memory, or None where it takes what it takes; the default.

        Results may move by rounding, and no more.
        """
        return None

    def tokens_of(self, rows: pa.Table, wanted: Sequence[str]) -> np.ndarray | None:
        """Return how many tokens of each row `run` would send through its models, (rows,) int64.

        That is counted without a model, and `spent` says the same in the end; None, the default,
        where there are no such tokens or where it takes a model to know.
        """
        return None

    def requests_of(self, rows: pa.Table) -> tuple[int, int, float]:
        """Return what `run` would ask of a server at most, for some rows; default: nothing.

        Returns:
            Requests, about how many tokens in them, and what they and their replies cost at most.
        """
        return 0, 0, 0.0

    @abstractmethod
    def run(self, rows: pa.Table, wanted: Sequence[str]) -> pa.Table:
        """Return the wanted columns for the rows."""

    def run_round(self, rows: pa.Table, wanted: Sequence[str], number: int) -> pa.Table:
        """Return what a later round adds to the wanted columns, for the rows that take part.

        Args:
            rows: as for `run`.
            wanted: lists, which are added to those of the rounds before, and statuses.
            number: from 1 to `n_rounds` - 1.
        """
        raise NotImplementedError(f"{type(self).__name__} works in one round")

    def spent(self) -> Mapping[str, float]:
        """Return figures of the last call for progress and manifest, such as `tokens`."""
        return {}

    @final
    def __call__(self, rows: pa.Table, wanted: Sequence[str], number: int = 0) -> pa.Table:
        """Run a round, and check the promise: the same number of rows, just the wanted columns.

        Raises:
            ContractError: another number of rows, or columns of another name or type.
        """
        added = self.run_round(rows, wanted, number) if number else self.run(rows, wanted)
        name = type(self).__name__
        expected = pa.schema([self.adds.field(column) for column in wanted])
        if len(added) != len(rows):
            raise ContractError(f"{name} gave {len(added)} rows for {len(rows)}")
        if set(added.column_names) != set(wanted):
            raise ContractError(f"{name} gave columns {added.column_names}, wanted {list(wanted)}")
        added = added.select(list(wanted))
        if not added.schema.equals(expected):
            raise ContractError(f"{name} gave {added.schema}, promised {expected}")
        return added


def resolve_device(device: str) -> str:
    """Return "cpu" or "cuda" for `auto`; imports torch only where it must be asked."""
    if device != "auto":
        return device
    import torch  # heavy, and not needed by stages without a model

    return "cuda" if torch.cuda.is_available() else "cpu"


def plain_json(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the mapping without its empty values."""
    return {name: value for name, value in row.items() if value is not None}
