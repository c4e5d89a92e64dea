from tamis.errors import DataError
from tamis.pipeline.report.chapter import Chapter, Finding, not_shown
from tamis.pipeline.report.page import paragraph


def test_verdicts_stand_first():
    chapter = Chapter("A & b", [paragraph("body")], [Finding("minor", "<found>")])
    shown = chapter.__html__()
    assert '<section id="a-b"><h2>A &amp; b</h2>' in shown
    assert shown.index("&lt;found&gt;") < shown.index("body")


def test_what_cannot_be_shown_says_why():
    assert "Not shown: gone &lt;here&gt;." in not_shown("Map", DataError("gone <here>")).__html__()
