import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tamis.errors import PlanError
from tamis.stages.checks import check_selector
from tamis.stages.selectors.base import Budget
from tamis.stages.selectors.quota import Quota, split

POOL = pa.table(
    {
        "row_id": range(10),
        "sample_id": list("abcdefghij"),
        "source": ["x"] * 6 + ["y"] * 3 + ["z"],
        "data.kind": ["p", "q", None, "p", "q", None, "p", "q", None, "p"],
        "s.score": pa.array([0.1 * i for i in range(10)], pa.float32()),
        "tokens": pa.array([1, 2, 3, 4, 5, 6, 7, 8, 9, 10], pa.int32()),
    }
)


def kept(budget=None, **fields):
    choice = Quota(by="s.score", **fields)(POOL, budget or Budget(5))
    return choice.order[: choice.n_kept].tolist()


def test_shares():
    assert kept() == [8, 7, 5, 4, 3]  # 3, 1.5, .5: the halves tie, and go by name
    assert kept(shares="equal") == [9, 8, 7, 5, 4]
    assert kept(shares={"y": 1}) == [8, 7, 6]
    assert kept(shares={"x": 4, "y": 1}) == [8, 5, 4, 3, 2]


def test_a_row_without_a_group_is_a_group():
    assert kept(column="data.kind", budget=Budget(3), shares="equal") == [9, 8, 7]


def test_budget_in_tokens():
    chosen = kept(shares="equal", budget=Budget(30, "tokens"))
    assert chosen == [9, 8, 5, 4] or sum(i + 1 for i in chosen) <= 30


def test_reasons_and_margins_are_those_of_the_group():
    choice = Quota(by="s.score", shares="equal")(POOL, Budget(5))
    assert choice.reason[0] == "over the quota: x"
    assert choice.margin[[0, 5, 6]].round(5).tolist() == [-0.4, 0.1, -0.1]


def test_weights_must_make_sense():
    for shares in ({"x": -1, "y": 2}, {"x": 0}):
        with pytest.raises(ValueError, match="weights"):
            Quota(by="s.score", shares=shares)


@pytest.mark.parametrize("column", ["source", "data.kind"])
def test_contract(column):
    check_selector(Quota(by="s.score", column=column), POOL)


def test_small_sources_give_what_they_cannot_fill():
    """Sources of 5, 20 and 100 rows, equal shares of 60."""
    quotas = split(60, np.ones(3), np.array([5, 20, 100]))
    assert quotas.tolist() == [5, 20, 35]


@given(
    st.integers(0, 500),
    st.lists(st.tuples(st.floats(0, 10), st.integers(0, 60)), min_size=1, max_size=8),
)
def test_quotas_use_all_that_fits(total, groups):
    weights, capacity = (np.array(x) for x in zip(*groups, strict=True))
    quotas = split(total, weights, capacity)
    assert (quotas >= 0).all()
    assert (quotas <= capacity).all()
    assert quotas.sum() == min(total, capacity[weights > 0].sum())


def test_weights_of_any_size():
    capacity = np.array([40, 40, 3])
    assert split(20, np.array([1e308, 1e308, 0]), capacity).tolist() == [10, 10, 0]
    assert split(20, np.array([3e-320, 1e-320, 0]), capacity).tolist() == [15, 5, 0]
    assert split(50, np.array([1e308, 1e-300, 0]), capacity).tolist() == [40, 10, 0]
    assert kept(shares={"x": 1e308, "y": 1e308}, budget=Budget(4)) == [8, 7, 5, 4]


def test_a_group_without_a_share_keeps_nothing():
    """Not even rows that cost nothing."""
    free = POOL.set_column(5, "tokens", pa.array([0] * 8 + [1, 0], pa.int32()))
    choice = Quota(by="s.score", shares={"y": 1})(free, Budget(5, "tokens"))
    assert choice.order[: choice.n_kept].tolist() == [8, 7, 6]


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 9)), max_size=40), st.integers(0, 60))
def test_each_group_is_cut_where_its_quota_ends(rows, limit):
    """As by a loop over the groups."""
    labels, costs = ([row[i] for row in rows] for i in (0, 1))
    scores = np.random.default_rng(0).permutation(len(rows))
    pool = clustered(scores, labels, tokens=pa.array(costs, pa.int32()))
    choice = Quota(by="s.score", column="clusters.label")(pool, Budget(limit, "tokens"))
    sizes = np.array([sum(c for x, c in rows if x == label) for label in sorted(set(labels))], int)
    expected = set()
    quotas = split(limit, sizes.astype(float), sizes)
    for label, quota in zip(sorted(set(labels)), quotas.tolist(), strict=True):
        own = sorted((i for i in range(len(rows)) if labels[i] == label), key=lambda i: -scores[i])
        fit = np.cumsum([costs[i] for i in own]) <= quota
        expected |= {i for i, fits in zip(own, fit.tolist(), strict=True) if fits and quota}
    assert set(choice.order[: choice.n_kept].tolist()) == expected


def test_lists_and_numbers_that_are_none():
    tags = [["a"], ["b"], ["a"], None] + [["a"]] * 6
    values = [1.0, float("nan"), None, 1.0] + [2.0] * 6
    for column, groups in (("tags", 3), ("values", 3)):
        table = POOL.append_column(column, pa.array(tags if column == "tags" else values))
        choice = Quota(by="s.score", column=column, shares="equal")(table, Budget(3))
        assert choice.n_kept == 3
        assert len(set(choice.reason.tolist())) == groups
    assert "over the quota: (none)" in choice.reason


def test_shares_name_groups_that_there_are(caplog):
    table = pa.table(
        {
            "row_id": range(4),
            "sample_id": list("abcd"),
            "source": list("xxyy"),
            "s.score": pa.array([1.0, 2, 3, 4], pa.float32()),
        }
    )
    with pytest.raises(PlanError, match="no row has a source of the shares; there are x, y"):
        Quota(by="s.score", shares={"z": 1.0})(table, Budget(2))
    assert Quota(by="s.score", shares={"x": 1.0, "z": 1.0})(table, Budget(2)).n_kept == 2
    assert "no row left has the source z" in caplog.text
    with pytest.raises(ValueError, match="weights must be finite"):
        Quota(by="s.score", shares={"x": float("inf")})


def clustered(values, labels, **columns):
    n = len(values)
    table = {
        "row_id": range(n),
        "sample_id": [f"{i:04x}" for i in range(n)],
        "s.score": pa.array(values, pa.float32()),
        "clusters.label": pa.array(labels, pa.int32()),
    }
    return pa.table(table | columns)


class TestCdas:
    """After the threshold 7 of 9 rows are left in one cluster, 4 of 4 in the other."""

    POOL = clustered([0.9 - 0.1 * i for i in range(7)] + [0.5, 0.6, 0.7, 0.8], [0] * 7 + [1] * 4)
    CDAS = Quota(by="s.score", column="clusters.label", fraction=0.4)

    def test_golden(self):
        """int(.4 * 7) = 2 and int(.4 * 4) = 1, whatever the budget."""
        for limit in (1, 100):
            choice = self.CDAS(self.POOL, Budget(limit))
            assert choice.order[: choice.n_kept].tolist() == [0, 1, 10]
        assert choice.reason[2] == "over the quota: 0"

    def test_a_budget_in_tokens_does_not_change_it(self):
        table = self.POOL.append_column("tokens", pa.array(range(11), pa.int32()))
        assert self.CDAS(table, Budget(5, "tokens")).n_kept == 3

    def test_fraction_or_shares(self):
        with pytest.raises(ValueError, match="give it or shares, not both"):
            Quota(by="s.score", fraction=0.4, shares="equal")


class TestByRating:
    def test_golden_weights(self):
        """Means of .5 and -.5: .731059 and .268941."""
        capacity = np.array([10**6, 10**6])
        found = split(10**6, np.array([0.5, -0.5]), capacity, logs=True)
        assert found.tolist() == [731059, 268941]
        assert split(10, np.array([1e4, 0.0]), capacity, logs=True).tolist() == [10, 0]

    def test_what_the_best_cannot_fill_is_split_over_the_others(self):
        """exp(1000) is all there is beside e and 1, until it is full: then 20 x e / (e + 1)."""
        found = split(30, np.array([1000.0, 1.0, 0.0]), np.array([10, 50, 50]), logs=True)
        assert found.tolist() == [10, 15, 5]
        pool = clustered([1000] * 10 + list(range(30)), [0] * 10 + [1] * 15 + [2] * 15)
        quota = Quota(by="s.score", column="clusters.label", shares="rating")
        assert quota(pool, Budget(30)).n_kept == 30

    def test_of_the_budget(self):
        """100 rows: 73.1 and 26.9."""
        values = np.repeat([0.5, -0.5], 200)
        labels = np.repeat([0, 1], 200)
        choice = Quota(by="s.score", column="clusters.label", shares="rating")(
            clustered(values, labels), Budget(100)
        )
        assert (choice.order[: choice.n_kept] < 200).sum() == 73

    def test_another_score_than_the_one_that_ranks(self):
        gaps = pa.array([0.5] * 9 + [-0.5] * 9, pa.float32())
        pool = clustered(range(18), [0] * 9 + [1] * 9, **{"gap.score": gaps})
        quota = Quota(by="s.score", column="clusters.label", shares="rating", rating="gap.score")
        assert quota.reads.names == ["s.score", "gap.score", "clusters.label"]
        choice = quota(pool, Budget(10))  # 7.3 and 2.7
        assert sorted(choice.order[: choice.n_kept].tolist()) == [2, 3, 4, 5, 6, 7, 8, 15, 16, 17]

    def test_belongs_to_its_shares(self):
        with pytest.raises(ValueError, match="rating belongs to `shares: rating`"):
            Quota(by="s.score", rating="gap.score")


class TestSample:
    def test_in_proportion_to_exp_of_the_score(self):
        """One of scores 1, 2, 3, in 600 clusters: .090031, .244728 and .665241 of them."""
        pool = clustered(np.tile([1, 2, 3], 600), np.repeat(np.arange(600), 3))
        quota = Quota(by="s.score", column="clusters.label", shares="equal", pick="sample", seed=1)
        choice = quota(pool, Budget(600))
        kept = choice.order[: choice.n_kept]
        assert np.bincount(kept // 3).tolist() == [1] * 600
        share = np.bincount(kept % 3) / 600
        np.testing.assert_allclose(share, [0.090031, 0.244728, 0.665241], atol=0.06)

    def test_temperature(self):
        pool = clustered(np.arange(100) / 10, [0] * 100)

        def kept(temperature, seed=0):
            fields = {"pick": "sample", "temperature": temperature, "seed": seed}
            choice = Quota(by="s.score", **fields)(with_source(pool), Budget(10))
            return set(choice.order[: choice.n_kept].tolist())

        assert kept(1e-4) == set(range(90, 100))
        assert np.mean(list(kept(1e4))) < 85
        assert kept(1e4) == kept(1e4) != kept(1e4, seed=1)

    def test_temperature_is_of_the_sample(self):
        with pytest.raises(ValueError, match="temperature belongs to `pick: sample`"):
            Quota(by="s.score", temperature=2.0)


class TestTwoColumns:
    def pool(self, sources, domains, values=None, tokens=None):
        n = len(sources)
        values = values if values is not None else [float(n - row) for row in range(n)]
        return pa.table(
            {
                "row_id": range(n),
                "sample_id": [f"{row:04d}" for row in range(n)],
                "s.score": pa.array(values, pa.float32()),
                "source": list(sources),
                "data.domain": list(domains),
                "tokens": pa.array(tokens or [1] * n, pa.int32()),
            }
        )

    def quota(self, **fields):
        return Quota(by="s.score", column=["source", "data.domain"], **fields)

    def kept(self, pool, limit, cost=None, **fields):
        choice = self.quota(**fields)(pool, Budget(limit, cost))
        return sorted(choice.order[: choice.n_kept].tolist())

    def test_one_cell_of_tokens(self):
        """DataMan: rows of 4, 3, 5 and 2 tokens in the order of the score, 7 of them: two rows."""
        pool = self.pool("aaaa", "xxxx", tokens=[4, 3, 5, 2])
        assert self.kept(pool, 7, "tokens") == [0, 1]

    def test_source_first_then_domain(self):
        """8 rows of a, 4 of b; 6 of the 12: 4 and 2. Of a 6 are x, so 3 and 1; of b all are y."""
        pool = self.pool("a" * 8 + "b" * 4, "x" * 6 + "yy" + "yyyy")
        assert self.kept(pool, 6) == [0, 1, 2, 6, 8, 9]
        # equal: 3 of each source, of a 1.5 of each domain: the tie goes to the first by name
        assert self.kept(pool, 6, shares="equal") == [0, 1, 6, 8, 9, 10]

    def test_what_a_cell_cannot_take_stays_in_its_source(self):
        """No row is there twice: of the 4 that a gets, its x has 1, and y takes 3."""
        pool = self.pool("a" * 6 + "b" * 6, "x" + "y" * 5 + "y" * 6)
        assert self.kept(pool, 8, shares="equal") == [0, 1, 2, 3, 6, 7, 8, 9]

    def test_a_source_that_is_short_gives_to_the_other(self):
        pool = self.pool("a" + "b" * 6, "x" * 4 + "yyy")
        assert self.kept(pool, 5, shares="equal") == [0, 1, 2, 4, 5]

    def test_shares_by_rating(self):
        """Ratings .5 and -.5 in the sources: 7.3 and 2.7 of 10, as in one column."""
        values = [0.5] * 9 + [-0.5] * 9
        pool = self.pool("a" * 9 + "b" * 9, "x" * 18, values)
        assert len([row for row in self.kept(pool, 10, shares="rating") if row < 9]) == 7

    def test_reasons_name_both(self):
        choice = self.quota()(self.pool("aab", "xyy"), Budget(1))
        assert set(choice.reason) == {
            *("over the quota: a / x", "over the quota: a / y", "over the quota: b / y")
        }

    def test_fraction_is_of_each_cell(self):
        assert self.kept(self.pool("aaaabb", "xxyyxx"), 9, fraction=0.5) == [0, 2, 4]

    def test_what_it_reads(self):
        assert self.quota().reads.names == ["s.score", "source", "data.domain"]
        for wrong in ({"shares": {"a": 1}}, {"column": ["source", "source"]}, {"column": []}):
            with pytest.raises(ValueError, match=r"of one column|same twice|at least 1"):
                Quota(**{"by": "s.score", "column": ["source", "data.domain"]} | wrong)

    @pytest.mark.parametrize("shares", ["proportional", "equal", "rating"])
    def test_contract(self, shares):
        rng = np.random.default_rng(0)
        pool = self.pool(rng.choice(list("ab"), 40), rng.choice(list("xyz"), 40), rng.random(40))
        check_selector(self.quota(shares=shares), pool, 11)


def with_source(pool):
    return pool.append_column("source", pa.array(["x"] * len(pool)))


@pytest.mark.parametrize("fields", [{"fraction": 0.3}, {"shares": "rating"}, {"pick": "sample"}])
def test_contract_of_the_other_ways(fields):
    check_selector(Quota(by="s.score", **fields), POOL, 5)
