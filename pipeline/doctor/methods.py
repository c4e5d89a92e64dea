"""The golden numbers of every method, computed by the code that is installed here."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from typing import Any

import numpy as np
import pyarrow as pa

from ...errors import TamisError
from ...scorers.base import Scorer
from ...stages.selectors.base import Budget, Selector
from .. import lookup
from . import scorer_goldens, selector_goldens
from .finding import Check, Finding
from .golden import Columns, ScorerGolden
from .selector_goldens import SelectorGolden

ADVICE = "do not trust what it gives here; send this line, and those of the libraries, to us"
IDS = pa.schema([("row_id", pa.int64()), ("sample_id", pa.string())])
NEEDS = {"got_d": "ot"}  # of an extra, as it is imported
VECTORS = pa.list_(pa.float32())


def method_checks() -> Iterator[Check]:
    """Yield a check of every kernel, scorer and selector that has golden numbers."""
    yield kernels
    for use in dict.fromkeys(golden.use for golden in scorer_goldens.GOLDENS):
        scorers = [golden for golden in scorer_goldens.GOLDENS if golden.use == use]
        if (library := NEEDS.get(use)) and find_spec(library) is None:
            yield partial(unchecked, f"scorer {use}", library)
            continue
        yield partial(check, f"scorer {use}", [partial(scorer_off, g) for g in scorers])
    for use in dict.fromkeys(golden.use for golden in selector_goldens.GOLDENS):
        selectors = [golden for golden in selector_goldens.GOLDENS if golden.use == use]
        yield partial(choices, f"selector {use}", selectors)


def unchecked(name: str, library: str) -> Finding:
    """That a method needs a library of an extra that is not installed.

    Args:
        name: of the line.
        library: as it is imported.
    """
    return Finding(name, "OK", f"not checked: it needs {library}, which is not installed")


def kernels() -> Finding:
    """All kernels, on the device and by the backend that a run would take."""
    name = "kernels, numbers"
    try:
        from ...kernels.backend import choose
        from ...kernels.goldens import GOLDENS
        from ...stages.hardware import gpus

        device = "cuda" if gpus() else "cpu"
        backend = choose("auto", device)
        found = {golden.kernel: golden.off(device, backend) for golden in GOLDENS}
    except (ImportError, OSError, RuntimeError) as error:  # the last: of the GPU
        said = f"{type(error).__name__}: {str(error).splitlines()[0]}"
        return Finding(name, "MAJOR", said, "see the lines of torch and triton")
    wrong = {g.kernel: found[g.kernel] for g in GOLDENS if not found[g.kernel] <= g.tolerance}
    if wrong:
        said = ", ".join(f"{kernel} is off by {off:.3g}" for kernel, off in wrong.items())
        return Finding(name, "MAJOR", f"on {device} by {backend}: {said}", ADVICE)
    said = f"{len(found)} on {device} by {backend}, off by {max(found.values()):.1e} at most"
    return Finding(name, "OK", said)


def choices(name: str, goldens: Sequence[SelectorGolden]) -> Finding:
    """Let one selector choose.

    Args:
        name: of the line.
        goldens: what it must choose.
    """
    found = check(name, [partial(selector_off, golden) for golden in goldens])
    return replace(found, said="the rows that it must keep") if found.verdict == "OK" else found


def check(name: str, goldens: Sequence[Callable[[], tuple[float, float]]]) -> Finding:
    """Compute some goldens of one method.

    Args:
        name: of the line.
        goldens: each gives how far off the numbers are, and how far they may be.
    """
    try:
        found = [golden() for golden in goldens]
    except (TamisError, ImportError, OSError) as error:
        said = f"{type(error).__name__}: {str(error).splitlines()[0]}"
        return Finding(name, "MAJOR", said, ADVICE)
    count = "1 golden" if len(found) == 1 else f"{len(found)} goldens"
    said = f"{count}, off by {max(off for off, _ in found):.1e} at most"
    if any(not off <= most for off, most in found):
        allowed = ", ".join(f"{most:g}" for _, most in found)
        return Finding(name, "MAJOR", f"{said}; allowed: {allowed}", ADVICE)
    return Finding(name, "OK", said)


def scorer_off(golden: ScorerGolden) -> tuple[float, float]:
    """Return how far the numbers of a scorer are from what they must be, and may be."""
    scorer = lookup.find("scorers", golden.use)(**golden.settings)
    assert isinstance(scorer, Scorer)
    rows = _table(golden.rows, scorer.reads)
    reads = pa.schema([*scorer.target_reads, ("subtask", pa.string())])
    aims = {name: _table(columns, reads) for name, columns in golden.targets.items()}
    fitted = scorer.known([rows], aims) if scorer.fits_pool or aims else None
    found = scorer(rows, fitted)
    off = [_apart(found[name].to_pylist(), want) for name, want in golden.expected.items()]
    return max(off), golden.tolerance


def selector_off(golden: SelectorGolden) -> tuple[float, float]:
    """Return how many places of a selector's choice hold another row than they must; none may."""
    selector = lookup.find("selector", golden.use)(**golden.settings)
    assert isinstance(selector, Selector)
    n = len(next(iter(golden.rows.values())))
    ids: Columns = {"row_id": range(n), "sample_id": [f"{place:06d}" for place in range(n)]}
    pool = _table({**ids, **golden.rows}, pa.schema([*IDS, *selector.reads]))
    choice = selector(pool, Budget(golden.budget))
    kept = choice.order[: choice.n_kept].tolist()
    if golden.in_order:
        pairs = zip(kept, golden.kept, strict=False)
        wrong = sum(one != other for one, other in pairs) + abs(len(kept) - len(golden.kept))
    else:
        wrong = len({*kept} ^ {*golden.kept})
    return float(wrong), 0.0


def _apart(found: Sequence[Any], expected: Sequence[Any]) -> float:
    """The largest difference; infinite where one has a number and the other none."""
    if [one is None for one in found] != [one is None for one in expected]:
        return float("inf")
    pairs = [(a, b) for a, b in zip(found, expected, strict=True) if a is not None]
    return float(np.max([abs(a - b) for a, b in pairs], initial=0.0))


def _table(columns: Columns, reads: pa.Schema) -> pa.Table:
    """The columns that are read, in their types; statuses that are not given say ok."""
    n = len(next(iter(columns.values())))
    made = {}
    for column in reads:
        name, kind = column.name, column.type
        if name not in columns:
            made[name] = pa.array(
                ["ok"] * n if name.endswith("status") else [None] * n, pa.string()
            )
            continue
        values = columns[name]
        if pa.types.is_null(kind):  # any type will do
            kind = VECTORS if isinstance(values[0], list) else None
        if kind == pa.list_(pa.float16()):
            values = [np.asarray(value, np.float16) for value in values]
        made[name] = pa.array(values, kind)
    return pa.table(made)
