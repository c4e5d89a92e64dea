import pytest
from tamis.errors import ConfigError
from tamis.pipeline.run import select
from tamis.pipeline.token_view import Token, TokenView, token_view
from tamis.tests.end_to_end.test_tshirt import config_of
from tamis.tests.runs import quiet


def test_tokens_belong_to_neighbours(tmp_path):
    result = select(config_of(tmp_path), quiet())
    with pytest.raises(ConfigError, match="noisy is another signal"):
        token_view(str(result.folder.path), 1, allow_code=True)


def test_plain_values():
    view = TokenView(3, "tshirt", "ok", 0.5, "kept", 0.1, 4, (Token(" a", -0.25, 0.75),))
    assert view.as_json()["tokens"] == ({"text": " a", "delta": -0.25, "counted": 0.75},)
