import pyarrow as pa
from tamis.stages.checks import check_selector
from tamis.stages.selectors.base import Budget
from tamis.stages.selectors.random import Random

POOL = pa.table({"row_id": range(200), "sample_id": [f"{i:032x}" for i in range(200)]})


def kept(pool, seed, n=20):
    choice = Random(seed=seed)(pool, Budget(n))
    return {pool["row_id"][int(i)].as_py() for i in choice.order[: choice.n_kept]}


def test_a_sample_of_the_seed():
    assert kept(POOL, 1) == kept(POOL, 1)
    assert len(kept(POOL, 1)) == 20
    assert len(kept(POOL, 1) & kept(POOL, 2)) < 10


def test_a_row_keeps_its_draw_in_another_pool():
    part = POOL.slice(0, 150)
    assert kept(POOL, 3) & set(range(150)) <= kept(part, 3)


def test_contract():
    check_selector(Random(seed=0), POOL)
