"""What the steps of a plan take on a sample of its rows, with the run's own code.

The sample is a pool of its own in a temporary store; its steps are run as the local engine runs
them: they read, call the stage with the wanted columns, and write what a run would write.
"""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import pyarrow as pa

from ..errors import TamisError
from ..stages.reading import Reading
from .compute import fitted
from .config import Config
from .executor import LocalEngine
from .logs import Reporter
from .machine import peak_memory
from .plan import Plan, Step
from .pool import Pool
from .sample import Sample
from .store import Address, Part, Store
from .task import Receipt, Task, limit_threads
from .warmups import Wanted, wanted, warmup_of, with_adapters

CENSUS = 200_000  # rows whose tokens are counted one by one; of larger pools so many, evenly spread
ASKS = "it asks a server, which nothing but the run itself does"
SHARE = 4  # a quarter of the sample is looked at as well, to see how fits and files grow


@dataclass(frozen=True)
class Measured:
    """What one step took on a sample.

    Attributes:
        name, target: of the step.
        rows, tokens: of the drawn part.
        setup_s: until the stage was ready.
        seconds, cpu_s: for the drawn part, reading and writing included; its processor time.
        size: bytes of its files.
        ends: of these, what files take however few rows they have: by those of a quarter.
        held: bytes of its columns in memory.
        peak, gpu_peak: bytes that this process had in memory at most so far, and of the GPU.
        fit_s: of what it must know of the whole pool, where it must; of the whole sample.
        fit_linear: that took no longer per row than on a quarter of the sample.
        failed: why it cannot be measured on a sample.
    """

    name: str
    target: str = ""
    rows: int = 0
    tokens: float = 0.0
    setup_s: float = 0.0
    seconds: float = 0.0
    cpu_s: float = 0.0
    size: int = 0
    ends: int = 0
    held: int = 0
    peak: int = 0
    gpu_peak: int = 0
    fit_s: float | None = None
    fit_linear: bool = False
    failed: str = ""


@dataclass(frozen=True)
class MeasuredWarmup:
    """What the training of a signal's adapters took on some rows.

    Attributes:
        name: of the signal.
        rows: of an epoch.
        epochs: of which each left a checkpoint.
        setup_s: until the first step.
        seconds: of all epochs.
        size: bytes of all checkpoints.
        peak, gpu_peak: as of a step.
    """

    name: str
    rows: int
    epochs: int
    setup_s: float
    seconds: float
    size: int
    peak: int
    gpu_peak: int


def measure_steps(
    plan: Plan,
    samples: Mapping[str, Sample],
    asked: Sequence[tuple[str, str]],
    engine: LocalEngine,
    store: Store,
    reporter: Reporter,
) -> list[Measured]:
    """Run the steps of a plan of samples; return what each took.

    Args:
        plan: of the samples.
        samples: by the name of the target; that of the pool under the empty name.
        asked: target and name of the steps to be run; the others are known.
        engine: runs them, over the same store.
        store: of the samples.
        reporter: shows the progress.

    Raises:
        TamisError: a step cannot be run; one that must see the whole pool says so instead.
    """
    found: list[Measured] = []
    lost = set[str]()  # steps of the pool that a sample is too small for
    every = [(target.name, step) for target in plan.targets for step in target.steps]
    for target, step in [*every, *(("", step) for step in plan.steps)]:
        if (target, step.name) not in asked:
            continue
        if step.stage.resources().here:
            lost.add(step.name)
            found.append(Measured(step.name, target, failed=ASKS))
            continue
        if gone := sorted(lost & {name.partition(".")[0] for name in step.reads}):
            lost.add(step.name)
            found.append(Measured(step.name, target, failed=f"reads {', '.join(gone)}"))
            continue
        reporter.say(f"measuring {step.name}{f' of {target}' if target else ''}")
        try:
            one = _measure(step, samples[target], engine, store, reporter)
        except TamisError as error:
            if not step.stage.fits_pool:
                raise
            lost.add(step.name)
            one = Measured(step.name, failed=f"does not fit to a sample: {error}")
        found.append(replace(one, target=target))
    return found


def _measure(
    step: Step, sample: Sample, engine: LocalEngine, store: Store, reporter: Reporter
) -> Measured:
    began = time.perf_counter()
    stage = fitted(step, sample.pool.parts, store, engine, reporter)
    fit_s = time.perf_counter() - began if step.stage.fits_pool else None

    def run(part: Part) -> tuple[Receipt, float]:
        """Run a part; return its receipt, and the seconds beside it."""
        task = Task(part, step.wanted, step.reads, step.folder, step.whole)
        began = time.perf_counter()
        (receipt,) = engine.run(stage, [task])
        return receipt, time.perf_counter() - began - receipt.seconds

    on_gpu = bool(stage.resources().gpus)
    _gpu_peak(on_gpu)
    _, setup_s = run(sample.longest or sample.drawn)  # and what a first call does once
    receipt, _ = run(sample.drawn)
    columns = {name: Address(step.folder, name, step.whole) for name in step.wanted}
    made = store.read(sample.drawn, columns)
    return Measured(
        step.name,
        rows=receipt.n_rows,
        tokens=receipt.spent.get("tokens", 0.0),
        setup_s=setup_s,
        seconds=receipt.seconds,
        cpu_s=receipt.cpu_s,
        size=receipt.size,
        ends=_ends(made, receipt.size, store),
        held=made.nbytes,
        peak=receipt.peak,
        gpu_peak=_gpu_peak(on_gpu),
        fit_s=fit_s,
        fit_linear=fit_s is not None and _fits_linearly(step, sample, store),
    )


def _ends(made: pa.Table, size: int, store: Store) -> int:
    """Bytes of the files of some columns that do not come with their rows."""
    few = len(made) // SHARE
    if not few:
        return 0
    less = store.write("quarter", Part("quarter", 0, few), made.slice(0, few))
    return max(round(size - (size - less) * len(made) / (len(made) - few)), 0)


def _fits_linearly(step: Step, sample: Sample, store: Store) -> bool:
    """Whether the fit of a scorer or filter takes no longer per row for more rows.

    That is, for the sample than for a quarter of it.

    Signals that see the whole pool (clusters, graphs) grow in ways that a sample does not show.
    """
    if not isinstance(step.stage, Reading):
        return False
    targets = {name: aim.rows(store) for name, aim in step.aims.items()}
    rows = store.read(sample.drawn, step.reads)
    times = []
    for some in (rows.slice(0, len(rows) // SHARE), rows):
        began = time.perf_counter()
        step.stage.known([some], targets)
        times.append(time.perf_counter() - began)
    return times[1] <= SHARE * times[0]


def _gpu_peak(on_gpu: bool) -> int:
    if not on_gpu:
        return 0
    from ..stages.hardware import gpu_peak  # torch

    return gpu_peak()


def measure_warmups(
    config: Config, store: Store, pool: Pool, reporter: Reporter
) -> tuple[Config, list[MeasuredWarmup]]:
    """Train the adapters of a config on the first rows of a sample: a step for each epoch.

    Args:
        config: those of its signals that are wanted, and whose adapters are not there.
        store: of the sample.
        pool: the sample.
        reporter: shows the progress.

    Returns:
        the config with these adapters, and what they took.
    """
    signals = dict(config.signals)
    for name, signal in config.signals.items():
        if asked := warmup_of(signal):
            few = asked.model_copy(update={"share": 1.0, "first": min(asked.batch, pool.n_rows)})
            signals[name] = signal.model_copy(update={"warmup": few})
    asked_all = wanted(config.model_copy(update={"signals": signals}), store, pool)
    found = [_trained(one, store, pool, reporter) for one in asked_all]
    filled = with_adapters(config, asked_all)
    return filled, found


def _trained(one: Wanted, store: Store, pool: Pool, reporter: Reporter) -> MeasuredWarmup:
    from ..stages.lora import training_of  # torch

    reporter.say(f"measuring the warm-up of {one.name}")
    on_gpu = bool(one.signal.resources().gpus)
    _gpu_peak(on_gpu)
    began = time.perf_counter()
    limit_threads(one.signal, one.settings.threads or 1)
    rows = one.rows(store, pool)
    training = training_of(one.signal, one.settings, rows, lambda n, tokens: None)
    ready = time.perf_counter()
    for _ in training.run(one.folder):
        pass
    return MeasuredWarmup(
        one.name,
        rows=len(rows),
        epochs=one.settings.epochs,
        setup_s=ready - began,
        seconds=time.perf_counter() - ready,
        size=sum(path.stat().st_size for path in one.folder.rglob("*") if path.is_file()),
        peak=peak_memory(),
        gpu_peak=_gpu_peak(on_gpu),
    )


def count_requests(step: Step, parts: Sequence[Part], store: Store) -> str:
    """Return what a step will ask of a server at most for some parts, in words; or nothing."""
    if not step.stage.resources().here:
        return ""
    counts = [step.stage.requests_of(rows) for rows in store.read_pool(parts, step.reads)]
    requests, tokens, cost = (sum(column) for column in zip(*counts, strict=True))
    said = f"; at most {requests:,} requests, about {tokens:,} tokens in their prompts"
    return said + (f", cost up to about {cost:,.2f}" if cost else "")


def count_tokens(step: Step, parts: Sequence[Part], store: Store) -> tuple[int | None, bool]:
    """Return the tokens that a step will send through its models for some parts, without a model.

    Returns:
        how many, None where the step cannot say it; and whether each row was counted.
    """
    stage, n_rows = step.stage.model_copy(), sum(part.n_rows for part in parts)
    stride = max(math.ceil(n_rows / CENSUS), 1)
    some = parts[::stride]
    total, n = 0, 0
    for rows in store.read_pool(some, step.reads):
        counts = stage.tokens_of(rows, step.wanted)
        if counts is None:
            return None, False
        total, n = total + int(counts.sum()), n + len(rows)
    return round(total * n_rows / max(n, 1)), stride == 1
