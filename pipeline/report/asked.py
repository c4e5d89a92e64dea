"""What was asked for and what came out, in a few figures and sentences."""

from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any

import numpy as np
from markupsafe import Markup

from ..finished import Finished
from .beside import Beside
from .chapter import Chapter, Finding
from .lengths import Lengths
from .page import Column, Tile, note, paragraph, table, tiles

PLACES = ("model", "other", "tokenizer")  # fields that may be a folder of this machine
MANY = 60  # characters of a setting


def asked(
    run: Finished, beside: Beside, lengths: Lengths | None, findings: Sequence[Finding]
) -> Chapter:
    """Return the first chapter: key figures, and every verdict of the others."""
    grave = [
        finding
        for level in ("major", "minor", "ok")
        for finding in findings
        if finding.level == level
    ]
    body = [
        tiles(_figures(run, beside, lengths)),
        paragraph(_summary(findings)),
        *(Markup(finding.__html__()) for finding in grave),
        note("What was asked for", table([Column("what"), Column("setting")], _recipe(run))),
    ]
    return Chapter("In short", body)


def _figures(run: Finished, beside: Beside, lengths: Lengths | None) -> list[Tile]:
    n_in, kept = run.manifest["pool"]["rows_in"], beside.n_kept
    random = beside.random[0]
    common = (beside.kept & random).sum() / kept
    chance = f"of the kept rows; chance alone: {random.mean():.1%}"
    if kept < len(random) and (beside.kept == random).all():
        chance = "the kept rows are that random choice"
    found = [
        Tile("rows in", f"{n_in:,}", _sources(run)),
        Tile("rows kept", f"{kept:,}", f"{kept / n_in:.1%} of the rows in", is_key=True),
        Tile("also chosen at random", f"{common:.1%}", chance),
    ]
    if lengths is not None:
        known = np.isfinite(lengths.values)
        sides = [lengths.values[rows & known] for rows in (beside.kept, known)]
        median, pool = (float(np.median(v)) if len(v) else float("nan") for v in sides)
        found.append(
            Tile("median answer kept", f"{median:,.0f} {lengths.unit}", f"pool: {pool:,.0f}")
        )
    return [*found, Tile("time", _time(run.manifest["seconds"]), "of this run")]


def _time(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:,.0f} s"
    return f"{seconds / 60:,.0f} min" if seconds < 7200 else f"{seconds / 3600:,.1f} h"


def _sources(run: Finished) -> str:
    names = [block["name"] for block in run.manifest["config"]["data"]]
    return ", ".join(names) if len(names) <= 2 else f"{len(names)} sources"


def _summary(findings: Sequence[Finding]) -> str:
    major, minor = (sum(f.level == level for f in findings) for level in ("major", "minor"))
    if major:
        return (
            f"{major} of {len(findings)} checks found something that should be understood before "
            f"this selection is trusted" + (f", {minor} something to know." if minor else ".")
        )
    if minor:
        return f"{minor} of {len(findings)} checks found something to know; none found more."
    return f"None of {len(findings)} checks found anything unusual."


def _recipe(run: Finished) -> list[list[str]]:
    config = run.manifest["config"]
    budget = {name: value for name, value in (config["budget"] or {}).items() if value is not None}
    blocks = [
        *((f"signal {name}", block) for name, block in config["signals"].items()),
        *((f"scorer {name}", block) for name, block in config["scorers"].items()),
        *((f"filter {name}", block) for name, block in config.get("filters", {}).items()),
        *((f"selector {n}", block) for n, block in enumerate(config["selector"], 1)),
    ]
    return [
        ["data", ", ".join(block["name"] for block in config["data"])],
        *([["targets", ", ".join(config["targets"])]] if config["targets"] else []),
        *([name, _settings(block)] for name, block in blocks),
        ["budget", ", ".join(_budget(name, value) for name, value in budget.items())],
        ["seed", str(config["seed"])],
    ]


def _budget(unit: str, value: float) -> str:
    if unit == "fraction":
        return f"{100 * value:g}% of the usable rows"
    return f"{value:,} {unit.replace('_', ' ')}"


def _settings(block: Mapping[str, Any]) -> str:
    """The settings of a block that are set; folders by their last part."""
    shown = [PurePath(block["use"]).name]
    for name, value in block.items():
        if name == "use" or value is None:
            continue
        text = PurePath(str(value)).name if name in PLACES else str(value)
        shown.append(f"{name} {text if len(text) <= MANY else text[:MANY] + '…'}")
    return ", ".join(shown)
