import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from tamis.errors import DataError, PlanError
from tamis.pipeline import training as module
from tamis.pipeline.agreement import agreement
from tamis.pipeline.manifest import result_fingerprint
from tamis.pipeline.plan import make_plan
from tamis.pipeline.pool import find_pool, pool_key, read_pool
from tamis.pipeline.run import pin, score, select
from tamis.pipeline.store import Store
from tamis.pipeline.training import filled, needs_training, prepared, warm_up
from tamis.stages.checkpoints import content_of, facts_of
from tamis.tests.runs import digest, quiet, run_config

SCORER = '''
"""First number of Adam's direction, times the weight of its checkpoint."""

from typing import final

import numpy as np
import pyarrow as pa
from tamis.scorers.base import Scorer
from tamis.scorers.matrices import matrix, unit
from tamis.scorers.signals import schema


@final
class First(Scorer):
    """One number."""

    @property
    def reads(self) -> pa.Schema:
        """Directions, weights, statuses."""
        return schema("grads", "adam", "weights", "given.status")

    def score(self, rows, fitted=None):
        """Return it."""
        weights = np.array(rows["grads.weights"].to_pylist())
        vectors = matrix(rows["grads.adam"], "grads.adam")
        vectors = unit(vectors.reshape(*weights.shape, -1))
        return pa.array((vectors[:, :, 0] * weights).sum(1))
'''
WARMUP = {
    **{"share": 0.2, "rank": 2, "alpha": 4, "learning_rate": 0.01, "epochs": 2, "batch": 4},
}


def config_of(folder, model, warmup=WARMUP, n=40, **fields):
    path = folder / "first.py"
    path.write_text(SCORER)
    grads = {"use": "gradient", "model": str(model), "dtype": "fp32", "dim": 32, "warmup": warmup}
    blocks = {
        "signals": {"grads": grads},
        "scorers": {"first": {"use": str(path)}},
        "selector": [{"use": "top_k", "by": "first.score"}],
    }
    return run_config(folder, n, **(blocks | fields))


def opened(config):
    """A pinned config, its store and its pool."""
    config = pin(config)
    store, name = Store(Path(config.store)), pool_key(config)
    pool = find_pool(store, name) or read_pool(config, store, name, lambda n: None)
    return config, store, pool


def test_select_trains_first_and_finds_it_again(gpt2, tmp_path):
    config = config_of(tmp_path, gpt2)
    result = select(config, quiet())
    (folder,) = (tmp_path / "store").glob("warmup-*")
    names = [path.name for path in sorted(folder.iterdir())]
    assert names == ["checkpoint-1", "checkpoint-2", "step.json"]
    assert facts_of(str(folder / "checkpoint-1"))["rows"] == 8  # a fifth of 39 usable rows
    assert pq.read_table(result.folder.path / "ledger.parquet").num_rows == 40
    before = (folder / "checkpoint-2/checkpoint.json").stat().st_mtime_ns
    assert select(config, quiet()).was_done
    assert (folder / "checkpoint-2/checkpoint.json").stat().st_mtime_ns == before
    replay = run_config(tmp_path, **result.manifest["config"] | {"out": str(tmp_path / "again")})
    assert digest(select(replay, quiet()).folder.path) == digest(result.folder.path)
    assert "adapters: []" in (result.folder.path / "config.yaml").read_text()
    _, table = score(config, quiet())
    assert np.isfinite(table["first.score"].drop_null().to_numpy()).all()


def test_a_run_starts_where_it_broke_off(gpt2, tmp_path):
    config, store, pool = opened(config_of(tmp_path, gpt2))
    done = prepared(config, store, pool, quiet()).signals["grads"].adapters
    contents = [content_of(folder) for folder in done]
    (Path(done[1]) / "moments.safetensors").unlink()
    assert filled(config, store, pool).signals["grads"].adapters == ()
    again = prepared(config, store, pool, quiet()).signals["grads"].adapters
    assert [content_of(folder) for folder in again] == contents


def test_the_key_is_what_makes_the_adapters(gpt2, llama, tmp_path):
    def folder(config):
        config, store, pool = opened(config)
        return module._wanted(config, store, pool)[0].folder.name

    first = folder(config_of(tmp_path, gpt2))

    def signal(**fields):
        grads = {"use": "gradient", "model": str(gpt2), "dtype": "fp32", "warmup": WARMUP}
        return config_of(tmp_path, gpt2, signals={"grads": grads | fields})

    same = [signal(dim=64), signal(keep="int8"), signal(batch_tokens=64)]
    same += [config_of(tmp_path, gpt2, WARMUP | {"threads": 1}), signal(direction="plain")]
    same += [config_of(tmp_path, gpt2, part_rows=7)]  # the rows that are trained on are the same
    assert {folder(config) for config in same} == {first}
    others = [config_of(tmp_path, gpt2, WARMUP | change) for change in ({"epochs": 3}, {"rank": 4})]
    others += [config_of(tmp_path, gpt2, seed=1), config_of(tmp_path, gpt2, n=50)]
    others += [config_of(tmp_path, llama), signal(template="alpaca"), signal(seed=9)]
    others += [signal(end_token=False), config_of(tmp_path, gpt2, WARMUP | {"share": 0.5})]
    others += [config_of(tmp_path, gpt2, WARMUP | {"first": 20})]
    keys = [folder(config) for config in others]
    assert first not in keys and len(set(keys)) == len(keys)


def test_the_first_rows_are_the_same_in_a_longer_pool(gpt2, tmp_path):
    found = []
    for n in (40, 60):
        config, store, pool = opened(config_of(tmp_path, gpt2, WARMUP | {"first": 30}, n=n))
        found += module._wanted(config, store, pool)
    assert found[0].folder == found[1].folder
    assert found[0].rows.tolist() == found[1].rows.tolist()
    assert len(found[0].rows) == 6 and found[0].rows.max() < 30


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


def test_warm_up_alone(gpt2, tmp_path):
    (found,) = warm_up(config_of(tmp_path, gpt2), quiet())
    assert found.signal == "grads" and found.folder.parent == tmp_path / "store"
    assert [facts["epoch"] for facts in found.checkpoints] == [1, 2]
    with pytest.raises(PlanError, match=r"no signal of this config has a `warmup`; .* length"):
        warm_up(run_config(tmp_path), quiet())
    assert not needs_training(run_config(tmp_path))


def test_rows_without_answer_tokens(gpt2, tmp_path):
    grads = {"use": "gradient", "model": str(gpt2), "dtype": "fp32", "max_tokens": 2}
    config = config_of(tmp_path, gpt2, signals={"grads": grads | {"warmup": WARMUP}})
    with pytest.raises(DataError, match="none of the 8 rows of the warm-up has answer tokens"):
        select(config, quiet())


def test_agreement_trains_too(gpt2, tmp_path):
    with pytest.raises(PlanError, match="works in rounds"):
        agreement(config_of(tmp_path, gpt2), quiet())
    assert list((tmp_path / "store").glob("warmup-*/checkpoint-2"))
