"""Tamis: choose what to fine-tune on. Score a pool, pick a budget, export a curated dataset.

::

    import tamis

    run = tamis.select("ifd", data="my.jsonl", model="gpt2", budget="5%")
    run.ledger.to_pandas()      # every input row: outcome, step, reason, rank, margin, scores
    run.curated                 # the rows that were kept, a datasets.Dataset

Importing it is cheap: what a name needs is imported when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .errors import TamisError
    from .pipeline.api import score, select
    from .pipeline.finished import Finished, open_run

__version__ = "0.1.0"
__all__ = ["Finished", "TamisError", "__version__", "open_run", "score", "select"]

_HOMES = {
    "Finished": ".pipeline.finished",
    "TamisError": ".errors",
    "open_run": ".pipeline.finished",
    "score": ".pipeline.api",
    "select": ".pipeline.api",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever has the name
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name], __name__), name)


def __dir__() -> list[str]:
    return sorted(__all__)
