"""The Markdown of the project, read: fenced blocks, links, headings."""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FENCE = re.compile(r"^(\s*)(`{3,}|~{3,})\s*(.*?)\s*$")
LINK = re.compile(r"!?\[(?:[^\[\]]|\[[^\]]*\])*\]\(([^()\s]+(?:\([^()]*\))?)\)")


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Attributes:
        page: the file, relative to the root.
        line: of its first fence, from 1.
        kind: first word behind the fence: sh, yaml, python, …
        note: what follows it, such as `no-run: needs a GPU`.
        text: what stands between the fences.
    """

    page: str
    line: int
    kind: str
    note: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def pages() -> list[Path]:
    """Every Markdown file that a reader can come to."""
    return [
        *sorted(ROOT.glob("*.md")),
        *sorted((ROOT / "docs").rglob("*.md")),
        *sorted((ROOT / "configs").rglob("*.md")),
    ]


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page, in order."""
    found: list[Block] = []
    opening: tuple[int, str, str] | None = None
    inside: list[str] = []
    for number, line in enumerate(page.read_text().splitlines(), 1):
        fence = FENCE.match(line)
        if opening is None and fence:
            opening, inside = (number, fence[2], fence[3]), []
        elif opening is not None and fence and fence[2] == opening[1] and not fence[3]:
            kind, _, note = opening[2].partition(" ")
            text = "\n".join(inside)
            found.append(Block(name_of(page), opening[0], kind, note.strip(), text))
            opening = None
        elif opening is not None:
            inside.append(line)
    assert opening is None, f"{name_of(page)}:{opening and opening[0]}: a fence is not closed"
    return found


def prose(page: Path) -> str:
    """A page without its fenced blocks and spans of code."""
    return re.sub(r"(?<!`)`[^`\n]+`(?!`)", "`code`", "\n".join(page_lines_without_fences(page)))


def links(page: Path) -> list[str]:
    """The targets of a page's links and pictures."""
    return LINK.findall(prose(page))


def anchors(page: Path) -> set[str]:
    """The names under which a page's headings are found, as GitHub makes them."""
    seen: dict[str, int] = {}
    found = set()
    for line in page_lines_without_fences(page):
        if heading := re.match(r"#{1,6}\s+(.*)", line):
            text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading[1]).strip().lower()
            name = re.sub(r"[^\w\- ]", "", text).replace(" ", "-")
            found.add(name if name not in seen else f"{name}-{seen[name]}")
            seen[name] = seen.get(name, 0) + 1
    return found


def page_lines_without_fences(page: Path) -> list[str]:
    """The lines of a page that stand outside fenced blocks."""
    kept: list[str] = []
    fence_of = ""
    for line in page.read_text().splitlines():
        fence = FENCE.match(line)
        if fence and not fence_of:
            fence_of = fence[2]
        elif fence and fence[2] == fence_of and not fence[3]:
            fence_of = ""
        elif not fence_of:
            kept.append(line)
    return kept
