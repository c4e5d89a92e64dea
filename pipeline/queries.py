"""What the queries are called that pulled rows in: target and place, in place of a number."""

import re
from dataclasses import replace

import numpy as np

from ..errors import ArtifactError
from .config import Config
from .plan import Plan
from .selection import Decisions
from .store import Store

NUMBERED = re.compile(r"(query|target): (\d+)")


def with_names(decisions: Decisions, config: Config, plan: Plan, store: Store) -> Decisions:
    """Return decisions whose kept rows say `query: <target>[<place in the target>]`.

    So do those that say `target: <target>`. A query that is a whole subtask or target has no
    place. Lists that do not come from a scorer with targets keep their numbers.

    Args:
        decisions: of the config's selectors.
        config: of the run.
        plan: of the run.
        store: where the scorers' states live.
    """
    last = config.selector[-1] if config.selector else None
    names = query_names(getattr(last, "by", "") or "", plan, store)
    if not names:
        return decisions
    reason = decisions.reason.copy()
    for row in np.flatnonzero(decisions.kept):
        if found := NUMBERED.match(reason[row]):
            name = names[int(found[2])]
            reason[row] = f"{found[1]}: {name}{reason[row][found.end() :]}"
    return replace(decisions, reason=reason)


def query_names(by: str, plan: Plan, store: Store) -> list[str]:
    """Return the names of the queries that a list column has numbers of; none if they have none.

    Args:
        by: `<scorer>.by_query` or `<scorer>.by_target`.
        plan: that makes it.
        store: where the scorer's state lives.

    Raises:
        ArtifactError: the state is gone.
    """
    scorer, _, kind = by.partition(".")
    steps = [step for step in plan.steps if step.name == scorer and step.aims]
    if not steps or kind not in ("by_query", "by_target"):
        return []
    state = store.read_fitted(steps[0].folder)
    if state is None:
        raise ArtifactError(
            str(store.root / steps[0].folder), "what was found in the targets is gone"
        )
    if kind == "by_target" and "target" in state.column_names:
        named = list(dict.fromkeys(state["target"].drop_null().to_pylist()))
        return named or [", ".join(steps[0].aims)]  # without a name: one list for all of them
    if not {"target", "subtask", "query"} <= set(state.column_names):
        return []
    lines = state.select(["target", "subtask", "query"]).to_pylist()
    return [line["target"] + _place(line["subtask"], line["query"]) for line in lines]


def _place(subtask: str | None, query: int | None) -> str:
    if query is not None:
        return f"[{query}]"
    return f", {subtask}" if subtask else ""
