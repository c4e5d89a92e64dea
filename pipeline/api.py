"""`tamis.select` and `tamis.score`: what the command line does, from Python.

Progress is plain lines on standard error, or nothing; no logger is configured.
"""

import sys
from collections.abc import Mapping, Sequence
from copy import deepcopy
from os import PathLike, fspath
from typing import Any, TypeAlias

import pyarrow as pa
from rich.console import Console

from ..errors import ConfigError
from . import run
from .config import Config
from .finished import Finished
from .load import load, load_mapping
from .logs import Reporter
from .overrides import Overrides

Place: TypeAlias = str | PathLike[str]
ConfigLike: TypeAlias = Place | Mapping[str, Any] | Config
Budget: TypeAlias = str | int | float | Mapping[str, float]


def select(
    config: ConfigLike,
    *,
    data: Place | Sequence[Place] | None = None,
    model: Place | None = None,
    budget: Budget | None = None,
    limit: int | None = None,
    out: Place | None = None,
    store: Place | None = None,
    engine: str | None = None,
    dtype: str | None = None,
    sets: Mapping[str, Any] | None = None,
    overwrite: bool = False,
    allow_code: bool = False,
    quiet: bool = False,
) -> Finished:
    """Score, select and export; go on where an earlier start stopped.

    Args:
        config: a YAML file, the name of a config that comes with Tamis, or its keys and values.
        data: a file, folder, glob or hub id, or several, in place of the config's `data`.
        model: a folder or hub id, for every signal with a model.
        budget: rows (`1000`), a share of the pool (`0.05`, `"5%"`), or as in a config
            (`{"answer_tokens": 100_000}`).
        limit: read only the first so many records of each entry of `data`.
        out: where runs live.
        store: where computed columns live.
        engine: `ray` or `local`.
        dtype: `auto`, `fp32`, `bf16` or `fp16`.
        sets: other values by path, as `{"signals.base.template": "alpaca"}`.
        overwrite: remove a run of the same name instead of numbering.
        allow_code: whether files of yours that the config names (`use: ./mine.py`) may run.
        quiet: show no progress.

    Returns:
        The run; the one that stands there already if it has the same result.

    Raises:
        TamisError: what stopped it, in one sentence; all that was computed is kept.
    """
    said = _overrides(data, model, budget, limit, out, store, engine, dtype, sets)
    loaded = _load(config, said, allow_code)
    result = run.select(loaded, _reporter(quiet), overwrite)
    return Finished(result.folder.path, allow_code)


def score(
    config: ConfigLike,
    *,
    data: Place | Sequence[Place] | None = None,
    model: Place | None = None,
    limit: int | None = None,
    out: Place | None = None,
    store: Place | None = None,
    engine: str | None = None,
    dtype: str | None = None,
    sets: Mapping[str, Any] | None = None,
    allow_code: bool = False,
    quiet: bool = False,
) -> pa.Table:
    """Compute every score of a config, without selecting; the arguments are those of `select`.

    Returns:
        row_id, sample_id and source of every usable row, and its scores, percentiles and statuses.

    Raises:
        TamisError: what stopped it, in one sentence; all that was computed is kept.
    """
    said = _overrides(data, model, None, limit, out, store, engine, dtype, sets)
    _, table = run.score(_load(config, said, allow_code), _reporter(quiet))
    return table


def _load(config: ConfigLike, said: Overrides, allow_code: bool) -> Config:
    if isinstance(config, Config):
        return load_mapping(config.model_dump(mode="json"), said, allow_code)
    if isinstance(config, Mapping):
        return load_mapping(config, said, allow_code)
    return load(fspath(config), said, allow_code)


def _overrides(
    data: Place | Sequence[Place] | None,
    model: Place | None,
    budget: Budget | None,
    limit: int | None,
    out: Place | None,
    store: Place | None,
    engine: str | None,
    dtype: str | None,
    sets: Mapping[str, Any] | None,
) -> Overrides:
    places = [data] if isinstance(data, str | PathLike) else data or ()
    if data is not None and not places:
        raise ConfigError("data: an empty list is given")
    values = {str(path): _plain(value) for path, value in (sets or {}).items()}
    if isinstance(budget, Mapping):
        values["budget"] = budget
        budget = None
    return Overrides(
        data=[fspath(place) for place in places],
        model=_text(model),
        budget=None if budget is None else str(budget),
        limit=limit,
        out=_text(out),
        store=_text(store),
        engine=engine,
        dtype=dtype,
        values=values,
    )


def _plain(value: object) -> object:
    """A value as a config holds it, apart from what the caller has: nothing is put into that."""
    return fspath(value) if isinstance(value, PathLike) else deepcopy(value)


def _text(place: Place | None) -> str | None:
    return None if place is None else fspath(place)


def _reporter(quiet: bool) -> Reporter:
    """Plain lines, also in a notebook: bars would need widgets there."""
    console = Console(
        file=sys.stderr,
        quiet=quiet,
        force_terminal=False,
        force_jupyter=False,
        highlight=False,
        markup=False,
    )
    return Reporter(console)
