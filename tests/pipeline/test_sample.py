from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from tamis.pipeline.compute import compute
from tamis.pipeline.executor import open_engine
from tamis.pipeline.plan import make_plan
from tamis.pipeline.sample import (
    Lengths,
    draw,
    fill_in,
    known_columns,
    lengths_of,
    longest,
    make_sample,
)
from tamis.pipeline.store import Address, Store
from tamis.tests.pipeline.warm import opened
from tamis.tests.runs import quiet, run_config


def lengths(values):
    ids = [f"{value:032x}" for value in range(len(values))]
    return Lengths(pa.chunked_array([ids]), np.array(values))


def test_a_row_of_each_stratum_is_drawn():
    some = lengths([1, 2, 3, 10, 11, 12, 100, 101, 102, 1000, 1001, 1002])
    drawn = draw(some, 4, seed=0)
    assert sorted(place // 3 for place in drawn) == [0, 1, 2, 3]
    assert sorted(draw(some, 12, seed=0)) == list(range(12)) == sorted(draw(some, 99, seed=0))


def test_the_draw_goes_by_content_and_seed_and_not_by_place():
    some = lengths(np.arange(200) // 7)
    order = np.random.default_rng(0).permutation(200)
    moved = Lengths(some.sample_ids.take(pa.array(order)), some.characters[order])
    assert set(order[draw(moved, 20, seed=1)]) == set(draw(some, 20, seed=1))
    assert set(draw(some, 20, seed=2)) != set(draw(some, 20, seed=1))


def test_a_drawn_sample_has_the_mean_length_of_the_pool():
    values = np.random.default_rng(0).lognormal(4, 1, 5000).astype(int)
    drawn = values[draw(lengths(values), 256, seed=0)]
    assert drawn.mean() == pytest.approx(values.mean(), rel=0.05)


def test_the_longest_come_first():
    assert longest(lengths([5, 9, 1, 9, 7]), 3).tolist() == [1, 3, 4]
    assert longest(lengths([5, 9]), 0).tolist() == []


def test_lengths_are_characters_of_all_messages(tmp_path):
    _, store, pool = opened(run_config(tmp_path))
    found = lengths_of(store, pool)
    rows = pa.concat_tables(
        store.read_pool(pool.parts, {n: Address("", n) for n in ("sample_id", "messages")})
    )
    expected = [sum(len(m["content"]) for m in row) for row in rows["messages"].to_pylist()]
    assert found.characters.tolist() == expected
    assert found.sample_ids.to_pylist() == rows["sample_id"].to_pylist()


def test_a_sample_is_a_pool_with_what_is_known(tmp_path):
    config, store, pool = opened(run_config(tmp_path))
    plan = make_plan(config, pool)
    assert known_columns(plan, pool, store) == {}
    compute(plan, pool, store, open_engine(config.engine, store.root), quiet())
    known = known_columns(plan, pool, store)
    assert set(known) == set(plan.columns)
    small = Store(Path(tmp_path / "small"))
    places = np.array([40, 3, 17]), np.array([50])
    sample = make_sample(store, pool, places, known, small)
    assert (sample.drawn.n_rows, sample.longest.n_rows, sample.pool.n_rows) == (3, 1, 4)
    assert not sample.whole
    own = make_plan(config, sample.pool)
    fill_in(sample, own.steps, small)
    for step in own.steps:
        assert small.missing(step.folder, step.wanted, sample.pool.parts, step.whole) == {}
    names = ["sample_id", "data.rating", *known]
    whole = pa.concat_tables(
        store.read_pool(pool.parts, {n: plan.columns.get(n, pool.address(n)) for n in names})
    )
    here = {n: own.columns.get(n, sample.pool.address(n)) for n in names}
    assert small.read(sample.drawn, here).to_pylist() == whole.take([40, 3, 17]).to_pylist()
    assert small.read(sample.longest, here).to_pylist() == whole.take([50]).to_pylist()
