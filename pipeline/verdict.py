"""What a run decided about a row and why, in plain words, from its line in the ledger.

The ledger says the same of every selector: the step at which a row ended, its rank in the order of
that step, the distance to its cut and a reason. What a reason means and how a choice goes with the
budget the selectors say themselves (`words` and `growth`).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow.compute as pc

from ..errors import ArtifactError, DataError
from ..scorers.base import NUMBERED
from ..stages.selectors.base import KEPT_WORDS, OVER_BUDGET, Selector
from .config import Config
from .finished import Finished
from .row_search import lines
from .selection import DROPPED, KEPT, REJECTED, step_names

NEVER = "no budget lets it in"
LOST = (ArtifactError, DataError)  # what is no longer in the store
FULL = "the rows before it in the order fill the budget"  # of any selector: `OVER_BUDGET`


@dataclass(frozen=True)
class Passage:
    """How many rows came to a filter or selector, and how many it let pass.

    Attributes:
        step: which.
        reached, kept: rows.
    """

    step: str
    reached: int
    kept: int


@dataclass(frozen=True)
class Verdict:
    """What happened to a row, in sentences.

    Attributes:
        what: which step kept or dropped it.
        why: the reason.
        place: its rank there, and the margin; empty where it never came to a rank.
        budget: the budget that would let it in, or keep it; or why that is not known.
        passed: the filters and selectors that let it pass, in order.
    """

    what: str
    why: str
    place: str
    budget: str
    passed: tuple[Passage, ...]


def passages(run: Finished) -> tuple[Passage, ...]:
    """Return how many rows came to each filter and selector of a run, and passed it."""
    table = lines(run, ("outcome", "step", "rank"), None)
    ranked = table.set_column(2, "ranked", pc.is_valid(table["rank"]))
    ended: dict[tuple[str, str, bool], int] = {}
    for own in (
        ranked.group_by(["outcome", "step", "ranked"]).aggregate([([], "count_all")]).to_pylist()
    ):
        ended[own["outcome"], own["step"], own["ranked"]] = own["count_all"]
    selectors = run.config.selector
    left = sum(n for (outcome, _, _), n in ended.items() if outcome != REJECTED)
    found, read = [], set[str]()
    for name in run.config.filters:
        kept = left - ended.get((DROPPED, name, False), 0)
        found.append(Passage(name, left, kept))
        left = kept
    for name, selector in zip(step_names(selectors), selectors, strict=True):
        scorers = [
            column.removesuffix(".score")
            for column in selector.reads.names
            if column.endswith(".score")
        ]
        for scorer in dict.fromkeys(scorers):
            if scorer not in read:
                left -= ended.get((DROPPED, scorer, False), 0)
                read.add(scorer)
        kept = left - ended.get((DROPPED, name, True), 0)
        found.append(Passage(name, left, kept))
        left = kept
    return tuple(found)


def verdict(run: Finished, line: Mapping[str, Any]) -> Verdict:
    """Return what happened to a row.

    Args:
        run: the run.
        line: of its ledger.
    """
    if line["outcome"] == REJECTED:
        why = f"it cannot be used: {line['reason']}"
        return Verdict("rejected as it was read", why, "", NEVER, ())
    every, filters = passages(run), list(run.config.filters)
    if line["rank"] is None and line["step"] in filters:
        return _by_filter(run.config, line, every)
    if line["rank"] is None:
        return _without_number(run.config, line, every)
    chosen = every[len(filters) :]
    at = [own.step for own in chosen].index(line["step"])
    selector, passage = run.config.selector[at], chosen[at]
    step = _step(every, len(filters) + at)
    does = "keeps" if at == len(chosen) - 1 else "lets pass"
    place = (
        f"rank {line['rank']:,} of {passage.reached:,} rows that came to {passage.step}"
        f"{_by(selector)}, which {does} {passage.kept:,}{_margin(line)}"
    )
    return Verdict(
        f"{line['outcome']} by {step}",
        why_of(selector, line["reason"] or "", line["outcome"] == KEPT),
        place,
        _budget(run, line, at, chosen),
        every[: len(filters) + at],
    )


def _step(every: tuple[Passage, ...], at: int) -> str:
    return f"{every[at].step} (step {at + 1} of {len(every)})"


def _by_filter(config: Config, line: Mapping[str, Any], every: tuple[Passage, ...]) -> Verdict:
    """What is said of a row that a filter dropped, or the last of them let pass in the end."""
    at = list(config.filters).index(line["step"])
    if line["outcome"] == KEPT:
        why = "all rows that pass the filters are kept"
        return Verdict(f"kept after {_step(every, at)}", why, "", "it does not go by one", every)
    kind, _, detail = line["reason"].partition(": ")
    words = config.filters[line["step"]].words.get(kind, "").format(detail=detail)
    why = f"{line['reason']}: {words}" if words else line["reason"]
    return Verdict(f"dropped by {_step(every, at)}", why, "", NEVER, every[:at])


def why_of(selector: Selector, reason: str, is_kept: bool) -> str:
    """Return a reason with what it means.

    Args:
        selector: which gave it.
        reason: of the ledger; empty where a kept row has none.
        is_kept: whether the row is kept.
    """
    kind, _, detail = reason.partition(": ")
    words = selector.words.get(kind if reason else KEPT_WORDS, "").format(detail=detail)
    if reason == OVER_BUDGET:
        words = words or FULL
    if is_kept:
        return words or "it is among the first of its order" + (f" ({reason})" if reason else "")
    return f"{reason}: {words}" if words else reason


def _without_number(config: Config, line: Mapping[str, Any], every: tuple[Passage, ...]) -> Verdict:
    column = f"{line['step']}.score"
    reads = [column in selector.reads.names for selector in config.selector]
    at = len(config.filters) + reads.index(True)
    why = (
        f"{line['step']} gave it no number: its status is {line['reason']} (with a number it is "
        f"{' or '.join(NUMBERED)})"
    )
    what = f"dropped before {_step(every, at)}, which reads {column}"
    return Verdict(what, why, "", NEVER, every[:at])


def _by(selector: Selector) -> str:
    by = getattr(selector, "by", None)
    return f" (by {by})" if by else ""


def _margin(line: Mapping[str, Any]) -> str:
    margin = line["margin"]
    if margin is None:
        return "; no margin, as that order is not one of numbers"
    if math.isinf(margin):
        return "; no margin, as there is nothing it could be measured by"
    if margin == 0:
        return "; margin 0: level with the cut (ties go by sample_id, then row_id)"
    side = "inside" if line["outcome"] == KEPT else "short of"
    far = shown(abs(margin))
    return f"; margin {'+' if margin > 0 else '-'}{far}: {far} {side} the cut"


def shown(value: float) -> str:
    """Return a number with four figures, or all before the point where it has more."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def _budget(run: Finished, line: Mapping[str, Any], at: int, every: tuple[Passage, ...]) -> str:
    """From which budget on a row is kept, where its rank tells it."""
    selectors = run.config.selector
    own, name = selectors[at], every[at].step
    moving = [p.step for p, s in zip(every[:at], selectors, strict=False) if s.growth != "never"]
    is_kept, is_last = line["outcome"] == KEPT, at == len(every) - 1
    over = line["reason"] == OVER_BUDGET
    ask = "only a run with it tells"
    if moving:
        return f"{moving[0]} before it goes by the budget as well; {ask}"
    if own.growth == "anew":
        kind = "how small a budget still keeps it" if is_kept else "which budget lets it in"
        return f"{name} may choose other rows with another budget; {kind}, {ask}"
    if (not is_kept and not over) or (own.growth == "never" and not is_last):
        return f"{NEVER}: {name} drops it whatever the budget"
    if not is_last:
        to = every[at + 1].step
        return (
            f"from a budget of {line['rank']:,} on it comes to {to}; whether that keeps it, {ask}"
        )
    return _by_rank(run, line, own, name)


def _by_rank(run: Finished, line: Mapping[str, Any], own: Selector, name: str) -> str:
    budget, rank = run.manifest["budget"], line["rank"]
    from_, unit = rank, "rows"
    if budget["cost"] is not None:
        try:
            from_, unit = _cost_of_first(run, name, rank, budget["cost"]), "answer tokens"
        except LOST as error:
            return f"not known, as it is one of answer tokens: {error}"
    if line["outcome"] == KEPT:
        return f"{budget['limit']:,} {unit}; it stays in down to a budget of {from_:,}"
    unless = f", if {name} itself lets so many pass" if own.growth == "never" else ""
    return f"{budget['limit']:,} {unit}; in at a budget of {from_:,}{unless}"


def _cost_of_first(run: Finished, step: str, rank: int, column: str) -> int:
    """What the first rows of the order of the last step cost together."""
    first = (pc.field("step") == step) & (pc.field("rank") <= rank)
    ids = lines(run, ("row_id",), first)["row_id"].combine_chunks()
    costs = (t[column].filter(pc.is_in(t["row_id"], ids)) for t in run.tables([column]))
    return sum(pc.sum(pc.fill_null(own, 0)).as_py() or 0 for own in costs)


def order_of(run: Finished) -> str | None:
    """Return the score that the last selector of a run goes by, if it goes by one."""
    names = run.config.selector[-1].reads.names if run.config.selector else []
    return next((n for n in names if n.endswith(".score") and not n.startswith("data.")), None)
