"""One step on one part: what a worker does, whichever engine runs it."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ..stages.base import Stage
from ..stages.locations import locate
from .round_files import keep_round
from .store import Address, Part, Store


@dataclass(frozen=True)
class Task:
    """Columns of a step to be computed for one part.

    Attributes:
        part: which.
        missing: columns to compute.
        reads: where the inputs live.
        folder: where the columns go.
        whole: whether they come from more of the rows than the conversations.
        some: places in the part of the rows that take part in a later round; None for all.
        number: of the round.
    """

    part: Part
    missing: Sequence[str]
    reads: Mapping[str, Address]
    folder: str
    whole: bool = False
    some: tuple[int, ...] | None = None
    number: int = 0

    @property
    def n_rows(self) -> int:
        """How many rows take part."""
        return self.part.n_rows if self.some is None else len(self.some)


@dataclass(frozen=True)
class Receipt:
    """What a worker says of a finished task; the data itself is in the store.

    Attributes:
        part: which.
        n_rows: that took part.
        seconds: of the worker, reading and writing included.
        spent: figures of the stage, such as `tokens`.
    """

    part: Part
    n_rows: int
    seconds: float
    spent: Mapping[str, float] = field(default_factory=dict)


def compute(stage: Stage, task: Task, root: str) -> Receipt:
    """Read the inputs of a part, run the stage, keep the columns."""
    began = time.perf_counter()
    store = Store(locate(root))
    rows = store.read(task.part, task.reads)
    if task.some is None:
        store.write(task.folder, task.part, stage(rows, task.missing), task.whole)
    else:
        added = stage(rows.take(task.some), task.missing, task.number)
        name = stage.round_name(task.number)
        keep_round(store, task.folder, task.part.name(task.whole), name, task.some, added)
    return Receipt(task.part, task.n_rows, time.perf_counter() - began, dict(stage.spent()))


def limit_threads(stage: Stage, threads: int) -> None:
    """Let the libraries that a stage computes with use so many threads in this process."""
    stage.use_threads(threads)
    if stage.depends_on_hardware:
        import torch  # only stages that compute with it

        torch.set_num_threads(threads)
