"""What a notebook shows of a finished run: where it lies, and what was kept and dropped."""

from collections.abc import Mapping
from html import escape
from typing import Any

from ..stages.locations import Location

HEADERS = ("outcome", "step", "reason", "n")


def as_html(folder: Location, manifest: Mapping[str, Any]) -> str:
    """Return a short summary as HTML; all text is escaped.

    Args:
        folder: of the run.
        manifest: of the run.
    """
    head = (
        f"{manifest['config']['name']}: {manifest['pool']['rows_in']:,} rows in, "
        f"{manifest['rows_kept']:,} kept"
    )
    names = "".join(f"<th>{'rows' if name == 'n' else name}</th>" for name in HEADERS)
    lines = "".join(
        "<tr>" + "".join(f"<td>{_cell(end[name])}</td>" for name in HEADERS) + "</tr>"
        for end in manifest["ends"]
    )
    return (
        f"<p><b>{escape(head)}</b><br><code>{escape(str(folder))}</code></p>"
        f"<table><thead><tr>{names}</tr></thead><tbody>{lines}</tbody></table>"
    )


def _cell(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else escape(str(value))
