import json

from tamis.pipeline.cli import app
from tamis.pipeline.run import select
from tamis.tests.runs import quiet, run_config
from typer.testing import CliRunner


def test_status_of_a_finished_run(tmp_path):
    folder = select(run_config(tmp_path), quiet()).folder.path
    said = CliRunner().invoke(app, ["status", str(folder), "--json"])
    assert said.exit_code == 0 and json.loads(said.output)["state"] == "done"
