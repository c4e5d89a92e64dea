"""The card of a curated dataset: what it is, how it was chosen, how to load it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import yaml

from .. import __version__
from ..stages.export import Curated
from ..stages.source import Source
from .config import Config, use_of
from .plan import Plan
from .selection import KEPT

SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
UNKNOWN = "unknown"
MARKS = (5, 50, 95)  # percent


def make_card(
    config: Config,
    plan: Plan,
    ledger: pa.Table,
    ends: Sequence[Mapping[str, object]],
    made: Curated,
) -> str:
    """Return the card as Markdown with its YAML head; the same for the same result.

    Args:
        config: of the run, pinned; places on this machine are left out.
        plan: of the run.
        ledger: of the run.
        ends: how many rows met each end, from `ledger.counts`.
        made: what was found in the rows of the dataset.
    """
    kept = ledger.filter(pc.equal(ledger["outcome"], KEPT))
    return BODY.format(
        head=_head(config, len(kept)),
        name=config.name,
        n_kept=f"{len(kept):,}",
        n_pool=f"{len(ledger):,}",
        version=__version__,
        seed=config.seed,
        sources=_sources(config, ledger, kept),
        funnel=_table(
            ["outcome", "step", "reason", ">rows"],
            [[end["outcome"], end["step"], end["reason"], f"{end['n']:,}"] for end in ends],
        ),
        scores=_scores(list(config.scorers), ledger, kept),
        recipe=yaml.safe_dump(_recipe(config, plan), sort_keys=False).rstrip(),
        trainers=_trainers(made),
    )


BODY = """---
{head}
---
# {name}

{n_kept} of {n_pool} rows, chosen by Tamis {version} with seed {seed}.

## Sources

{sources}

The licences of the sources hold for their rows.

## What happened to the rows

{funnel}

## Scores

{scores}

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

`train.jsonl` holds the messages alone, which the trainers below read. Run them from this folder,
with your model in place of MODEL.

{trainers}
"""


def _head(config: Config, n_kept: int) -> str:
    """The front matter, without its fences."""
    from huggingface_hub import DatasetCardData  # takes a while

    licenses = sorted({name for source in config.data for name in _licenses(source)})
    files = [{"split": "train", "path": "data/train-*.parquet"}]
    return DatasetCardData(
        pretty_name=config.name,
        license=licenses[0] if len(licenses) == 1 else licenses,
        task_categories=["text-generation"],
        tags=["instruction-tuning", "curated", "tamis"],
        size_categories=[next((name for top, name in SIZES if n_kept < top), "n>1M")],
        configs=[{"config_name": "default", "data_files": files}],
    ).to_yaml()


def _licenses(source: Source) -> list[str]:
    return (source.license or UNKNOWN).split(", ")


def _sources(config: Config, ledger: pa.Table, kept: pa.Table) -> str:
    counts = [
        {row["values"]: row["counts"] for row in table["source"].value_counts().to_pylist()}
        for table in (ledger, kept)
    ]
    lines = []
    for source in config.data:
        hub = f"{source.path} at {source.revision}" if source.revision else "files"
        figures = [f"{count.get(source.name, 0):,}" for count in counts]
        lines.append([source.name, hub, ", ".join(_licenses(source)), *figures])
    return _table(["source", "from", "licence", ">rows", ">kept"], lines)


def _scores(scorers: Sequence[str], ledger: pa.Table, kept: pa.Table) -> str:
    if not scorers:
        return "Nothing was scored."
    lines = []
    for name in scorers:
        for what, table in (("pool", ledger), ("kept", kept)):
            values = np.asarray(table[f"{name}.score"].to_numpy(), dtype=np.float64)
            values = values[np.isfinite(values)]
            figures = (
                [values.mean(), *np.percentile(values, MARKS)]
                if len(values)
                else [np.nan] * (len(MARKS) + 1)
            )
            lines.append([name, what, f"{len(values):,}", *(f"{value:.4g}" for value in figures)])
    marks = [f">{mark} %" for mark in MARKS]
    return _table(["score", "of", ">rows with a score", ">mean", *marks], lines)


def _trainers(made: Curated) -> str:
    lines = ["| trainer | run |", "|---|---|"]
    lines += [f"| {name} | `{command}` |" for name, command in COMMANDS.items()]
    if made.several_answers:
        lines += ["", f"In {made.several_answers:,} rows the assistant answers more than once."]
    for reason, n in made.unfit.items():
        lines += ["", f"LLaMA-Factory cannot hold {n:,} rows: {reason}."]
    return "\n".join(lines)


COMMANDS = {
    "TRL": "python trainers/trl_sft.py --model_name_or_path MODEL --output_dir OUT",
    "Axolotl": "axolotl train trainers/axolotl.yaml --base-model MODEL",
    "LLaMA-Factory": ("llamafactory-cli train trainers/llamafactory.yaml model_name_or_path=MODEL"),
}


def _table(headers: Sequence[str], lines: Sequence[Sequence[object]]) -> str:
    """A table of Markdown; a header that starts with `>` is of numbers."""
    rows = [[header.lstrip(">") for header in headers]]
    rows.append(["---:" if header.startswith(">") else "---" for header in headers])
    rows += [[_cell(value) for value in line] for line in lines]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _cell(value: object) -> str:
    """Text that stays in its cell and is no markup."""
    text = " ".join(str(value).split())
    for sign, said in (("&", "&amp;"), ("<", "&lt;"), ("|", "\\|"), ("`", "\\`"), ("[", "\\[")):
        text = text.replace(sign, said)
    return text


def _recipe(config: Config, plan: Plan) -> dict[str, Any]:
    """The config without places: data by name, models by the last part of their path."""

    def block(value: Any) -> dict[str, Any]:  # noqa: ANN401 - a signal, scorer or selector
        use = use_of(value)
        fields = _placeless(value.model_dump(mode="json", exclude_none=True))
        return {"use": Path(use).name if use.endswith(".py") else use, **fields}

    fields = {"limit", "rows", "subtask"}
    targets = {
        name: target.model_dump(mode="json", include=fields, exclude_none=True)
        for name, target in config.targets.items()
    }
    filters = {name: block(own) for name, own in config.filters.items()}
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
        **({"filters": filters} if filters else {}),
        "selector": [block(selector) for selector in config.selector],
        "budget": config.budget.model_dump(exclude_none=True) if config.budget else None,
    }


def _placeless(value: Any) -> Any:  # noqa: ANN401 - JSON
    """The same without places on this machine: of a path its last part alone."""
    if isinstance(value, dict):
        return {key: _placeless(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_placeless(inner) for inner in value]
    is_place = isinstance(value, str) and Path(value).is_absolute()
    return Path(value).name if is_place else value
