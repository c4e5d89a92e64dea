"""`tamis sweep`: budgets x methods from one scoring, beside random choices."""

import json
from typing import Annotated

import typer

from .load import load
from .logs import Reporter, show
from .options import (
    AllowCode,
    ConfigFile,
    Data,
    Dtype,
    EngineKind,
    Limit,
    Model,
    Out,
    Overwrite,
    Sets,
    StoreFolder,
)
from .overrides import Overrides, parse_budget

Budgets = Annotated[
    list[str] | None, typer.Option("--budget", help="5%, 0.05 or 1000 (rows); once for each.")
]
By = Annotated[
    list[str] | None, typer.Option(help="Only the best rows by these, as ifd.score; once for each.")
]
Seeds = Annotated[int | None, typer.Option(min=1, help="Random choices to stand beside.")]


def sweep(
    config: ConfigFile,
    budget: Budgets = None,
    by: By = None,
    seeds: Seeds = None,
    data: Data = None,
    model: Model = None,
    limit: Limit = None,
    out: Out = None,
    store: StoreFolder = None,
    engine: EngineKind = None,
    dtype: Dtype = None,
    sets: Sets = None,
    overwrite: Overwrite = False,
    allow_code: AllowCode = False,
) -> None:
    """Compare budgets and methods, from one scoring: which rows would another choice keep?"""
    asked = {"budgets": [parse_budget(text) for text in budget or ()], "by": by, "seeds": seeds}
    own = [f"sweep.{name}={json.dumps(value)}" for name, value in asked.items() if value]
    every = [*own, *(sets or ())]
    said = Overrides(data or (), model, None, limit, out, store, engine, dtype, every)
    loaded = load(config, said, allow_code)
    from .sweep import sweep as compare
    from .sweep_table import sweep_table

    done = compare(loaded, Reporter(), overwrite)
    show(sweep_table(done.folder.path, done.found, done.was_done))
