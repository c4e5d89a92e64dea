import shutil
from pathlib import Path

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
    same += [config_of(tmp_path, gpt2, part_rows=7)]  # the rows that are trained on are the same
    assert {folder(config) for config in same} == {first}
    others = [config_of(tmp_path, gpt2, WARMUP | change) for change in ({"epochs": 3}, {"rank": 4})]
    others += [config_of(tmp_path, gpt2, WARMUP | {"workers": n}) for n in (2, 3)]
    others += [config_of(tmp_path, gpt2, seed=1), config_of(tmp_path, gpt2, n=50)]
    others += [config_of(tmp_path, llama), signal(template="alpaca"), signal(seed=9)]
    others += [signal(end_token=False), config_of(tmp_path, gpt2, WARMUP | {"share": 0.5})]
    others += [config_of(tmp_path, gpt2, WARMUP | {"first": 20})]
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


def test_the_first_rows_are_the_same_in_a_longer_pool(gpt2, tmp_path):
    found = []
    for n in (40, 60):
        config, store, pool = opened(config_of(tmp_path, gpt2, WARMUP | {"first": 30}, n=n))
        found += wanted(config, store, pool)
    assert found[0].folder == found[1].folder
    assert found[0].places.tolist() == found[1].places.tolist()
    assert len(found[0].places) == 6 and found[0].places.max() < 30


def test_rows_come_in_the_order_of_their_content(gpt2, tmp_path):
    config, store, pool = opened(config_of(tmp_path, gpt2))
    (one,) = wanted(config, store, pool)
    columns = {name: pool.address(name) for name in ("sample_id", "messages")}
    every = [row for table in store.read_pool(pool.parts, columns) for row in table.to_pylist()]
    ids = [every[i]["sample_id"] for i in one.places]
    assert len(ids) == 8 and ids == sorted(ids)  # a fifth of 39 usable rows
    assert sorted(one.places) != one.places.tolist()
    found = one.rows(store, pool).select(["messages"]).to_pylist()
    assert [row["messages"] for row in found] == [every[i]["messages"] for i in one.places]


def test_the_order_of_the_pool_does_not_matter(gpt2, tmp_path):
    config, store, pool = opened(config_of(tmp_path, gpt2))
    path = Path(config.data[0].path)
    lines = path.read_text().splitlines()
    other = tmp_path / "turned.jsonl"
    other.write_text("\n".join(reversed(lines)) + "\n")
    turned = config.model_copy(
        update={"data": [config.data[0].model_copy(update={"path": str(other)})]}
    )
    turned, its_store, its_pool = opened(turned)
    (one,), (two,) = wanted(config, store, pool), wanted(turned, its_store, its_pool)
    assert one.folder == two.folder
    texts = [
        w.rows(s, p)["messages"] for w, s, p in ((one, store, pool), (two, its_store, its_pool))
    ]
    assert texts[0].to_pylist() == texts[1].to_pylist()


def test_runs_without_a_warm_up(tmp_path):
    config, store, pool = opened(run_config(tmp_path))
    assert not needs_training(config)
    assert wanted(config, store, pool) == warmed_up(config.signals) == []
    assert filled(config, store, pool) is config
