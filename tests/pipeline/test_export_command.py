from tamis.pipeline.cli import app
from tamis.pipeline.run import select
from tamis.tests.runs import quiet, run_config
from typer.testing import CliRunner


def test_it_says_where_the_rows_are(tmp_path):
    run = select(run_config(tmp_path), quiet()).folder.path
    said = ["export", str(run), "--format", "alpaca", "--to", str(tmp_path / "a")]
    done = CliRunner().invoke(app, said, catch_exceptions=False)
    assert done.exit_code == 0
    assert "10 rows: " in done.output
    assert len((tmp_path / "a" / "train.jsonl").read_text().splitlines()) == 10
