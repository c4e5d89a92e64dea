import shutil

import numpy as np
from tamis.pipeline.manifest import result_fingerprint
from tamis.pipeline.plan import make_plan
from tamis.pipeline.training import prepared
from tamis.pipeline.warmups import filled, needs_training, wanted, warmed_up
from tamis.tests.pipeline.warm import WARMUP, config_of, opened
from tamis.tests.runs import quiet, run_config


def test_the_key_is_what_makes_the_adapters(gpt2, llama, tmp_path):
    def folder(config):
        config, store, pool = opened(config)
        return wanted(config, store, pool)[0].folder.name

    first = folder(config_of(tmp_path, gpt2))

    def signal(**fields):
        grads = {"use": "gradient", "model": str(gpt2), "dtype": "fp32", "warmup": WARMUP}
        return config_of(tmp_path, gpt2, signals={"grads": grads | fields})

    same = [signal(dim=64), signal(keep="int8"), signal(batch_tokens=64)]
    same += [config_of(tmp_path, gpt2, WARMUP | {"threads": 1}), signal(direction="plain")]
    same += [config_of(tmp_path, gpt2, WARMUP | {"workers": 1})]
    assert {folder(config) for config in same} == {first}
    others = [config_of(tmp_path, gpt2, WARMUP | change) for change in ({"epochs": 3}, {"rank": 4})]
    others += [config_of(tmp_path, gpt2, WARMUP | {"workers": n}) for n in (2, 3)]
    others += [config_of(tmp_path, gpt2, seed=1), config_of(tmp_path, gpt2, n=50)]
    others += [config_of(tmp_path, llama), signal(template="alpaca"), signal(seed=9)]
    keys = [folder(config) for config in others]
    assert first not in keys and len(set(keys)) == len(keys)


def test_columns_are_named_by_the_content_of_the_adapters(gpt2, tmp_path):
    config, store, pool = opened(config_of(tmp_path, gpt2))
    ready = prepared(config, store, pool, quiet())
    moved = config_of(tmp_path, gpt2, store=str(tmp_path / "other"))
    shutil.copytree(tmp_path / "store", tmp_path / "other")
    moved, there, its_pool = opened(moved)
    again = filled(moved, there, its_pool)
    assert again.signals["grads"].adapters != ready.signals["grads"].adapters
    prints = [result_fingerprint(one, its_pool, make_plan(one, its_pool)) for one in (ready, again)]
    assert prints[0] == prints[1]


def test_rows_are_read_from_their_parts(gpt2, tmp_path):
    config, store, pool = opened(config_of(tmp_path, gpt2))
    (one,) = wanted(config, store, pool)
    places = one.places(store, pool)
    assert len(places) == 8 and list(places) == sorted(places)  # a fifth of 39 usable rows
    columns = {"messages": pool.address("messages")}
    every = [row for table in store.read_pool(pool.parts, columns) for row in table.to_pylist()]
    found = one.rows(store, pool, places).select(["messages"]).to_pylist()
    assert found == [every[i] for i in places]
    assert len(one.rows(store, pool, np.array([38]))) == 1


def test_runs_without_a_warm_up(tmp_path):
    config, store, pool = opened(run_config(tmp_path))
    assert not needs_training(config)
    assert wanted(config, store, pool) == warmed_up(config, store, pool) == []
    assert filled(config, store, pool) is config
