"""Drawings of matplotlib as SVG that stands in a page and takes its colours from there.

A drawing is made in stand-in colours, one for each role; in the SVG they become the classes
`f-<role>` (fill) and `s-<role>` (line), which the style sheet of the page gives the colours of
light or dark. Styles become attributes, because the page's policy forbids them. The same drawing
gives the same bytes: no date, no random ids, one decimal.
"""

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from markupsafe import Markup

from ..logs import printable

if TYPE_CHECKING:  # slow to import
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ROLES = ("ink", "soft", "line", "pool", "shade", "kept", "random", "major")
STANDS_FOR = {f"#{number:06x}": role for number, role in enumerate(ROLES, 1)}
COLOUR = {role: stand_in for stand_in, role in STANDS_FOR.items()}
"""What to draw in, by role: `pool`, `kept`, `random`, …"""
PER_INCH = 72  # a unit of the SVG is a pixel of the page
SVG, XLINK = "{http://www.w3.org/2000/svg}", "{http://www.w3.org/1999/xlink}"
LEFT_OUT = ("metadata", "style")
SETTINGS = {
    "svg.fonttype": "none",
    "svg.hashsalt": "tamis",
    "text.parse_math": False,
    "path.simplify": False,
    "font.size": 11,
    "axes.edgecolor": COLOUR["line"],
    "axes.labelcolor": COLOUR["soft"],
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 11,
    "axes.labelsize": 11,
    "xtick.color": COLOUR["line"],
    "ytick.color": COLOUR["line"],
    "xtick.labelcolor": COLOUR["soft"],
    "ytick.labelcolor": COLOUR["soft"],
    "text.color": COLOUR["ink"],
    "lines.solid_capstyle": "round",
}


@contextmanager
def drawing(
    width: int, height: int, margins: tuple[int, int, int, int] = (2, 2, 2, 2)
) -> Iterator["tuple[Figure, Axes]"]:
    """Give a figure and its axes; what is drawn must be drawn in the block.

    Text of rows must go through `label`.

    Args:
        width: of the figure in pixels.
        height: likewise.
        margins: left, below, right and above of the axes, in pixels.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(SETTINGS), warnings.catch_warnings():
        # The font that sizes are reckoned with lacks some scripts; the page's own fonts do not.
        warnings.filterwarnings(
            "ignore", message=r"Glyph .* missing from font", category=UserWarning
        )
        figure = Figure(figsize=(width / PER_INCH, height / PER_INCH))
        left, below, right, above = margins
        sides = ((width - left - right) / width, (height - below - above) / height)
        yield figure, figure.add_axes((left / width, below / height, *sides))


def label(text: str, most: int = 28) -> str:
    """Return a name as it may stand in a drawing: printable, on one line, cut where it is long."""
    text = " ".join(printable(text).split())
    return text if len(text) <= most else text[: most - 1] + "…"


def as_svg(figure: "Figure", says: str) -> Markup:
    """Return a drawing as SVG of the page.

    Args:
        figure: of `drawing`, within its block.
        says: what it shows, for those who do not see it.
    """
    raw = io.BytesIO()
    figure.savefig(raw, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    root = ElementTree.fromstring(raw.getvalue())
    used = set(re.findall(rb'(?:url\(|href=")#([^)"]+)', raw.getvalue()))
    for parent in root.iter():
        for child in list(parent):
            if child.tag.removeprefix(SVG) in LEFT_OUT or not child.tag.startswith(SVG):
                parent.remove(child)
        _tidy(parent, used)
    for name in ("width", "height", "version"):
        root.attrib.pop(name, None)
    root.attrib |= {"role": "img", "aria-label": says}
    return Markup(ElementTree.tostring(root, "unicode").replace(">\n", ">"))


def _tidy(element: ElementTree.Element, used: set[bytes]) -> None:
    """Make an element of matplotlib one of the page."""
    element.tag = element.tag.removeprefix(SVG)
    if element.text is not None and not element.text.strip() and element.tag != "text":
        element.text = None
    element.tail = None
    marks = element.attrib
    if (own := marks.get("id")) and own.encode() not in used:
        del marks["id"]
    if (address := marks.pop(f"{XLINK}href", None)) is not None:
        marks["href"] = address
    for name in ("d", "x", "y", "transform"):
        if name in marks:
            marks[name] = _rounded(marks[name])
    if "rotate(-0" in marks.get("transform", ""):
        del marks["transform"]
    _without_style(marks)


def _without_style(marks: dict[str, str]) -> None:
    """Turn the declarations of a style into classes and attributes."""
    classes = []
    for declaration in filter(None, marks.pop("style", "").split(";")):
        name, value = (part.strip() for part in declaration.split(":", 1))
        if name in ("fill", "stroke") and value in STANDS_FOR:
            classes.append(f"{name[0]}-{STANDS_FOR[value]}")
        elif name == "font-size":
            marks[name] = value.removesuffix("px")
        elif name != "font-family":  # that of the page
            marks[name] = value
    if classes:
        marks["class"] = " ".join(classes)


def _rounded(text: str) -> str:
    """Numbers to one decimal, and a line to where it begins as the shortest there is."""
    text = re.sub(r"-?\d+\.\d+", lambda found: f"{float(found[0]):.1f}".removesuffix(".0"), text)
    text = " ".join(text.split())
    return re.sub(r"M (\S+) (\S+) L \1 \2(?= |$)", r"M\1 \2h0", text).replace("h0 M", "h0M")
