"""A page of HTML that needs no network, follows light and dark, and fits a phone.

Every piece is a `Markup`; plain strings put into one are escaped. A Content-Security-Policy lets
run only the one script and the one style sheet that stand here, by their hash: no `style`
attribute, no handler, and nothing from elsewhere. Text of rows is data from strangers: see `clean`.
"""

import base64
import hashlib
import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from markupsafe import Markup

Level = Literal["ok", "minor", "major"]
Cell = str | int | float | None  # a `Markup` is a str that is not escaped

ABSENT = "\N{EN DASH}"
# What no text may bring into a page: controls but tab and newline, marks that turn the direction of
# what comes after them, halves of surrogate pairs, and what is no character.
UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]"
)


@dataclass(frozen=True)
class Tile:
    """A key figure.

    Attributes:
        label: what it counts.
        figure: as it is shown, with its unit.
        note: a few words below it.
        is_key: it is the one that matters.
    """

    label: str
    figure: str
    note: str = ""
    is_key: bool = False


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        title: its head.
        form: of its numbers, as for `format`, or what writes them; None for text.
        hint: what it means, shown where one points at the head.
        is_wide: it holds text of rows.
    """

    title: str
    form: str | Callable[[float], str] | None = None
    hint: str = ""
    is_wide: bool = False


def page(title: str, parts: Iterable[Markup], subtitle: str = "") -> str:
    """Return a whole page.

    Args:
        title: of the page.
        parts: what stands in it; the titles of its sections make its contents.
        subtitle: a line below the title.
    """
    body = Markup().join(parts)
    style, script = _asset("page.css"), _asset("page.js")
    policy = (
        f"default-src 'none'; style-src {_source(style)}; script-src {_source(script)}; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )
    return SHELL.format(
        policy=policy,
        title=clean(title),
        style=Markup(style),
        script=Markup(script),
        subtitle=Markup('<p class="sub">{}</p>').format(clean(subtitle)) if subtitle else "",
        contents=_contents(body),
        body=body,
    )


SHELL = Markup("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<link rel="icon" href="data:,">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<header><h1>{title}</h1>{subtitle}{contents}</header>
<main>
{body}
</main>
<script>{script}</script>
</body>
</html>
""")


def section(title: str, *parts: Markup) -> Markup:
    """Return a part of the page under a title of its own, listed in the contents."""
    head = Markup('\n<section id="{}"><h2>{}</h2>\n').format(_anchor(title), clean(title))
    return head + Markup("\n").join(parts) + Markup("\n</section>")


def heading(title: str) -> Markup:
    """Return a title within a section."""
    return Markup("<h3>{}</h3>").format(clean(title))


def paragraph(text: str, *, quiet: bool = False) -> Markup:
    """Return a paragraph; a quiet one explains what stands beside it."""
    return Markup("<p{}>{}</p>").format(Markup(' class="quiet"') if quiet else "", clean(text))


def verdict(level: Level, text: str) -> Markup:
    """Return a sentence that says how good something is, with OK, MINOR or MAJOR before it."""
    form = Markup('<p class="verdict {0}"><b>{1}</b> <span>{2}</span></p>')
    return form.format(level, level.upper(), clean(text))


def tiles(figures: Sequence[Tile]) -> Markup:
    """Return key figures, side by side."""
    form = Markup("<div{}><dt>{}</dt><dd>{}</dd>{}</div>")
    shown = [
        form.format(
            Markup(' class="key"') if tile.is_key else "",
            clean(tile.label),
            clean(tile.figure),
            Markup('<dd class="note">{}</dd>').format(clean(tile.note)) if tile.note else "",
        )
        for tile in figures
    ]
    return Markup('<dl class="tiles">{}</dl>').format(Markup().join(shown))


def figure(drawing: Markup, caption: str = "", title: str = "") -> Markup:
    """Return an SVG drawing with a title above and a caption below it."""
    head = Markup("<h4>{}</h4>").format(clean(title)) if title else ""
    foot = Markup("<figcaption>{}</figcaption>").format(clean(caption)) if caption else ""
    return Markup("<figure>{}{}{}</figure>").format(head, drawing, foot)


def side_by_side(*parts: Markup) -> Markup:
    """Return figures in columns, below each other where there is no room."""
    return Markup('<div class="grid">{}</div>').format(Markup().join(parts))


def legend(*entries: tuple[str, str]) -> Markup:
    """Return what colours stand for.

    Args:
        entries: the role of each (`kept`, `pool`, `random`), and what it stands for.
    """
    form = Markup('<li><i class="{}"></i>{}</li>')
    shown = Markup().join(form.format(role, clean(text)) for role, text in entries)
    return Markup('<ul class="legend">{}</ul>').format(shown)


def table(
    columns: Sequence[Column],
    rows: Iterable[Sequence[Cell]],
    caption: str = "",
    *,
    search: bool = False,
) -> Markup:
    """Return a table; a click on a head sorts by that column.

    Args:
        columns: its heads.
        rows: a cell for each column. None is shown as a dash and sorted last.
        caption: above it.
        search: with a field to search in it.
    """
    heads = Markup().join(_head(column) for column in columns)
    lines = Markup("\n").join(
        Markup("<tr>{}</tr>").format(
            Markup().join(_cell(column, value) for column, value in zip(columns, row, strict=True))
        )
        for row in rows
    )
    form = Markup(
        '<div class="table{}">{}{}<div class="scroll"><table><thead><tr>{}</tr></thead>\n'
        "<tbody>\n{}\n</tbody></table></div></div>"
    )
    return form.format(
        Markup(" rows") if any(column.is_wide for column in columns) else "",
        paragraph(caption, quiet=True) if caption else "",
        SEARCH if search else "",
        heads,
        lines,
    )


SEARCH = Markup(
    '<div class="tools" hidden><input type="search" placeholder="Search these rows" '
    'aria-label="Search these rows"><output></output></div>'
)


def long_text(text: str, head: int = 160, most: int = 1200) -> Markup:
    """Return text of a row: its head, which opens to the rest; cut where it is longer than `most`.

    Args:
        text: of a row.
        head: characters that are always seen.
        most: characters that are there at all; how many are left out is said.
    """
    cut = len(text) - most
    text = clean(text[:most])
    if cut > 0:
        text += f" [… {cut:,} more characters]"
    if len(text) <= head * 1.5:
        return Markup('<div class="text" dir="auto">{}</div>').format(text)
    form = Markup(
        '<details class="text" dir="auto"><summary dir="auto"><span>{}</span></summary>{}</details>'
    )
    return form.format(text[:head] + "…", text)


def note(text: str, *parts: Markup) -> Markup:
    """Return something that opens on a click: what not everybody has to read."""
    form = Markup('<details class="more"><summary>{}</summary>{}</details>')
    return form.format(clean(text), Markup().join(parts))


def clean(text: str) -> str:
    """Return text with what must not come into a page replaced by U+FFFD; Markup stays Markup."""
    safe = UNSAFE.sub("\N{REPLACEMENT CHARACTER}", text)
    return Markup(safe) if isinstance(text, Markup) else safe


def four_figures(value: float) -> str:
    """Return a number with four figures, and as many before the point as it has."""
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    if abs(value) < 1e-3:
        return f"{value:.3e}" if value else "0"
    before = len(str(int(abs(value)))) if abs(value) >= 1 else 0
    return f"{value:.{4 - before}f}"


def _head(column: Column) -> Markup:
    form = Markup('<th scope="col"{}{}><button type="button">{}</button></th>')
    hint = Markup(' title="{}"').format(clean(column.hint)) if column.hint else ""
    return form.format(_kind(column), hint, clean(column.title))


def _cell(column: Column, value: Cell) -> Markup:
    form = Markup('<td{}{} data-t="{}">{}</td>')
    sorted_by, shown = Markup(), ABSENT
    if isinstance(value, str):
        shown = clean(value)
    elif value is not None and math.isfinite(value):
        sorted_by = Markup(' data-v="{}"').format(repr(value))
        form_of = column.form or ""
        shown = form_of(value) if callable(form_of) else format(value, form_of)
    return form.format(_kind(column), sorted_by, clean(column.title), shown)


def _kind(column: Column) -> Markup:
    kind = "wide" if column.is_wide else "" if column.form is None else "n"
    return Markup(' class="{}"').format(kind) if kind else Markup()


def _anchor(title: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")


def _contents(body: Markup) -> Markup:
    found = re.findall(r'<section id="([a-z0-9-]+)"><h2>(.*?)</h2>', body)
    if len(found) < 3:
        return Markup()
    form = Markup('<a href="#{}">{}</a>')
    links = Markup(" ").join(form.format(anchor, Markup(title)) for anchor, title in found)
    return Markup('<nav aria-label="Contents">{}</nav>').format(links)


@cache
def _asset(name: str) -> str:
    return Path(__file__).with_name(name).read_text("utf-8")


def _source(text: str) -> str:
    """What a policy calls an inline script or style sheet that is exactly this text."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
