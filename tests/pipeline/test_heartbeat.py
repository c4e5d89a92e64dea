import time

import pytest
from tamis.pipeline import heartbeat as module
from tamis.pipeline.heartbeat import Doing, heartbeat


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(module, "BEAT_S", 0.01)
    monkeypatch.setattr(module, "PATIENCE_S", 0.1)


def until(found, n, seconds=10.0):
    began = time.monotonic()
    while len(found) < n and time.monotonic() - began < seconds:
        time.sleep(0.01)
    assert len(found) >= n


def test_without_news_it_is_said_who_works_on_what():
    said = []
    with heartbeat("base", lambda: [Doing("process 7 on host", "part abc")], said.append):
        until(said, 2)
    assert said[0].startswith("base: no news for ")
    assert said[0].split("; ")[1].startswith("process 7 on host: part abc, for ")


def test_nobody_yet():
    said = []
    with heartbeat("base", list, said.append):
        until(said, 1)
    assert said[0].endswith("nobody works on it yet")


def test_with_news_it_is_silent():
    said, beats = [], []
    with heartbeat("base", list, said.append, beats.append) as news:
        for _ in range(30):
            news.came()
            time.sleep(0.01)
    assert beats
    assert said == []


def test_an_error_ends_it():
    with pytest.raises(KeyError), heartbeat("base", list, print):
        raise KeyError


def test_a_disk_that_is_full_is_said_at_the_end_and_not_as_a_traceback_of_a_thread(capsys):
    def full(found):
        beats.append(found)
        raise OSError(28, "No space left on device")

    beats = []
    with pytest.raises(OSError, match="No space left"), heartbeat("base", list, print, full):
        until(beats, 1)
    with pytest.raises(KeyError), heartbeat("base", list, print, full):
        until(beats, 2)
        raise KeyError
    assert capsys.readouterr().err == ""
