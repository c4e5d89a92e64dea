import json

import pytest
from tamis.errors import ConfigError
from tamis.pipeline.diff import Correlation, diff
from tamis.pipeline.run import select
from tamis.tests.runs import quiet, run_config
from tamis.tests.tiny import alpaca, write_jsonl

RATED = [{"use": "top_k", "by": "rated.score"}]


def rows_of(order):
    """Rows of ten contents, rated by their number."""
    return [{"instruction": f"q{i}", "output": "a" * (i + 1), "rating": i} for i in order]


def run_of(folder, name, order, **fields):
    data = [{"name": "pool", "path": str(write_jsonl(folder / f"{name}.jsonl", rows_of(order)))}]
    base = {"data": data, "name": name, "selector": RATED, "budget": {"rows": 4}}
    return str(select(run_config(folder, **(base | fields)), quiet()).folder.path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("diff")


@pytest.fixture(scope="module")
def best(folder):
    """Keeps 6 to 9 of 0 to 9."""
    return run_of(folder, "best", range(10))


def test_the_same_pool(folder, best):
    """The lowest ratings that are at least 4 are 4 to 7: two are kept by both."""
    selector = [
        {"use": "threshold", "by": "rated.score", "at_most": 7},
        {"use": "top_k", "by": "long.score"},
    ]
    other = run_of(folder, "capped", range(10), selector=selector)
    found = diff(best, other)
    assert (found.a.kept, found.b.kept, found.a.contents) == (4, 4, 10)
    assert found.overlap.both == 2  # 6, 7
    assert found.overlap.jaccard == pytest.approx(2 / 6)
    assert found.overlap.by_chance == pytest.approx(4 * 4 / 10)
    assert (found.a.unknown, found.b.unknown) == (0, 0)
    assert [row.row_id for row in found.only_a] == [9, 8]  # the surest first
    assert [row.row_id for row in found.only_b] == [5, 4]
    lost = found.only_a[0]
    assert (lost.rank, lost.text) == (1, "q9")
    assert (lost.step, lost.reason) == ("threshold", "rated.score not at most 7")
    assert lost.percentile == pytest.approx(0.9)  # of long.score, which the other goes by
    assert found.correlations == (
        Correlation("long.score", "long.score", pytest.approx(1), 10),
        Correlation("rated.score", "rated.score", pytest.approx(1), 10),
        Correlation("rated.score", "long.score", pytest.approx(1), 10),
    )
    assert found.lengths[1].mean == (8.5, 6.5)  # of 7 to 10, and of 5 to 8
    assert found.missing == () and found.clusters is None


def test_pools_that_overlap(folder, best):
    """The other pool is 5 to 14 in reverse: rows are known by their content, not their place."""
    other = run_of(folder, "later", range(14, 4, -1))
    found = diff(best, other, shown=1)
    assert (found.overlap.both, found.overlap.jaccard) == (0, 0)
    assert found.overlap.by_chance == pytest.approx(5 * 0.4 * 0.4)
    assert (found.a.unknown, found.a.kept_unknown) == (5, 0)
    assert (found.b.unknown, found.b.kept_unknown) == (5, 4)
    assert (found.n_only_a, found.n_only_b) == (4, 0)
    (row,) = found.only_a
    assert (row.row_id, row.other_row_id, row.other_rank) == (9, 5, 6)


def test_rows_chosen_elsewhere(folder, best):
    path = write_jsonl(folder / "chosen.jsonl", rows_of([9, 0, 3]))
    found = diff(best, str(path))
    assert (found.reading.n, found.reading.n_matched) == (3, 3)
    assert found.overlap.both == 1 and found.overlap.by_chance == pytest.approx(3 * 4 / 10)
    assert [row.other_row_id for row in found.only_b] == [0, 3]
    assert [row.text for row in found.only_b] == ["q0", "q3"]
    assert [row.row_id for row in found.only_a] == [8, 7, 6]
    assert found.only_a[0].step == "" and found.correlations == ()
    assert json.loads(json.dumps(found.as_json()))["overlap"]["both"] == 1


def test_without_a_store(tmp_path):
    """What lies in the runs' folders is compared; the texts are gone."""
    one = run_of(tmp_path, "one", range(10))
    other = run_of(tmp_path, "two", range(10), selector=[{"use": "random"}], seed=3)
    before = diff(one, other)
    (tmp_path / "store").rename(tmp_path / "gone")
    after = diff(one, other)
    assert after.overlap == before.overlap and after.lengths == before.lengths
    assert {row.text for row in after.only_a} == {None}
    assert after.missing and all(one.startswith("texts of") for one in after.missing)


def test_no_run(folder):
    with pytest.raises(ConfigError, match="not the folder of a finished run"):
        diff(str(folder), str(folder))


def test_duplicates_count_once(tmp_path):
    """Row 9 stands there three times, and takes three places of the budget."""
    one = run_of(tmp_path, "one", [*range(10), 9, 9])
    found = diff(one, run_of(tmp_path, "two", range(10)))
    assert (found.a.contents, found.a.kept, found.a.rows, found.b.kept) == (10, 2, 4, 4)
    assert found.overlap.both == 2 and found.n_only_a == 0


def test_real_rows_differ(tmp_path):
    """Rows of other pools altogether share nothing, which is said and no mistake."""
    one = run_of(tmp_path, "one", range(10))
    data = [{"name": "pool", "path": str(write_jsonl(tmp_path / "x.jsonl", alpaca(12)))}]
    scorers = {"long": {"use": "length", "unit": "chars"}}
    top = [{"use": "top_k", "by": "long.score"}]
    other = run_of(tmp_path, "two", [], data=data, scorers=scorers, selector=top)
    found = diff(one, other)
    assert (found.overlap.both, found.overlap.by_chance) == (0, 0)
    assert (found.a.unknown, found.b.unknown) == (10, 12)
    assert all(own.spearman is None and own.n == 0 for own in found.correlations)
