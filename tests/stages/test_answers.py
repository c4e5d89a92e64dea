import logging
import os
import tracemalloc

import pytest
from tamis.stages.answers import Answer, Answers, folder_of, name_of

ASKED = [{"role": "user", "content": "Gr\u00fc\u00dfe \ud83d"}]


def test_answers_stay(tmp_path):
    answer = Answer("Score: 4\n\u2028 \ud83d", "stop", 7, 3, {" 4": -0.5}, refused=False)
    first = Answers(tmp_path / "a")
    first.add("one", answer)
    assert Answers(tmp_path / "a").get("one") == answer  # before it is closed
    other = Answers(tmp_path / "a")  # another process at the same time
    other.add("two", answer)
    first.add("three", answer)
    first.close()
    other.close()
    found = Answers(tmp_path / "a")
    assert len(found) == 3
    assert (found.tokens_in, found.tokens_out) == (21, 9)
    assert found.get("four") is None
    assert len(list((tmp_path / "a").iterdir())) == 2


def test_a_torn_line_is_left_out(tmp_path, caplog):
    answers = Answers(tmp_path)
    for name in ("one", "two"):
        answers.add(name, Answer(name))
    answers.close()
    (file,) = tmp_path.iterdir()
    os.truncate(file, file.stat().st_size - 5)
    with caplog.at_level(logging.WARNING):
        found = Answers(tmp_path)
    assert (len(found), found.get("one")) == (1, Answer("one"))
    assert "1 lines are not whole" in caplog.text


def test_texts_are_not_held_in_memory(tmp_path):
    answers = Answers(tmp_path)
    for place in range(100):
        answers.add(f"{place}", Answer("x" * 20_000))
    tracemalloc.start()
    found = Answers(tmp_path)
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert len(found) == 100
    assert held < 200_000  # of two million
    assert found.get("99") == answers.get("99") == Answer("x" * 20_000)


def test_a_disk_that_takes_a_piece_spoils_no_later_answer(tmp_path, monkeypatch):
    answers, write = Answers(tmp_path), os.write
    answers.add("one", Answer("1"))
    calls = []

    def full(handle, data):
        calls.append(data)
        if len(calls) == 1:
            return write(handle, data[:9])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="No space"):
        answers.add("two", Answer("2"))
    monkeypatch.undo()
    assert answers.get("two") is None
    answers.add("three", Answer("3"))
    found = Answers(tmp_path)
    assert (len(found), found.get("three")) == (2, Answer("3"))


def test_in_memory_alone(tmp_path):
    answers = Answers()
    answers.add("one", Answer("x"))
    answers.close()
    assert answers.get("one") == Answer("x")


def test_names():
    assert name_of(ASKED, 0) == name_of([dict(ASKED[0])], 0)
    assert name_of(ASKED, 0) != name_of(ASKED, 1)
    assert folder_of({"a": 1, "b": 2}) == folder_of({"b": 2, "a": 1})
    assert folder_of({"a": 1}).startswith("answers/")
