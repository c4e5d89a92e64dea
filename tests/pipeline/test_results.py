import json

import pyarrow.parquet as pq
import pytest
from tamis.errors import ArtifactError, PlanError
from tamis.pipeline import run as module
from tamis.pipeline.results import leave
from tamis.pipeline.run import select
from tamis.tests.runs import digest, quiet, run_config


def test_ledger_rejected_rows_and_curated_dataset_agree(tmp_path):
    """60 rows, one without an answer, the 10 longest kept."""
    path = select(run_config(tmp_path), quiet()).folder.path
    ledger = pq.read_table(path / "ledger.parquet").to_pylist()
    kept = [row["row_id"] for row in ledger if row["outcome"] == "kept"]
    rejected = pq.read_table(path / "rejected.parquet").to_pylist()
    assert len(ledger) == 60
    assert [row["row_id"] for row in rejected] == [5]
    assert [row["row_id"] for row in ledger if row["outcome"] == "rejected"] == [5]
    curated = pq.read_table(path / "curated" / "data").to_pylist()
    assert [row["row_id"] for row in curated] == kept
    lines = (path / "curated" / "train.jsonl").read_text().splitlines()
    assert [json.loads(line)["messages"] for line in lines] == [
        [{"role": m["role"], "content": m["content"]} for m in row["messages"]] for row in curated
    ]


def test_what_an_attempt_left_is_removed_first(tmp_path, monkeypatch):
    """The first attempt breaks off in the export, with files half made."""
    config = run_config(tmp_path)
    (tmp_path / "other").mkdir()
    expected = digest(select(run_config(tmp_path / "other"), quiet()).folder.path)
    attempts = []

    def twice(config, store, scored, folder):
        attempts.append(folder.work)
        if len(attempts) == 1:
            (folder.work / ".curated.partial").mkdir()
            (folder.work / ".curated.partial" / "half").touch()
            column = next((tmp_path / "store").glob("length-*/score/*.parquet"))
            raise ArtifactError(str(column), "damaged")
        return leave(config, store, scored, folder)

    monkeypatch.setattr(module, "leave", twice)
    result = select(config, quiet())
    assert len(attempts) == 2
    assert digest(result.folder.path) == expected


def test_without_a_row_to_keep_nothing_is_left(tmp_path):
    nothing = [{"use": "threshold", "by": "long.score", "above": 1e9}]
    with pytest.raises(PlanError, match="nothing is kept"):
        select(run_config(tmp_path, selector=nothing), quiet())
    assert not (tmp_path / "runs" / "run" / "curated").exists()


def test_another_licence_is_another_card_over_the_same_pool(tmp_path):
    first = select(run_config(tmp_path), quiet())
    config = run_config(tmp_path)
    data = [source.model_copy(update={"license": "mit"}) for source in config.data]
    second = select(config.model_copy(update={"data": data}), quiet())
    assert second.folder.path.name == "run-2"
    assert second.manifest["pool"]["key"] == first.manifest["pool"]["key"]
    one, other = digest(first.folder.path), digest(second.folder.path)
    assert {name for name in one if one[name] != other[name]} == {"curated/README.md"}
    assert "license: mit" in (second.folder.path / "curated/README.md").read_text("utf-8")
