"""What the tests share."""

import os
import secrets
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
os.environ["RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"] = "0"
os.environ["RAY_AUTH_MODE"] = "token"
os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
# Before anything imports triton: it decides then whether kernels are interpreted or compiled.
if not Path("/dev/nvidiactl").exists():  # no GPU; asking torch would import it for every test
    os.environ.setdefault("TRITON_INTERPRET", "1")

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture
def shared() -> Path:
    """Real data and a small model beside the checkout, where there are any."""
    if not SHARED.is_dir():
        pytest.skip(f"no folder {SHARED.name} beside the checkout")
    return SHARED


@pytest.fixture(scope="session")
def gpt2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny GPT-2 whose tokenizer has no BOS."""
    from tamis.tests.tiny import make_model

    return make_model(tmp_path_factory.mktemp("gpt2"), "gpt2")


@pytest.fixture(scope="session")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Llama whose tokenizer adds a BOS."""
    from tamis.tests.tiny import make_model

    return make_model(tmp_path_factory.mktemp("llama"), "llama", bos=True)


@pytest.fixture(scope="session")
def text_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model in the format of sentence-transformers, with a prompt named query."""
    from tamis.tests.tiny import make_text_encoder

    return make_text_encoder(tmp_path_factory.mktemp("text-encoder"))
