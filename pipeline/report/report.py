"""`report.html`: one page that shows what a run chose and why, and whether to trust it.

It is made from what the run left and from its store; what is no longer there is said in its place.
The same run gives the same page.
"""

import logging
from collections.abc import Callable

from markupsafe import Markup

from ...errors import ArtifactError, ConfigError, ContractError, DataError
from ...stages.locations import Location
from ..files import whole_file
from ..finished import Finished
from ..folder import REPORT
from .asked import asked
from .beside import Beside, put_beside
from .chapter import Chapter, not_shown
from .cost import cost
from .funnel import funnel
from .lengths import Lengths, find_lengths
from .maps import maps
from .mixes import mixes
from .page import page
from .planted import planted
from .rows import read_rows
from .sampling import draw_sample
from .scores import scores
from .token_rows import TOKENS, token_rows, token_scorers
from .touched import TITLE, held_out_filters, touched

log = logging.getLogger(__name__)

GONE = (DataError, ArtifactError, ConfigError, ContractError)


def draw_report(folder: Location) -> None:
    """Write the report at the end of a run, which is finished, whatever happens here."""
    try:
        write_report(Finished(folder, allow_code=True))  # code that has just run, if there is any
    except Exception as error:  # whatever it is, it must not lose the run
        reason = f"{type(error).__name__}: {error}"
        log.warning("the run is finished, but its report was not drawn: %s", reason)


def write_report(run: Finished) -> Location:
    """Write the report of a run into its folder; return where it is.

    Raises:
        ArtifactError: the ledger is damaged.
        RemoteError: an address does not take it.
    """
    path = run.folder / REPORT
    text = make_report(run)
    with whole_file(path) as partial:
        partial.write_text(text, "utf-8")
    return path


def make_report(run: Finished) -> str:
    """Return the page.

    Raises:
        ArtifactError: the ledger is damaged.
    """
    beside = put_beside(run)
    lengths, why_not = _lengths(run, beside)
    chapters = [
        funnel(run, beside),
        scores(run, beside, lengths),
        mixes(run, beside, lengths, why_not),
        _attempt("Map of the pool", lambda: maps(run, beside, draw_sample(run, beside))),
        read_rows(run, beside),
    ]
    if held_out := held_out_filters(run):
        chapters.append(_attempt(TITLE, lambda: touched(run, beside, held_out)))
    if named := token_scorers(run):
        chapters.append(_attempt(TOKENS, lambda: token_rows(run, beside, named)))
    if (faults := planted(run)) is not None:
        chapters.append(faults)
    chapters.append(cost(run))
    findings = [finding for chapter in chapters for finding in chapter.findings]
    first = asked(run, beside, lengths, findings)
    parts = [Markup(chapter.__html__()) for chapter in (first, *chapters)]
    name, kept, n_in = run.folder.name, beside.n_kept, run.manifest["pool"]["rows_in"]
    return page(f"{name}: what was chosen, and why", parts, f"{kept:,} of {n_in:,} rows")


def _lengths(run: Finished, beside: Beside) -> tuple[Lengths | None, str]:
    try:
        return find_lengths(run, beside, draw_sample(run, beside)), ""
    except GONE as error:
        return None, str(error)


def _attempt(title: str, make: Callable[[], Chapter]) -> Chapter:
    """What needs rows or columns that are no longer there says so in its place."""
    try:
        return make()
    except GONE as error:
        return not_shown(title, error)
