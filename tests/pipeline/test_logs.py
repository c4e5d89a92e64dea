import io
import json
import logging

from rich.console import Console
from tamis.pipeline import logs
from tamis.pipeline.logs import Reporter, logging_to


def reporter(terminal):
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=terminal, width=100, markup=False)
    return Reporter(console), stream


def test_plain_lines_where_there_is_no_terminal(monkeypatch):
    monkeypatch.setattr(logs, "EVERY_S", 0.0)
    made, stream = reporter(terminal=False)
    with made.step("base", 10) as counter:
        counter.add(4, tokens=100)
        counter.add(6)
    lines = stream.getvalue().splitlines()
    assert len(lines) == 3
    assert lines[0].startswith("base: 4/10 rows, ")
    assert "tokens/s" in lines[0]
    assert lines[0].endswith(" s left")
    assert "\x1b" not in stream.getvalue()


def test_a_bar_on_a_terminal():
    made, stream = reporter(terminal=True)
    with made.step("base", 10) as counter:
        counter.add(10, tokens=7)
    assert "base" in stream.getvalue()
    assert "10 rows" in stream.getvalue()


def test_an_unknown_length():
    made, stream = reporter(terminal=False)
    with made.step("read", None) as counter:
        counter.add(1234)
    assert "read: 1,234 rows" in stream.getvalue()


def test_text_is_not_markup():
    made, stream = reporter(terminal=False)
    made.say("a [bold]b[/bold]")
    assert stream.getvalue() == "a [bold]b[/bold]\n"


def test_log_files_hold_json_lines(tmp_path):
    path = tmp_path / "log.jsonl"
    with logging_to(path):
        logging.getLogger("tamis.pipeline.x").info('said "%s"\n', "é")
    logging.getLogger("tamis.pipeline.x").info("after")
    (line,) = map(json.loads, path.read_text("utf-8").splitlines())
    assert (line["level"], line["from"], line["message"]) == ("info", "pipeline.x", 'said "é"\n')
    assert logging.getLogger("tamis").handlers == []
