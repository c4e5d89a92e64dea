"""One step on one part: what a worker does, whichever engine runs it."""

import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..errors import ContractError
from ..stages.base import Stage
from ..stages.locations import locate
from .machine import peak_memory
from .round_files import keep_round
from .store import Address, Part, Store

WORKER_DIED = "worker_died"  # the status of a row that kills its worker


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
        without: places of rows that kill their worker; they get the status `worker_died`.
        trial: nothing is kept: it is to be seen whether the worker survives.
    """

    part: Part
    missing: Sequence[str]
    reads: Mapping[str, Address]
    folder: str
    whole: bool = False
    some: tuple[int, ...] | None = None
    number: int = 0
    without: tuple[int, ...] = ()
    trial: bool = False

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
        without: row_id of rows that were left out, because they kill their worker.
        cpu_s: processor time of the worker, all its threads together.
        size: bytes of the files that were written.
        peak: bytes that the worker's process has had in memory at most, so far.
    """

    part: Part
    n_rows: int
    seconds: float
    spent: Mapping[str, float] = field(default_factory=dict)
    without: tuple[int, ...] = ()
    cpu_s: float = 0.0
    size: int = 0
    peak: int = 0


def read(stage: Stage, task: Task, root: str) -> pa.Table:
    """Read the inputs of a task, and let the stage prepare what it can without its device."""
    rows = Store(locate(root)).read(task.part, task.reads)
    if task.some is not None:
        rows = rows.take(task.some)
    elif task.without:
        rows = rows.take(_others(task))
    stage.prepare(rows)
    return rows


def read_ahead(stage: Stage, tasks: Sequence[Task], root: str) -> Iterator[pa.Table]:
    """Yield the inputs of tasks; while one is worked on the next is read and prepared."""
    with ThreadPoolExecutor(1) as reader:
        following = reader.submit(read, stage, tasks[0], root) if tasks else None
        for at in range(len(tasks)):
            assert following is not None
            rows = following.result()
            if at + 1 < len(tasks):
                following = reader.submit(read, stage, tasks[at + 1], root)
            yield rows


def compute(stage: Stage, task: Task, root: str, rows: pa.Table | None = None) -> Receipt:
    """Run a stage on the inputs of a part, and keep the columns.

    Args:
        stage: ready to run.
        task: what to do.
        root: of the store.
        rows: what `read` gave; by default it is read now.
    """
    began, cpu_began = time.perf_counter(), time.process_time()
    if rows is None:
        rows = read(stage, task, root)
    added = stage(rows, task.missing, task.number)
    store = Store(locate(root))
    size = 0 if task.trial else _keep(stage, task, store, added)
    without: tuple[int, ...] = ()
    if task.without:
        ids = store.read(task.part, {"row_id": Address("", "row_id")})["row_id"]
        without = tuple(ids.take(task.without).to_pylist())
    seconds, cpu_s = time.perf_counter() - began, time.process_time() - cpu_began
    spent = dict(stage.spent())
    return Receipt(task.part, task.n_rows, seconds, spent, without, cpu_s, size, peak_memory())


def _keep(stage: Stage, task: Task, store: Store, added: pa.Table) -> int:
    """Write the columns of a task; return the bytes of the files."""
    if task.some is not None:
        name, part = stage.round_name(task.number), task.part.name(task.whole)
        return keep_round(store, task.folder, part, name, task.some, added)
    if task.without:
        added = _with_gaps(task, added)
    return store.write(task.folder, task.part, added, task.whole)


def _others(task: Task) -> np.ndarray:
    """The places of the rows that are not left out, (rows,) int64."""
    return np.setdiff1d(np.arange(task.part.n_rows), task.without)


def _with_gaps(task: Task, added: pa.Table) -> pa.Table:
    """The columns of the other rows, with nulls for those left out, and their status."""
    places = np.zeros(task.part.n_rows, np.int64)
    places[_others(task)] = np.arange(len(added))
    gone = np.isin(np.arange(task.part.n_rows), task.without)
    whole = added.take(pa.array(places, mask=gone))
    for at, name in enumerate(whole.column_names):
        if name.rpartition(".")[2] == "status":
            status = pc.if_else(pa.array(gone), WORKER_DIED, whole[name])
            whole = whole.set_column(at, name, status)
    return whole


@contextmanager
def no_exit() -> Iterator[None]:
    """Let nothing in the block end the process, as if all were done.

    Raises:
        ContractError: code of the user's wanted to.
    """
    try:
        yield
    except SystemExit as end:
        raise ContractError(
            f"code that the config names ended the process (SystemExit: {end.code}); it must "
            f"return, or raise another error"
        ) from end


def limit_threads(stage: Stage, threads: int) -> None:
    """Let what a stage computes with use so many threads in this process, and bounded memory."""
    stage.use_threads(threads)
    if stage.depends_on_hardware:
        import torch  # only stages that compute with it

        from ..stages.hardware import bound_shapes

        torch.set_num_threads(threads)
        bound_shapes()
