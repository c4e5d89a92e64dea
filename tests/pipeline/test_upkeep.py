import os
import time
from pathlib import Path

import pytest
from tamis.errors import ConfigError
from tamis.pipeline.files import files_below, remove
from tamis.pipeline.run import select
from tamis.pipeline.status import StatusFile, preparing
from tamis.pipeline.store import Store
from tamis.pipeline.upkeep import YOUNG_S, drop, look, uses_in
from tamis.stages.answers import Answer, Answers, folder_of
from tamis.stages.locations import locate
from tamis.tests.runs import digest, quiet, run_config

LATER = time.time() + 2 * YOUNG_S


def entries(folder, outs=("runs",), now=LATER):
    store = Store(folder / "store")
    return look(store, uses_in(store, [str(folder / out) for out in outs]), now)


def by_use(found):
    return {entry.folder.name.rpartition("-")[0] or entry.folder.name: entry for entry in found}


def test_what_a_run_needs_stays(tmp_path):
    result = select(run_config(tmp_path), quiet())
    before = digest(result.folder.path)
    found = entries(tmp_path)
    assert {name: len(entry.idle) for name, entry in by_use(found).items()} == {
        "column": 0,
        "length": 0,
        "pools": 0,
        "rows": 0,
    }
    assert all(entry.runs == (str(result.folder.path),) for entry in found)
    drop(found)
    again = select(run_config(tmp_path), quiet(), overwrite=True)
    assert all(step["computed"] == 0 for step in again.manifest["steps"])
    assert digest(again.folder.path) == before


def test_of_no_run_everything_may_go(tmp_path):
    select(run_config(tmp_path), quiet())
    (tmp_path / "other").mkdir()
    found = entries(tmp_path, ["other"])
    assert all(entry.runs == () and len(entry.idle) == entry.n_files for entry in found)
    drop(found)
    assert list((tmp_path / "store").iterdir()) == []


def test_steps_and_parts_of_another_run_go_and_shared_ones_stay(tmp_path):
    """Two runs share their first parts; the second has more rows and another scorer."""
    first = select(run_config(tmp_path, n=48, part_rows=16), quiet())
    more = {"scorers": {"short": {"use": "random"}, "long": {"use": "length", "unit": "chars"}}}
    config = run_config(tmp_path, n=80, part_rows=16, name="second", **more)
    shared = digest(first.folder.path)
    second = select(config, quiet())
    for path in sorted(second.folder.path.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    found = by_use(entries(tmp_path))
    assert len(found["random"].idle) == found["random"].n_files
    assert found["random"].runs == ()
    assert 0 < len(found["length"].idle) < found["length"].n_files
    assert 0 < len(found["rows"].idle) < found["rows"].n_files
    assert len(found["pools"].idle) == 2  # pool.json and rejected.parquet
    drop(list(found.values()))
    again = select(run_config(tmp_path, n=48, part_rows=16), quiet(), overwrite=True)
    assert all(step["computed"] == 0 for step in again.manifest["steps"])
    assert digest(again.folder.path) == shared


def test_leftovers_go_but_nothing_young(tmp_path):
    select(run_config(tmp_path), quiet())
    column = next((tmp_path / "store").glob("length-*/score/*.parquet"))
    for name in (f".{column.name}.1-a.partial", f"{column.name}.damaged"):
        column.with_name(name).write_bytes(b"x")
    ends = {Path(file.inside[-1]).suffix for entry in entries(tmp_path) for file in entry.idle}
    assert ends == {
        ".partial",
        ".damaged",
    }
    assert not any(entry.idle for entry in entries(tmp_path, now=time.time()))


def test_a_run_that_works_is_not_disturbed(tmp_path):
    result = select(run_config(tmp_path), quiet())
    (result.folder.path / "manifest.json").unlink()
    with pytest.raises(ConfigError, match="works right now; wait until it has ended"):
        entries(tmp_path)


def test_a_run_that_only_reads_yet_is_not_disturbed_either(tmp_path):
    select(run_config(tmp_path), quiet())
    file = preparing(tmp_path / "runs" / "next")
    StatusFile(file).begin("read", None)
    with pytest.raises(ConfigError, match="next works right now; wait until it has ended"):
        entries(tmp_path)
    os.utime(file, (0, 0))  # what it says counts, not when the file was touched
    file.write_text(file.read_text().replace('"updated": ', '"updated": 0, "was": '))
    assert entries(tmp_path)  # of a process that is gone


def test_runs_of_other_stores_do_not_count(tmp_path):
    select(run_config(tmp_path, store=str(tmp_path / "elsewhere")), quiet())
    select(run_config(tmp_path, name="here"), quiet())
    assert {entry.runs for entry in entries(tmp_path)} == {(str(tmp_path / "runs" / "here"),)}


def test_a_store_is_the_same_by_whatever_way_it_is_named(tmp_path):
    """Else a run would seem to be on another store, and all it needs to be idle."""
    (tmp_path / "link").symlink_to(tmp_path)
    for n, store in enumerate(("link/store", "runs/../store")):
        select(run_config(tmp_path, name=f"n{n}", store=str(tmp_path / store)), quiet())
        assert all(str(tmp_path / f"runs/n{n}") in entry.runs for entry in entries(tmp_path))
    found = Store(tmp_path / "link" / "store")
    assert len(uses_in(found, [str(tmp_path / "runs")])) == 2


@pytest.mark.parametrize("text", [None, "{broken", '{"parts": [], "by a newer version": 1}'])
def test_of_a_run_whose_parts_are_not_known_nothing_is_idle(tmp_path, text):
    select(run_config(tmp_path), quiet())
    (path,) = (tmp_path / "store").glob("pools/*/pool.json")
    path.unlink() if text is None else path.write_text(text)
    with pytest.raises(ConfigError, match=r"runs/run needs the pool .* no readable pool\.json"):
        entries(tmp_path)


def test_mistakes(tmp_path):
    with pytest.raises(ConfigError, match="none' is no folder of runs"):
        uses_in(Store(tmp_path), [str(tmp_path / "none")])
    with pytest.raises(ConfigError, match="none' is no store: there is no such folder"):
        look(Store(tmp_path / "none"), {})


@pytest.mark.slow
def test_at_an_address(tmp_path, bucket):
    """Store and runs in a bucket: what a run needs stays, the rest goes in one go."""
    at = {"store": f"{bucket}/store", "out": f"{bucket}/runs"}
    result = select(run_config(tmp_path, **at), quiet())
    other = {"short": {"use": "random"}, "long": {"use": "length", "unit": "chars"}}
    select(run_config(tmp_path, name="gone", scorers=other, **at), quiet())
    remove(locate(f"{bucket}/runs/gone"))
    store = Store(locate(at["store"]))
    found = by_use(look(store, uses_in(store, [at["out"]]), LATER))
    assert found["random"].runs == () and len(found["random"].idle) == found["random"].n_files > 0
    assert found["column"].runs == (str(result.folder.path),) and not found["column"].idle
    assert not any(entry.idle for entry in look(store, {}))  # all of it is young
    drop(list(found.values()))
    left = {file.inside[0].partition("-")[0] for file in files_below(store.root)}
    assert left == {"column", "length", "pools", "rows", ".tamis"}
    again = select(run_config(tmp_path, **at), quiet(), overwrite=True)
    assert all(step["computed"] == 0 for step in again.manifest["steps"])
    with pytest.raises(ConfigError, match="is no store"):
        look(Store(locate(f"{bucket}/nothing")), {})
    with pytest.raises(ConfigError, match="is no folder of runs"):
        uses_in(store, [f"{bucket}/nothing"])


def test_answers_that_were_paid_for_stay(tmp_path):
    select(run_config(tmp_path), quiet())
    Answers(tmp_path / "store" / folder_of({"model": "judge"})).add("one", Answer("Score: 4"))
    found = by_use(entries(tmp_path))
    assert (found["answers"].n_files, found["answers"].idle) == (1, ())
