"""The page of a sweep: a table and charts of every figure, each beside random choices."""

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from .page import (
    Cell,
    Column,
    Tile,
    figure,
    heading,
    legend,
    note,
    page,
    paragraph,
    section,
    side_by_side,
    table,
    tiles,
)
from .sweep_charts import Figures, dots

FAULT, JACCARD = "fault.", "jaccard."
RANDOM, OWN = "random", "selection"
ANY = f"{FAULT}any"
TITLES = {
    "overlap.selection": "Rows that the config's own choice keeps too",
    "overlap.random": "Rows that a random choice keeps too",
    "length.ratio": "Length of the answers",
    "sources.distance": "Shift of the sources",
    ANY: "Faulty rows",
}
UNITS = {
    "overlap.selection": "share of the rows",
    "overlap.random": "share of the rows",
    "length.ratio": "times the pool's",
    "sources.distance": "total variation from the pool",
    ANY: "share of the rows",
}

Line = Mapping[str, Any]


def sweep_page(found: Mapping[str, Any]) -> str:
    """Return the page.

    Args:
        found: what `sweep.json` holds.
    """
    pool, cells = found["pool"], found["cells"]
    labels = list(dict.fromkeys(cell["budget"] for cell in cells))
    parts = [_head(found, labels)]
    for label in labels:
        here = [cell for cell in cells if cell["budget"] == label]
        parts.append(section(f"Budget {label}", *_budget(pool, here, found["seeds"])))
    parts.append(section("The methods", _methods(found["methods"])))
    return page(found["name"], parts, "Budgets and methods, from one scoring")


def _head(found: Mapping[str, Any], labels: Sequence[str]) -> Markup:
    pool = found["pool"]
    shown = [
        Tile("rows of the pool", f"{pool['rows']:,}"),
        Tile("methods", f"{len(found['methods'])}"),
        Tile("budgets", ", ".join(labels)),
        Tile("random choices", f"{found['seeds']}", "at each budget"),
    ]
    if found["left_out"]:
        names = ", ".join(found["left_out"])
        said = f"Left out: {names}. Their scores change with the rounds of a signal."
        return tiles(shown) + paragraph(said, quiet=True)
    return tiles(shown)


def _budget(pool: Line, cells: Sequence[Line], seeds: int) -> list[Markup]:
    explained = (
        f"Figures of random choices are the mean of {seeds} seeds, with their range. Whatever a "
        "method looks for, it has about as many rows in common with a random choice as the budget "
        "is of the pool. Sources: 0 % is the mix of the pool, 100 % has nothing in common with it."
    )
    parts = [paragraph(explained, quiet=True), _charts(pool, cells), _figures(pool, cells)]
    if any(name.startswith(FAULT) for name in pool):
        parts += [heading("Faulty rows among those kept"), _faults(pool, cells)]
    return [*parts, heading("Rows in common: Jaccard index"), _common(cells)]


def _charts(pool: Line, cells: Sequence[Line]) -> Markup:
    """A chart of every figure that tells methods apart here."""
    has_own = cells[0]["overlap.selection"] is not None and len(cells) > 2  # itself and random
    common = "overlap.selection" if has_own else "overlap.random"
    wanted = [(common, TITLES[common], None), ("length.ratio", TITLES["length.ratio"], 1.0)]
    if len(pool["sources"]) > 1:
        wanted.append(("sources.distance", TITLES["sources.distance"], None))
    if ANY in pool:
        wanted.append((ANY, TITLES[ANY], pool[ANY]))
    drawn = [figure(_chart(cells, name, whole), title=title) for name, title, whole in wanted]
    colours = (("kept", "a method"), ("random", "random: mean and range"), ("pool", "the pool"))
    return Markup("{}{}").format(legend(*colours), side_by_side(*drawn))


def _chart(cells: Sequence[Line], name: str, whole: float | None) -> Markup:
    """A chart of one figure."""
    shown = "{:.2f}".format if name == "length.ratio" else "{:.1%}".format
    itself = (RANDOM, OWN) if name == "overlap.selection" else (RANDOM,)
    methods = [(c["method"], c[name]) for c in cells if c["method"] not in itself]
    random = next(cell[name] for cell in cells if cell["method"] == RANDOM)
    chance = (random["mean"], random["low"], random["high"]) if random else (0.0, 0.0, 0.0)
    said = "; ".join(f"{method} {shown(value)}" for method, value in methods)
    says = f"{TITLES[name]}: {said}; random {shown(chance[1])} to {shown(chance[2])}"
    return dots(Figures(UNITS[name], methods, chance, shown, whole), says)


def _figures(pool: Line, cells: Sequence[Line]) -> Markup:
    columns = [
        Column("choice"),
        Column("rows", ",.0f"),
        Column("of random's", ".1%", "share of its rows that a random choice keeps too"),
        Column("of the selection", ".1%", "share of its rows that the config's own choice keeps"),
        Column("answer, characters", ",.0f", "mean"),
        Column("times the pool's", ".2f"),
        Column("sources", ".1%", "total variation distance to the mix of the pool"),
    ]
    names = ("kept", "overlap.random", "overlap.selection", "length.mean", "length.ratio")
    whole = [pool["rows"], None, None, pool["length.mean"], 1.0, 0.0]
    return table(columns, [["pool", *whole], *_rows(cells, [*names, "sources.distance"], columns)])


def _faults(pool: Line, cells: Sequence[Line]) -> Markup:
    kinds = [name for name in pool if name.startswith(FAULT)]
    titles = [kind.removeprefix(FAULT).replace("_", " ") for kind in kinds]
    columns = [Column("choice"), *(Column(title, ".1%") for title in titles)]
    return table(columns, [["pool", *(pool[k] for k in kinds)], *_rows(cells, kinds, columns)])


def _common(cells: Sequence[Line]) -> Markup:
    names = [name for name in cells[0] if name.startswith(JACCARD)]
    columns = [Column(""), *(Column(name.removeprefix(JACCARD), ".2f") for name in names)]
    return table(columns, _rows(cells, names, columns))


def _rows(
    cells: Sequence[Line], names: Sequence[str], columns: Sequence[Column]
) -> list[list[Cell]]:
    """A row for each choice, and two below for the range of random ones."""
    rows: list[list[Cell]] = []
    for cell in cells:
        if cell["method"] != RANDOM:
            rows.append([cell["method"], *(cell[name] for name in names)])
            continue
        for end, said in (("mean", ""), ("low", ", lowest"), ("high", ", highest")):
            values = [cell[name] for name in names]
            rows.append([RANDOM + said, *(None if v is None else v[end] for v in values)])
    return rows


def _methods(methods: Mapping[str, Sequence[Line]]) -> Markup:
    columns = [Column("method"), Column("steps"), Column("settings")]
    rows = []
    for name, chain in methods.items():
        for step in chain:
            kept = {key: v for key, v in step.items() if key != "use" and v is not None}
            settings = ", ".join(f"{key}: {value}" for key, value in kept.items())
            rows.append([name, str(step["use"]), settings])
    rows.append([RANDOM, RANDOM, "one choice for each seed"])
    return note("How each method chooses", table(columns, rows))
