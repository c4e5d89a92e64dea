import json

import pytest
from tamis.errors import ConfigError
from tamis.pipeline.cli import app
from tamis.pipeline.load import load
from tamis.tests.runs import run_config
from typer.testing import CliRunner


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text(run_config(tmp_path, sweep={"seeds": 4}).to_yaml())
    return path


def test_options_go_before_the_section(config, tmp_path):
    options = ["--budget", "10%", "--budget", "20", "--by", "rated.score", "--seeds", "2"]
    done = CliRunner().invoke(app, ["sweep", str(config), *options])
    assert done.exit_code == 0, done.output
    assert "top rated" in done.output and "top long" not in done.output
    found = json.loads((tmp_path / "runs/run-sweep/sweep.json").read_text())
    assert found["seeds"] == 2
    assert {cell["budget"] for cell in found["cells"]} == {"10%", "20 rows"}
    again = CliRunner().invoke(app, ["sweep", str(config), *options])
    assert again.exit_code == 0 and "already done" in again.output


def test_a_column_that_nobody_makes(config):
    done = CliRunner().invoke(app, ["sweep", str(config), "--by", "ifd.score"])
    assert "reads ifd.score, which nobody makes" in str(done.exception)


def test_a_mistake_in_the_section_is_said_at_its_place(config):
    raw = config.read_text()
    config.write_text(raw.replace("selectors: {}", "selectors: {x: {use: top_k, bye: a.score}}"))
    with pytest.raises(
        ConfigError, match=r"sweep\.selectors\.x.*\n.*unknown key; did you mean 'by'"
    ):
        load(str(config))


def test_code_of_the_users_beside_the_config(config):
    """A file that a compared selector names is looked for beside the config, and asks first."""
    (config.parent / "mine.py").write_text("")
    raw = config.read_text()
    config.write_text(raw.replace("selectors: {}", "selectors: {x: [{use: mine.py}]}"))
    with pytest.raises(ConfigError, match=r"mine\.py' is code; to run it, add --allow-code"):
        load(str(config))
