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
