from tamis.pipeline.cli import app
from tamis.pipeline.run import select
from tamis.tests.runs import quiet, run_config
from typer.testing import CliRunner


def test_made_anew(tmp_path):
    folder = select(run_config(tmp_path), quiet()).folder.path
    assert not (folder / "report.html").exists()
    said = CliRunner().invoke(app, ["report", str(folder)])
    assert said.exit_code == 0 and f"report: {folder / 'report.html'}" in said.output
    assert "10 of 60 rows" in (folder / "report.html").read_text()
