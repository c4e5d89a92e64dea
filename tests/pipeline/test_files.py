from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from urllib.request import Request, urlopen

import fsspec
import pyarrow.parquet as pq
import pytest
from fsspec.implementations.local import LocalFileSystem
from fsspec.implementations.memory import MemoryFileSystem
from tamis.errors import ConfigError, RemoteError
from tamis.pipeline import files
from tamis.pipeline.files import (
    _modified,
    check_writable,
    files_below,
    names,
    read,
    readable,
    remove,
    remove_files,
    rename,
    send,
    size,
    whole_file,
)
from tamis.stages import remote
from tamis.stages.locations import locate


@pytest.fixture(params=["here", "memory", "s3"])
def folder(request, tmp_path):
    """A folder that is not there yet: of this machine, of a fake address, and of a real one."""
    if request.param == "here":
        return tmp_path / "f"
    if request.param == "s3":
        return locate(f"{request.getfixturevalue('bucket')}/f")
    return locate(f"memory://{tmp_path.name}/f")


def put(path, text):
    with whole_file(path) as partial:
        partial.write_text(text)


def test_what_is_written_can_be_read_listed_renamed_and_removed(folder):
    assert names(folder) == set()
    put(folder / "a", "one")
    put(folder / "a", "other")
    put(folder / "sub" / "b", "two")
    assert read(folder / "a") == b"other"
    assert (size(folder / "a"), size(folder / "none")) == (5, None)
    assert names(folder) == {"a", "sub"}
    rename(folder / "a", "a.damaged")
    rename(folder / "none", "x")
    assert names(folder) == {"a.damaged", "sub"}
    rename(folder / "sub", "sub.damaged")
    assert names(folder / "sub.damaged") == {"b"}
    remove(folder / "sub.damaged")
    remove(folder / "a.damaged")
    remove(folder / "none")
    assert names(folder) == set()
    with pytest.raises(FileNotFoundError):
        read(folder / "a")


def test_names_that_start_alike_are_left_alone(folder):
    for name in ("sub/x", "sub2/x", "sub.txt", "subx"):
        put(folder / name, name)
    rename(folder / "sub", "other")
    assert names(folder) == {"other", "sub2", "sub.txt", "subx"}
    put(folder / "sub" / "x", "again")
    remove(folder / "sub")
    assert names(folder) == {"other", "sub2", "sub.txt", "subx"}
    remove(folder / "subx")
    assert names(folder) == {"other", "sub2", "sub.txt"}


def test_nothing_is_left_of_a_write_that_fails(folder):
    with pytest.raises(RuntimeError), whole_file(folder / "x") as partial:
        partial.write_text("half")
        raise RuntimeError
    assert names(folder) == set()


def test_the_name_appears_with_the_whole(folder):
    with whole_file(folder / "x") as partial:
        partial.write_text("whole")
        assert size(folder / "x") is None
    assert read(folder / "x") == b"whole"
    assert names(folder) == {"x"}


def test_many_writers_of_one_name(folder):
    with ThreadPoolExecutor(8) as writers:
        list(writers.map(lambda _: put(folder / "x", "same" * 1000), range(20)))
    assert read(folder / "x") == b"same" * 1000
    assert names(folder) == {"x"}


def test_arrow_reads_it(folder):
    with whole_file(folder / "t.parquet") as partial:
        pq.write_table(pa_table(), partial)
    assert pq.read_table(readable(folder / "t.parquet")) == pa_table()


def pa_table():
    import pyarrow as pa

    return pa.table({"a": [1, 2, 3]})


def test_a_large_file_is_sent_in_pieces_and_seen_whole(tmp_path, bucket, monkeypatch):
    monkeypatch.setattr(files, "AT_ONCE", 3)
    (tmp_path / "x").write_bytes(b"0123456789")
    send(tmp_path / "x", locate(f"{bucket}/x"))
    assert read(locate(f"{bucket}/x")) == b"0123456789"


class Renames(LocalFileSystem):
    """Stands for what has folders and a rename, as sftp does."""

    protocol = "renames"


class Copies(MemoryFileSystem):
    """Stands for what can neither rename nor take a file at once."""

    protocol = "copies"
    mv = fsspec.AbstractFileSystem.mv


fsspec.register_implementation("renames", Renames, clobber=True)
fsspec.register_implementation("copies", Copies, clobber=True)


@pytest.mark.filterwarnings("ignore:UPath 'renames' filesystem not explicitly implemented")
def test_elsewhere_a_file_is_written_aside_and_renamed(tmp_path, monkeypatch):
    seen = []
    move = Renames.mv

    def noting(self, old, new, **kwargs):
        seen.append((old.rpartition("/")[2], sorted(p.name for p in (tmp_path / "f").iterdir())))
        move(self, old, new, **kwargs)

    monkeypatch.setattr(Renames, "mv", noting)
    path = locate(f"renames://{tmp_path}/f/x")
    check_writable(path.parent, "store")
    put(path, "whole")
    assert read(path) == b"whole"
    (_, (aside, there)) = seen  # the first is of the check
    assert aside.startswith(".x.")
    assert there == [".tamis", aside]
    assert names(path.parent) == {".tamis", "x"}


@pytest.mark.filterwarnings("ignore:UPath 'copies' filesystem not explicitly implemented")
def test_what_cannot_rename_is_refused():
    with pytest.raises(ConfigError, match="store: copies:// can be read but not be written safely"):
        check_writable(locate("copies://f"), "store")


def test_a_bucket_that_is_not_there(bucket):
    with pytest.raises(ConfigError, match=f"out '{bucket}-gone/f' cannot be used: .*bucket"):
        check_writable(locate(f"{bucket}-gone/f"), "out")
    with pytest.raises(RemoteError, match=f"{bucket}-gone/f/x cannot be used: .*bucket"):
        put(locate(f"{bucket}-gone/f/x"), "text")


def test_nobody_answers(bucket, monkeypatch, caplog):
    monkeypatch.setattr(remote, "WAITS_S", (0, 0))
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")  # the discard port
    with pytest.raises(ConfigError, match="store 's3://b/f' cannot be used: Endpoint") as caught:
        check_writable(locate("s3://b/f"), "store")
    assert "secret-of-the-test" not in str(caught.value) + caplog.text
    assert [record.args[2] for record in caplog.records] == [1, 2]


def test_wrong_credentials(bucket, s3_server, caplog):
    """As a server says it that knows its users; this one does after so many requests, here none."""

    def knows_its_users_after(n):
        url, plain = f"{s3_server}/moto-api/reset-auth", {"Content-Type": "text/plain"}
        request = Request(url, n.encode(), plain)
        urlopen(request, timeout=10).close()

    knows_its_users_after("0")
    try:
        with pytest.raises(ConfigError, match=r"cannot be used: PermissionError: .*Access Key Id"):
            check_writable(locate(f"{bucket}/f"), "store")
    finally:
        knows_its_users_after("inf")
    assert not caplog.records


def test_no_permission_is_said_at_once(bucket, monkeypatch, caplog):
    def refuse(*args, **kwargs):
        raise PermissionError("The AWS Access Key Id you provided does not exist in our records.")

    path = locate(f"{bucket}/f")
    monkeypatch.setattr(path.fs, "pipe_file", refuse)
    with pytest.raises(ConfigError, match="Access Key Id you provided does not exist"):
        check_writable(path, "store")
    assert not caplog.records


@pytest.mark.parametrize(
    ("info", "expected"),
    [
        ({"LastModified": datetime(2026, 1, 1, tzinfo=UTC)}, 1767225600.0),  # s3
        ({"mtime": 5.5}, 5.5),
        ({"updated": "2026-01-01T00:00:00Z"}, 1767225600.0),
        ({"size": 3}, float("inf")),  # not said: as if it were young
    ],
)
def test_when_a_file_was_modified(info, expected):
    assert _modified(info) == expected


def test_files_below_and_their_removal(tmp_path):
    for name in ("a/b/one", "a/two", "three"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x" * len(name))
    found = files_below(tmp_path)
    assert [(file.inside, file.size) for file in found] == [
        (("a", "b", "one"), 7),
        (("a", "two"), 5),
        (("three",), 5),
    ]
    remove_files(tmp_path, found[:2])
    assert [path.name for path in tmp_path.rglob("*")] == ["three"]
