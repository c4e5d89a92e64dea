"""`tamis plan`: the steps of a config, their columns, and what is computed already."""

from rich.console import RenderableType

from .config import Config
from .load import load
from .logs import show
from .options import (
    AllowCode,
    BudgetText,
    ConfigFile,
    Data,
    Dtype,
    Limit,
    Model,
    Sets,
    StoreFolder,
)
from .overrides import Overrides


def plan(
    config: ConfigFile,
    data: Data = None,
    model: Model = None,
    limit: Limit = None,
    budget: BudgetText = None,
    store: StoreFolder = None,
    dtype: Dtype = None,
    sets: Sets = None,
    allow_code: AllowCode = False,
) -> None:
    """Show the steps of a config, their columns, and what is computed already."""
    said = Overrides(data or (), model, budget, limit, None, store, None, dtype, sets or ())
    loaded = load(config, said, allow_code)
    show(_described(loaded))


def _described(config: Config) -> RenderableType:
    from ..stages.locations import locate
    from .plan import make_plan
    from .pool import Pool, find_pool, peek_pool, pool_key
    from .rounds import find_rounds
    from .run import pin
    from .store import Store
    from .summary import describe_plan
    from .targets import as_pools
    from .warmups import filled, warmups_of

    config = pin(config)
    store = Store(locate(config.store))

    def look(own: Config) -> Pool:
        name = pool_key(own)
        return find_pool(store, name) or peek_pool(own, name)

    pool = look(config)
    targets = {name: look(own) for name, own in as_pools(config).items()}
    plan = make_plan(filled(config, store, pool), pool, targets)
    find_rounds(plan, config.selector, "doubted")  # says what does not fit
    return describe_plan(plan, pool, store, warmups_of(config, store, pool, plan))
