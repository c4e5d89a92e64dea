"""Single answers token by token, where T-SHIRT scored them: what the instruction did for each."""

from collections.abc import Sequence

from markupsafe import Markup

from ...errors import DataError
from ..finished import Finished
from ..token_view import Token, TokenView, view_tokens
from .beside import Beside
from .chapter import Chapter
from .page import clean, heading, paragraph
from .rows import kept_places, leading_score, near_places, worst_places

TOKENS = "Single tokens"
SHOWN = 300  # tokens of a row
COUNTS = 0.5  # a token is shown as counted if it was in so many of the copies


def token_scorers(run: Finished) -> list[str]:
    """Return the scorers of a run whose tokens are known one by one."""
    config = run.manifest["config"]
    return [
        name
        for name, block in config["scorers"].items()
        if block["use"] == "tshirt"
        and config["signals"].get(block["signal"], {}).get("use") == "neighbours"
    ]


def token_rows(run: Finished, beside: Beside, scorers: Sequence[str]) -> Chapter:
    """Return the chapter.

    Args:
        run: with such scorers.
        beside: its rows.
        scorers: their names; the first one is shown.

    Raises:
        ConfigError: the config names code that may not run.
        DataError: the numbers are no longer in the store.
    """
    best, near, worst = (
        kept_places(beside),
        near_places(run, beside),
        worst_places(beside, leading_score(run)),
    )
    wanted = [
        *(("Kept, among the best", place) for place in best[:2]),
        *(("Kept, drawn from the others", place) for place in best[-1:] if len(best) > 2),
        *(("Just missed", place) for place in near[:1]),
        *(("Among the worst", place) for place in worst[:1]),
    ]
    body = [
        paragraph(
            "Delta is the loss of a token without the instruction less its loss with it, in nats. "
            "Only tokens with a delta beyond the threshold count for the score.",
            quiet=True,
        ),
        Markup(
            '<p class="quiet"><span class="helps">the instruction helps</span> · '
            '<span class="misleads">it misleads</span> · '
            '<span class="idle">the token did not count</span></p>'
        ),
    ]
    for title, place in wanted:
        row_id = int(beside.row_ids[place])
        body.append(heading(f"{title}: row {row_id}"))
        try:
            body.append(_shown(view_tokens(run, row_id, scorers[0])))
        except DataError as error:  # of this row alone: it has no tokens to compare
            body.append(paragraph(f"Not shown: {error}.", quiet=True))
    return Chapter(TOKENS, body)


def _shown(view: TokenView) -> Markup:
    score = "no score" if view.score is None else f"{view.scorer} {view.score:.4f}"
    said = (
        f"{score} ({view.status}), {view.copies} copies, tokens with |delta| above "
        f"{view.threshold:.4f} nats count."
    )
    if len(view.tokens) > SHOWN:
        said += f" The first {SHOWN} of {len(view.tokens):,} tokens."
    spans = Markup().join(_span(token) for token in view.tokens[:SHOWN])
    return paragraph(said, quiet=True) + Markup('<div class="text" dir="auto">{}</div>').format(
        spans
    )


def _span(token: Token) -> Markup:
    kind = "idle"
    if token.counted >= COUNTS:
        kind = "helps" if token.delta > 0 else "misleads"
    form = Markup(
        '<span class="{}" title="{:+.3f} nats, counted in {:.0%} of the copies">{}</span>'
    )
    return form.format(kind, token.delta, token.counted, clean(token.text))
