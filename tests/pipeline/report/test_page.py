"""A page lets nothing run but its own script, and shows text of rows as text."""

import base64
import hashlib
import re
from html.parser import HTMLParser

import pytest
from markupsafe import Markup
from tamis.pipeline.report import page

HOSTILE = (
    "</script><script>alert(1)</script><img src=x onerror=alert(1)> "
    "\x00\x1b[2J\u202eevil \ud800 &amp;"
)


class Seen(HTMLParser):
    """What a parser makes of a page: tags, attributes, and the text of cells."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.texts = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data):
        self.texts.append(data)


def whole(*parts):
    return page.page("A <title>", parts, "of & for")


def test_only_its_own_script_and_style_may_run():
    text = whole(page.section("One", page.paragraph("text")))
    (policy,) = re.findall(r'Content-Security-Policy" content="(.*?)">', text)
    assert policy.startswith("default-src &#39;none&#39;;")
    for tag, source in (("style", "style-src"), ("script", "script-src")):
        (inline,) = re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(inline.encode()).digest()).decode()
        assert f"{source} &#39;sha256-{digest}&#39;" in policy
    names = [name for name, _ in Seen(text).attributes]
    assert "style" not in names and not [name for name in names if name.startswith("on")]
    addresses = [v for n, v in Seen(text).attributes if n in ("src", "href")]
    assert addresses == ["data:,"]  # and nothing from elsewhere
    assert "url(" not in text and "http:" not in text and "https:" not in text


def test_what_strangers_wrote_is_text():
    columns = [page.Column(HOSTILE), page.Column("b", is_wide=True)]
    shown = whole(
        page.section(HOSTILE, page.paragraph(HOSTILE), page.heading(HOSTILE)),
        page.verdict("ok", HOSTILE),
        page.tiles([page.Tile(HOSTILE, HOSTILE, HOSTILE)]),
        page.legend(("kept", HOSTILE)),
        page.figure(Markup("<svg></svg>"), HOSTILE, HOSTILE),
        page.note(HOSTILE),
        page.table(columns, [[HOSTILE, page.long_text(HOSTILE)]], HOSTILE, search=True),
    )
    shown.encode()  # no halves of surrogate pairs
    found = Seen(shown)
    assert found.tags.count("script") == 1
    assert "img" not in found.tags
    assert not set(shown) & set("\x00\x1b\u202e\ud800")
    assert "</script><script>alert(1)</script><img src=x onerror=alert(1)> " in "".join(found.texts)
    assert "&amp;amp;" in shown  # what was escaped by the writer is shown as it was written


def test_direction_of_text_stays_its_own_but_letters_stay():
    assert page.clean("a\u202eb\u2066c\x85") == "a\ufffdb\ufffdc\ufffd"
    assert page.clean("\u0645\u06cc\u200c\u0631 \U0001f468\u200d\U0001f469 a\tb\nc") == (
        "\u0645\u06cc\u200c\u0631 \U0001f468\u200d\U0001f469 a\tb\nc"
    )
    assert 'dir="auto"' in page.long_text("\u05d0")


def test_long_text_is_cut_and_says_how_much():
    assert "details" not in page.long_text("x" * 200)
    opened = page.long_text("x" * 1_000_000)
    assert len(opened) < 2_000
    assert "[… 998,800 more characters]" in opened
    assert page.long_text("x" * 1_200).count("x") >= 1_200
    assert "more characters" not in page.long_text("x" * 1_200)


def test_numbers_of_a_table_are_shown_in_their_form_and_sorted_by_value():
    columns = [
        page.Column("name"),
        page.Column("share", ".1%", hint="of all"),
        page.Column("n", ","),
    ]
    shown = page.table(columns, [["a", 0.1234, 12345], ["b", None, float("nan")]])
    assert '<td class="n" data-v="0.1234" data-t="share">12.3%</td>' in shown
    assert '<td class="n" data-v="12345" data-t="n">12,345</td>' in shown
    assert f'<td class="n" data-t="share">{page.ABSENT}</td>' in shown
    assert f'<td class="n" data-t="n">{page.ABSENT}</td>' in shown
    assert 'title="of all"' in shown and 'type="search"' not in shown
    with pytest.raises(ValueError, match="shorter"):
        page.table(columns, [["a"]])


def test_contents_name_the_sections_of_a_longer_page():
    sections = [
        page.section(title, page.paragraph("x")) for title in ("What & why", "Two", "Three")
    ]
    assert '<a href="#what-why">What &amp; why</a> <a href="#two">Two</a>' in whole(*sections)
    assert "<nav" not in whole(*sections[:2])


def test_a_verdict_names_its_level():
    assert page.verdict("major", "It leans.") == (
        '<p class="verdict major"><b>MAJOR</b> <span>It leans.</span></p>'
    )
