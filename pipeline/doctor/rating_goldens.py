"""Numbers of the scorers that go by ratings, as `scorer_goldens` has those of the others."""

from .golden import ScorerGolden

DS2 = "Pang et al. 2025, arXiv 2410.10877"
GROUP = 12  # rows in each of two groups, all of a group equally near each other
RIGHT, AWAY = [9] * GROUP + [3] * (GROUP - 1) + [9], 1 / 9  # of the last the rating is wrong
SURE = [0.1, 0.1, 0.1, 0.1, 0.6]
LEARNT = [2.5 + 1.5 / 1.005, 2.5 - 1.5 / 1.005]  # .01 x .25 beside a square of .5


def _others(row: int) -> list[int]:
    """The other rows of its group."""
    first = row // GROUP * GROUP
    return [other for other in range(first, first + GROUP) if other != row]


GOLDENS = (
    ScorerGolden(
        "weighted_sum",
        "Peng et al. 2025, arXiv 2502.19363: the sum of the criteria of a judge",
        {"judge.criteria.accuracy": [5, 3], "judge.criteria.coherence": [4, 2]},
        {"score": [9, 5]},
        {"columns": ["judge.criteria.accuracy", "judge.criteria.coherence"]},
    ),
    ScorerGolden(
        "weighted_sum",
        "Wang et al. 2024, arXiv 2404.05875: the gap of a strong model's answer and another's",
        {"data.strong": [9, 7, 8], "data.target": [4, 7, None]},
        {"score": [5, 0, None]},
        {"columns": {"data.strong": 1, "data.target": -1}},
    ),
    ScorerGolden(
        "deita",
        "Liu et al. 2024, arXiv 2312.15685: 2.5 x 4, 3 x 3.5, and two turns 2 x 3 + 1 x 4",
        {
            "complexity.ratings": [[2.5], [3.0], [2.0, 1.0]],
            "quality.ratings": [[4.0], [3.5], [3.0, 4.0]],
        },
        {"score": [10, 10.5, 10]},
    ),
    ScorerGolden(
        "selectit",
        "Liu et al. 2024, arXiv 2402.16705: 5 x (.6 - .1); with an even wording 1.25 / 1.25",
        {"data.p": [SURE, SURE + [0.2] * 5]},
        {"score": [2.5, 1.0]},
        {"of": "data.p"},
    ),
    ScorerGolden(
        "selectit",
        "Liu et al. 2024, its code: 5 x (e^.6 - e^.1) / (e^.6 + 4 e^.1)",
        {"data.p": [SURE]},
        {"score": [0.574220]},
        {"of": "data.p", "mode": "published"},
    ),
    ScorerGolden(
        "ds2",
        f"{DS2}: a 9 among eleven of 3 is the lowest class; long tail of d = .1: .05",
        {
            "sample_id": [f"{row:06d}" for row in range(2 * GROUP)],
            "data.rating": RIGHT,
            "knn.place": range(2 * GROUP),
            "knn.neighbours": [_others(row) for row in range(2 * GROUP)],
            "knn.similarity": [[1 - AWAY] * (GROUP - 1)] * 2 * GROUP,
        },
        {"score": [5] * GROUP + [0] * GROUP, "long_tail": [0.05] * 2 * GROUP},
        {"rating": "data.rating"},
    ),
    ScorerGolden(
        "distilled",
        "this project: 20 rows on a line, ratings 1 + 3 x, learnt with a penalty of .01",
        {
            "sample_id": [f"{row:06d}" for row in range(20)],
            "base.embedding": [[1.0, 0.0], [0.0, 1.0]] * 10,
            "data.rating": [4.0, 1.0] * 10,
        },
        {"score": LEARNT * 10},
        {"rating": "data.rating", "fewest": 20},
        tolerance=1e-3,
    ),
    ScorerGolden(
        "tags",
        "Lu et al. 2023, arXiv 2308.07074: different tags",
        {"data.tags": ["math, Math, code", "", None]},
        {"score": [2, 0, None]},
    ),
)
