"""The contract of a scorer as a test, for ours and for yours."""

import pickle
from collections.abc import Mapping

import pyarrow as pa
import yaml

from ..errors import ContractError
from .base import Scorer


def check_scorer(
    scorer: Scorer, rows: pa.Table, targets: Mapping[str, pa.Table] | None = None
) -> None:
    """Try everything that a scorer promises on some rows.

    Args:
        scorer: the scorer, with its parameters.
        rows: at least two rows that hold its `reads` columns.
        targets: for a scorer that has them, as `Scorer.aim` gets them.

    Raises:
        ContractError: the first broken promise, in one sentence.
    """
    name = type(scorer).__name__
    missing = [column for column in scorer.reads.names if column not in rows.column_names]
    if missing or len(rows) < 2:
        raise ContractError(f"to check {name}, give two rows or more with {scorer.reads.names}")
    rows = rows.select(scorer.reads.names)
    aims = {target: (targets or {})[target] for target in scorer.targets}
    fitted = scorer.known([rows], aims) if scorer.fits_pool or aims else None
    plain = ["score", "status", *scorer.details.names]
    whole = _scored(scorer, rows, fitted)
    for column in scorer.optional.names:
        if not scorer(rows, fitted, [column]).equals(whole.select([*plain, column])):
            raise ContractError(f"{name} gives another {column} when only that is wanted")
    if not whole.equals(_scored(scorer, rows, fitted)):  # details, too
        raise ContractError(f"{name} gives other numbers when called again")
    single = pa.concat_tables([_scored(scorer, rows.slice(i, 1), fitted) for i in range(len(rows))])
    if not _same(single, whole):
        raise ContractError(f"{name} gives a row other numbers in another batch")
    backwards = rows.take(list(range(len(rows)))[::-1])
    if not _same(_scored(scorer, backwards, fitted), whole.take(list(range(len(rows)))[::-1])):
        raise ContractError(f"{name} depends on the order of the rows")
    if not _same(_scored(scorer, rows.slice(0, 0), fitted), whole.slice(0, 0)):
        raise ContractError(f"{name} cannot score an empty table")
    _check_copies(scorer)


def _scored(scorer: Scorer, rows: pa.Table, fitted: pa.Table | None) -> pa.Table:
    """Everything that the scorer can say of the rows."""
    return scorer(rows, fitted, scorer.optional.names)


def _same(left: pa.Table, right: pa.Table) -> bool:
    return bool(left.combine_chunks().equals(right.combine_chunks()))


def _check_copies(scorer: Scorer) -> None:
    """A scorer travels to workers by pickle and into manifests by YAML."""
    name = type(scorer).__name__
    try:
        copy = pickle.loads(pickle.dumps(scorer))
    except (pickle.PickleError, AttributeError, TypeError) as error:
        raise ContractError(f"{name} cannot be pickled: {error}") from error
    text = yaml.safe_dump(scorer.model_dump(mode="json"))
    again = type(scorer)(**yaml.safe_load(text))
    if copy != scorer or again != scorer:
        raise ContractError(f"{name} does not survive pickle and YAML unchanged")
