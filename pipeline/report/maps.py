"""The map of the pool with the kept rows, beside the same with random ones."""

from ..finished import Finished
from .beside import Beside
from .chapter import Chapter, Finding
from .charts import points
from .page import Level, figure, paragraph, side_by_side
from .places import COVERED, find_places, uncovered
from .sampling import Sample

FARTHER, FAR = 1.05, 1.50  # than with random choices
DRAWS = 5


def maps(run: Finished, beside: Beside, sample: Sample) -> Chapter:
    """Return the chapter.

    Raises:
        DataError: what is needed is no longer in the store.
        ArtifactError: likewise.
    """
    import numpy as np

    found = find_places(run, beside, sample)
    n = len(found.kept)
    plane = found.pool[:, :2]
    kept = points(plane, found.kept[:, :2], "kept", f"{n:,} kept rows among the pool")
    random = points(plane, found.random[:, :2], "random", f"{len(found.random):,} random rows")
    rng = np.random.default_rng(int(run.manifest["config"]["seed"]))
    measured = found.pool[rng.permutation(len(found.pool))[:COVERED]]
    body = [
        paragraph(
            f"Each dot is a row; rows that are alike lie together. Made of {found.of}: the two "
            f"directions in which the pool varies most (principal components, {found.share:.0%} of "
            f"the variance). Grey: {len(plane):,} rows of the pool, of {sample.describe()}.",
            quiet=True,
        ),
        side_by_side(
            figure(kept, title=f"Kept ({n:,} rows shown)"),
            figure(random, title=f"Random, same size ({len(found.random):,} rows shown)"),
        ),
    ]
    if n == 0 or len(found.pool) <= n:
        return Chapter("Map of the pool", body)
    own = uncovered(measured, found.kept)
    others = [
        uncovered(measured, found.pool[rng.permutation(len(found.pool))[:n]]) for _ in range(DRAWS)
    ]
    return Chapter("Map of the pool", body, [_finding(own, others)])


def _finding(own: float, others: list[float]) -> Finding:
    mean = sum(others) / len(others)
    ratio = own / mean if mean else 1.0
    level: Level = "ok" if ratio < FARTHER or own <= max(others) else "minor"
    if level == "minor" and ratio >= FAR:
        level = "major"
    head = {
        "ok": "The selection reaches the pool as well as a random choice does.",
        "minor": "The selection reaches less of the pool than a random choice does.",
        "major": "The selection leaves out large stretches of the pool.",
    }[level]
    text = (
        f"{head} A row of the pool lies {own:.3f} from the nearest kept row on average; with "
        f"{DRAWS} random choices {min(others):.3f} to {max(others):.3f} (vectors of length 1)."
    )
    if level != "ok":
        text += " Whether that is wanted shows in the worst of the dropped rows."
    return Finding(level, text)
