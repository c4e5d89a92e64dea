"""`tamis report`: the page that shows what a run chose and why."""

from typing import Annotated

import typer
from rich.text import Text

from .logs import printable, show
from .options import AllowCode


def report(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Folder of a finished run.")],
    allow_code: AllowCode = False,
) -> None:
    """Make report.html of a finished run anew: what it chose and why, for any browser."""
    from .finished import open_run
    from .report.report import write_report

    path = write_report(open_run(run, allow_code))
    show(Text(printable(f"report: {path}")))
