"""All checks, in the order in which they are shown."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from ..access import keep_to_ourselves
from .cluster import workers
from .finding import Check, Finding
from .libraries import library_checks
from .machine import hub_reached, machine_checks
from .methods import method_checks
from .models import model_checks


@dataclass(frozen=True)
class Asked:
    """What to look at beside the environment.

    Attributes:
        models: folders, or repositories of the hub.
        store, out: where columns and runs lie or will lie.
        address: of a running Ray cluster; by default one of this machine's own is started.
        ray: whether to start or join one at all.
        online: whether to ask the hub.
    """

    models: tuple[str, ...] = ()
    store: str = "store"
    out: str = "runs"
    address: str | None = None
    ray: bool = True
    online: bool = False


def examine(asked: Asked) -> Iterator[Finding]:
    """Yield what each check found, as soon as it is known."""
    if not (asked.address or os.environ.get("RAY_ADDRESS")):
        keep_to_ourselves()  # before the first import of Ray, which reads it
    for check in checks(asked):
        yield check()


def checks(asked: Asked) -> Iterator[Check]:
    """Yield every check, in order."""
    yield from library_checks()
    yield from machine_checks(asked.store, asked.out)
    if asked.online:
        yield hub_reached
    yield from model_checks(list(asked.models))
    yield from method_checks()
    if asked.ray:
        yield partial(workers, asked.address)
