"""How much of a selection in rounds is what one round of everything would have chosen."""

from dataclasses import dataclass
from functools import partial

import numpy as np

from ..errors import PlanError
from . import selection
from .config import Config
from .logs import Reporter
from .pool import pool_key
from .rounds import Settle
from .run import pin, score_pool, undamaged
from .store import open_store

NO_ROUNDS = "no signal of this config works in rounds"


@dataclass(frozen=True)
class Agreement:
    """Two selections of one config.

    Attributes:
        kept: rows of the selection in rounds.
        same: of these, rows that the exhaustive one keeps too.
        took: units of work, such as noisy copies, of the first.
        of: of the second.
    """

    kept: int
    same: int
    took: int
    of: int


def agreement(config: Config, reporter: Reporter) -> Agreement:
    """Run all rounds for all rows, and compare the selection with that of the config.

    Raises:
        TamisError: what stopped it; PlanError where no signal of the config works in rounds.
    """
    config = pin(config)
    if not any(signal.n_rounds > 1 for signal in config.signals.values()):
        raise PlanError(NO_ROUNDS)
    store, name = open_store(config.store), pool_key(config)
    found = []
    settles: tuple[Settle, Settle] = ("doubted", "all")
    for settle in settles:
        work = partial(score_pool, config, store, name, reporter, settle=settle)
        scored = undamaged(store, config, work)
        if scored.spent is None:
            raise PlanError(NO_ROUNDS)
        budget = selection.budget_of(config.budget, scored.pool.n_rows, scored.plan.cost)
        filters = list(config.filters)
        decisions = selection.decide(scored.table, config.selector, budget, filters)
        found.append((decisions.kept, scored.spent))
    (some, spent), (every, _) = found
    return Agreement(int(some.sum()), int(np.sum(some & every)), *spent)
