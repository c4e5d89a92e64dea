import json
import time
from contextlib import contextmanager

import pytest
from tamis.errors import ConfigError
from tamis.pipeline import status as module
from tamis.pipeline.heartbeat import Doing
from tamis.pipeline.status import Parts, StatusFile, preparing, status_of
from tamis.pipeline.summary import show_status


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "BEAT_S", 0.0)
    (tmp_path / "config.yaml").write_text("name: run\n")
    return tmp_path


def later(monkeypatch, seconds):
    then = time.time() + seconds
    monkeypatch.setattr(time, "time", lambda: then)


def test_while_it_works(run, monkeypatch):
    file = StatusFile(run / "status.json")
    file.begin("length", 64, Parts(4, 0))
    file.done()
    file.begin("base", 48, Parts(4, 1))
    file.alive([Doing("process 7 on host", "part abc")])
    later(monkeypatch, 8)
    file.add(16)
    file.failed("row 3 kills its worker")
    found = status_of(str(run))
    assert found.state == "working"
    assert found.rows_per_s == pytest.approx(2.0, rel=0.1)
    assert found.seconds_left == pytest.approx(16.0, rel=0.1)
    shown = show_status(found).plain
    assert "base: 2 of 4 parts, 16 of 48 rows of this start" in shown
    assert "done before: length" in shown
    assert "process 7 on host: part abc" in shown
    assert "failed: row 3 kills its worker" in shown
    assert json.loads(json.dumps(found.as_json()))["seconds_left"] == found.seconds_left


def test_nothing_done_yet_says_no_time_left(run):
    StatusFile(run / "status.json").begin("base", 64, Parts(4, 0))
    assert status_of(str(run)).seconds_left is None


def test_a_run_of_which_nothing_is_heard_is_lost(run, monkeypatch):
    StatusFile(run / "status.json").begin("base", 64, Parts(4, 0))
    later(monkeypatch, 3600)
    found = status_of(str(run))
    assert found.state == "lost"
    assert "nothing heard for 3,600 s; start it again to go on" in show_status(found).plain


def test_a_finished_run(run):
    (run / "manifest.json").write_text("{}")
    assert status_of(str(run)).state == "done"
    (run / "status.json").write_text("{broken")
    assert status_of(str(run)).state == "done"


def test_what_is_scored_alone_is_done_and_without_a_word_it_is_lost(run):
    found = status_of(str(run))
    assert found.state == "lost"
    assert show_status(found).plain.startswith("lost: it has said nothing yet")
    (run / "scores.parquet").write_bytes(b"")
    assert status_of(str(run)).state == "done"


def test_what_another_version_says_beside_is_kept(run):
    StatusFile(run / "status.json").begin("base", 64, Parts(4, 0))
    facts = json.loads((run / "status.json").read_text())
    (run / "status.json").write_text(json.dumps(facts | {"mood": "good"}))
    assert status_of(str(run)).as_json()["mood"] == "good"


@pytest.mark.parametrize(
    "text",
    [
        *("", "{broken", "[]", "null", '{"updated": 1}', '{"updated": "x"}'),
        '{"host": "h", "process": 1, "updated": 1, "steps_done": [], "failures": [], "step": {}}',
    ],
)
def test_a_damaged_file(run, text):
    (run / "status.json").write_text(text)
    with pytest.raises(ConfigError, match=r"status\.json' is damaged: .*; start the run again"):
        status_of(str(run))


def test_what_is_no_run(run, tmp_path):
    with pytest.raises(ConfigError, match=r"is not the folder of a run: it has no config\.yaml"):
        status_of(str(tmp_path / "none"))


def test_without_a_path_nothing_is_written(tmp_path):
    file = StatusFile()
    file.begin("base", 64, Parts(4, 0))
    file.add(16)
    file.done()
    assert list(tmp_path.iterdir()) == []


def test_a_warning_while_it_is_written_is_said_with_the_next_write(run, monkeypatch):
    """As a store at an address that stutters gives: the file is written from within itself."""
    file, written = StatusFile(run / "status.json"), module.whole_file

    @contextmanager
    def stutters(path):
        file.failed("it stutters")
        with written(path) as partial:
            yield partial

    monkeypatch.setattr(module, "whole_file", stutters)
    file.begin("read", None)
    monkeypatch.setattr(module, "whole_file", written)
    file.add(10)
    assert json.loads((run / "status.json").read_text())["failures"] == ["it stutters"]


def test_before_it_has_a_folder(tmp_path, monkeypatch):
    """While the data is read, from another terminal; once that is over or dead, no more."""
    monkeypatch.setattr(module, "BEAT_S", 0.0)
    run = tmp_path / "runs" / "mine"
    file = StatusFile(preparing(run))
    file.begin("read", None)
    later(monkeypatch, 10)
    file.add(2000)
    found = status_of(str(run))
    assert (found.state, found.seconds_left) == ("preparing", None)
    assert found.rows_per_s == pytest.approx(200, rel=0.05)
    assert "read: 2,000 rows, " in show_status(found).plain
    later(monkeypatch, 3600)
    with pytest.raises(ConfigError, match="not the folder of a run"):
        status_of(str(run))
