import shutil

import pytest
from datasets import Dataset
from tamis.errors import DataError
from tamis.pipeline import sources
from tamis.pipeline.config import Config
from tamis.pipeline.pool import pool_key, read_pool, rejected_rows
from tamis.pipeline.sources import content_of, input_files, pin_sources
from tamis.pipeline.store import Store
from tamis.stages import remote
from tamis.stages.hub import HubDataset
from tamis.stages.locations import locate
from tamis.tests.tiny import alpaca, write_jsonl


def config(*paths, **fields):
    data = [{"name": f"s{i}", "path": str(path)} for i, path in enumerate(paths)]
    return Config.model_validate({"name": "x", "data": data, "part_rows": 10} | fields)


def copied(folder, address):
    """The files of a local folder at an address."""
    for file in folder.rglob("*"):
        if file.is_file():
            (address / file.relative_to(folder).as_posix()).write_bytes(file.read_bytes())
    return address


def test_paths_that_are_nowhere(tmp_path, bucket):
    for path in (
        tmp_path / "gone.jsonl",
        "./gone",
        "org/gone",
        f"{bucket}/gone",
        f"{bucket}-gone/x",
    ):
        with pytest.raises(DataError, match="gone"):
            pin_sources(config(path))


def test_an_address_that_does_not_answer(bucket, monkeypatch):
    monkeypatch.setattr(remote, "WAITS_S", ())
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(DataError, match=r"data\.s0: s3://b/x cannot be used: EndpointConnection"):
        pin_sources(config("s3://b/x"))


@pytest.mark.parametrize("what", ["", "/b*", "/a.parquet", "/deep/c.jsonl.gz"])
def test_the_same_pool_from_an_address(tmp_path, bucket, what):
    here = tmp_path / "d"
    (here / "deep" / ".hidden").mkdir(parents=True)
    write_jsonl(here / "b.jsonl", [*alpaca(12), {"instruction": "no answer"}])
    write_jsonl(here / "deep" / ".hidden" / "x.jsonl", alpaca(3))
    write_jsonl(tmp_path / "c.jsonl", alpaca(9))
    import gzip

    (here / "deep" / "c.jsonl.gz").write_bytes(gzip.compress((tmp_path / "c.jsonl").read_bytes()))
    Dataset.from_list(alpaca(7)).to_parquet(here / "a.parquet")
    there = copied(here, locate(f"{bucket}/d"))
    local, remotely = (pin_sources(config(f"{folder}{what}")) for folder in (here, there))
    assert pool_key(remotely) == pool_key(local)
    store, name = Store(tmp_path / "store"), pool_key(local)
    pools = [read_pool(made, store, name, lambda n: None) for made in (local, remotely)]
    assert pools[0] == pools[1]
    if pools[0].n_rejected:
        (row,) = rejected_rows(store, remotely, pools[1]).to_pylist()
        assert row["file"] == f"{there}/b.jsonl"


@pytest.mark.parametrize("name", ["x.jsonl.zst", "x.arrow", "x.json", "x.csv"])
def test_every_kind_of_file_is_read_from_an_address(tmp_path, bucket, name):
    import pyarrow as pa
    import pyarrow.csv
    import pyarrow.feather

    rows, path = alpaca(5), tmp_path / name
    if name.endswith(".zst"):
        write_jsonl(tmp_path / "x.jsonl", rows)
        with pa.CompressedOutputStream(str(path), "zstd") as stream:
            stream.write((tmp_path / "x.jsonl").read_bytes())
    elif name.endswith(".arrow"):
        pyarrow.feather.write_feather(pa.Table.from_pylist(rows), path, compression="uncompressed")
    elif name.endswith(".csv"):
        pyarrow.csv.write_csv(pa.Table.from_pylist(rows), path)
    else:
        import json

        path.write_text(json.dumps(rows))
    there = locate(f"{bucket}/{name}")
    there.write_bytes(path.read_bytes())
    pools = []
    for own in (path, there):
        made = pin_sources(config(own))
        pools.append(read_pool(made, Store(tmp_path / "store"), pool_key(made), lambda n: None))
    assert pools[0] == pools[1]
    assert pools[0].n_rows == 5


def test_a_datasets_folder_at_an_address(tmp_path, bucket):
    Dataset.from_list(alpaca(12)).save_to_disk(tmp_path / "set")
    there = copied(tmp_path / "set", locate(f"{bucket}/set"))
    made = pin_sources(config(there))
    assert len(input_files(made.data[0])) == 3
    found = read_pool(made, Store(tmp_path / "store"), pool_key(made), lambda n: None)
    assert found.n_rows == 12


def test_data_from_a_web_server(tmp_path, bucket, s3_server):
    path = write_jsonl(tmp_path / "a.jsonl", alpaca(12))
    locate(f"{bucket}/a.jsonl").fs.pipe_file(
        f"{bucket}/a.jsonl", path.read_bytes(), ACL="public-read"
    )
    url = bucket.replace("s3:/", s3_server) + "/a.jsonl"
    assert pool_key(pin_sources(config(url))) == pool_key(pin_sources(config(path)))
    with pytest.raises(DataError, match="no file or folder 'http://"):
        pin_sources(config(f"{url}.gone"))


def test_data_that_holds_the_store(tmp_path, bucket):
    write_jsonl(tmp_path / "d" / "a.jsonl", alpaca(3)) if (tmp_path / "d").mkdir() is None else None
    there = copied(tmp_path / "d", locate(f"{bucket}/d"))
    for folder in (tmp_path / "d", there):
        with pytest.raises(DataError, match="holds the store"):
            pin_sources(config(folder, store=f"{folder}/store", out=str(tmp_path / "runs")))
        pin_sources(config(folder, store=f"{folder}-store", out=str(tmp_path / "runs")))


def test_content_is_what_counts(tmp_path):
    first = write_jsonl(tmp_path / "a.jsonl", alpaca(3))
    shutil.copy(first, tmp_path / "b.jsonl")
    assert content_of([first]) == content_of([tmp_path / "b.jsonl"])
    shutil.copy(first, tmp_path / "c.json")
    assert content_of([first]) != content_of([tmp_path / "c.json"])


@pytest.mark.parametrize(("said", "license"), [(None, "mit"), ("cc-by-4.0", "cc-by-4.0")])
def test_the_hub_tells_the_licence_unless_the_config_does(monkeypatch, said, license):
    monkeypatch.setattr(sources, "resolve_dataset", lambda path, revision: HubDataset("c1", "mit"))
    own = {"name": "h", "path": "some/data", "license": said}
    (pinned,) = pin_sources(Config.model_validate({"name": "x", "data": [own]})).data
    assert (pinned.revision, pinned.license) == ("c1", license)
