"""Chosen rows to a folder that trainers load as it is.

::

    data/train-00000-of-00001.parquet   load_dataset("<folder>")
    arrow/train/                        datasets.load_from_disk("<folder>/arrow/train")
    train.jsonl                         {"messages": [...], "tools": [...]}: the trained part alone
    llamafactory/dataset_info.json      dataset_dir: <folder>/llamafactory
    README.md                           the card

Rows stand in the order of the input. No Hugging Face metadata is written into the files, and
features are spelt in their oldest form: newer spellings keep older `datasets` from loading.
"""

import itertools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq

from .base import plain_json

SHARD_ROWS = 50_000
SPLIT = "train"
TOOL_FIELDS = ("name", "tool_calls", "tool_call_id")
LEADING = ("messages", "tools", "row_id", "sample_id", "source", "rank")
JSON_FIELDS = ("tools", "tool_calls")


def curated_schema(
    scores: Sequence[str], others: Mapping[str, str], extras: Sequence[str]
) -> pa.Schema:
    """Return the columns of a curated dataset.

    Args:
        scores: score columns.
        others: other input columns (`data.<name>`) and their types; called as `own_names` says.
        extras: what some row of the pool has: tools, and the tool fields of messages.
    """
    parts = [("role", pa.string()), ("content", pa.string())]
    parts += [(name, pa.string()) for name in TOOL_FIELDS if name in extras]
    types = {"messages": pa.list_(pa.struct(parts)), "row_id": pa.int64(), "rank": pa.int64()}
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
) -> None:
    """Write a curated dataset in every form but the card.

    Args:
        folder: an empty folder.
        rows: tables of `schema`, together `n_rows` rows, at least one.
        schema: from `curated_schema`.
        n_rows: rows in all.
        fingerprint: names the content, for `datasets`' cache.
    """
    n_shards = max(-(-n_rows // SHARD_ROWS), 1)
    for name in ("data", f"arrow/{SPLIT}", "llamafactory"):
        (folder / name).mkdir(parents=True)
    names: list[str] = []
    with (folder / f"{SPLIT}.jsonl").open("w", encoding="utf-8", newline="\n") as lines:
        for shard, table in enumerate(_shards(rows)):
            place = f"{shard:05d}-of-{n_shards:05d}"
            pq.write_table(table, folder / f"data/{SPLIT}-{place}.parquet", compression="zstd")
            names.append(f"data-{place}.arrow")
            with pa.ipc.new_stream(folder / f"arrow/{SPLIT}/{names[-1]}", schema) as stream:
                stream.write_table(table)
            for row in table.select([c for c in LEADING[:2] if c in schema.names]).to_pylist():
                lines.write(json.dumps(trained_part(row), ensure_ascii=False) + "\n")
    _write_json(folder / f"arrow/{SPLIT}/state.json", _state(names, fingerprint))
    _write_json(folder / f"arrow/{SPLIT}/dataset_info.json", _info(schema))
    _write_json(folder / "llamafactory/dataset_info.json", _llamafactory("tools" in schema.names))


def trained_part(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row as OpenAI messages, with tools and tool calls as objects again."""
    found: dict[str, Any] = {}
    for name, value in plain_json(row).items():
        found[name] = [_open(m) for m in value] if name == "messages" else json.loads(value)
    return found


def _open(message: Mapping[str, Any]) -> dict[str, Any]:
    plain = plain_json(message)
    return {k: json.loads(v) if k in JSON_FIELDS else v for k, v in plain.items()}


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
    columns = {"messages": "messages"} | ({"tools": "tools"} if has_tools else {})
    roles = {role: role for role in ("user", "assistant", "system")}
    tags = {"role_tag": "role", "content_tag": "content"}
    tags |= {f"{role}_tag": name for role, name in roles.items()}
    entry = {"file_name": f"../{SPLIT}.jsonl", "formatting": "sharegpt"}
    return {"curated": entry | {"columns": columns, "tags": tags}}


def _write_json(path: Path, value: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, indent=2) + "\n", "utf-8")
