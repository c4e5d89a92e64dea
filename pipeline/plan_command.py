"""`tamis plan`: the steps of a config, what is computed already, and what the rest takes."""

from typing import Annotated

import typer
from rich.console import RenderableType

from ..errors import ConfigError, PlanError
from .config import Config
from .load import load
from .logs import Reporter, show
from .options import (
    AllowCode,
    BudgetText,
    ConfigFile,
    Data,
    Dtype,
    EngineKind,
    Limit,
    Model,
    Out,
    Price,
    Sets,
    StoreFolder,
)
from .overrides import Overrides

Measure = Annotated[
    bool, typer.Option("--measure", help="Run a sample, and forecast time, memory, disk and cost.")
]
Rows = Annotated[int | None, typer.Option(min=4, help="Rows of the sample (256).")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the forecast as JSON.")]


def plan(
    config: ConfigFile,
    data: Data = None,
    model: Model = None,
    limit: Limit = None,
    budget: BudgetText = None,
    out: Out = None,
    store: StoreFolder = None,
    engine: EngineKind = None,
    dtype: Dtype = None,
    sets: Sets = None,
    measure: Measure = False,
    price: Price = None,
    rows: Rows = None,
    as_json: AsJson = False,
    allow_code: AllowCode = False,
) -> None:
    """Show the steps of a config, their columns, and what is computed already.

    With --measure a sample is run: the forecast says what the rest takes, and exit code 2 that it
    does not fit.
    """
    given = [name for name, v in (("price", price), ("rows", rows)) if v is not None]
    if given and not measure:
        raise ConfigError(f"--{given[0]} needs --measure: nothing is measured without it")
    if not measure and as_json:
        raise ConfigError("--json needs --measure: it prints the forecast")
    common = data or (), model, budget, limit, out, store, engine, dtype, sets or ()
    loaded = load(config, Overrides(*common, price=price), allow_code)
    if measure:
        _measure(loaded, rows, as_json)
    else:
        show(_described(loaded))


def _measure(config: Config, rows: int | None, as_json: bool) -> None:
    import json

    from .forecast_table import show_forecast
    from .foresee import foresee, misfits

    found = foresee(config, Reporter(), rows)
    if as_json:
        typer.echo(json.dumps(found.as_json(), ensure_ascii=False))
    else:
        show(show_forecast(found))
    if said := misfits(config, found):
        raise PlanError(f"this does not fit: {'; '.join(said)}")


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
