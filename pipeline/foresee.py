"""`tamis plan --measure`: runs a sample of a config's steps, and says what the whole will take.

Reading comes first and is real: the pool is kept in the store, as the run would have done. What is
measured besides is thrown away, but for the forecast.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from ..errors import PlanError
from ..stages.locations import locate
from ..stages.modelled import ModelStage
from .config import Config, EngineConfig
from .executor import LocalEngine, open_engine
from .forecast import (
    Forecast,
    StepForecast,
    Work,
    forecast_step,
    forecast_warmup,
    keep,
    key_of,
)
from .logs import Reporter
from .machine import disk_free, memory_available, memory_in_use, n_cores
from .measuring import Measured, count_requests, count_tokens, measure_steps, measure_warmups
from .plan import Plan, Step, make_plan
from .pool import Pool, pool_key
from .run import open_pool, pin
from .sample import Sample, draw, fill_in, known_columns, lengths_of, longest, make_sample
from .store import Part, Store, open_store
from .targets import as_pools
from .task import Task
from .warmups import filled, planned, wanted, warmup_of

ROWS = 256  # of a sample, unless another number is asked for
TARGET_ROWS = 2048  # of a target: mostly all
LONGEST = (16, 128)  # of the longest rows at least and at most, as many as fill a batch
SPARE = 1.1  # times the forecast must be free


def foresee(
    config: Config, reporter: Reporter, rows: int | None = None, price: float | None = None
) -> Forecast:
    """Measure a sample and return the forecast of a config, which is kept in its store.

    Args:
        config: the config.
        reporter: shows what is going on.
        rows: of the sample.
        price: per hour; by default that of the config's limits.

    Raises:
        PlanError: a model that does not fit into memory.
        TamisError: a step cannot be run.
    """
    store = open_store(config.store, config.out)
    config = pin(config)
    pool = open_pool(config, store, pool_key(config), reporter)
    owns = as_pools(config)
    targets = {name: open_pool(own, store, pool_key(own), reporter) for name, own in owns.items()}
    named = key_of(make_plan(config, pool, targets), pool)
    config = filled(config, store, pool)
    plan = make_plan(config, pool, targets)
    missing = _missing(plan, pool, store)
    with TemporaryDirectory(prefix="tamis-sample-") as folder:
        measuring = _Measuring(config, store, Store(Path(folder)), reporter)
        steps, start_s = measuring.run(plan, pool, missing, rows or ROWS)
    said = config.engine
    done = [step.name for step in plan.steps if ("", step.name) not in missing]
    found = Forecast(
        named,
        datetime.now(UTC).isoformat(timespec="seconds"),
        pool.n_rows,
        measuring.sampled,
        {"kind": said.kind, "workers": n_workers(said), "threads": said.threads},
        round(start_s, 3),
        steps,
        tuple(done),
        config.limits.price if price is None else price,
        tuple(_assumptions(said)),
    )
    keep(found, store)
    return found


Missing = Mapping[tuple[str, str], tuple[Step, Pool, Sequence[Part]]]


def _missing(plan: Plan, pool: Pool, store: Store) -> Missing:
    """The parts that each step has to compute, by target and name."""
    every = [(t.name, t.pool, step) for t in plan.targets for step in t.steps]
    every += [("", pool, step) for step in plan.steps]
    found = {}
    for target, own, step in every:
        parts = list(store.missing(step.folder, step.wanted, own.parts, step.whole))
        if parts:
            found[target, step.name] = step, own, parts
    return found


class _Measuring:
    """Measures what is missing of a plan, in a store of its own."""

    def __init__(self, config: Config, store: Store, small: Store, reporter: Reporter) -> None:
        self.config, self.store, self.small, self.reporter = config, store, small, reporter
        self.sampled = 0, 0
        local = config.engine.model_copy(update={"kind": "local", "workers": None})
        self.engine = LocalEngine(local, str(small.root))

    def run(
        self, plan: Plan, pool: Pool, missing: Missing, rows: int
    ) -> tuple[tuple[StepForecast, ...], float]:
        """Return what each step will take, and the seconds until workers are there."""
        if not missing:
            return (), 0.0
        for step, _, _ in missing.values():
            check_model(step)
        samples = self._samples(plan, pool, rows)
        sample = samples[""]
        n_longest = sample.longest.n_rows if sample.longest else 0
        self.sampled = sample.drawn.n_rows, n_longest
        config, warmups = self._trained(plan, pool, sample)
        small = make_plan(config, sample.pool, {t.name: samples[t.name].pool for t in plan.targets})
        fill_in(sample, small.steps, self.small)
        asked = list(missing)
        found = measure_steps(small, samples, asked, self.engine, self.small, self.reporter)
        steps = [*warmups, *self._forecasts(found, missing, samples)]
        return tuple(steps), self._start(small, sample, found)

    def _samples(self, plan: Plan, pool: Pool, rows: int) -> dict[str, Sample]:
        seed, known = self.config.seed, known_columns(plan, pool, self.store)
        lengths = lengths_of(self.store, pool)
        budget = max((getattr(step.stage, "batch_tokens", 0) for step in plan.steps), default=0)
        most = max(int(lengths.characters.max()), 1)
        n = min(max(4 * budget // most, LONGEST[0]), LONGEST[1])  # some four characters a token
        places = draw(lengths, rows, seed), longest(lengths, n)
        samples = {"": make_sample(self.store, pool, places, known, self.small)}
        for target in plan.targets:
            own = lengths_of(self.store, target.pool)
            picked = draw(own, TARGET_ROWS, seed), longest(own, 0)
            samples[target.name] = make_sample(self.store, target.pool, picked, {}, self.small)
        return samples

    def _trained(self, plan: Plan, pool: Pool, sample: Sample) -> tuple[Config, list[StepForecast]]:
        """The config with adapters trained on the sample, and what each warm-up will take."""
        used = planned(self.config, plan).signals
        bare = {n: s for n, s in used.items() if warmup_of(s) and not getattr(s, "adapters", ())}
        if not bare:
            return self.config, []
        alone = self.config.model_copy(update={"signals": bare})
        real = {one.name: one for one in wanted(alone, self.store, pool)}
        trained, measured = measure_warmups(alone, self.small, sample.pool, self.reporter)
        signals = {**self.config.signals, **trained.signals}
        said = [
            forecast_warmup(one, len(real[one.name].places), real[one.name].settings.workers)
            for one in measured
        ]
        return self.config.model_copy(update={"signals": signals}), said

    def _forecasts(
        self, found: Sequence[Measured], missing: Missing, samples: Mapping[str, Sample]
    ) -> Iterator[StepForecast]:
        for one in found:
            step, pool, parts = missing[one.target, one.name]
            if asked := count_requests(step, parts, self.store):
                one = replace(one, failed=f"{one.failed}{asked}")
            if any(not samples[target].whole for target in step.aims):
                one = replace(one, failed="a target is larger than its sample")
            self.reporter.say(f"counting tokens of {one.name}") if one.tokens else None
            tokens, exact = count_tokens(step, parts, self.store) if one.tokens else (None, False)
            stage = step.stage
            sizes = [stage.round_size(number) for number in range(stage.n_rounds)]
            work = Work(
                sum(part.n_rows for part in parts),
                len(parts),
                tokens,
                exact,
                pool.n_rows,
                n_workers(self.config.engine, stage.resources().gpus),
                self.config.part_rows,
                stage.n_rounds,
                sum(sizes) / sizes[0],
            )
            yield forecast_step(one.name, work, one)

    def _start(self, plan: Plan, sample: Sample, found: Sequence[Measured]) -> float:
        """Seconds until Ray and its workers are there: measured, with the first step of all."""
        first = next((one for one in found if not one.failed and not one.target), None)
        config = self.config.engine
        if config.kind == "local" or config.address or first is None:
            return 0.0
        self.reporter.say("measuring how long Ray takes to start")
        step = next(step for step in plan.steps if step.name == first.name)
        stage = step.stage.fitted_with(self.small.read_fitted(step.folder))
        task = Task(sample.drawn, step.wanted, step.reads, step.folder, step.whole)
        engine = open_engine(config, self.small.root)
        began = time.perf_counter()
        try:
            busy = [receipt.seconds for receipt in engine.run(stage, [task] * n_workers(config))]
            return max(time.perf_counter() - began - max(busy) - first.setup_s, 0.0)
        finally:
            engine.close()


def n_workers(config: EngineConfig, gpus: float = 0.0) -> int:
    """Return how many workers an engine has on this machine.

    Args:
        config: of the engine.
        gpus: that a worker needs.
    """
    if config.kind == "local":
        return 1
    if config.workers:
        return config.workers
    if gpus:
        from ..stages.hardware import n_gpus  # torch

        return max(int(n_gpus() / (config.gpus_per_worker or gpus)), 1)
    return max(n_cores() // config.threads, 1)


def check_model(step: Step) -> None:
    """Raise if the weights of a step's model alone do not fit into memory.

    Raises:
        PlanError: so.
    """
    stage = step.stage
    if not isinstance(stage, ModelStage):
        return
    from ..stages.hardware import gpu_free  # torch
    from ..stages.pretrained import n_weights

    on_gpu = bool(stage.resources().gpus)
    free = gpu_free() if on_gpu else memory_available()
    size = n_weights(stage.model, stage.revision) * (4 if stage.dtype == "fp32" else 2)
    if free is not None and size > free:
        where = "on the GPU" if on_gpu else "of memory"
        raise PlanError(
            f"signals.{step.name}: the weights of {stage.model!r} in {stage.dtype} take "
            f"{size / 1e9:.1f} GB, and {free / 1e9:.1f} GB {where} are free"
        )


def misfits(config: Config, found: Forecast) -> list[str]:
    """Return what of a forecast does not fit this machine, a sentence each."""
    said = []
    free = disk_free(locate(config.store))
    if free is not None and found.size * SPARE > free:
        said.append(
            f"the columns will take {found.size / 1e9:.2f} GB, and {free / 1e9:.2f} GB are free "
            f"for the store {config.store!r}"
        )
    available = memory_available()
    if available is not None and not config.engine.address:
        available += memory_in_use() or 0  # of this process, which will be gone
        if found.peak > available:
            workers = found.engine["workers"]
            said.append(
                f"{workers} workers will take at least {found.peak / 1e9:.1f} GB of memory, and "
                f"{available / 1e9:.1f} GB are available; take fewer (engine.workers)"
                if workers > 1
                else f"it will take at least {found.peak / 1e9:.1f} GB of memory, and "
                f"{available / 1e9:.1f} GB are available"
            )
    return said


def _assumptions(config: EngineConfig) -> Iterator[str]:
    if config.kind == "ray":
        yield (
            f"{n_workers(config)} workers of {config.threads} threads, each as fast as one alone "
            f"on this machine was just now"
        )
    if config.address:
        yield "the machines of the cluster are like this one, and their workers are up"
    yield "what else the machine does stays as it was"
    yield "selection and export are not in it, as they need all scores"
