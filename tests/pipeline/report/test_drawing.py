"""Drawings take their colours from the page and bring no style of their own."""

import re
import warnings
from xml.etree import ElementTree

from tamis.pipeline.report.drawing import COLOUR, as_svg, drawing, label
from tamis.pipeline.report.page import page

NAME = "a<b $x$ 中文 \x00\u202e & " + "long " * 20


def drawn():
    with drawing(200, 100) as (figure, axes):
        axes.plot([0, 1], [0, 1], color=COLOUR["kept"])
        axes.fill_between([0, 1], [0, 1], color=COLOUR["shade"], alpha=0.5)
        axes.text(0, 0, label(NAME))
        return as_svg(figure, 'says "<this>"')


def test_colours_are_classes_of_the_page():
    svg = drawn()
    assert 'class="s-kept"' in svg and "f-shade" in svg and 'fill-opacity="0.5"' in svg
    assert not re.search(r'style=|<style|#[0-9a-f]{6}"|xlink|rdf|font-family', svg)
    css = page("t", [])
    for role in re.findall(r"[fs]-([a-z]+)", " ".join(re.findall(r'class="(.*?)"', svg))):
        assert f".f-{role} {{ fill: var(--{role}); }}" in css


def test_it_is_well_formed_and_text_is_text():
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # of fonts that lack a letter
        root = ElementTree.fromstring(drawn())
    assert root.attrib["aria-label"] == 'says "<this>"' and root.attrib["viewBox"] == "0 0 200 100"
    (text,) = [node.text for node in root.iter("text") if node.text.startswith("a")]
    assert text == label(NAME) and text.startswith("a<b $x$ 中文 \ufffd\ufffd & long")


def test_the_same_drawing_gives_the_same_bytes():
    assert drawn() == drawn()


def test_settings_of_others_stay():
    import matplotlib as mpl

    before = dict(mpl.rcParams)
    drawn()
    assert dict(mpl.rcParams) == before


def test_label():
    assert label("a\n b\x07") == "a b\ufffd"
    assert label("x" * 30, 10) == "x" * 9 + "…"
