import pytest
from tamis.pipeline.finished import open_run
from tamis.pipeline.report.beside import put_beside
from tamis.pipeline.report.token_rows import _shown, token_rows, token_scorers
from tamis.pipeline.run import select
from tamis.pipeline.token_view import Token, TokenView
from tamis.tests.runs import quiet, run_config


def test_runs_without_tshirt(run):
    assert token_scorers(run) == []


def test_tokens_in_colour_and_escaped():
    tokens = (
        Token("<b>", 0.5, 1.0),
        Token(" bad", -0.5, 0.5),
        Token("\x1b", 0.1, 0.25),
        *[Token("x", 0.0, 0.0)] * 400,
    )
    shown = _shown(TokenView(3, "tshirt", "ok", 0.5, "kept", 0.1, 4, tokens))
    assert 'class="helps" title="+0.500 nats, counted in 100% of the copies">&lt;b&gt;' in shown
    assert 'class="misleads"' in shown and '"idle"' in shown and "\x1b" not in shown
    assert "The first 300 of 403 tokens." in shown and shown.count("<span") == 300


@pytest.mark.slow
def test_a_run_of_tshirt(tmp_path, gpt2):
    fields = {
        "signals": {"noisy": {"use": "neighbours", "model": str(gpt2), "dtype": "fp32"}},
        "scorers": {"tshirt": {"use": "tshirt", "signal": "noisy"}},
        "selector": [{"use": "hierarchical"}],
    }
    run = open_run(str(select(run_config(tmp_path, 40, **fields), quiet()).folder.path))
    shown = token_rows(run, put_beside(run), token_scorers(run)).__html__()
    assert "Kept, among the best: row" in shown and "Just missed: row" in shown
    assert shown.count('class="helps"') + shown.count('class="misleads"') > 2
