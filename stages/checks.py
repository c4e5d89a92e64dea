"""The contracts of stages and selectors as tests, for ours and for yours."""

import pickle

import numpy as np
import pyarrow as pa

from ..errors import ContractError
from .base import Stage
from .selectors.base import Budget, Selector


def check_stage(stage: Stage, rows: pa.Table, rtol: float = 1e-4) -> None:
    """Try everything that a stage promises on some rows.

    Args:
        stage: the stage, with its parameters.
        rows: at least two rows that hold its `reads` columns.
        rtol: relative tolerance of floats between batches.

    Raises:
        ContractError: the first broken promise, in one sentence.
    """
    name, wanted = type(stage).__name__, stage.adds.names
    if len(rows) < 2:
        raise ContractError(f"to check {name}, give two rows or more")
    rows = rows.select(stage.reads.names)
    if pickle.loads(pickle.dumps(stage)) != stage:
        raise ContractError(f"{name} does not survive pickle unchanged")
    half = len(rows) // 2
    if stage.fits_pool:
        stage = _fitted(stage, rows, half)
    stage.setup()
    whole = stage(rows, wanted)
    if not whole.equals(stage(rows, wanted)):
        raise ContractError(f"{name} gives other columns when called again")
    for column in wanted:
        if not stage(rows, [column])[column].equals(whole[column]):
            raise ContractError(f"{name} gives another {column} when only that is wanted")
    parts = pa.concat_tables([stage(rows.slice(0, half), wanted), stage(rows.slice(half), wanted)])
    for column in wanted:
        if not _close(parts[column].to_pylist(), whole[column].to_pylist(), rtol):
            raise ContractError(f"{name}: {column} of a row depends on the other rows")


def check_selector(selector: Selector, pool: pa.Table, limit: int = 2) -> None:
    """Try everything that a selector promises on a pool.

    Args:
        selector: the selector, with its parameters.
        pool: `row_id`, `sample_id` and its `reads` columns.
        limit: rows of the budget.

    Raises:
        ContractError: the first broken promise, in one sentence.
    """
    name, budget = type(selector).__name__, Budget(limit)
    choice = selector(pool, budget)
    ids = pool["row_id"].to_numpy()
    backwards = np.arange(len(pool))[::-1]
    turned = selector(pool.take(backwards), budget)
    if not np.array_equal(ids[choice.order], ids[backwards[turned.order]]):
        raise ContractError(f"{name} depends on the order of the pool")
    if selector(pool.slice(0, 0), budget).n_kept != 0:
        raise ContractError(f"{name} keeps rows of an empty pool")
    _check_growth(selector, pool, limit)
    if pickle.loads(pickle.dumps(selector)) != selector:
        raise ContractError(f"{name} does not survive pickle unchanged")


def _check_growth(selector: Selector, pool: pa.Table, limit: int) -> None:
    """Raise if another budget changes more than the selector says."""
    if selector.growth == "anew":
        return
    less, more = selector(pool, Budget(limit)), selector(pool, Budget(limit + 1))
    same = np.array_equal(less.order, more.order)
    if not same or (selector.growth == "never" and less.n_kept != more.n_kept):
        raise ContractError(
            f"{type(selector).__name__}.growth is {selector.growth!r}, but another budget changes "
            f"its choice otherwise"
        )


def _fitted(stage: Stage, rows: pa.Table, half: int) -> Stage:
    """Return the stage with what it finds in the rows, as it reaches a worker."""
    name = type(stage).__name__
    if stage.n_rounds > 1:
        raise ContractError(f"{name} fits the pool, and so cannot work in {stage.n_rounds} rounds")
    state = stage.fit([rows])
    if state != stage.fit([rows.slice(0, half), rows.slice(half)]):
        raise ContractError(f"{name}.fit depends on how the pool is cut into parts")
    fitted = pickle.loads(pickle.dumps(stage.fitted_with(state)))
    if not isinstance(fitted, Stage) or fitted != stage.fitted_with(state):
        raise ContractError(f"{name} does not survive pickle with what it has fitted")
    return fitted


def _close(left: object, right: object, rtol: float) -> bool:
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(lambda a, b: _close(a, b, rtol), left, right))
    if isinstance(left, float) and isinstance(right, float):
        return bool(np.isclose(left, right, rtol=rtol, atol=1e-6))
    return left == right
