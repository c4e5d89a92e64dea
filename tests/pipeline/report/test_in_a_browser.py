"""The report in a real browser: nothing to complain of, nothing asked of the network."""

import importlib.util
import shutil

import pytest
from tamis.pipeline.report.report import write_report

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(BROWSER is None, reason="no chromium on this machine"),
    pytest.mark.skipif(importlib.util.find_spec("playwright") is None, reason="no playwright"),
]


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as tools:
        found = tools.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture(scope="module")
def address(run):
    return f"file://{write_report(run)}"


@pytest.fixture
def opened(browser, address):
    """Opens the report; what a page complains of or asks for is in `heard`."""
    contexts = []

    def open_page(width=1200, scheme="light"):
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        contexts.append(context)
        page, heard = context.new_page(), []
        page.on("console", lambda message: heard.append(message.text))
        page.on("pageerror", lambda error: heard.append(str(error)))
        page.on("dialog", lambda dialog: heard.append(dialog.message))
        page.on(
            "request",
            lambda asked: (
                heard.append(asked.url)
                if asked.url != address and not asked.url.startswith("data:")
                else None
            ),
        )
        page.goto(address)
        return page, heard

    yield open_page
    for context in contexts:
        context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1200, 390])
def test_it_opens(opened, width, scheme):
    page, heard = opened(width, scheme)
    assert page.title() == "run: what was chosen, and why"  # which no row has changed
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    drawings = page.locator("figure svg")
    assert drawings.count() == 7  # funnel, two scores, length, sources, two maps
    for n in range(7):
        assert drawings.nth(n).bounding_box()["height"] > 30
    assert page.locator("tbody script, tbody img, tbody a, tbody svg, tbody style").count() == 0
    assert heard == []


def test_light_and_dark(opened):
    """Paper, text and drawings change, and text stands out from the paper in both."""
    found = {}
    for scheme in ("light", "dark"):
        page, _ = opened(scheme=scheme)
        paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
        text = page.evaluate("getComputedStyle(document.querySelector('p')).color")
        kept = page.evaluate("getComputedStyle(document.querySelector('svg .f-kept')).fill")
        label = page.evaluate("getComputedStyle(document.querySelector('svg text')).fill")
        found[scheme] = paper, text, kept, label
        assert contrast(paper, text) > 4.5 and contrast(paper, label) > 7
        assert contrast(paper, kept) > 3
    assert all(a != b for a, b in zip(found["light"], found["dark"], strict=True))


def test_a_table_sorts_and_is_searched(opened):
    page, heard = opened()
    box = page.locator(".table.rows").first
    column = ".table.rows >> nth=0 >> tbody tr:visible td:nth-child(2)"

    def ranks():
        return [int(text) for text in page.locator(column).all_text_contents()]

    assert ranks() == list(range(1, 21))
    box.get_by_role("button", name="rank").click()
    assert ranks() == list(range(20, 0, -1))
    box.get_by_role("button", name="rank").click()
    assert ranks() == list(range(1, 21))
    assert box.locator("th").nth(1).get_attribute("aria-sort") == "ascending"
    box.get_by_label("Search these rows").fill("</SCRIPT>")
    assert 0 < len(ranks()) < 20
    assert box.locator("output").text_content() == f"{len(ranks())} of 20 rows"
    box.get_by_label("Search these rows").fill("no such words")
    assert ranks() == []
    assert heard == []


def test_text_opens(opened):
    page, _ = opened()
    text = page.locator("details.text").first
    assert text.bounding_box()["height"] < 200
    text.locator("summary").click()
    assert text.get_attribute("open") is not None


def test_the_policy_holds(opened):
    """What would get in by some hole in the escaping does not run."""
    page, heard = opened()
    page.evaluate(
        """const hole = document.createElement('div');
        hole.innerHTML = '<img src=x onerror="document.title=1"><b style="color:red">x</b>';
        document.body.append(hole);
        const script = document.createElement('script');
        script.textContent = 'document.title=2';
        document.body.append(script);"""
    )
    page.wait_for_timeout(200)
    assert page.title() == "run: what was chosen, and why"
    assert any("Content Security Policy" in text for text in heard)


def contrast(one: str, other: str) -> float:
    """The ratio of luminances of two colours (WCAG 2)."""

    def luminance(colour: str) -> float:
        parts = [int(part) / 255 for part in colour[4:-1].split(",")]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)
