"""The card of a curated dataset: what it is, how it was chosen, how to load it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from .. import __version__
from .config import Config, use_of
from .plan import Plan

SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))


def make_card(config: Config, plan: Plan, ends: Sequence[Mapping[str, object]], n_kept: int) -> str:
    """Return the card as Markdown with its YAML head; the same for the same result.

    Args:
        config: of the run; paths on this machine are left out.
        plan: of the run.
        ends: how many rows met each end, from `ledger.counts`.
        n_kept: rows of the dataset.
    """
    head = {
        "pretty_name": config.name,
        "task_categories": ["text-generation"],
        "tags": ["instruction-tuning", "curated", "tamis"],
        "size_categories": [next((name for top, name in SIZES if n_kept < top), "n>1M")],
        "configs": [
            {
                "config_name": "default",
                "data_files": [{"split": "train", "path": "data/train-*.parquet"}],
            }
        ],
    }
    return BODY.format(
        head=yaml.safe_dump(head, sort_keys=False),
        name=config.name,
        n_kept=f"{n_kept:,}",
        version=__version__,
        funnel=_funnel(ends),
        recipe=yaml.safe_dump(_recipe(config, plan), sort_keys=False).rstrip(),
    )


BODY = """---
{head}---
# {name}

{n_kept} rows, chosen by Tamis {version}. The licences of the sources hold for the rows.

## What happened to the rows

{funnel}

## Recipe

```yaml
{recipe}
```

## Load

```python
from datasets import load_dataset, load_from_disk

dataset = load_dataset("path/to/this/folder", split="train")
dataset = load_from_disk("path/to/this/folder/arrow/train")
```

`train.jsonl` holds the messages alone; `llamafactory/` is a `dataset_dir` of LLaMA-Factory.
"""


def _funnel(ends: Sequence[Mapping[str, object]]) -> str:
    lines = ["| outcome | step | reason | rows |", "|---|---|---|---:|"]
    for end in ends:
        lines.append(f"| {end['outcome']} | {end['step']} | {end['reason']} | {end['n']:,} |")
    return "\n".join(lines)


def _recipe(config: Config, plan: Plan) -> dict[str, Any]:
    """The config without places: data by name, models by the last part of their path."""

    def block(value: Any) -> dict[str, Any]:  # noqa: ANN401 - a signal, scorer or selector
        fields = value.model_dump(mode="json", exclude_none=True)
        for name in ("model", "tokenizer"):
            if name in fields:
                fields[name] = (
                    Path(fields[name]).name if Path(fields[name]).is_absolute() else (fields[name])
                )
        use = use_of(value)
        return {"use": Path(use).name if use.endswith(".py") else use, **fields}

    fields = {"limit", "rows", "subtask"}
    targets = {
        name: target.model_dump(mode="json", include=fields, exclude_none=True)
        for name, target in config.targets.items()
    }
    return {
        "seed": config.seed,
        "data": [source.name for source in config.data],
        **({"targets": targets} if targets else {}),
        "signals": {
            step.name: block(config.signals[step.name])
            for step in plan.steps
            if step.name in config.signals
        },
        "scorers": {name: block(scorer) for name, scorer in config.scorers.items()},
        "selector": [block(selector) for selector in config.selector],
        "budget": config.budget.model_dump(exclude_none=True) if config.budget else None,
    }
