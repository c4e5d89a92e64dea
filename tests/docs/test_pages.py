"""The documentation as a whole: links that lead somewhere, nothing without a page."""

import re
from pathlib import Path

import pytest
from tamis.tests.docs.pages import ROOT, anchors, links, name_of, pages


def ids(path: Path) -> str:
    return name_of(path)


@pytest.mark.parametrize("page", pages(), ids=ids)
def test_links_lead_somewhere(page):
    broken = []
    for link in links(page):
        if re.match(r"[a-z]+:", link):  # elsewhere
            assert link.startswith("https://"), link
            continue
        file, _, anchor = link.partition("#")
        target = (page.parent / file).resolve() if file else page
        is_there = target.exists() and ROOT in (target, *target.parents)
        if not is_there or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


def test_every_page_can_be_reached_from_the_readme():
    seen, ahead = set(), [ROOT / "README.md"]
    while ahead:
        page = ahead.pop()
        if page in seen:
            continue
        seen.add(page)
        files = [link.partition("#")[0] for link in links(page) if "://" not in link]
        ahead += [
            target
            for file in files
            if file.endswith(".md") and (target := (page.parent / file).resolve()).exists()
        ]
    lost = [name_of(page) for page in pages() if page not in seen]
    assert lost == [], "link them in docs/README.md"


def test_the_readme_is_short():
    assert (ROOT / "README.md").stat().st_size < 13_000
