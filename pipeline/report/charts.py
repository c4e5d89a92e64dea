"""The charts of a report: what was kept in colour, the pool in grey, a random choice dashed."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from markupsafe import Markup

from .drawing import COLOUR, as_svg, drawing, label

if TYPE_CHECKING:  # slow to import
    from matplotlib.patches import PathPatch

PANEL = (320, 190)  # pixels; so wide that it stands on a phone as it is
BINS = 40
TAIL = 1.0  # percent of the pool at either end that is drawn in the last bin
FAR = 6.0  # a range ends where it is so many times the middle half of the rows from it
ABOVE = 2.5  # a choice that lies in few bins is drawn up to so many times the pool's highest
BAR = 18


@dataclass(frozen=True)
class Spread:
    """One number of every row, in the pool and in two choices from it.

    Attributes:
        pool, kept, random: its values there.
        unit: what it counts.
        cuts: where a selector drew its line.
    """

    pool: np.ndarray
    kept: np.ndarray
    random: np.ndarray
    unit: str
    cuts: tuple[float, ...] = ()


def histogram(spread: Spread, says: str, *, log: bool = False) -> Markup:
    """Return how a number is spread: the share of the rows of each choice, over the number.

    Args:
        spread: of the number.
        says: what is shown, in words.
        log: with a logarithmic scale; the number is then above 0.
    """
    from matplotlib.ticker import LogLocator

    edges = bin_edges(spread, log)
    with drawing(*PANEL, margins=(38, 38, 10, 6)) as (figure, axes):
        if log:
            axes.set_xscale("log")
            axes.xaxis.set_major_locator(LogLocator(subs=(1, 3)))
            axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
            axes.minorticks_off()
        pool, kept, random = (_shares(v, edges) for v in (spread.pool, spread.kept, spread.random))
        axes.stairs(pool, edges, fill=True, color=COLOUR["shade"])
        axes.stairs(kept, edges, fill=True, color=COLOUR["kept"], alpha=0.25)
        axes.stairs(kept, edges, color=COLOUR["kept"], linewidth=2)
        axes.stairs(random, edges, color=COLOUR["random"], linewidth=1.2, ls="--")
        axes.set_ylim(0, min(1.08 * max(kept.max(), random.max(), pool.max()), ABOVE * pool.max()))
        for cut in spread.cuts:
            axes.axvline(cut, color=COLOUR["ink"], linewidth=1)
        axes.set_xlim(edges[0], edges[-1])
        axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.3g}%")
        axes.locator_params(axis="y", nbins=4)
        axes.set_xlabel(label(spread.unit, 44))
        axes.tick_params(length=0)
        return as_svg(figure, says)


def bin_edges(spread: Spread, log: bool = False) -> np.ndarray:
    """Return edges of bins over all but the tails of the pool, and with its cuts."""
    scale, back = (np.log, np.exp) if log else (np.asarray, np.asarray)
    values = scale(spread.pool)
    low, first, third, high = np.percentile(values, [TAIL, 25, 75, 100 - TAIL])
    if third > first:
        low, high = (
            max(low, first - FAR * (third - first)),
            min(high, third + FAR * (third - first)),
        )
    seen = [low, high, *scale(np.array(spread.cuts))]
    if len(spread.kept):  # there may be none that has this number
        seen += [*np.percentile(scale(spread.kept), [5, 95])]
    low, high = min(seen), max(seen)
    if low == high:
        low, high = low - 0.5, high + 0.5
    n = int(min(BINS, max(5, 2 * np.sqrt(len(values)))))
    edges: np.ndarray = back(np.linspace(low, high, n + 1))
    return edges


def _shares(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    counted, _ = np.histogram(np.clip(values, edges[0], edges[-1]), edges)
    shares: np.ndarray = counted / max(len(values), 1)
    return shares


def bars(stages: Sequence[tuple[str, int, str]], says: str) -> Markup:
    """Return bars of rows, one below the other, each named above.

    Args:
        stages: name, rows and role of each.
        says: what is shown, in words.
    """
    most = max(rows for _, rows, _ in stages)
    with drawing(PANEL[0], 40 * len(stages) + 6) as (figure, axes):
        for place, (name, rows, role) in enumerate(stages):
            axes.barh(place, max(rows, most / 200), 0.42, color=COLOUR[role])
            axes.text(0, place - 0.32, label(name, 30), va="bottom")
            axes.text(most, place - 0.32, f"{rows:,} rows", va="bottom", ha="right")
        axes.set_xlim(0, most)
        axes.set_ylim(len(stages) - 0.7, -0.85)
        axes.set_axis_off()
        return as_svg(figure, says)


@dataclass(frozen=True)
class Group:
    """Rows that belong together, such as those of a source.

    Attributes:
        name: of the group.
        pool, kept: its share there, in [0, 1].
        low, high: of its share in random choices.
    """

    name: str
    pool: float
    kept: float
    low: float
    high: float


def mix(groups: Sequence[Group], says: str) -> Markup:
    """Return the shares of groups: of the pool as bars, kept as dots, random as a line."""
    height = (BAR + 14) * len(groups) + 56
    with drawing(PANEL[0], height, margins=(12, 38, 16, 2)) as (figure, axes):
        for place, group in enumerate(groups):
            axes.barh(place, group.pool, 0.5, color=COLOUR["shade"])
            ends = [group.low, group.high]
            axes.plot(ends, [place, place], color=COLOUR["random"], linewidth=3)
            axes.plot(group.kept, place, "o", color=COLOUR["kept"], markersize=7)
            axes.text(0, place - 0.3, label(group.name, 40), va="bottom", fontsize=10)
        axes.set_xlim(0, 1.05 * max(max(group.pool, group.kept, group.high) for group in groups))
        axes.set_ylim(len(groups) - 0.6, -1)
        axes.xaxis.set_major_formatter(lambda value, _: f"{100 * value:.3g}%")
        axes.locator_params(axis="x", nbins=5)
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
        axes.set_xlabel("share of the rows")
        axes.tick_params(length=0)
        return as_svg(figure, says)


def points(pool: np.ndarray, chosen: np.ndarray, role: str, says: str) -> Markup:
    """Return a map: dots of the pool, and larger ones of a choice on top.

    Args:
        pool: (rows, 2) places.
        chosen: (rows, 2) places of the choice.
        role: of its colour.
        says: what is shown, in words.
    """
    both = np.concatenate([pool, chosen])
    low, high = np.percentile(both, [TAIL / 2, 100 - TAIL / 2], axis=0)
    room = np.maximum(high - low, 1e-9) * 0.04
    with drawing(PANEL[0], 280) as (figure, axes):
        for places, own, size in ((pool, "pool", 1.6), (chosen, role, 2.8)):
            axes.add_patch(_dots(np.clip(places, low - room, high + room), own, size))
        axes.set_xlim(low[0] - 2 * room[0], high[0] + 2 * room[0])
        axes.set_ylim(low[1] - 2 * room[1], high[1] + 2 * room[1])
        axes.set_axis_off()
        return as_svg(figure, says)


def _dots(places: np.ndarray, role: str, size: float) -> "PathPatch":
    """One path of lines without length, which round ends make dots: ten bytes each in the page."""
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path

    codes = np.tile([Path.MOVETO, Path.LINETO], len(places)).astype(np.uint8)
    path = Path(np.repeat(places, 2, axis=0), codes)
    colour = COLOUR[role]
    return PathPatch(path, fill=False, edgecolor=colour, linewidth=size, capstyle="round")
