import shutil

import pytest
from tamis.errors import WorkerError
from tamis.pipeline.compute import compute
from tamis.pipeline.executor import LocalEngine
from tamis.pipeline.plan import make_plan
from tamis.pipeline.pool import pool_key, read_pool
from tamis.pipeline.store import Store
from tamis.tests.runs import quiet, run_config
from tamis.tests.tiny import alpaca, write_jsonl


class Counting(LocalEngine):
    """Notes the tasks; may die after so many parts."""

    def __init__(self, config, root, dies_after=10**9):
        super().__init__(config, str(root))
        self.tasks, self.dies_after = [], dies_after

    def run(self, stage, tasks):
        self.tasks += tasks
        for done, receipt in enumerate(super().run(stage, tasks)):
            yield receipt
            if done + 1 == self.dies_after:
                raise WorkerError("died")


def work(config, dies_after=10**9):
    store = Store(config_path(config))
    pool = read_pool(config, store, pool_key(config), lambda n: None)
    engine = Counting(config.engine, store.root, dies_after)
    return engine, lambda: compute(make_plan(config, pool), pool, store, engine, quiet())


def config_path(config):
    from pathlib import Path

    return Path(config.store)


def test_what_is_there_is_not_computed_again(tmp_path):
    config = run_config(tmp_path)
    engine, run = work(config)
    first, second = run(), run()
    assert [report.computed for report in first] == [4, 4, 4]
    assert [report.computed for report in second] == [0, 0, 0]
    assert len(engine.tasks) == 12
    assert first[0].rows == 59


def test_only_missing_parts_are_computed(tmp_path):
    config = run_config(tmp_path)
    _, run = work(config)
    run()
    for path in list((tmp_path / "store").glob("length-*/answer_chars/*.parquet"))[:1]:
        path.unlink()
    engine, run = work(config)
    run()
    assert [(len(engine.tasks), engine.tasks[0].missing)] == [(1, ["answer_chars"])]


def test_finished_parts_are_kept_when_a_step_dies(tmp_path):
    config = run_config(tmp_path)
    _, run = work(config, dies_after=3)
    with pytest.raises(WorkerError):
        run()
    engine, run = work(config)
    reports = run()
    assert [report.computed for report in reports] == [1, 4, 4]
    assert len(engine.tasks) == 9


def test_appended_rows_cost_only_what_is_new(tmp_path):
    _, run = work(run_config(tmp_path, 60))
    run()
    more = run_config(tmp_path, 90)
    _, run = work(more)
    assert [report.computed for report in run()] == [3, 3, 3]  # the last part grew, two are new


def test_what_must_see_the_whole_pool_is_fitted_on_it_once(tmp_path, monkeypatch):
    scorers = {
        "mid": {"use": "length", "unit": "chars"},
        "middle": {"use": "column", "column": "data.rating", "prefer": "middle"},
    }
    config = run_config(
        tmp_path, scorers=scorers, selector=[{"use": "top_k", "by": "middle.score"}]
    )
    _, run = work(config)
    run()
    store = Store(config_path(config))
    (folder,) = store.root.glob("column-*")
    assert len(list((folder / "score").glob("*.parquet"))) == 4
    assert store.read_fitted(folder.name)["quantile"].to_pylist() == sorted(
        i % 7 for i in range(60) if i != 5
    )
    shutil.rmtree(folder / "score")

    def unused(self, pool):
        raise AssertionError("it is known already")

    monkeypatch.setattr(type(config.scorers["middle"]), "fit", unused)
    _, run = work(config)
    assert run()[-1].computed == 4


def test_a_signal_is_fitted_on_the_pool_once(tmp_path, monkeypatch):
    rows = [row | {"v": [i % 3, i % 5, 1]} for i, row in enumerate(alpaca(60))]
    path = write_jsonl(tmp_path / "pool.jsonl", rows)
    fields = {
        "data": [{"name": "pool", "path": str(path)}],
        "signals": {
            "e": {"use": "embedding_column", "column": "data.v"},
            "groups": {"use": "clusters", "of": "e.embedding", "k": 4},
        },
        "scorers": {"far": {"use": "column", "column": "groups.distance"}},
        "selector": [{"use": "top_k", "by": "far.score"}],
        "engine": {"kind": "local", "threads": 2},
    }
    config = run_config(tmp_path, **fields)
    _, run = work(config)
    threads = []
    kind = type(config.signals["groups"])
    monkeypatch.setattr(kind, "use_threads", lambda self, n: threads.append(n))
    run()
    assert threads == [2, 2]  # to fit, and to run
    store = Store(config_path(config))
    (folder,) = store.root.glob("clusters-*")
    assert sum(store.read_fitted(folder.name)["size"].to_pylist()) == 60
    shutil.rmtree(folder / "distance")

    def unused(self, pool):
        raise AssertionError("it is known already")

    monkeypatch.setattr(kind, "fit", unused)
    _, run = work(config)
    assert [report.computed for report in run()] == [0, 4, 0]
