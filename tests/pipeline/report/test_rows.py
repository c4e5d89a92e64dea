from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
from tamis.pipeline.report.page import Column
from tamis.pipeline.report.rows import kept_places, near_places, read_rows, worst_places


def test_which_rows(run, beside):
    kept = beside.rows.take(kept_places(beside)).to_pylist()
    assert [row["rank"] for row in kept] == list(range(1, 21))
    near = beside.rows.take(near_places(run, beside)).to_pylist()
    assert [row["rank"] for row in near] == list(range(21, 21 + len(near)))
    assert {row["reason"] for row in near} == {"over budget"}
    worst = beside.rows.take(worst_places(beside, "long.score")).to_pylist()
    scores = [row["long.score"] for row in worst]
    assert scores == sorted(scores) and {row["outcome"] for row in worst} == {"dropped"}


class Tags(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.names = set(), set()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.names |= {name for name, _ in attrs}


def test_texts_are_cut_and_escaped(run, beside):
    shown = read_rows(run, beside).__html__()
    assert "&lt;/script&gt;&lt;script&gt;" in shown and "onerror=&#34;" in shown
    found = Tags(shown)
    assert not found.tags & {"script", "img", "style", "svg", "a"}
    assert not {name for name in found.names if name.startswith("on")} | {"href"} & found.names
    assert "more characters]" in shown and len(shown) < 1_000_000
    assert not set(shown) & set("\x00\x07\x1b\u202e")


def test_four_tables_with_a_field_to_search(run, beside):
    shown = read_rows(run, beside).__html__()
    for title in ("Kept (20 ", "Near misses (", "Worst of the dropped (", "Random choice (20 "):
        assert title in shown
    assert shown.count('type="search"') == 4
    assert Column("x").form is None


def test_near_misses_where_the_last_step_drops_none(run, beside):
    """The threshold is then what rows fell short of."""
    kept = np.array([row["step"] == "top_k" for row in beside.rows.to_pylist()])
    found = replace(beside, kept=kept)
    near = beside.rows.take(near_places(run, found)).to_pylist()
    assert near and {row["step"] for row in near} == {"threshold"}
    assert [row["rank"] for row in near] == sorted(row["rank"] for row in near)


def test_no_near_misses_where_all_are_kept(run, beside):
    found = replace(beside, kept=np.ones(119, dtype=bool))
    assert len(near_places(run, found)) == 0
    shown = read_rows(run, found).__html__()
    assert "Near misses (0 rows shown)" in shown and shown.count('type="search"') == 3
