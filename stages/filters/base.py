"""The contract of a filter: columns in, and for each row the reason why it is not wanted, or none.

A filter judges each row by itself, before the first selector; what it measured stays beside the
reason, as `<filter>.<detail>`, for kept rows too. A reason is the name of a rule, or that and a
detail after a colon.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar, final

import pyarrow as pa
import pyarrow.compute as pc

from ...errors import ContractError
from ...scorers.base import NUMBERED, Reader, only, row_status

REASON = pa.field("reason", pa.string())


class Filter(Reader, ABC):
    """Says which rows of a pool are not wanted."""

    words: ClassVar[Mapping[str, str]] = {}
    """What its reasons say, in plain words and as a clause, by what stands before their colon;
    `{detail}` is what stands after it."""

    @abstractmethod
    def judge(self, rows: pa.Table, fitted: pa.Table | None = None) -> pa.Table:
        """Return `reason` (string, null: the row passes) and the details of each row.

        Args:
            rows: the columns of `reads`.
            fitted: what `fit`, `aim` or `fit_to_targets` gave.
        """

    @final
    def __call__(self, rows: pa.Table, fitted: pa.Table | None = None) -> pa.Table:
        """Judge, and check the promise.

        A row whose inputs have a status without a number has that status as its reason.

        Raises:
            ContractError: other columns than promised, or not one line for each row.
        """
        name, promised = type(self).__name__, pa.schema([REASON, *self.details])
        if len(set(promised.names)) < len(promised):
            raise ContractError(f"{name}.details must have names of their own: {promised.names}")
        found = self.judge(rows, fitted)
        if not isinstance(found, pa.Table) or len(found) != len(rows):
            raise ContractError(f"{name}.judge must return a table with a line for each row")
        if set(found.column_names) != set(promised.names):
            raise ContractError(
                f"{name}.judge gave {found.column_names}, promised {promised.names}"
            )
        found = found.select(promised.names)
        if not found.schema.equals(promised):
            raise ContractError(f"{name}.judge gave {found.schema}, promised {promised}")
        status = row_status(rows)
        usable = pc.is_in(status, pa.array(NUMBERED))
        reason = pc.if_else(usable, found["reason"].combine_chunks(), status)
        columns = {field.name: only(usable, found[field.name]) for field in self.details}
        return pa.table({"reason": reason, **columns})
