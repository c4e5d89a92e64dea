"""What a run records about itself, once it is finished."""

import hashlib
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import yaml

from .. import __version__
from .compute import StepReport
from .config import Config, use_of
from .fingerprint import canonical, key
from .lookup import version_of
from .plan import Plan, Step
from .pool import Pool
from .warmups import WarmedUp

RESULT_VERSION = 2  # raised when the same columns give another ledger or curated folder
LIBRARIES = ("torch", "transformers", "tokenizers", "pyarrow", "numpy", "datasets", "ray", "triton")


def result_fingerprint(config: Config, pool: Pool, plan: Plan) -> str:
    """Return the name of a run's result: all that decides it, and nothing of where it is made."""
    selectors = [
        {"use": use_of(s), "version": version_of(type(s)), "fields": s.identity()}
        for s in config.selector
    ]
    made = {
        "result": RESULT_VERSION,
        "pool": pool.key,
        "steps": {step.name: step.key for step in plan.steps},
        "rounds": {step.name: _rounds(step) for step in plan.steps if step.stage.n_rounds > 1},
        "selector": selectors,
        "budget": config.budget.model_dump() if config.budget else None,
        "labels": config.labels,
        "licenses": [source.license for source in config.data],
        "seed": config.seed,
        "name": config.name,
    }
    if config.filters:
        made["filters"] = list(config.filters)
    return key(canonical(made))


def _rounds(step: Step) -> list[str]:
    return [step.stage.round_name(number) for number in range(1, step.stage.n_rounds)]


def make_manifest(
    config: Config, pool: Pool, plan: Plan, reports: Sequence[StepReport], began: datetime
) -> dict[str, Any]:
    """Return the manifest, but for what the caller adds about the selection and the files."""
    now = datetime.now(UTC)
    steps = {("", step.name): step for step in plan.steps}
    steps |= {(t.name, step.name): step for t in plan.targets for step in t.steps}
    texts = {name: yaml.safe_load(step.text) for name, step in steps.items()}
    return {
        "tamis": __version__,
        "fingerprint": result_fingerprint(config, pool, plan),
        "began": began.isoformat(timespec="seconds"),
        "ended": now.isoformat(timespec="seconds"),
        "seconds": round((now - began).total_seconds(), 1),
        "config": config.model_dump(mode="json"),
        "pool": {
            "key": pool.key,
            "parts": len(pool.parts),
            "rows_in": pool.n_input,
            "rows_usable": pool.n_rows,
            "rejected": pool.rejected,
        },
        "columns": {name: asdict(address) for name, address in plan.columns.items()},
        "targets": {t.name: {"key": t.pool.key, "rows": t.pool.n_rows} for t in plan.targets},
        "steps": [
            asdict(report) | {"made_by": texts[report.target, report.name]} for report in reports
        ],
        "environment": {
            "python": platform.python_version(),
            "machine": platform.machine(),
            **{name: found for name in LIBRARIES if (found := _version(name))},
        },
    }


def describe_warmups(found: Sequence[WarmedUp]) -> Mapping[str, Any]:
    """Return by signal how its adapters were trained: loss of each step, rates, workers."""
    return {
        one.signal: {
            "key": one.folder.name,
            "workers": one.workers,
            "checkpoints": [dict(facts) for facts in one.checkpoints],
        }
        for one in found
    }


def describe_files(folder: Path, names: Sequence[str]) -> Mapping[str, Any]:
    """Return size and SHA-256 of files, and of the files in folders, by relative path."""
    files = [
        file
        for name in names
        for file in (sorted((folder / name).rglob("*")) or [folder / name])
        if file.is_file()
    ]
    return {
        str(file.relative_to(folder)): {
            "bytes": file.stat().st_size,
            "sha256": _sha256(file),
        }
        for file in files
    }


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
