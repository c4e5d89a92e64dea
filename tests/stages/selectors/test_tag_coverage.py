import numpy as np
import pyarrow as pa
from tamis.stages.checks import check_selector
from tamis.stages.selectors.base import Budget
from tamis.stages.selectors.tag_coverage import NO_TAGS, TagCoverage


def pool_of(tags):
    n = len(tags)
    return pa.table(
        {
            "row_id": range(n),
            "sample_id": [f"{i:04x}" for i in range(n)],
            "tags.score": pa.array([len(own or ()) for own in tags], pa.float32()),
            "data.tags": pa.array([None if t is None else list(t) for t in tags]),
        }
    )


def kept(tags, limit):
    choice = TagCoverage()(pool_of(tags), Budget(limit))
    return choice.order[: choice.n_kept].tolist(), choice


def test_by_hand():
    """abc, then only d adds; the second round begins anew with ab, then c; then a."""
    tags = ["ab", "abc", "a", "c", "d", ""]
    chosen, choice = kept(tags, 6)
    assert chosen == [1, 4, 0, 3, 2]
    assert choice.pulled.tolist() == [
        *("round: 2", "round: 1", "round: 3", "round: 2", "round: 1", "")
    ]
    assert choice.reason[5] == NO_TAGS
    assert kept(tags, 3)[0] == [1, 4, 0]
    assert kept(tags, 3)[1].margin[:5].tolist() == [0, 1, -1, 0, 1]


def plain(tags, order):
    """The procedure as it is told."""
    waiting, chosen = [row for row in order if tags[row]], []
    while waiting:
        covered, left = set(), []
        for row in waiting:
            if set(tags[row]) <= covered:
                left.append(row)
            else:
                covered |= set(tags[row])
                chosen.append(row)
        waiting = left
    return chosen


def test_equals_the_plain_procedure():
    rng = np.random.default_rng(0)
    letters = list("abcdefghij")
    tags = ["".join(rng.choice(letters, rng.integers(0, 6), replace=False)) for _ in range(200)]
    order = sorted(range(200), key=lambda row: -len(tags[row]))
    assert kept(tags, 200)[0] == plain(tags, order)


def test_contract():
    check_selector(TagCoverage(), pool_of(["ab", "b", "", "c", "abc", "a", "d", "b"]))
