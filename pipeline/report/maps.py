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
    plane = found.points[:, :2]
    pool, n_random = plane[found.pool], len(found.random)
    kept = points(pool, plane[found.kept], "kept", f"{n:,} kept rows among the pool")
    random = points(pool, plane[found.random], "random", f"{n_random:,} random rows")
    body = [
        paragraph(
            f"Each dot is a row; rows that are alike lie together. Made of {found.of}: the two "
            f"directions in which the pool varies most (principal components, {found.share:.0%} of "
            f"the variance). Grey: {len(pool):,} rows of the pool, of {sample.describe()}.",
            quiet=True,
        ),
        side_by_side(
            figure(kept, title=f"Kept ({n:,} rows shown)"),
            figure(random, title=f"Random, same size ({n_random:,} rows shown)"),
        ),
    ]
    if n == 0 or len(found.pool) <= n:
        return Chapter("Map of the pool", body)
    rng = np.random.default_rng(int(run.manifest["config"]["seed"]))
    measured = rng.permutation(found.pool)[:COVERED]
    own, *others = (
        uncovered(found.points, measured, chosen)
        for chosen in (found.kept, *(rng.permutation(found.pool)[:n] for _ in range(DRAWS)))
    )
    return Chapter("Map of the pool", body, [_finding(n, own, others)])


def _finding(n: int, own: float, others: list[float]) -> Finding:
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
        f"{head} The other rows lie {own:.3f} from the nearest of {n:,} kept ones on average; "
        f"with {DRAWS} random choices of as many {min(others):.3f} to {max(others):.3f} (vectors "
        f"of length 1)."
    )
    if level != "ok":
        text += " Whether that is wanted shows in the worst of the dropped rows."
    return Finding(level, text)
