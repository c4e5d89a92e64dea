import pyarrow as pa
import pytest
from tamis.errors import ArtifactError
from tamis.pipeline.finished import open_run
from tamis.pipeline.kept_rows import kept_messages
from tamis.pipeline.run import select
from tamis.tests.runs import quiet, run_config


def test_curated_and_store_say_the_same(tmp_path):
    run = open_run(str(select(run_config(tmp_path), quiet()).folder.path))
    curated = pa.concat_tables(list(kept_messages(run)))
    assert curated["row_id"].to_pylist() == run.kept["row_id"].to_pylist()
    (run.folder / "curated").rename(tmp_path / "elsewhere")
    stored = pa.concat_tables(list(kept_messages(run)))
    assert stored["row_id"].to_pylist() == curated["row_id"].to_pylist()
    said = [
        [[m["content"] for m in row] for row in t["messages"].to_pylist()]
        for t in (stored, curated)
    ]
    assert said[0] == said[1]


def test_a_damaged_file_is_named(tmp_path):
    run = open_run(str(select(run_config(tmp_path), quiet()).folder.path))
    (file,) = (run.folder / "curated" / "data").iterdir()
    file.write_bytes(b"PAR1")
    with pytest.raises(ArtifactError, match=file.name):
        list(kept_messages(run))
