"""What a run needs of its store, written into its folder as soon as it is known.

    runs/<name>/uses.json   the keys of its pool and targets, of its steps, and its warm-ups

So it is known of unfinished runs too, and without running anything that their configs name.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..errors import ConfigError
from ..stages.base import Stage
from ..stages.locations import Location
from .files import read, whole_file
from .folder import CONFIG, USES
from .plan import Plan
from .pool import Pool
from .store import Store
from .warmups import warmed_up


@dataclass(frozen=True)
class Uses:
    """What a run needs.

    Attributes:
        store: where, as an absolute address.
        pools: keys of its pool and targets.
        steps: the folders of its steps.
        warmups: the folders of its warm-ups.
    """

    store: str
    pools: tuple[str, ...]
    steps: tuple[str, ...]
    warmups: tuple[str, ...]


def note_uses(run: Path, store: Store, pool: Pool, plan: Plan) -> None:
    """Write down what a run needs.

    Args:
        run: its folder.
        store: of its columns.
        pool: of its rows.
        plan: with adapters that are trained.
    """
    stages: Mapping[str, Stage] = {step.name: step.stage for step in plan.every_step}
    found = Uses(
        str(store.root.absolute()),
        tuple(dict.fromkeys([pool.key, *(target.pool.key for target in plan.targets)])),
        tuple(dict.fromkeys(step.folder for step in plan.every_step)),
        tuple(dict.fromkeys(one.folder.name for one in warmed_up(stages))),
    )
    with whole_file(run / USES) as partial:
        partial.write_text(json.dumps(asdict(found), indent=1) + "\n", "utf-8")


def uses_of(run: Location) -> Uses:
    """Return what a run needs.

    Raises:
        ConfigError: it does not say; it was made by an earlier version, or its file is damaged.
    """
    try:
        facts: dict[str, Any] = json.loads(read(run / USES))
        lists = (tuple(facts[name]) for name in ("pools", "steps", "warmups"))
        return Uses(str(facts["store"]), *lists)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ConfigError(
            f"{run} does not say what it needs of its store ({USES}: {type(error).__name__}); run "
            f"its {CONFIG} again, or remove the folder"
        ) from error
