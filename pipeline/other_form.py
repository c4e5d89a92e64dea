"""The kept rows of a finished run in another form, in a folder of their own.

::

    train.jsonl or train.parquet   the rows, in the order of the input
    export.json                    run, form, and which rows it cannot hold, by reason

The rows come from the run's store. Where the form loses something of a row it is counted.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ..errors import ConfigError, DataError
from ..stages.export import SPLIT, json_line
from ..stages.forms import FORMS, Unfit, form_schema, in_form, opened
from ..stages.locations import Location, locate
from ..stages.remote import is_file
from .files import names, whole_file
from .finished import Finished

FILES = ("jsonl", "parquet")
AS_OBJECTS = ("messages", "prompt-completion")  # whose tools trainers want as objects


@dataclass(frozen=True)
class OtherForm:
    """What was written.

    Attributes:
        path: of the rows.
        n_rows: how many.
        left_out: row_ids that the form cannot hold, by reason.
        notes: in how many rows the form loses something, by what.
    """

    path: Location
    n_rows: int
    left_out: Mapping[str, Sequence[int]]
    notes: Mapping[str, int]


def write_form(run: Finished, form: str, to: str, file: str = "jsonl") -> OtherForm:
    """Write the kept rows of a run in another form.

    Args:
        run: the run.
        form: one of `FORMS`.
        to: a folder that is not there yet, or is empty; also at an address.
        file: `jsonl` or `parquet`; in the latter tools and tool calls are JSON text.

    Raises:
        ConfigError: no such form or kind of file, or the folder is there and not empty.
        DataError: the run's rows are no longer in the store, or the form can hold none of them.
    """
    _check(form, FORMS, "form")
    _check(file, FILES, "kind of file")
    folder = locate(to)
    if is_file(folder) or names(folder):
        raise ConfigError(f"{str(folder)!r} is there already, and nothing is overwritten")
    left_out: dict[str, list[int]] = {}
    notes: Counter[str] = Counter()

    def rows() -> Iterator[dict[str, Any]]:
        for row in _kept(run):
            try:
                found, lost = in_form(form, row)
            except Unfit as why:
                left_out.setdefault(str(why), []).append(row["row_id"])
                continue
            notes.update(lost)
            yield found

    schema = form_schema(form, run.pool.extras)
    path = folder / f"{SPLIT}.{file}"
    with whole_file(path) as partial:
        n_rows = _write(partial, rows(), schema, file, form in AS_OBJECTS)
        if not n_rows:
            why = ", ".join(f"{len(ids):,} x {reason}" for reason, ids in left_out.items())
            raise DataError(f"{form} can hold none of the {len(run.kept):,} kept rows: {why}")
    made = OtherForm(path, n_rows, left_out, dict(notes))
    _note(folder, run, form, made)
    return made


def _check(value: str, known: Sequence[str] | Mapping[str, object], what: str) -> None:
    if value not in known:
        raise ConfigError(f"no {what} {value!r}; there are {', '.join(known)}")


def _kept(run: Finished) -> Iterator[dict[str, Any]]:
    for table in run.kept_tables(["messages", "tools", "input_start"]):
        yield from table.to_pylist()


def _write(
    path: Path, rows: Iterator[dict[str, Any]], schema: pa.Schema, file: str, as_objects: bool
) -> int:
    n = 0
    with _lines(path, as_objects) if file == "jsonl" else _parquet(path, schema) as write:
        for row in rows:
            write({name: row[name] for name in schema.names})
            n += 1
    return n


Write = Callable[[dict[str, Any]], object]


@contextmanager
def _lines(path: Path, as_objects: bool) -> Iterator[Write]:
    with path.open("w", encoding="utf-8", newline="\n") as out:
        yield lambda row: out.write(json_line(opened(row) if as_objects else row))


@contextmanager
def _parquet(path: Path, schema: pa.Schema) -> Iterator[Write]:
    waiting: list[dict[str, Any]] = []
    with pq.ParquetWriter(path, schema, compression="zstd") as out:

        def write(row: dict[str, Any]) -> None:
            waiting.append(row)
            if len(waiting) == GROUP_ROWS:
                flush()

        def flush() -> None:
            out.write_table(pa.Table.from_pylist(waiting, schema=schema))
            waiting.clear()

        yield write
        flush()


GROUP_ROWS = 10_000


def _note(folder: Location, run: Finished, form: str, made: OtherForm) -> None:
    facts = {
        "form": form,
        "run": run.manifest["fingerprint"],
        "rows": made.n_rows,
        "left_out": made.left_out,
        "notes": made.notes,
    }
    with whole_file(folder / "export.json") as partial:
        partial.write_text(json.dumps(facts, ensure_ascii=False, indent=1) + "\n", "utf-8")
