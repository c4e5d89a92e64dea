"""Numbers of every scorer that were worked by hand or published: columns in, scores out.

A `_sum` stands with its `_count`, so that a mean is their quotient. Columns that are not given are
statuses, and say ok.
"""

from collections.abc import Sequence
from math import e, log

from .golden import HAND, ScorerGolden
from .rating_goldens import GOLDENS as RATING_GOLDENS
from .target_goldens import GOLDENS as TARGET_GOLDENS


def losses(signal: str, **parts: Sequence[tuple[float, int]]) -> dict[str, list[float]]:
    """Return the columns of sums and counts of token losses, by condition."""
    columns: dict[str, list[float]] = {}
    for part, pairs in parts.items():
        columns[f"{signal}.{part}.token_loss_sum"] = [total for total, _ in pairs]
        columns[f"{signal}.{part}.token_loss_count"] = [count for _, count in pairs]
    return columns


def tokens(**parts: Sequence[Sequence[float]]) -> dict[str, list[Sequence[float]]]:
    """Return the columns of token losses of answers of one turn, by condition."""
    columns: dict[str, list[Sequence[float]]] = {}
    for part, lists in parts.items():
        columns[f"base.{part}.token_loss"] = list(lists)
        columns[f"base.{part}.turns"] = [[len(own)] for own in lists]
    return columns


CHERRY = "Li et al. 2023, arXiv 2308.12032"
SUPER = "Li et al. 2024, arXiv 2402.00530"
IC = "Hui et al. 2024, arXiv 2412.11231"
TSHIRT = "Fu et al. 2025, arXiv 2506.01317"
LESS = "Xia et al. 2024, arXiv 2402.04333"
PASER = "He et al. 2025, arXiv 2502.12594"

FOUR = [[-0.8, -0.005, -0.4], [-0.6, 0.01, -0.5], [-0.1, -0.9], [-0.3, -0.7]]  # loss given - alone
COPIES = [[0.8, 0.005, 0.4, 0.6, -0.01, 0.5], [0.1, 0.9, 0.3, 0.7]]  # two each: alone - given
MEANS = {
    "noisy.given_mean": [[2 - 1.205 / 3, 2 - 1.09 / 3], [1.5, 1.5]],
    "noisy.alone_mean": [[2.0, 2.0], [2.0, 2.0]],
}
JSD = 0.0664143  # of (.5, .3, .2) and (.2, .3, .5), in nats


def _angles(cosines: Sequence[float]) -> list[list[float]]:
    return [[c, (1 - c * c) ** 0.5] for c in cosines]


QUERIES = [  # cosines of two checkpoints, side by side
    [*first, *second]
    for first, second in zip(
        _angles([0.2, 0.4, 0.1, 0.1]), _angles([0.0, 0.2, 0.5, 0.3]), strict=True
    )
]
PULLED = [[1, 0], [0, 1], [0.6, 0.8], [1, 0], [0, 1], [0, -0.5]]

GOLDENS = (
    ScorerGolden(
        "ifd",
        f"{CHERRY}: the ratio of mean losses, .5 / 1, and the paper's example",
        losses("base", given=[(2.0, 4), (0.696, 1)], alone=[(4.0, 4), (0.761, 1)]),
        {"score": [0.5, 0.914586]},
        {"mode": "cherry"},
    ),
    ScorerGolden(
        "ifd",
        f"{SUPER}: the ratio of perplexities; the second without the first token alone",
        losses("base", given=[(2.0, 4), (2.0, 4)], alone=[(4.0, 4), (2.0, 3)]),
        {"score": [0.606531, 0.846482]},
        {"mode": "superfiltering"},
    ),
    ScorerGolden(
        "ifd",
        "this project: the same tokens in both, exp(1/3 - 2/3)",
        tokens(given=[[1.0, 0.5, 0.3, 0.2]], alone=[[1.0, 0.6, 0.4]]),
        {"score": [e ** (-1 / 3)]},
        {"mode": "aligned"},
    ),
    ScorerGolden(
        "ic_ifd",
        f"{IC}: .5 / (2.5 x 1); .9 / 3 and .8 / 2",
        losses(
            "base",
            given=[(0.5, 1), (0.9, 1), (0.8, 1)],
            alone=[(1.0, 1), (1.0, 1), (1.0, 1)],
            instruction=[(2.5, 1), (3.0, 1), (2.0, 1)],
        ),
        {"score": [0.2, 0.3, 0.4]},
    ),
    ScorerGolden(
        "ic_ifd",
        f"{IC}, its code: the newline counts to the answer, (1.5 / 3) / (2 x 1)",
        losses("base", given=[(1.2, 2)], alone=[(1.0, 1)], instruction=[(4.3, 3)])
        | {"base.given.turns": [[2]], "base.instruction.token_loss": [[3.0, 1.0, 0.3]]},
        {"score": [0.25]},
        {"mode": "official"},
    ),
    ScorerGolden(
        "sifd",
        f"{TSHIRT}: threshold .45",
        tokens(given=[[2 + x for x in row] for row in FOUR], alone=[[2.0] * len(r) for r in FOUR]),
        {"score": [0.449329, 0.576950, 0.406570, 0.496585]},
        {"k": 50},
    ),
    ScorerGolden(
        "tshirt",
        f"{TSHIRT}: two noisy copies, threshold .45",
        {"noisy.delta": COPIES} | MEANS,
        {"score": [0.513139, 0.451578], "deviation": [0.063810, 0.045008]}
        | {"ifd": [(0.669204 + 0.695355) / 2, 0.606531]},
        {"k": 50},
    ),
    ScorerGolden(
        "tshirt",
        f"{TSHIRT}: the same, threshold .15",
        {"noisy.delta": COPIES} | MEANS,
        {"score": [0.562881, 0.506550], "deviation": [0.014069, 0.099980]},
        {"k": 75},
    ),
    ScorerGolden(
        "perplexity",
        f"exp of the mean loss, {HAND}",
        losses("base", given=[(0.0, 4), (4.0, 4), (4 * log(12), 4)]),
        {"score": [1.0, e, 12.0]},
    ),
    ScorerGolden(
        "cross_entropy",
        f"the mean loss, {HAND}",
        losses("base", given=[(1.0, 2), (3.0, 4)]),
        {"score": [0.5, 0.75]},
    ),
    ScorerGolden(
        "entropy",
        f"the mean entropy, {HAND}",
        {"base.given.entropy_sum": [3.0, 0.5], "base.given.entropy_count": [2, 1]},
        {"score": [1.5, 0.5]},
    ),
    ScorerGolden(
        "length",
        "Zhao et al. 2024, arXiv 2402.04833: the length itself",
        {"length.answer_tokens": [3, 12]},
        {"score": [3, 12]},
    ),
    ScorerGolden(
        "column",
        f"numbers of any kind, {HAND}",
        {"data.rating": ["4.5", "n/a", "+1"]},
        {"score": [4.5, None, 1.0]},
        {"column": "data.rating"},
    ),
    ScorerGolden(
        "random",
        "this project: the first draws of seed 0, from xxh3 of seed and content",
        {"sample_id": [f"{place:032x}" for place in range(3)]},
        {"score": [0.2562471628189087, 0.692626416683197, 0.1101679801940918]},
        {"seed": 0},
        tolerance=0.0,
    ),
    ScorerGolden(
        "rds_plus",
        "Ivison et al. 2025, arXiv 2503.01807: the best cosine with a target's rows",
        {"base.embedding": [[0.624695, 0.780869], [1.0, 0.0]]},
        {"score": [0.780869, 1.0], "query": [1, 0]},
        {"target": "t"},
        {"t": {"base.embedding": [[1, 0], [0, 1]]}},
        5e-4,
    ),
    ScorerGolden(
        "similarity",
        f"the mean cosine with (1, 0), (1, 0) and (0, 1), {HAND}",
        {"base.embedding": [[1, 0], [0, 1]]},
        {"score": [2 / 3, 1 / 3]},
        {"target": "t", "aggregate": "mean"},
        {"t": {"base.embedding": [[1, 0], [1, 0], [0, 1]]}},
    ),
    ScorerGolden(
        "similarity",
        f"{LESS}: the cosine with the mean of (1, 0) and (0, 10)",
        {"base.embedding": [[1, 0]]},
        {"score": [0.099504]},
        {"target": "t", "aggregate": "cosine_of_mean"},
        {"t": {"base.embedding": [[1, 0], [0, 10]]}},
    ),
    ScorerGolden(
        "influence",
        f"{LESS}: weights 3 : 1, two subtasks of two shots; means .25 and .175",
        {"gradient.adam": [[5, 0, 0.1, 0]]},
        {"score": [0.25], "query": [1]},
        {"target": "t"},
        {
            "t": {
                "gradient.plain": QUERIES,
                "gradient.weights": [[3.0, 1.0]] * 4,
                "subtask": ["a", "a", "b", "b"],
            }
        },
    ),
    ScorerGolden(
        "tagcos",
        f"Zhang et al. 2024, arXiv 2407.15235, {HAND}: the pursuit of each cluster's mean",
        {
            "sample_id": ["a", "b", "c", "d", "e", "f"],
            "gradient.adam": PULLED,
            "gradient.weights": [[1.0]] * 6,
            "clusters.label": [0, 0, 0, 0, 1, 1],
        },
        {
            "score": [0.5, 0.0, 0.75, 0.25, 0.5, None],
            "weight": [0.85 / 3.64, 0.225, 1.11 / 3.64, 0.325, 0.25, None],
        },
        {"most": 1.0, "unit": False},
    ),
    ScorerGolden(
        "paser",
        f"{PASER}: the mean divergence of two positions / ln (6 + 4)^2",
        {
            "divergence.given.jsd_sum": [JSD],
            "divergence.given.jsd_count": [2],
            "divergence.instruction_tokens": [6],
            "divergence.answer_tokens": [4],
        },
        {"score": [0.00721084], "divergence": [JSD / 2]},
    ),
    ScorerGolden(
        "paser",
        f"{PASER}, its code: the sum over the instruction / ln (6 + 21)^2",
        {
            "divergence.instruction.jsd_sum": [JSD],
            "length.instruction_tokens": [6],
            "length.answer_chars": [21],
        },
        {"score": [0.0100755]},
        {"mode": "official", "lengths": "length"},
    ),
    *TARGET_GOLDENS,
    *RATING_GOLDENS,
)
