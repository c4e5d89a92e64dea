"""Numbers of scorers of n-grams, transport and answers, as `scorer_goldens` has the others'."""

from math import log, sqrt

from .golden import HAND, Columns, ScorerGolden

DSIR = "Xie et al. 2023, arXiv 2302.03169"
COUNTS: Columns = {
    "ngrams.buckets": [[0], [1, 2], [0, 1, 2], [0, 1]],
    "ngrams.counts": [[2], [1, 1], [1, 1, 1], [1, 2]],
    "ngrams.tokens": [2, 2, 3, 3],
}
AIM: Columns = {"ngrams.buckets": [[0, 1, 2]], "ngrams.counts": [[1, 3, 6]], "ngrams.tokens": [5]}
APART = [[-1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]  # at 180, 0 and 90 degrees
RING = [[0.5, sqrt(0.75)], [0.0, 1.0], *[[-1.0, 0.0]] * 38]  # at 60, 90 and 180 degrees

GOLDENS = (
    ScorerGolden(
        "dsir",
        f"{DSIR}: raw counts 4, 4, 2 and 1, 3, 6 of the target",
        COUNTS,
        {"score": [-2.772589, 0.810930, -0.575364, log(1 / 4) + 2 * log(3 / 4)]},
        {"target": "t", "buckets": 3},
        {"t": AIM},
    ),
    ScorerGolden(
        "got_d",
        f"Kang et al. 2024, arXiv 2405.02774, {HAND}: a single goal, potentials 2, 0 and 1",
        {"sample_id": ["a", "b", "c"], "base.embedding": APART},
        {"score": [-1.5, 1.5, 0.0]},
        {"target": "t"},
        {"t": {"base.embedding": [[1.0, 0.0]]}},
    ),
    ScorerGolden(
        "tsds",
        f"Liu et al. 2024, arXiv 2410.11303, {HAND}: costs sqrt 2 - 1, then 4 - 1 - sqrt 2 >= C",
        {"sample_id": [f"{place:06d}" for place in range(40)], "base.embedding": RING},
        {"score": [log(0.5)] * 2 + [None] * 38, "mass": [0.5] * 2 + [None] * 38},
        {"target": "t", "c": 0.5, "sigma": 0.1},
        {"t": {"base.embedding": [[1.0, 0.0]]}},
        5e-4,
    ),
    ScorerGolden(
        "grape",
        "Zhang et al. 2025, arXiv 2502.04194: the mean decides; the sum would take the third",
        {
            "base.given.token_loss_sum": [2.0, 1.8, 0.9],
            "base.given.token_loss_count": [4, 5, 1],
        },
        {"score": [0.606531, 0.697676, 0.406570]},
        {"min_tokens": 0},
    ),
)
