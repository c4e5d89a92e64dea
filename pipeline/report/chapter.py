"""A chapter of a report: what it shows, and what it found that one should know before trusting."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from .page import Level, paragraph, section, verdict


@dataclass(frozen=True)
class Finding:
    """A sentence about the selection, and how much it matters."""

    level: Level
    text: str

    def __html__(self) -> str:
        """Return it as a verdict of the page."""
        return verdict(self.level, self.text)


@dataclass(frozen=True)
class Chapter:
    """A section of the page.

    Attributes:
        title: of the section.
        body: what it shows.
        findings: its verdicts, which also stand at the top of the page.
    """

    title: str
    body: Sequence[Markup]
    findings: Sequence[Finding] = ()

    def __html__(self) -> str:
        """Return it as a section, verdicts first."""
        said = [Markup(finding.__html__()) for finding in self.findings]
        return section(self.title, *said, *self.body)


def not_shown(title: str, why: Exception) -> Chapter:
    """Return a chapter that says why it cannot be shown."""
    return Chapter(title, [paragraph(f"Not shown: {why}.", quiet=True)])
