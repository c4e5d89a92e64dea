from tamis.pipeline.cli import app
from tamis.stages.prompt import load_prompt, names
from typer.testing import CliRunner


def test_the_list_names_each():
    found = CliRunner().invoke(app, ["prompt"]).stdout
    assert [line.split()[0] for line in found.splitlines()] == names()
    assert "14 criteria, 1 to 5; Peng et al. 2025" in found


def test_what_is_printed_can_be_used(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(CliRunner().invoke(app, ["prompt", "ds2"]).stdout)
    assert load_prompt(str(path)) == load_prompt("ds2")


def test_no_such_prompt():
    result = CliRunner().invoke(app, ["prompt", "nobody"])
    assert "is not among alpagasus" in str(result.exception)
