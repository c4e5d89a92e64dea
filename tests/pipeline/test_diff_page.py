from dataclasses import replace

from tamis.pipeline.diff_page import diff_page
from tamis.pipeline.drift import Mix, Spread
from tamis.tests.pipeline.test_diff_words import FOUND, MOVED

EVIL = "</script><img src=x onerror=alert(1)>\x1b[31m"


def test_what_it_says():
    shares = {"wiki": (0.25, 0.75), "web": (0.75, 0.25)}
    marks = ((1.0, 2.0, 3.0), (4.0, 5.0, 6.0))
    lengths = (Spread("answer", (2.5, 5.5), marks),)
    found = diff_page(replace(FOUND, sources=Mix("source", shares, 0.5), lengths=lengths))
    for text in ("Kept by A alone", "by chance 80.0", "runs/a", "0.154", "wiki", "25.0%", "answer"):
        assert text in found, text
    assert "Kept by B alone" not in found and "Missing" not in found


def test_text_of_rows_is_escaped():
    row = replace(MOVED, text=EVIL, reason=EVIL)
    found = diff_page(replace(FOUND, only_a=(row,), missing=(EVIL,)))
    assert "<img" not in found and "\x1b" not in found
    assert found.count("</script>") == 1
    assert "Content-Security-Policy" in found


def test_a_text_that_is_gone():
    assert "(its text is gone)" in diff_page(replace(FOUND, only_a=(replace(MOVED, text=None),)))
