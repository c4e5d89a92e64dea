import errno
import gzip
import io

import pytest
from botocore.exceptions import EndpointConnectionError, NoCredentialsError
from tamis.errors import DataError, RemoteError
from tamis.stages import remote
from tamis.stages.locations import locate
from tamis.stages.remote import files_below, files_like, is_dir, is_file, open_bytes, steadily


@pytest.fixture(autouse=True)
def waits(monkeypatch):
    slept = []
    monkeypatch.setattr(remote.time, "sleep", slept.append)
    return slept


class Failing:
    """Fails with some errors, then gives 7."""

    def __init__(self, *errors):
        self.errors, self.calls = list(errors), 0

    def __call__(self):
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return 7


def test_what_may_pass_is_tried_again_and_said(waits, caplog):
    busy = OSError(errno.EBUSY, "Please reduce your request rate.")
    gone = EndpointConnectionError(endpoint_url="http://a:secret@host/x?sig=1")
    assert steadily("s3://me:word@b/x", Failing(busy, gone)) == 7
    assert waits == [0.5, 1.0]
    lines = [record.getMessage() for record in caplog.records]
    assert lines[0].startswith("s3://***@b/x: OSError: [Errno 16] Please reduce")
    assert lines[0].endswith("(attempt 1)")
    assert "secret" not in lines[1]
    assert "sig" not in lines[1]


def test_it_is_not_tried_for_ever(waits):
    work = Failing(*[TimeoutError("slow")] * 99)
    with pytest.raises(RemoteError, match=r"^s3://b/x cannot be used: TimeoutError: slow$"):
        steadily("s3://b/x", work)
    assert work.calls == len(remote.WAITS_S) + 1
    assert waits == list(remote.WAITS_S)


def test_nor_for_long(monkeypatch):
    ticks = iter([0.0, 20.0, 50.0])
    monkeypatch.setattr(remote.time, "monotonic", lambda: next(ticks))
    work = Failing(*[TimeoutError("slow")] * 99)
    with pytest.raises(RemoteError):
        steadily("s3://b/x", work)
    assert work.calls == 2


@pytest.mark.parametrize(
    "error",
    [
        PermissionError("denied"),
        NoCredentialsError(),
        NotImplementedError(),
        OSError(errno.EPERM, ""),
    ],
)
def test_what_cannot_pass_is_said_at_once(waits, error):
    with pytest.raises(RemoteError, match=type(error).__name__):
        steadily("s3://b/x", Failing(error))
    assert waits == []


@pytest.mark.parametrize("error", [FileNotFoundError("x"), FileExistsError("x"), KeyError("ours")])
def test_answers_and_mistakes_of_ours_are_passed_on(waits, error):
    with pytest.raises(type(error)):
        steadily("s3://b/x", Failing(error))
    assert waits == []


def test_an_error_travels_between_processes():
    import pickle

    again = pickle.loads(pickle.dumps(RemoteError("s3://b", "why")))
    assert (str(again), again.address) == ("s3://b cannot be used: why", "s3://b")


@pytest.fixture
def folders(tmp_path, bucket):
    """The same files here and there, with names that sort differently as texts."""
    here, there = tmp_path / "d", locate(f"{bucket}/d")
    for name in ("a/z.txt", "a-b.txt", "a.txt", "b/c/d.txt"):
        (here / name).parent.mkdir(parents=True, exist_ok=True)
        (here / name).write_text(name)
        (there / name).write_text(name)
    return here, there


def test_files_come_in_the_same_order(folders):
    here, there = folders
    local = [str(path.relative_to(here)) for path in files_below(here)]
    assert local == ["a/z.txt", "a-b.txt", "a.txt", "b/c/d.txt"]
    assert [str(path).removeprefix(f"{there}/") for path in files_below(there)] == local
    for pattern in ("a*", "*/*.txt", "a*.txt", "none*"):
        local = [str(path.relative_to(here)) for path in files_like(here / pattern)]
        found = [str(path).removeprefix(f"{there}/") for path in files_like(there / pattern)]
        assert found == local, pattern


def test_what_is_there(folders):
    for folder in folders:
        assert is_file(folder / "a.txt")
        assert is_dir(folder / "b")
        assert not is_file(folder / "b")
        assert not is_dir(folder / "none")


@pytest.mark.parametrize("ask", [is_file, is_dir])
def test_what_a_busy_store_does_not_say_is_not_taken_for_a_no(bucket, monkeypatch, caplog, ask):
    """Else a finished run would be taken for none, and cleared away."""
    path = locate(f"{bucket}/d/x")
    path.write_bytes(b"x")
    busy = [OSError(errno.EBUSY, "Please reduce your request rate.")]
    call, asked = path.fs._call_s3, path if ask is is_file else path.parent

    async def stuttering(*args, **kwargs):
        if busy:
            raise busy.pop()
        return await call(*args, **kwargs)

    monkeypatch.setattr(path.fs, "_call_s3", stuttering)
    assert ask(asked)
    assert "Please reduce your request rate. (attempt 1)" in caplog.text
    busy += [OSError(errno.EACCES, "Forbidden")]
    with pytest.raises(RemoteError, match="Forbidden"):
        ask(asked)


def test_what_is_no_glob(tmp_path):
    with pytest.raises(DataError, match="invalid pattern"):
        files_like(tmp_path / "a**b")


def test_a_file_is_read_in_ranges_each_tried_again(bucket, monkeypatch, caplog):
    path = locate(f"{bucket}/x")
    data = bytes(range(256)) * 400
    path.write_bytes(data)
    monkeypatch.setattr(remote, "RANGE", 1000)
    asked, cat_file, lost = [], path.fs.cat_file, [TimeoutError("lost")] * 2

    def noting(name, start=None, end=None, **kwargs):
        if len(asked) == 3 and lost:
            raise lost.pop()
        asked.append((start, end))
        return cat_file(name, start=start, end=end, **kwargs)

    monkeypatch.setattr(path.fs, "cat_file", noting)
    with open_bytes(path) as stream:
        assert b"".join(iter(lambda: stream.read(1000), b"")) == data
        assert asked[:2] == [(0, 1000), (1000, 2000)]
        assert max(end - start for start, end in asked) <= 1000
        stream.seek(-3, io.SEEK_END)
        assert stream.read() == data[-3:]
        stream.seek(5)
        assert stream.read(2) == data[5:7]
    assert caplog.text.count("TimeoutError: lost") == 2


def test_a_server_that_knows_no_ranges_or_another_file_by_now(bucket, monkeypatch):
    path = locate(f"{bucket}/x")
    path.write_bytes(bytes(5000))
    monkeypatch.setattr(remote, "RANGE", 1000)
    for n in (5000, 10):
        monkeypatch.setattr(path.fs, "cat_file", lambda *_, n=n, **__: bytes(n))
        with pytest.raises(RemoteError, match=f"bytes 0 to 1,000 were asked for, {n:,} came"):
            open_bytes(path).read(10)


def test_a_packed_file_and_a_file_that_is_gone(bucket):
    path = locate(f"{bucket}/x.gz")
    path.write_bytes(gzip.compress(b"text"))
    with open_bytes(path) as packed, gzip.open(packed) as stream:
        assert stream.read() == b"text"
    with pytest.raises(FileNotFoundError):
        open_bytes(locate(f"{bucket}/none"))
