"""Every method has a page, and what a page says of its settings is what the code has."""

import re

import pytest
import typer.main
import yaml
from pydantic_core import PydanticUndefined
from tamis.pipeline import lookup
from tamis.pipeline.cli import app
from tamis.stages.modelled import ModelStage
from tamis.stages.warmup import Warmup
from tamis.tests.docs.pages import ROOT, page_lines_without_fences

METHODS = sorted((ROOT / "docs" / "methods").glob("*.md"))
KINDS = {
    "scorers": "Scorer",
    "signals": "Signal",
    "filters": "Filter",
    "selector": "Selector",
}
EVERY = [(section, name) for section in KINDS for name in lookup.names(section)]


def tables():
    """The settings of the pages: heading, then setting and default."""
    found = {}
    for page in METHODS:
        table = None
        for line in page_lines_without_fences(page):
            if heading := re.match(r"#+ (.*)", line):
                table = None
                if re.match(r"(Scorer|Signal|Filter|Selector) `|Settings of ", heading[1]):
                    assert heading[1] not in found, f"{page.name}: {heading[1]} is there twice"
                    table = found.setdefault(heading[1], {})
            elif table is not None and (row := re.match(r"\| `(\w+)` \| (.*?) \|", line)):
                table[row[1]] = row[2]
    return found


TABLES = tables()


def expected(fields):
    return {name: default_of(field) for name, field in fields.items()}


def default_of(field):
    default = field.get_default(call_default_factory=True)
    if default is PydanticUndefined:
        return "required"
    return list(default) if isinstance(default, tuple) else default


def said(table):
    return {n: "required" if d == "required" else parsed(d) for n, d in table.items()}


def parsed(cell):
    assert re.fullmatch(r"`[^`]+`", cell), cell
    value = yaml.safe_load(cell.strip("`"))
    return float(value) if re.fullmatch(r"[\d.]+e-?\d+", str(value)) else value


@pytest.mark.parametrize(("section", "name"), EVERY)
def test_settings_are_those_of_the_code(section, name):
    kind = lookup.find(section, name)
    fields = dict(kind.model_fields)
    if issubclass(kind, ModelStage):
        shared = expected(ModelStage.model_fields)
        fields = {n: f for n, f in fields.items() if shared.get(n, ...) != default_of(f)}
    assert said(TABLES[f"{KINDS[section]} `{name}`"]) == expected(fields)


def test_settings_of_every_model_and_of_the_warm_up():
    assert said(TABLES["Settings of every model"]) == expected(ModelStage.model_fields)
    assert said(TABLES["Settings of `warmup`"]) == expected(Warmup.model_fields)


def test_no_page_has_settings_of_what_is_not_there():
    known = {f"{KINDS[section]} `{name}`" for section, name in EVERY}
    assert set(TABLES) - known == {"Settings of every model", "Settings of `warmup`"}


@pytest.mark.parametrize(("section", "name"), EVERY)
def test_the_list_of_methods_names_it(section, name):
    assert f"`{name}`" in (ROOT / "docs" / "methods" / "README.md").read_text()


@pytest.mark.parametrize("section", ["scorers", "filters", "selector"])
def test_the_readme_names_it(section):
    readme = (ROOT / "README.md").read_text()
    own = readme[readme.index("## Methods") : readme.index("## Measured")]
    assert [name for name in lookup.names(section) if f"`{name}`" not in own] == []


@pytest.mark.parametrize("page", METHODS, ids=lambda page: page.stem)
def test_a_page_says_what_it_costs_and_when(page):
    if page.name != "README.md":
        text = page.read_text()
        assert "## Cost, and when to use it" in text
        assert "## Settings" in text


def commands():
    """Every command there is, by its words."""
    top = typer.main.get_command(app).commands
    for name, command in top.items():
        inner = getattr(command, "commands", None)
        yield from [f"tamis {name} {own}" for own in inner] if inner else [f"tamis {name}"]


@pytest.mark.parametrize("command", list(commands()))
def test_every_command_has_a_page(command):
    texts = [page.read_text() for page in (ROOT / "docs").glob("*.md")]
    assert any(re.search(rf"\b{command}\b", text) for text in texts), f"no page has `{command}`"


@pytest.mark.parametrize("config", sorted((ROOT / "configs").glob("*.yaml")), ids=lambda p: p.stem)
def test_every_config_has_a_recipe(config):
    assert f"configs/{config.name}" in (ROOT / "docs" / "recipes.md").read_text()
