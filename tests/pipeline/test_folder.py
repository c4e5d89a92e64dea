import json

import pytest
from tamis.errors import ConfigError
from tamis.pipeline.config import Config
from tamis.pipeline.folder import claim


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


def test_a_run_that_lost_its_files_is_not_done(tmp_path):
    first = claim(config(tmp_path), "f1")
    (first.path / "ledger.parquet").touch()
    first.finish({"fingerprint": "f1", "files": {"ledger.parquet": {"bytes": 0}}})
    first.release()
    assert claim(config(tmp_path), "f1").is_done
    (first.path / "ledger.parquet").unlink()
    assert claim(config(tmp_path), "f1").path.name == "run-2"


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '{"fingerprint": "f1"}'])
def test_a_broken_manifest_or_config_is_no_run_of_ours(tmp_path, text):
    first = claim(config(tmp_path), "f1")
    finish(first, "f1")
    (first.path / "manifest.json").write_text(text)
    second = claim(config(tmp_path), "f1")
    assert second.path.name == "run-2"
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
