"""Rows to read: kept, just missed, worst, and random ones, in tables that sort and search."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from markupsafe import Markup

from ...errors import ArtifactError, DataError
from ..finished import Finished
from ..selection import DROPPED
from .beside import Beside
from .chapter import Chapter
from .funnel import selector_steps
from .page import Cell, Column, four_figures, heading, long_text, paragraph, table
from .scores import leading
from .texts import Message, instruction_of, last_answer_of

KEPT_SHOWN, OTHERS_SHOWN = 200, 100
HEAD, MOST = 160, 1_200  # characters of a text: seen at once, and there at all
SCORES = 3  # columns of scores at most


def read_rows(run: Finished, beside: Beside) -> Chapter:
    """Return the chapter; without texts where they are no longer in the store."""
    by = leading_score(run)
    tables = [
        (
            "Kept",
            f"The best {KEPT_SHOWN // 2} and as many drawn from the other kept rows."
            if beside.n_kept > KEPT_SHOWN
            else "All of them, by rank.",
            kept_places(beside),
        ),
        (
            "Near misses",
            f"Dropped by the last step that drops any, nearest to the cut first: at most "
            f"{OTHERS_SHOWN}.",
            near_places(run, beside),
        ),
        (
            "Worst of the dropped",
            f"Lowest {by} first: at most {OTHERS_SHOWN}." if by else "By their rank from the end.",
            worst_places(beside, by),
        ),
        (
            "Random choice",
            f"At most {OTHERS_SHOWN} rows that the random choice takes, drawn.",
            np.flatnonzero(beside.random[0])[_first(beside.hashes[beside.random[0]], OTHERS_SHOWN)],
        ),
    ]
    said = "A click on a head sorts. All rows, with their scores, are in ledger.parquet."
    texts: dict[int, Sequence[Message]] | None = None
    try:
        texts = _texts(run, beside, [places for _, _, places in tables])
        said += f" Texts are cut at {MOST:,} characters."
    except (DataError, ArtifactError) as error:
        said += f" Texts are not shown: {error}."
    body = [paragraph(said, quiet=True)]
    for title, caption, places in tables:
        body.append(heading(f"{title} ({len(places):,} rows shown)"))
        if len(places):
            body.append(_table(run, beside, (places, texts), caption))
    return Chapter("Rows to read", body)


def _texts(
    run: Finished, beside: Beside, wanted: Sequence[np.ndarray]
) -> dict[int, Sequence[Message]]:
    ids = beside.row_ids[np.unique(np.concatenate(wanted))].tolist()
    messages = run.rows(ids, ["messages"])["messages"].to_pylist()
    return dict(zip(ids, messages, strict=True))


def leading_score(run: Finished) -> str | None:
    """Return the column that the last selector goes by, or the first score there is."""
    name = leading(run)
    return f"{name}.score" if name else None


def kept_places(beside: Beside) -> np.ndarray:
    """Return places of kept rows: the best by rank, then some drawn from the others."""
    rank = beside.numbers("rank")
    kept = np.flatnonzero(beside.kept)
    best = kept[np.argsort(rank[kept], kind="stable")]
    rest = best[KEPT_SHOWN // 2 :]
    drawn = rest[np.sort(_first(beside.hashes[rest], KEPT_SHOWN // 2))]
    return np.concatenate([best[: KEPT_SHOWN // 2], drawn])


def near_places(run: Finished, beside: Beside) -> np.ndarray:
    """Return places of the rows that the last selector that drops any dropped, by rank."""
    rank = beside.numbers("rank")
    dropped = ~beside.kept & np.isfinite(rank)
    places = np.empty(0, dtype=np.int64)
    for step in reversed(selector_steps(run)):
        places = np.flatnonzero(dropped & np.asarray(pc.equal(beside.rows["step"], step)))
        if len(places):
            break
    return places[np.argsort(rank[places], kind="stable")[:OTHERS_SHOWN]]


def worst_places(beside: Beside, by: str | None) -> np.ndarray:
    """Return places of dropped rows, lowest score first, or by rank from the end."""
    values = beside.numbers(by) if by else -beside.numbers("rank")
    dropped = np.asarray(pc.equal(beside.rows["outcome"], DROPPED)) & np.isfinite(values)
    places = np.flatnonzero(dropped)
    return places[np.argsort(values[places], kind="stable")[:OTHERS_SHOWN]]


def _first(hashes: np.ndarray, n: int) -> np.ndarray:
    """Places of the smallest hashes: rows drawn by seed and content."""
    return np.argsort(hashes, kind="stable")[:n]


def _table(
    run: Finished,
    beside: Beside,
    shown: tuple[np.ndarray, dict[int, Sequence[Message]] | None],
    caption: str,
) -> Markup:
    places, texts = shown
    scores = [name for name in dict.fromkeys([leading(run), *run.scorers]) if name][:SCORES]
    columns = [
        Column("row", "", hint="row_id, its position in the input"),
        Column("rank", ",", hint="in the order of the step that decided"),
        *(Column(name, four_figures, hint=f"{name}.score") for name in scores),
        Column("source"),
        Column("decided by"),
    ]
    if texts is not None:
        columns += [Column(side, is_wide=True) for side in ("instruction", "answer")]
    lines = beside.rows.take(pa.array(places, pa.int64())).to_pylist()
    cells = [_cells(line, texts, scores) for line in lines]
    plain = len(columns) - (0 if texts is None else 2)
    alike = [n for n in (plain - 2, plain - 1) if len({line[n] for line in cells}) == 1]
    for n in alike:  # what is the same in every line is said once
        caption += f" {columns[n].title.capitalize()}: {cells[0][n]}."
    here = [n for n in range(len(columns)) if n not in alike]
    return table(
        [columns[n] for n in here],
        [[line[n] for n in here] for line in cells],
        caption,
        search=True,
    )


def _cells(
    line: Mapping[str, Any], texts: dict[int, Sequence[Message]] | None, scores: Sequence[str]
) -> list[Cell]:
    why = f"{line['outcome']}: {line['step'].rpartition('/')[2]}"
    if line["reason"]:
        why += f", {line['reason']}"
    numbers = [line[f"{name}.score"] for name in scores]
    cells: list[Cell] = [line["row_id"], line["rank"], *numbers, line["source"], why]
    if texts is not None:
        messages = texts[line["row_id"]]
        for text in (instruction_of(messages), last_answer_of(messages)):
            cells.append(long_text(text, HEAD, MOST))
    return cells
