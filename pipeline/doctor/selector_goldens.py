"""Choices of every selector that were worked by hand or published: a small pool in, rows out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import cos, radians, sin
from typing import Any

from .golden import HAND, Columns
from .scorer_goldens import PASER, TSHIRT


@dataclass(frozen=True)
class SelectorGolden:
    """What a selector must keep.

    Attributes:
        use: its file.
        source: where the procedure and the choice come from.
        rows: columns that it reads.
        budget: in rows.
        kept: places of the rows that it keeps.
        settings: its fields.
        in_order: whether `kept` is best first; else the rows alone count.
    """

    use: str
    source: str
    rows: Columns
    budget: int
    kept: Sequence[int]
    settings: Mapping[str, Any] = field(default_factory=dict)
    in_order: bool = True


QUERIES = [[0.9, 0.2], [0.8, 0.1], [0.75, 0.3], [0.1, 0.4]]  # of each row with two queries
LIKE: Columns = {"a.by_query": QUERIES, "a.score": [0.9, 0.8, 0.75, 0.4]}
RDS = "Ivison et al. 2025, arXiv 2503.01807"
CHAIN = [[cos(radians(angle)), sin(radians(angle))] for angle in (0, 16, 30)]
TEXTS = ["".join(f"{i * i % 997:03d}" for i in range(1, 400)), "", "unlike " * 30]
TEXTS[1] = TEXTS[0] + " "

GOLDENS = (
    SelectorGolden("top_k", HAND, {"a.score": [0.9, 1.2, 0.5]}, 2, [1, 0], {"by": "a.score"}),
    SelectorGolden(
        "threshold",
        f"{HAND}: 1 itself is not below 1",
        {"a.score": [0.9, 1.0, 0.5, 1.2]},
        4,
        [0, 2],
        {"by": "a.score", "below": 1.0},
        in_order=False,
    ),
    SelectorGolden(
        "band",
        "Li et al. 2023, arXiv 2308.12032: perplexities 1 to 12, 25 to 75 %, three picks: 4, 6, 8",
        {"a.score": [float(value) for value in range(1, 13)]},
        3,
        [3, 5, 7, 4, 6, 8],
        {"by": "a.score", "pick": "spread"},
    ),
    SelectorGolden(
        "quota",
        f"{HAND}: sources of 6, 3 and 1 rows, equal shares of 5",
        {
            "a.score": [0.1 * place for place in range(10)],
            "source": ["x"] * 6 + ["y"] * 3 + ["z"],
        },
        5,
        [9, 8, 7, 5, 4],
        {"by": "a.score", "shares": "equal"},
    ),
    SelectorGolden(
        "quota",
        f"{HAND}: 8 rows of x and 4 of y, proportional shares of 6; of x six of a and two of b",
        {
            "a.score": [float(12 - place) for place in range(12)],
            "source": ["x"] * 8 + ["y"] * 4,
            "data.domain": ["a"] * 6 + ["b"] * 6,
        },
        6,
        [0, 1, 2, 6, 8, 9],
        {"by": "a.score", "column": ["source", "data.domain"]},
        in_order=False,
    ),
    SelectorGolden(
        "best_of_each",
        "Ge et al. 2024, arXiv 2402.18191: the best of three clusters, then the best scores",
        {"a.score": [9, 8, 7, 6, 5, 4, 3], "clusters.label": [0, 0, 0, 1, 1, 2, None]},
        5,
        [0, 3, 5, 1, 2],
        {"by": "a.score"},
    ),
    SelectorGolden(
        "hierarchical",
        f"{TSHIRT}: four by score, of these two by deviation",
        {
            "tshirt.score": [0.95, 0.90, 0.97, 0.60, 0.92, 0.99],
            "tshirt.deviation": [0.02, 0.01, 0.08, 0.001, 0.03, 0.05],
            "tshirt.ifd": [0.98, 0.95, 0.99, 0.7, 1.02, 0.99],
            "tshirt.copies": [30] * 6,
        },
        2,
        [1, 0],
    ),
    SelectorGolden(
        "k_center",
        "Gonzalez 1985: 0, 1, 5, 6 and 10 on a line, from 0 on",
        {"base.embedding": [[0.0], [1.0], [5.0], [6.0], [10.0]]},
        3,
        [0, 4, 2],
        {"of": "base.embedding", "unit": False},
    ),
    SelectorGolden(
        "facility_location",
        "0, 1, 2 and 6 on a line, similarity e^-distance: gains 1.742497, .993262, .632121",
        {"base.embedding": [[0.0], [1.0], [2.0], [6.0]]},
        3,
        [1, 3, 0],
        {"of": "base.embedding", "similarity": "euclidean", "graph": None},
    ),
    SelectorGolden(
        "diverse_top_k",
        "Liu et al. 2024, arXiv 2312.15685: at 0, 16 and 30 degrees, a cosine of .95 at most",
        {"base.embedding": CHAIN, "a.score": [1.0, 0.99, 0.98]},
        3,
        [0, 2],
        {"by": "a.score", "of": "base.embedding", "threshold": 0.95},
    ),
    SelectorGolden(
        "sem_dedup",
        "Abbas et al. 2023, arXiv 2303.09540: at 0, 16 and 30 degrees; 2 goes though 1 went before",
        {
            "base.embedding": CHAIN,
            "clusters.label": [0, 0, 0],
            "clusters.distance": [3.0, 2.0, 1.0],
        },
        3,
        [0],
        {"of": "base.embedding", "threshold": 0.95},
    ),
    SelectorGolden(
        "representatives",
        f"{HAND}: the longest of a group of three and of one of two, and a lonely row",
        {"exact.group": ["a", "b", "a", "a", "b", "f"], "a.score": [1, 5, 3, 2, 4, 0]},
        6,
        [1, 2, 5],
        {"column": "exact.group", "by": "a.score"},
    ),
    SelectorGolden("round_robin", RDS, LIKE, 3, [0, 3, 1], {"by": "a.by_query"}),
    SelectorGolden("global_max", RDS, LIKE, 3, [0, 1, 2], {"by": "a.by_query"}),
    SelectorGolden(
        "simcore",
        "Kim et al. 2023, arXiv 2303.11101: a first round of .8, a second of .7 < .95 x .8",
        {
            "a.by_query": [[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.2, 0.6]],
            "a.score": [0.9, 0.8, 0.7, 0.6],
        },
        4,
        [0, 2],
        {"by": "a.by_query", "patience": 1},
        in_order=False,
    ),
    SelectorGolden(
        "best_source",
        f"{HAND}: .6 and .55 on what both have answered, where b is .6975 in all",
        {
            "grape.score": [0.5, 0.7, 0.4, 0.6, 0.8, 0.99],
            "source": ["a", "a", "b", "b", "b", "b"],
            "instruction.group": ["x", "y", "x", "y", "y", "easy"],
        },
        6,
        [1, 0],
        {"by": "grape.score", "instruction": "instruction.group"},
    ),
    SelectorGolden(
        "zip",
        "Yin et al. 2024, arXiv 2407.06645: a copy adds nothing, so the other comes second",
        {"messages": [[{"role": "user", "content": text}] for text in TEXTS]},
        2,
        [0, 2],
    ),
    SelectorGolden(
        "paser",
        f"{PASER}: rows whose concepts conflict with those before are left out",
        {
            "paser.score": [1 - place / 7 for place in range(7)],
            "paser.divergence": [0.1] * 7,
            "clusters.label": [0] * 7,
            "concepts.concepts": [list(c) for c in ("ab", "bc", "ac", "ad", "abc", "e", "ea")],
        },
        7,
        [0, 1, 3, 5, 6],
        in_order=False,
    ),
    SelectorGolden(
        "sample",
        "Xie et al. 2023, arXiv 2302.03169: scores and draws -log -log u of .693, .256, .110",
        {"sample_id": [f"{place:032x}" for place in range(3)], "a.score": [2.0, 0.0, 2.0]},
        2,
        [0, 2],
        {"by": "a.score", "seed": 0},
    ),
    SelectorGolden(
        "random",
        "this project: draws .693, .256 and .110 of seed 0",
        {"sample_id": [f"{place:032x}" for place in range(3)]},
        2,
        [1, 0],
        {"seed": 0},
    ),
    SelectorGolden(
        "level_fill",
        "Pang et al. 2025, arXiv 2410.10877: both rows of 5, and of 4 that with the longest tail",
        {"ds2.score": [5, 5, 4, 4, 4], "ds2.long_tail": [0.2, 0.1, 0.1, 0.5, 0.3]},
        3,
        [0, 1, 3],
    ),
    SelectorGolden(
        "tag_coverage",
        "Lu et al. 2023, arXiv 2308.07074: abc, then d; the next round begins anew",
        {
            "tags.score": [2, 3, 1, 1, 1],
            "data.tags": ["a, b", "a, b, c", "a", "c", "d"],
        },
        4,
        [1, 4, 0, 3],
    ),
)
