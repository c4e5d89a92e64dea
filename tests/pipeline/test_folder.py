import json
import os
from pathlib import Path
from threading import Timer

import pytest
from tamis.errors import ConfigError
from tamis.pipeline import lock
from tamis.pipeline.config import Config
from tamis.pipeline.files import names
from tamis.pipeline.folder import claim
from tamis.stages.locations import locate


def config(tmp_path, **fields):
    base = {"name": "run", "data": [{"name": "d", "path": "p"}], "out": str(tmp_path)}
    return Config.model_validate(base | fields)


def finish(folder, fingerprint):
    folder.finish({"fingerprint": fingerprint, "files": {}})
    folder.release()


def leave(tmp_path, **fields):
    """A run that broke off: its process is gone, and with it the lock."""
    folder = claim(config(tmp_path, **fields), "f1")
    folder.release()
    return folder


def test_a_finished_run_of_the_same_result_is_found(tmp_path):
    made = config(tmp_path)
    first = claim(made, "f1")
    assert not first.is_done
    finish(first, "f1")
    again = claim(made, "f1")
    assert again.is_done
    assert again.path == first.path
    assert again.manifest == {"fingerprint": "f1", "files": {}}


def test_another_result_gets_a_number(tmp_path):
    made = config(tmp_path)
    for fingerprint, name in (("f1", "run"), ("f2", "run-2"), ("f3", "run-3"), ("f2", "run-2")):
        found = claim(made, fingerprint)
        assert found.path.name == name
        if not found.is_done:
            finish(found, fingerprint)


def test_an_unfinished_run_of_the_same_config_is_gone_on_with(tmp_path):
    first = leave(tmp_path)
    (first.path / "curated").mkdir()
    (first.path / "curated" / "half").touch()
    (first.path / "log.jsonl").write_text("line\n")
    (first.path / "notes.txt").write_text("mine")
    again = claim(config(tmp_path, engine={"kind": "local", "workers": 3}, store="else"), "f1")
    assert again.path == first.path
    assert sorted(p.name for p in again.path.iterdir()) == ["config.yaml", "log.jsonl", "notes.txt"]


def test_an_unfinished_run_of_another_config_is_left_alone(tmp_path):
    leave(tmp_path)
    assert leave(tmp_path, seed=3).path.name == "run-2"
    (tmp_path / "run-2" / "config.yaml").write_text(": {")
    assert claim(config(tmp_path, seed=3), "f2").path.name == "run-3"


def test_a_folder_that_is_being_filled_is_not_touched(tmp_path):
    first = claim(config(tmp_path), "f1")
    with pytest.raises(ConfigError, match=r"another process fills .*run; wait for it"):
        claim(config(tmp_path), "f1")
    with pytest.raises(ConfigError, match="another process fills"):
        claim(config(tmp_path, seed=3), "f2", overwrite=True)
    assert claim(config(tmp_path, seed=3), "f2").path.name == "run-2"
    finish(first, "f1")
    assert claim(config(tmp_path), "f1").is_done


def test_a_folder_that_was_taken_this_moment_is_known_as_soon_as_it_says_what_is_run(tmp_path):
    """Two equal runs at once: the second comes between the lock of the first and its config."""
    made, path = config(tmp_path), tmp_path / "run"
    path.mkdir()
    held = lock.lock(path)
    (tmp_path / "written").write_text(made.to_yaml())  # a run writes it under another name too
    writer = Timer(0.3, (tmp_path / "written").rename, [path / "config.yaml"])
    writer.start()
    with pytest.raises(ConfigError, match="another process fills"):
        claim(made, "f1")
    writer.join()
    held.release()
    assert names(tmp_path) == {"run"}


def test_a_run_whose_report_is_still_drawn_is_done(tmp_path):
    first = claim(config(tmp_path), "f1")
    first.finish({"fingerprint": "f1", "files": {}})  # and its folder is still held
    again = claim(config(tmp_path), "f1")
    assert again.is_done and again.path == first.path
    first.release()


def test_a_run_that_lost_its_files_is_not_done(tmp_path):
    first = claim(config(tmp_path), "f1")
    (first.path / "ledger.parquet").touch()
    first.finish({"fingerprint": "f1", "files": {"ledger.parquet": {"bytes": 0}}})
    first.release()
    assert claim(config(tmp_path), "f1").is_done
    (first.path / "ledger.parquet").unlink()
    assert claim(config(tmp_path), "f1").path.name == "run-2"


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '{"fingerprint": "f1"}'])
def test_a_broken_manifest_or_config_is_no_run_of_ours(tmp_path, text, caplog):
    first = claim(config(tmp_path), "f1")
    finish(first, "f1")
    (first.path / "manifest.json").write_text(text)
    second = claim(config(tmp_path), "f1")
    assert second.path.name == "run-2"
    assert f"{first.path / 'manifest.json'} is damaged or gone; the run is made" in caplog.text
    second.release()
    (second.path / "config.yaml").write_text(text)
    assert claim(config(tmp_path), "f1").path.name == "run-3"


def test_overwrite(tmp_path):
    first = claim(config(tmp_path), "f1")
    (first.path / "ledger.parquet").touch()
    finish(first, "f1")
    for fingerprint in ("f1", "f2"):
        found = claim(config(tmp_path), fingerprint, overwrite=True)
        assert found.path == first.path
        assert not found.is_done
        assert not (found.path / "manifest.json").exists()
        assert not (found.path / "ledger.parquet").exists()
        finish(found, fingerprint)


def test_a_folder_that_is_no_run_is_never_emptied(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.tex").touch()
    assert claim(config(tmp_path), "f1").path.name == "run-2"
    with pytest.raises(ConfigError, match="not the folder of a run"):
        claim(config(tmp_path), "f1", overwrite=True)
    assert (tmp_path / "run" / "thesis.tex").exists()


def test_the_manifest_is_written_whole(tmp_path):
    found = claim(config(tmp_path), "f1")
    found.finish({"fingerprint": "f1", "text": "é"})
    assert json.loads((found.path / "manifest.json").read_text("utf-8"))["text"] == "é"


def test_its_files_are_on_the_disk_before_the_manifest_says_so(tmp_path, monkeypatch):
    """Else a machine that dies could leave a manifest, and files without what it says of them."""
    found = claim(config(tmp_path), "f1")
    (found.path / "curated").mkdir()
    (found.path / "curated" / "x").write_text("rows")
    synced, fsync = [], os.fsync

    def noting(handle):
        synced.append(Path(f"/proc/self/fd/{handle}").readlink().name)
        fsync(handle)

    monkeypatch.setattr(os, "fsync", noting)
    found.finish({"fingerprint": "f1"}, ["curated", "none"])
    assert synced[0] == "x"
    assert synced[1].startswith(".manifest.json.")


class TestAtAnAddress:
    @pytest.fixture(params=["memory", "s3"])
    def out(self, request, tmp_path):
        if request.param == "s3":
            return locate(f"{request.getfixturevalue('bucket')}/runs")
        return locate(f"memory://{tmp_path.name}/runs")

    def claim(self, out, fingerprint="f1", overwrite=False, **fields):
        return claim(config(out, **fields), fingerprint, overwrite)

    def fill(self, folder, fingerprint="f1"):
        """What a run does with its folder."""
        (folder.work / "curated" / "data").mkdir(parents=True)
        (folder.work / "curated" / "data" / "x").write_text("rows")
        (folder.work / "ledger.parquet").write_text("lines")
        with (folder.work / "log.jsonl").open("a") as log:
            log.write("line\n")
        files = {"ledger.parquet": {"bytes": 5}, "curated/data/x": {"bytes": 4}}
        folder.finish({"fingerprint": fingerprint, "files": files}, ["ledger.parquet", "curated"])
        folder.release()

    def test_its_files_are_sent_the_manifest_last(self, out):
        folder = self.claim(out)
        assert folder.path == out / "run"
        assert names(out / "run") == {"config.yaml", ".lease-1.json"}
        self.fill(folder)
        there = {"config.yaml", "curated", "ledger.parquet", "log.jsonl", "manifest.json"}
        assert names(out / "run") - {".lease-1.json"} == there
        assert not folder.work.exists()
        again = self.claim(out)
        assert again.is_done
        assert again.manifest["fingerprint"] == "f1"
        again.release()  # of nothing
        other = self.claim(out, "f2")
        assert other.path == out / "run-2"
        other.release()
        (out / "run" / "curated/data/x").unlink()
        other = self.claim(out, seed=1)
        assert not other.is_done
        other.release()

    def test_an_unfinished_run_is_gone_on_with_and_its_log_too(self, out):
        first = self.claim(out)
        (first.work / "log.jsonl").write_text("first\n")
        (first.work / "ledger.parquet").write_text("half")
        first.publish(["ledger.parquet"])
        first.release()
        second = self.claim(out, store="else")
        assert second.path == first.path
        assert "ledger.parquet" not in names(out / "run")
        self.fill(second)
        assert (out / "run" / "log.jsonl").read_text() == "first\nline\n"
        other = self.claim(out, "f2", seed=3)
        assert other.path == out / "run-2"
        other.release()

    def test_one_process_at_a_time(self, out):
        first = self.claim(out)
        with pytest.raises(ConfigError, match=r"another process fills .*run \(process .* ago\)"):
            self.claim(out)
        other = self.claim(out, seed=3)
        assert other.path == out / "run-2"
        for folder in (first, other):
            folder.release()

    def test_overwrite(self, out):
        self.fill(self.claim(out))
        found = self.claim(out, overwrite=True)
        assert found.path == out / "run"
        assert names(out / "run") <= {"config.yaml", "log.jsonl", *leases(out / "run")}
        self.fill(found)
        (out / "other" / "thesis.tex").write_text("mine")
        with pytest.raises(ConfigError, match="not the folder of a run"):
            self.claim(out, name="other", overwrite=True)

    def test_the_log_is_sent_while_it_runs(self, out, monkeypatch):
        monkeypatch.setattr(lock, "BEAT_S", 0.01)
        folder = self.claim(out)
        (folder.work / "log.jsonl").write_text("line\n")
        while "log.jsonl" not in names(out / "run"):
            pass
        folder.release()

    def test_one_that_was_taken_over_does_not_finish(self, out):
        first = self.claim(out)
        said = {"host": "h", "machine": "m", "pid": 1, "token": "t", "beat": 0, "ended": False}
        (out / "run" / ".lease-2.json").write_text(json.dumps(said))
        for name in ("log.jsonl", "ledger.parquet"):
            (out / "run" / name).write_text("of the other")
            (first.work / name).write_text("of the first")
        with pytest.raises(ConfigError, match="another process took over"):
            first.finish({}, ["ledger.parquet"])
        first.release()
        assert "manifest.json" not in names(out / "run")
        for name in ("log.jsonl", "ledger.parquet"):
            assert (out / "run" / name).read_text() == "of the other"


def leases(folder):
    return {name for name in names(folder) if name.startswith(".lease-")}


def test_what_changes_no_result_is_not_another_run(tmp_path):
    """A cap of cost may be raised, and the run goes on in its folder."""
    judge = {"use": "rating_server", "base_url": "http://x/v1", "model": "m", "prompt": "selectit"}
    less = {"signals": {"judge": judge | {"max_cost": 1.0, "price_in": 1.0}}}
    leave(tmp_path, **less)
    more = {"signals": {"judge": judge | {"max_cost": 2.0, "price_in": 1.0, "concurrency": 1}}}
    assert leave(tmp_path, **more).path.name == "run"
    other = {"signals": {"judge": judge | {"temperature": 1.0}}}
    assert leave(tmp_path, **other).path.name == "run-2"
