"""`tamis export`: the kept rows of a run in another form."""

from typing import Annotated

import typer

from .logs import show
from .options import AllowCode


def export(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Folder of a finished run.")],
    form: Annotated[
        str, typer.Option("--format", help="messages, prompt-completion, sharegpt or alpaca.")
    ],
    to: Annotated[str, typer.Option(metavar="FOLDER", help="A new folder.")],
    file: Annotated[str, typer.Option(help="jsonl or parquet.")] = "jsonl",
    allow_code: AllowCode = False,
) -> None:
    """Write the kept rows in another form; say what the form cannot hold."""
    from .finished import open_run
    from .other_form import write_form
    from .summary import summarise_form

    show(summarise_form(write_form(open_run(run, allow_code), form, to, file)))
