"""The charts of a sweep: a dot for each method, beside the range of random choices."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from .drawing import COLOUR, as_svg, drawing, label

WIDTH, ROW = 320, 30  # pixels


@dataclass(frozen=True)
class Figures:
    """One figure of every method.

    Attributes:
        unit: what it is.
        methods: name and figure of each.
        random: mean, least and most over the seeds.
        shown: how a figure is written.
        pool: that of the whole pool, where it has one.
    """

    unit: str
    methods: Sequence[tuple[str, float]]
    random: tuple[float, float, float]
    shown: Callable[[float], str]
    pool: float | None = None


def dots(figures: Figures, says: str) -> Markup:
    """Return a row with a dot for each method; a band says where random choices are.

    Args:
        figures: of the methods.
        says: what is shown, in words.
    """
    mean, low, high = figures.random
    rows = len(figures.methods)
    with drawing(WIDTH, ROW * rows + 50) as (figure, axes):
        axes.axvspan(low, high, color=COLOUR["random"], alpha=0.2, linewidth=0)
        axes.axvline(mean, color=COLOUR["random"], linewidth=1.5, ls="--")
        if figures.pool is not None:
            axes.axvline(figures.pool, color=COLOUR["pool"], linewidth=1)
        for place, (name, value) in enumerate(figures.methods):
            axes.axhline(place, color=COLOUR["line"], linewidth=0.8, zorder=0)
            axes.plot(value, place, "o", color=COLOUR["kept"], markersize=8, clip_on=False)
            axes.text(0, place - 0.22, label(name, 30), va="bottom", fontsize=10)
            axes.text(
                1,
                place - 0.22,
                figures.shown(value),
                va="bottom",
                ha="right",
                fontsize=10,
                transform=axes.get_yaxis_transform(),
            )
        most = max([value for _, value in figures.methods] + [high, figures.pool or 0])
        axes.set_xlim(0, 1.1 * most or 1)
        axes.set_ylim(rows - 0.5, -0.9)
        axes.xaxis.set_major_formatter(lambda value, _: figures.shown(value))
        axes.locator_params(axis="x", nbins=5)
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
        axes.set_xlabel(label(figures.unit, 44))
        axes.tick_params(length=0)
        return as_svg(figure, says)
