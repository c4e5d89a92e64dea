"""`tamis status` and `tamis tokens`: a look at a run."""

from typing import Annotated

import typer

from .logs import show
from .options import AllowCode


def status(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Folder of a run.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show how far a run is, from any machine that sees its folder; exit code 1 if it is lost."""
    import json

    from .status import status_of
    from .summary import show_status

    found = status_of(run)
    if as_json:
        typer.echo(json.dumps(found.as_json(), ensure_ascii=False))
    else:
        show(show_status(found))
    if found.state == "lost":
        raise typer.Exit(1)


def tokens(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Folder of a finished run.")],
    row: Annotated[int, typer.Argument(metavar="ROW", help="row_id, as in its ledger.")],
    scorer: Annotated[str | None, typer.Option(help="Which `tshirt` block of several.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    allow_code: AllowCode = False,
) -> None:
    """Show what the instruction did for each token of a row's answer, and which tokens counted."""
    import json

    from .summary import show_tokens
    from .token_view import token_view

    found = token_view(run, row, scorer, allow_code)
    if as_json:
        typer.echo(json.dumps(found.as_json()))  # escaped: it may go to a terminal
    else:
        show(show_tokens(found))
