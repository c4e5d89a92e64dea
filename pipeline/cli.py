"""The command line: `tamis select`, `score`, `plan`, `submit`, `status` and others.

Exit codes: 0 done, 1 stopped and resumable, 2 the user's mistake, 130 interrupted.
"""

import errno
import logging
import signal
import sys
from typing import Annotated, NoReturn

import typer

from .. import __version__
from ..errors import LimitReached, TamisError
from .diff_command import diff
from .doctor_command import doctor
from .explain_command import explain
from .export_command import export
from .load import load
from .logs import Reporter, printable, show
from .options import (
    AllowCode,
    BudgetText,
    ConfigFile,
    Data,
    Dtype,
    EngineKind,
    Limit,
    MaxCost,
    MaxHours,
    Model,
    Out,
    Overwrite,
    Price,
    Sets,
    StoreFolder,
)
from .overrides import Overrides
from .plan_command import plan
from .prompt_command import prompt
from .prune import prune
from .report_command import report
from .store_commands import commands as store_commands
from .submit import submit
from .sweep_command import sweep
from .view_commands import status, tokens

app = typer.Typer(
    help="Choose what to fine-tune on: score a pool, pick a budget, export a curated dataset.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.command()
def select(
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
    overwrite: Overwrite = False,
    max_hours: MaxHours = None,
    max_cost: MaxCost = None,
    price: Price = None,
    allow_code: AllowCode = False,
) -> None:
    """Score, select and export a curated dataset."""
    common = data or (), model, budget, limit, out, store, engine, dtype, sets or ()
    said = Overrides(*common, max_hours, max_cost, price)
    loaded = load(config, said, allow_code)
    from . import run
    from .summary import summarise

    result = run.select(loaded, Reporter(), overwrite)
    show(summarise(result.folder.path, result.manifest, result.was_done))


@app.command()
def score(
    config: ConfigFile,
    data: Data = None,
    model: Model = None,
    limit: Limit = None,
    out: Out = None,
    store: StoreFolder = None,
    engine: EngineKind = None,
    dtype: Dtype = None,
    sets: Sets = None,
    max_hours: MaxHours = None,
    max_cost: MaxCost = None,
    price: Price = None,
    allow_code: AllowCode = False,
) -> None:
    """Compute every score of a config, without selecting."""
    common = data or (), model, None, limit, out, store, engine, dtype, sets or ()
    said = Overrides(*common, max_hours, max_cost, price)
    loaded = load(config, said, allow_code)
    from . import run
    from .summary import summarise_scores

    path, table = run.score(loaded, Reporter())
    show(summarise_scores(path, table, list(loaded.scorers)))


@app.command()
def agreement(
    config: ConfigFile,
    data: Data = None,
    model: Model = None,
    limit: Limit = None,
    budget: BudgetText = None,
    store: StoreFolder = None,
    engine: EngineKind = None,
    dtype: Dtype = None,
    sets: Sets = None,
    allow_code: AllowCode = False,
) -> None:
    """Run all rounds for all rows, and say how much of the selection in rounds stays the same."""
    said = Overrides(data or (), model, budget, limit, None, store, engine, dtype, sets or ())
    loaded = load(config, said, allow_code)
    from .agreement import agreement as compare
    from .summary import summarise_agreement

    show(summarise_agreement(compare(loaded, Reporter())))


@app.command()
def warmup(
    config: ConfigFile,
    data: Data = None,
    model: Model = None,
    limit: Limit = None,
    store: StoreFolder = None,
    dtype: Dtype = None,
    sets: Sets = None,
    allow_code: AllowCode = False,
) -> None:
    """Train the adapters of a config's gradient signals, which `select` would do first."""
    said = Overrides(data or (), model, None, limit, None, store, None, dtype, sets or ())
    loaded = load(config, said, allow_code)
    from .summary import summarise_warmups
    from .training import warm_up

    show(summarise_warmups(warm_up(loaded, Reporter())))


app.command()(plan)
app.command()(prompt)
app.command()(sweep)
app.command()(doctor)
app.command()(status)
app.command()(tokens)
app.command()(export)
app.command()(report)
app.command()(explain)
app.command()(diff)
app.command()(prune)
app.command()(submit)
app.add_typer(store_commands, name="store")


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"tamis {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the command line; a user's mistake ends with one clear message and no traceback."""
    warnings = logging.StreamHandler()
    warnings.setLevel(logging.WARNING)  # the rest is for the log file of the run
    logging.getLogger().addHandler(warnings)
    terminated: list[int] = []

    def terminate(number: int, _: object) -> NoReturn:
        terminated.append(number)
        raise KeyboardInterrupt  # which, unlike SystemExit, Ray passes on as it is

    signal.signal(signal.SIGTERM, terminate)
    try:
        app()
    except LimitReached as error:
        _end(f"stopped: {error}", error.exit_code)
    except TamisError as error:
        _end(f"error: {error}", error.exit_code)
    except OSError as error:
        if error.errno in WRONG_PLACE:
            _end(f"error: {error}", 2)
        _end(f"stopped: {error}; {KEPT}", 1)  # a full disk, for example
    except SystemExit as end:
        if end.code == INTERRUPTED and terminated:
            _end(f"terminated; {KEPT}", 1)
        if end.code == INTERRUPTED:
            _end(f"interrupted; {KEPT}", INTERRUPTED)
        raise


INTERRUPTED = 130
WRONG_PLACE = (
    *(errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG),
    *(errno.EACCES, errno.EPERM, errno.EROFS),
)
KEPT = "what is computed is kept, start again to go on"


def _end(message: str, code: int) -> NoReturn:
    sys.stderr.write(f"{printable(message)}\n")
    sys.exit(code)
