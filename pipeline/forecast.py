"""What a run will take, by what a sample of it took; kept, and laid beside what really happened.

    seconds of a step = setting up + seconds of the sample * tokens to do / tokens of the sample
                        * rounds of parts / parts,   rounds of parts = ceil(parts / workers)

with rows in place of tokens where a step has none. Files have ends, which take as much however few
rows there are: their bytes are those times the parts, and the rest by rows.

A forecast lies in the store under a name that the pool and the keys of the steps give; the manifest
of a run that finds one holds both.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from ..stages.remote import is_file
from .compute import StepReport
from .files import read
from .fingerprint import canonical, key
from .measuring import Measured, MeasuredWarmup
from .plan import Plan
from .pool import Pool
from .store import FORECASTS, Store

FIGURES = ("seconds", "cpu_s", "tokens", "size", "peak")


@dataclass(frozen=True)
class Work:
    """What a run has to do in a step.

    Attributes:
        rows, parts: that are not computed yet.
        tokens: in them, None where they cannot be counted beforehand.
        exact: they were counted row by row.
        pool_rows: of the whole pool or target, which a fit goes over.
        workers: that work on it.
        part_rows: of a part.
        rounds: in which the step works; the first is that of all rows.
        all_rounds: how many times the work of the first round all rounds of all rows would be.
    """

    rows: int
    parts: int
    tokens: int | None
    exact: bool
    pool_rows: int
    workers: int
    part_rows: int
    rounds: int = 1
    all_rounds: float = 1.0


@dataclass(frozen=True)
class StepForecast:
    """What a step will take.

    Attributes:
        step, target: of the plan; of a warm-up `warm-up of <signal>`.
        rows, parts: to be computed.
        tokens: through the models; None where it has none.
        exact: the tokens were counted row by row.
        seconds: with setting up; None: not forecast.
        cpu_s: processor time of all workers at their parts, which other work on the machine moves
            less.
        rows_per_s: of all workers together, without setting up.
        size: bytes in the store; None: not forecast.
        peak, gpu_peak: bytes that one worker takes in memory, and on its GPU, at least: libraries
            keep some for each shape of a batch, and a long run has more of these.
        without: what of the step is not in these numbers, and why.
    """

    step: str
    target: str
    rows: int
    parts: int
    tokens: int | None = None
    exact: bool = False
    seconds: float | None = None
    cpu_s: float | None = None
    rows_per_s: float | None = None
    size: int | None = None
    peak: int = 0
    gpu_peak: int = 0
    without: str = ""


@dataclass(frozen=True)
class Forecast:
    """What a run will take from now on.

    Attributes:
        key: names the plan.
        made: when.
        rows: of the pool.
        sampled: rows that were measured, and the longest ones beside them.
        engine: kind, workers and threads.
        start_s: until the workers of the engine are there.
        steps: what is not computed yet.
        done: steps that are.
        price: per hour, or None.
        assumes: what the numbers rest on.
    """

    key: str
    made: str
    rows: int
    sampled: tuple[int, int]
    engine: Mapping[str, Any]
    start_s: float
    steps: tuple[StepForecast, ...]
    done: tuple[str, ...] = ()
    price: float | None = None
    assumes: tuple[str, ...] = field(default=())

    @property
    def seconds(self) -> float:
        """Of all that is forecast."""
        return self.start_s + sum(step.seconds or 0.0 for step in self.steps)

    @property
    def cost(self) -> float | None:
        """At the price per hour."""
        return None if self.price is None else self.seconds / 3600 * self.price

    @property
    def size(self) -> int:
        """Bytes in the store."""
        return sum(step.size or 0 for step in self.steps)

    @property
    def peak(self) -> int:
        """Bytes in memory at least, of all workers together."""
        return max((step.peak for step in self.steps), default=0) * int(self.engine["workers"])

    def as_json(self) -> dict[str, Any]:
        """Return all that is known."""
        whole = {"seconds": round(self.seconds, 3), "size": self.size, "peak": self.peak}
        return asdict(self) | whole | {"cost": self.cost}


def forecast_step(name: str, work: Work, measured: Measured) -> StepForecast:
    """Return what a step will take, by what it took on a sample."""
    base = StepForecast(name, measured.target, work.rows, work.parts, work.tokens, work.exact)
    if measured.failed:
        return replace(base, without=f"not forecast: {measured.failed}")
    share = work.rows / measured.rows
    tokens = work.tokens
    if tokens is None and measured.tokens:  # it takes a model to count them
        tokens = round(measured.tokens * share)
    scale = tokens / measured.tokens if tokens is not None and measured.tokens else share
    at_once = min(work.workers, work.parts)
    busy_s = measured.seconds * scale * math.ceil(work.parts / at_once) / work.parts
    seconds, without = measured.setup_s + busy_s, []
    if measured.fit_s is not None:
        if measured.fit_linear:
            seconds += measured.fit_s * work.pool_rows / measured.rows
        else:
            without.append(
                f"the fit to the whole pool is not forecast: {measured.fit_s:.1f} s for "
                f"{measured.rows:,} rows, and how that grows is not known"
            )
    if work.rounds > 1:
        most = busy_s * (work.all_rounds - 1)
        without.append(
            f"{work.rounds - 1} later rounds are not forecast: at most {most:,.0f} s, if no row "
            f"were settled before"
        )
    rest = max(min(work.part_rows, work.pool_rows) - measured.rows, 0)
    return replace(
        base,
        tokens=tokens,
        seconds=round(seconds, 3),
        cpu_s=round(measured.cpu_s * scale, 3),
        rows_per_s=round(work.rows / busy_s, 2) if busy_s else None,
        size=round(measured.ends * work.parts + (measured.size - measured.ends) * share),
        peak=measured.peak + round(rest * measured.held / measured.rows),
        gpu_peak=measured.gpu_peak,
        without="; ".join(without),
    )


def forecast_warmup(measured: MeasuredWarmup, rows: int, workers: int) -> StepForecast:
    """Return what a warm-up will take, by what a step of each of its epochs took.

    Args:
        measured: on a few rows.
        rows: of an epoch.
        workers: that share the rows.
    """
    busy_s = measured.seconds * rows / measured.rows / workers
    return StepForecast(
        f"warm-up of {measured.name}",
        "",
        rows * measured.epochs,
        measured.epochs,
        seconds=round(measured.setup_s + busy_s, 3),
        rows_per_s=round(rows * measured.epochs / busy_s, 2) if busy_s else None,
        size=measured.size,
        peak=measured.peak,
        gpu_peak=measured.gpu_peak,
    )


def key_of(plan: Plan, pool: Pool) -> str:
    """Return the name of a plan: its pool, targets and steps, with adapters not trained yet."""
    steps = [["", step.name, step.folder] for step in plan.steps]
    steps += [[t.name, step.name, step.folder] for t in plan.targets for step in t.steps]
    return key(canonical({"pool": pool.key, "steps": steps}))


def keep(forecast: Forecast, store: Store) -> None:
    """Keep a forecast in the store, in place of an earlier one of the same plan."""
    store.write_json(store.root / FORECASTS / f"{forecast.key}.json", forecast.as_json())


def find(store: Store, name: str) -> dict[str, Any] | None:
    """Return the forecast of a plan as it was kept; None if there is none."""
    path = store.root / FORECASTS / f"{name}.json"
    return json.loads(read(path)) if is_file(path) else None


def beside(forecast: Mapping[str, Any], reports: Sequence[StepReport]) -> dict[str, Any]:
    """Return a forecast beside what really happened.

    A step is compared where this start computed as many rows as were forecast. `off` is forecast /
    truth - 1: 0.1 is a tenth too much.

    Args:
        forecast: as it was kept.
        reports: of the steps of the run.
    """
    truth = {(r.target, r.name): r for r in reports if r.number == 0}
    steps = []
    for step in forecast["steps"]:
        report = truth.get((step["target"], step["step"]))
        if report is None or report.rows != step["rows"]:
            continue
        really = {
            "seconds": report.seconds,
            "work_s": report.work_s,
            "tokens": int(report.spent["tokens"]) if "tokens" in report.spent else None,
            "size": report.size,
            "peak": report.peak,
            "cpu_s": report.cpu_s,
        }
        said = {name: step[name] for name in FIGURES}
        off = {name: _off(said[name], really[name]) for name in FIGURES}
        steps.append(
            {"step": step["step"], "target": step["target"], "rows": step["rows"]}
            | {"forecast": said, "really": really, "off": off}
        )
    return {
        "made": forecast["made"],
        "sampled": forecast["sampled"],
        "steps": steps,
        "compared": len(steps),
        "of": len(forecast["steps"]),
        **_in_all(steps, float(forecast["start_s"])),
    }


def _in_all(steps: Sequence[Mapping[str, Any]], start_s: float) -> dict[str, Any]:
    """Time, tokens and bytes of the compared steps together."""
    found = {}
    for name in ("seconds", "cpu_s", "tokens", "size"):
        pairs = [(step["forecast"][name], step["really"][name]) for step in steps]
        known = [(said, really) for said, really in pairs if None not in (said, really)]
        said = sum(pair[0] for pair in known) + (start_s if known and name == "seconds" else 0.0)
        really = sum(pair[1] for pair in known)
        found[name] = {"forecast": said, "really": really, "off": _off(said, really)}
    return found


def _off(said: float | None, really: float | None) -> float | None:
    return round(said / really - 1, 4) if said is not None and really else None
