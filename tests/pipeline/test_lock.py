import json
import os
import re
import subprocess
import sys
import threading
import time

import pytest
from tamis.errors import ConfigError, RemoteError
from tamis.pipeline import lock as module
from tamis.pipeline.files import names, read
from tamis.pipeline.lock import holder, lock
from tamis.stages import remote
from tamis.stages.locations import locate


@pytest.fixture(params=["memory", "s3"])
def there(request, tmp_path):
    if request.param == "s3":
        return locate(f"{request.getfixturevalue('bucket')}/run")
    return locate(f"memory://{tmp_path.name}/run")


@pytest.fixture
def folder(tmp_path):
    return tmp_path


def test_a_local_folder(folder):
    first = lock(folder)
    first.check()
    assert lock(folder) is None
    assert holder(folder) == ""
    first.release()
    lock(folder).release()
    assert names(folder) == set()


def test_one_process_at_a_time(there):
    first = lock(there)
    assert lock(there) is None
    assert f"(process {os.getpid()} on " in holder(there)
    first.check()
    first.release()
    second = lock(there)
    second.check()
    second.release()
    assert names(there) == {".lease-2.json"}


def leave(there, **facts):
    """A lease that somebody else left."""
    machine = {"host": "other", "machine": "other", "pid": 1, "token": "t"}
    said = machine | {"beat": time.time(), "ended": False} | facts
    (there / ".lease-4.json").write_text(json.dumps(said))


def test_another_machine_that_is_heard_of(there):
    leave(there, beat=time.time() - module.STALE_S / 2)
    assert lock(there) is None
    found = re.search(r"\(process 1 on other, last sign of life (\d+) s ago\)", holder(there))
    assert found and 60 <= int(found[1]) < 90


def test_another_machine_that_is_not(there):
    leave(there, beat=time.time() - module.STALE_S - 1)
    found = lock(there)
    found.release()
    assert names(there) == {".lease-5.json"}


def test_a_process_of_this_machine_that_is_gone_or_not(there):
    other = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    leave(there, machine=module._machine(), pid=other.pid)
    assert lock(there) is None
    other.communicate()
    lock(there).release()


def test_of_many_that_take_over_one_succeeds(there):
    leave(there, ended=True)
    found, ready = [], threading.Barrier(8)

    def take():
        ready.wait()
        found.append(lock(there))

    threads = [threading.Thread(target=take) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (one,) = [lease for lease in found if lease is not None]
    one.check()
    one.release()


def test_an_answer_that_is_lost_is_not_taken_for_somebody_else(there, monkeypatch):
    """The first attempt makes the lease, only nobody hears of it."""
    monkeypatch.setattr(remote, "WAITS_S", (0,))
    fs, create, lost = there.fs, there.fs.pipe_file, [TimeoutError("no answer")]

    def losing(*args, **kwargs):
        create(*args, **kwargs)
        if lost:
            raise lost.pop()

    monkeypatch.setattr(fs, "pipe_file", losing)
    held = lock(there)
    assert lost == []
    held.check()
    held.release()


def test_it_is_renewed_and_says_when_that_fails(there, monkeypatch, caplog):
    monkeypatch.setattr(module, "BEAT_S", 0.01)
    beats = threading.Event()

    def beat():
        if beats.is_set():
            raise RemoteError("s3://b", "down")
        beats.set()

    held = lock(there, beat)
    before = json.loads(read(there / ".lease-1.json"))["beat"]
    beats.wait(10)
    while "the lease is not renewed: s3://b cannot be used: down" not in caplog.text:
        time.sleep(0.01)
    assert json.loads(read(there / ".lease-1.json"))["beat"] > before
    held.release()
    assert json.loads(read(there / ".lease-1.json"))["ended"]


def test_one_that_was_taken_over_notices(there):
    first = lock(there)
    leave(there)
    with pytest.raises(ConfigError, match=r"another process took over .*process 1 on other"):
        first.check()
    first.release()
    assert names(there) == {".lease-4.json", ".lease-1.json"}
