from tamis.errors import ConfigError
from tamis.pipeline.cli import app
from tamis.tests.runs import run_config
from typer.testing import CliRunner


def test_plan_shows_steps_and_what_is_there(tmp_path):
    (tmp_path / "c.yaml").write_text(run_config(tmp_path).to_yaml())
    done = CliRunner().invoke(app, ["plan", str(tmp_path / "c.yaml")])
    assert done.exit_code == 0
    assert "long" in done.output and "length" in done.output


def test_what_is_measured_needs_measure(tmp_path):
    (tmp_path / "c.yaml").write_text(run_config(tmp_path).to_yaml())
    for option in (["--price", "0"], ["--rows", "9"]):
        done = CliRunner().invoke(app, ["plan", str(tmp_path / "c.yaml"), *option])
        assert isinstance(done.exception, ConfigError)
        assert f"{option[0]} needs --measure" in str(done.exception)
