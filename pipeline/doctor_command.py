"""`tamis doctor`: the environment, the models and the numbers of every method."""

import json
from dataclasses import asdict
from typing import Annotated

import typer
from rich.text import Text

from .doctor.checks import Asked, examine
from .doctor.finding import Finding
from .logs import printable, show

STYLES = {"OK": "green", "MINOR": "yellow", "MAJOR": "bold red"}
WIDTH = 26  # of the names

Models = Annotated[
    list[str] | None, typer.Option("--model", help="Folder or hub id of a model; once for each.")
]
Address = Annotated[str | None, typer.Option(help="Of a running Ray cluster, host:port.")]


def doctor(
    model: Models = None,
    store: Annotated[str, typer.Option(help="Folder of the computed columns.")] = "store",
    out: Annotated[str, typer.Option(help="Folder of the runs.")] = "runs",
    address: Address = None,
    no_ray: Annotated[bool, typer.Option("--no-ray", help="Start and join no Ray.")] = False,
    online: Annotated[bool, typer.Option("--online", help="Ask the hub as well.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Check the environment, the models and every method; exit code 1 if something is MAJOR."""
    found = []
    for finding in examine(Asked(tuple(model or ()), store, out, address, not no_ray, online)):
        found.append(finding)
        if not as_json:
            show(line(finding))
    if as_json:
        typer.echo(json.dumps([asdict(finding) for finding in found], indent=1))
    else:
        counts = {v: sum(finding.verdict == v for finding in found) for v in STYLES}
        show(Text(", ".join(f"{n} {verdict}" for verdict, n in counts.items())))
    if any(finding.verdict == "MAJOR" for finding in found):
        raise typer.Exit(1)


def line(finding: Finding) -> Text:
    """Return a finding as it is shown, its advice below it."""
    said = printable(finding.said)
    shown = Text(no_wrap=True, overflow="ignore")  # to be found by a search, and copied
    shown.append(f"{finding.verdict:<6}", STYLES[finding.verdict])
    shown.append(f"{finding.name:<{WIDTH}} {said}", "default")
    if finding.advice and finding.verdict != "OK":
        shown.append(f"\n{'':<{6 + WIDTH}} {printable(finding.advice)}", "default")
    return shown
