"""Chosen rows to a folder that trainers load as it is.

::

    data/train-00000-of-00001.parquet   load_dataset("<folder>")
    arrow/train/                        datasets.load_from_disk("<folder>/arrow/train")
    train.jsonl                         {"messages": [...], "tools": [...]}: the trained part alone
    llamafactory/dataset_info.json      dataset_dir: <folder>/llamafactory
    llamafactory/train.jsonl            where there are tools: its own ShareGPT
    trainers/                           ready to run or paste: see `trainers`
    README.md                           the card

Rows stand in the order of the input. No Hugging Face metadata is written into the files, and
features are spelt in their oldest form: newer spellings keep older `datasets` from loading.
"""

import itertools
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq

from .forms import Unfit, in_form, message_type, opened, several_answers
from .trainers import trainer_files

SHARD_ROWS = 50_000
SPLIT = "train"
LEADING = ("messages", "tools", "row_id", "sample_id", "source", "rank")


@dataclass(frozen=True)
class Curated:
    """What was found in the rows of a curated dataset.

    Attributes:
        several_answers: rows in which the assistant speaks more than once.
        unfit: rows that LLaMA-Factory cannot hold, by reason.
    """

    several_answers: int
    unfit: Mapping[str, int]


def curated_schema(
    scores: Sequence[str], others: Mapping[str, str], extras: Sequence[str]
) -> pa.Schema:
    """Return the columns of a curated dataset.

    Args:
        scores: score columns.
        others: other input columns (`data.<name>`) and their types; called as `own_names` says.
        extras: what some row of the pool has: tools, and the tool fields of messages.
    """
    types = {"messages": message_type(extras), "row_id": pa.int64(), "rank": pa.int64()}
    leading = [name for name in LEADING if name != "tools" or "tools" in extras]
    fields = [(name, types.get(name, pa.string())) for name in leading]
    fields += [(name, pa.float32()) for name in scores]
    for name, own in own_names(scores, others).items():
        fields.append((own, pa.type_for_alias(others[name])))
    return pa.schema(fields)


def own_names(scores: Sequence[str], others: Mapping[str, str]) -> dict[str, str]:
    """Return what each other input column (`data.<name>`) is called in a curated dataset.

    Its own name; where that is taken `data.<name>`, and where that is too, with a number.
    """
    taken = {*LEADING, *scores}
    names = {}
    for full in others:
        numbered = (f"{full}-{number}" for number in itertools.count(2))
        candidates = itertools.chain((full.removeprefix("data."), full), numbered)
        names[full] = next(name for name in candidates if name not in taken)
        taken.add(names[full])
    return names


def shape_rows(rows: pa.Table, schema: pa.Schema) -> pa.Table:
    """Return rows of the pool as rows of a curated dataset.

    Args:
        rows: its columns, under the names that they have there.
        schema: from `curated_schema`.
    """
    columns = {}
    for field in schema:
        if field.name == "messages":
            columns[field.name] = _messages(rows["messages"], field.type)
            continue
        columns[field.name] = rows[field.name].cast(field.type)
    return pa.table(columns, schema=schema)


def write_curated(
    folder: Path, rows: Iterable[pa.Table], schema: pa.Schema, n_rows: int, fingerprint: str
) -> Curated:
    """Write a curated dataset in every form but the card.

    Args:
        folder: an empty folder.
        rows: tables of `schema`, together `n_rows` rows, at least one.
        schema: from `curated_schema`.
        n_rows: rows in all.
        fingerprint: names the content, for `datasets`' cache.
    """
    n_shards = max(-(-n_rows // SHARD_ROWS), 1)
    for name in ("data", f"arrow/{SPLIT}", "llamafactory", "trainers"):
        (folder / name).mkdir(parents=True)
    names: list[str] = []
    lines = _Lines(schema)
    with lines.open(folder):
        for shard, table in enumerate(_shards(rows)):
            place = f"{shard:05d}-of-{n_shards:05d}"
            pq.write_table(table, folder / f"data/{SPLIT}-{place}.parquet", compression="zstd")
            names.append(f"data-{place}.arrow")
            with pa.ipc.new_stream(folder / f"arrow/{SPLIT}/{names[-1]}", schema) as stream:
                stream.write_table(table)
            lines.write(table)
    _write_json(folder / f"arrow/{SPLIT}/state.json", _state(names, fingerprint))
    _write_json(folder / f"arrow/{SPLIT}/dataset_info.json", _info(schema))
    _write_json(folder / "llamafactory/dataset_info.json", _llamafactory(lines.has_tools))
    for name, text in trainer_files(lines.several_answers > 0).items():
        (folder / "trainers" / name).write_text(text, "utf-8")
    return Curated(lines.several_answers, dict(sorted(lines.unfit.items())))


class _Lines:
    """Writes rows as JSON Lines: for all, and for LLaMA-Factory where that is another form."""

    def __init__(self, schema: pa.Schema) -> None:
        self.columns = [name for name in LEADING[:2] if name in schema.names]
        self.has_tools = len(self.columns) > 1 or schema.field("messages").type != message_type(())
        self.several_answers = 0
        self.unfit: Counter[str] = Counter()
        self._files: list[IO[str]] = []

    @contextmanager
    def open(self, folder: Path) -> Iterator[None]:
        """Have the files open while the block runs."""
        names = [f"{SPLIT}.jsonl"] + ([f"llamafactory/{SPLIT}.jsonl"] if self.has_tools else [])
        with ExitStack() as stack:
            for name in names:
                file = (folder / name).open("w", encoding="utf-8", newline="\n")
                self._files.append(stack.enter_context(file))
            yield

    def write(self, table: pa.Table) -> None:
        """Write rows of the dataset."""
        for row in table.select(self.columns).to_pylist():
            self.several_answers += several_answers(row["messages"])
            self._files[0].write(json_line(opened(row)))
            try:
                turns, _ = in_form("sharegpt", {"tools": None, **row})
            except Unfit as why:
                self.unfit[str(why)] += 1
                continue
            if self.has_tools:
                self._files[1].write(json_line(turns))


def json_line(row: Mapping[str, Any]) -> str:
    """Return a row as a line of JSON."""
    return json.dumps(row, ensure_ascii=False) + "\n"


def _shards(rows: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """Tables of `SHARD_ROWS` rows each, but the last."""
    waiting: list[pa.Table] = []
    n = 0
    for table in rows:
        waiting.append(table)
        n += len(table)
        while n >= SHARD_ROWS:
            whole = pa.concat_tables(waiting)
            yield whole.slice(0, SHARD_ROWS).combine_chunks()
            waiting, n = [whole.slice(SHARD_ROWS)], n - SHARD_ROWS
    if n:
        yield pa.concat_tables(waiting).combine_chunks()


def _messages(column: pa.ChunkedArray, kind: pa.DataType) -> pa.Array:
    lists = column.combine_chunks()
    flat = lists.flatten()
    parts = [flat.field(part.name) for part in kind.value_type]
    inner = pa.StructArray.from_arrays(parts, fields=list(kind.value_type))
    offsets = pa.compute.subtract(lists.offsets, lists.offsets[0])
    return pa.ListArray.from_arrays(offsets, inner)


def _feature(kind: pa.DataType) -> Any:  # noqa: ANN401 - JSON
    if pa.types.is_list(kind):
        return [_feature(kind.value_type)]
    if pa.types.is_struct(kind):
        return {part.name: _feature(part.type) for part in kind}
    names = {"double": "float64", "float": "float32"}
    return {"dtype": names.get(str(kind), str(kind)), "_type": "Value"}


def _info(schema: pa.Schema) -> dict[str, Any]:
    features = {field.name: _feature(field.type) for field in schema}
    return {"citation": "", "description": "", "features": features, "homepage": "", "license": ""}


def _state(names: Sequence[str], fingerprint: str) -> dict[str, Any]:
    return {
        "_data_files": [{"filename": name} for name in names],
        "_fingerprint": fingerprint,
        "_format_columns": None,
        "_format_kwargs": {},
        "_format_type": None,
        "_output_all_columns": False,
        "_split": SPLIT,
    }


def _llamafactory(has_tools: bool) -> dict[str, Any]:
    if has_tools:  # its own ShareGPT, with the tags that it has by itself
        columns = {"messages": "conversations", "tools": "tools"}
        entry = {"file_name": f"{SPLIT}.jsonl", "formatting": "sharegpt", "columns": columns}
        return {"curated": entry}
    tags = {"role_tag": "role", "content_tag": "content"}
    tags |= {f"{role}_tag": role for role in ("user", "assistant", "system")}
    tags["observation_tag"] = "tool"
    columns = {"messages": "messages"}
    entry = {"file_name": f"../{SPLIT}.jsonl", "formatting": "sharegpt"}
    return {"curated": entry | {"columns": columns, "tags": tags}}


def _write_json(path: Path, value: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, indent=2) + "\n", "utf-8")
