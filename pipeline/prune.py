"""`tamis prune`: a pruned copy of a model, for those who have none from elsewhere."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import ConfigError
from ..stages.base import resolve_device
from ..stages.locations import is_address
from ..stages.source import Source
from .logs import Reporter

if TYPE_CHECKING:  # torch
    from ..stages.pruning.prune import Calibration
    from ..stages.pruning.settings import Pruning

MAX_CHARS = 1_000_000
PART_ROWS = 1024


def prune(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Folder or hub id.")],
    out: Annotated[str, typer.Argument(metavar="OUT", help="Folder to write; must not exist.")],
    method: Annotated[str, typer.Option(help="magnitude, wanda or layers.")],
    share: Annotated[float | None, typer.Option(help="Of every layer's weights, as 0.5.")] = None,
    pattern: Annotated[str | None, typer.Option(help="2:4: two of every four stay.")] = None,
    layers: Annotated[int | None, typer.Option(help="How many decoder layers to remove.")] = None,
    rule: Annotated[str, typer.Option(help="Which layers: last or influence.")] = "last",
    data: Annotated[str | None, typer.Option(help="Calibration data: file, glob, hub id.")] = None,
    rows: Annotated[int | None, typer.Option(min=1, help="How many rows of it; else 128.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Of their draw; else 0.")] = None,
    template: Annotated[str | None, typer.Option(help="As in a signal; else none.")] = None,
    max_tokens: Annotated[int | None, typer.Option(min=2, help="Longest row.")] = None,
    revision: Annotated[str | None, typer.Option(help="Of a hub model.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
) -> None:
    """Write a pruned copy of a model: weights set to zero, or whole layers left out."""
    from ..stages.pruning import settings
    from ..stages.pruning.prune import check

    how = settings.Pruning(method, share, pattern, layers, rule)
    if device not in ("auto", "cpu", "cuda"):
        raise ConfigError(f"device {device!r} is not one of auto, cpu, cuda")
    if is_address(out):
        raise ConfigError(f"{out!r} is an address; a model is written to a folder of this machine")
    if how.needs_rows and data is None:
        raise ConfigError(f"method {method} needs calibration rows; name a file with --data")
    of_rows = {"data": data, "rows": rows, "seed": seed, "template": template}
    for name, value in (of_rows | {"max-tokens": max_tokens}).items():
        if value is not None and not how.needs_rows:
            raise ConfigError(f"--{name} {value!r} is given, but {_named(how)} looks at no rows")
    device = resolve_device(device)
    check(model, revision, Path(out), how, device)
    reporter, found = Reporter(), None
    if data is not None:
        asked = 128 if rows is None else rows, seed or 0, template or "none", max_tokens
        found = _calibration(model, revision, data, *asked)
    said = _pruned(model, revision, Path(out), how, found, device, reporter)
    typer.echo(describe(Path(out), said))


def describe(out: Path, said: dict[str, Any]) -> str:
    """Return what was done in one line.

    Args:
        out: the folder.
        said: of `stages.pruning.prune`.
    """
    if said["method"] == "layers":
        gone = ", ".join(map(str, said["removed"]))
        what = f"removed {len(said['removed'])} of {said['of']} layers ({gone})"
    else:
        what = (
            f"{said['zeros']:,} of {said['weights']:,} weights of the linear layers are zero "
            f"({said['zero_share']:.2%}; {said['blocks_share']:.2%} of the decoder blocks)"
        )
    return f"{out}: {said['method']}, {what}"


def _named(how: "Pruning") -> str:
    rule = f" by the rule {how.rule}" if how.method == "layers" else ""
    return f"method {how.method}{rule}"


def _calibration(
    model: str,
    revision: str | None,
    data: str,
    rows: int,
    seed: int,
    template: str,
    max_tokens: int | None,
) -> "Calibration":
    from ..stages.models import load_tokenizer, window_of
    from ..stages.pruning.calibration import draw_rows
    from ..stages.pruning.prune import Calibration
    from ..stages.templates import check_template
    from ..stages.tokenize import Encoder

    check_template(template)
    window = window_of(model, revision, max_tokens)
    encoder = Encoder(load_tokenizer(model, revision), template, "exact", window)
    encoder.check(model)
    return Calibration(draw_rows(_read(data), encoder, rows, seed), seed, template)


def _read(data: str) -> Iterator[Sequence[dict[str, Any]]]:
    """Yield the usable rows of a file, folder, glob or dataset of the hub, part by part."""
    from ..stages.hub import resolve_dataset
    from ..stages.ingest import ingest
    from .overrides import exists

    commit = "" if exists(data) else resolve_dataset(data, None).commit
    source = Source(name="calibration", path=data)
    for part in ingest([(source, commit)], part_rows=PART_ROWS, max_chars=MAX_CHARS):
        yield part.rows


def _pruned(
    model: str,
    revision: str | None,
    out: Path,
    how: "Pruning",
    rows: "Calibration | None",
    device: str,
    reporter: Reporter,
) -> dict[str, Any]:
    from ..stages.pruning.prune import prune as prune_model

    if rows is None:
        return prune_model(model, revision, out, how, None, device)
    with reporter.step(f"{how.method}, rows in blocks", None) as counter:
        return prune_model(model, revision, out, how, rows, device, counter.add)
