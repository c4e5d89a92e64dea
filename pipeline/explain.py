"""Everything that a run knows about one of its rows: what was decided, why, and what is near."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import pyarrow.compute as pc

from ..stages.base import plain_json
from .finished import Finished
from .neighbour import Neighbour, nearest_kept, text_of
from .row_search import line_of, lines
from .selection import REJECTED
from .verdict import LOST, Verdict, verdict

PULLED = re.compile(r"query: ([^\[,]+)\[(\d+)\]")


@dataclass(frozen=True)
class Score:
    """What one scorer says of the row.

    Attributes:
        scorer: its name.
        score: None where there is none.
        percentile: share of the scored rows with a lower score, in [0, 1).
        status: ok, truncated, or why there is no number.
        details: its further columns in the ledger.
    """

    scorer: str
    score: float | None
    percentile: float | None
    status: str | None
    details: Mapping[str, Any]


@dataclass(frozen=True)
class Judged:
    """What one filter says of the row.

    Attributes:
        filter: its name.
        reason: None where the row passes it.
        details: what it measured.
    """

    filter: str
    reason: str | None
    details: Mapping[str, Any]


@dataclass(frozen=True)
class Example:
    """An example row of a target that the row is like.

    Attributes:
        target, query: which: its place in the target; None for a subtask as a whole.
        subtask: of it, if it has one.
        why: that it was taken for it, or which scorer finds it the most alike.
        messages: what it says; None where it is gone.
    """

    target: str
    query: int | None
    subtask: str | None
    why: str
    messages: Sequence[Mapping[str, Any]] | None


@dataclass(frozen=True)
class Twin:
    """Another row of the same content.

    Attributes:
        row_id, outcome: which, and whether it was kept.
    """

    row_id: int
    outcome: str


@dataclass(frozen=True)
class Explanation:
    """A row of a run, explained.

    Attributes:
        run: its name.
        row_id, sample_id, source, outcome: as in the ledger.
        messages: what it says; None where it is gone, and for a rejected row.
        rejected: of a rejected row its file, line and the start of its text.
        verdict: what was decided, and why.
        scores: by scorer.
        filters: by filter.
        examples: of targets.
        twins: other rows of the same content.
        neighbour: the nearest kept row of another content.
        missing: what could not be said, and why.
    """

    run: str
    row_id: int
    sample_id: str | None
    source: str
    outcome: str
    messages: Sequence[Mapping[str, Any]] | None
    rejected: Mapping[str, Any] | None
    verdict: Verdict
    scores: tuple[Score, ...]
    filters: tuple[Judged, ...]
    examples: tuple[Example, ...]
    twins: tuple[Twin, ...]
    neighbour: Neighbour | None
    missing: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """Return the same in plain values; numbers that JSON lacks as their names."""
        plain: dict[str, Any] = _plain(asdict(self))
        return plain


def explain(run: Finished, row_id: int) -> Explanation:
    """Return what a run knows about a row.

    What lies in the store is left out where it is no longer there, and said to be missing.

    Raises:
        DataError: there is no such row.
        ArtifactError: the ledger is damaged.
    """
    line = line_of(run, row_id)
    decided = verdict(run, line)
    head = (run.config.name, row_id, line["sample_id"], line["source"], line["outcome"])
    if line["outcome"] == REJECTED:
        own = run.rejected.filter(pc.equal(run.rejected["row_id"], row_id)).to_pylist()[0]
        return Explanation(*head, None, own, decided, (), (), (), (), None, ())
    missing = list[str]()
    messages, text = None, None
    try:
        found = run.rows([row_id])["messages"][0].as_py()
        messages, text = [plain_json(message) for message in found], text_of(found)
    except LOST as error:
        missing.append(f"its text: {error}")
    neighbour = None
    try:
        neighbour = nearest_kept(run, line, text)
    except LOST as error:
        missing.append(f"its nearest kept neighbour: {error}")
    return Explanation(
        *head,
        messages,
        None,
        decided,
        tuple(_score(line, name) for name in run.scorers),
        tuple(_judged(line, name) for name in run.config.filters),
        tuple(_examples(run, line, missing)),
        _twins(run, line),
        neighbour,
        tuple(missing),
    )


def _plain(value: Any) -> Any:  # noqa: ANN401 - whatever JSON holds
    if isinstance(value, dict):
        return {name: _plain(own) for name, own in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(own) for own in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _score(line: Mapping[str, Any], scorer: str) -> Score:
    own = _own(line, scorer)
    score, percentile, status = (own.pop(name) for name in ("score", "percentile", "status"))
    return Score(scorer, score, percentile, status, own)


def _judged(line: Mapping[str, Any], name: str) -> Judged:
    own = _own(line, name)
    return Judged(name, own.pop("reason"), own)


def _own(line: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The columns of a block, without its name."""
    return {n.removeprefix(f"{name}."): v for n, v in line.items() if n.startswith(f"{name}.")}


def _twins(run: Finished, line: Mapping[str, Any]) -> tuple[Twin, ...]:
    same = pc.field("sample_id") == line["sample_id"]
    found = lines(run, ("row_id", "outcome"), same & (pc.field("row_id") != line["row_id"]))
    return tuple(Twin(own["row_id"], own["outcome"]) for own in found.to_pylist())


def _examples(run: Finished, line: Mapping[str, Any], missing: list[str]) -> list[Example]:
    """The example that took the row, and those that its scores come from; each once."""
    whys = dict[tuple[str, int | None, str | None], list[str]]()
    if pulled := PULLED.fullmatch(line["reason"] or ""):
        whys[pulled[1], int(pulled[2]), None] = ["the row was taken for it"]
    for scorer in run.scorers:
        target = line.get(f"{scorer}.target")
        if target not in run.manifest.get("targets", {}):
            continue
        subtask, query = line.get(f"{scorer}.subtask"), line.get(f"{scorer}.query")
        same = (str(target), query, None)
        at = same if same in whys else (str(target), query, subtask)
        whys.setdefault(at, []).append(f"{scorer} finds it the most alike")
    return [
        Example(target, query, subtask, " and ".join(why), _example(run, target, query, missing))
        for (target, query, subtask), why in whys.items()
    ]


def _example(
    run: Finished, target: str, query: int | None, missing: list[str]
) -> list[dict[str, Any]] | None:
    if query is None:
        return None
    try:
        found = run.rows([query], of=run.target(target))["messages"][0].as_py()
    except LOST as error:
        missing.append(f"the text of {target}[{query}]: {error}")
        return None
    return [plain_json(message) for message in found]
