"""What the tests share."""

import logging
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
os.environ["RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"] = "0"
os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"  # Ray listens on loopback alone
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


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """The URL of an S3 server on this machine."""
    from moto.server import ThreadedMotoServer  # takes a second, which few tests need

    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # not a line for every request
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def bucket(s3_server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of an empty bucket, which processes of the test reach as well."""
    import boto3
    from s3fs import S3FileSystem

    for name, value in s3_environment(s3_server).items():
        monkeypatch.setenv(name, value)
    S3FileSystem.clear_instance_cache()  # of other servers
    name = f"bucket-{secrets.token_hex(4)}"
    boto3.client("s3").create_bucket(Bucket=name)
    yield f"s3://{name}"
    S3FileSystem.clear_instance_cache()


def s3_environment(url: str) -> dict[str, str]:
    """What says where S3 is, and who one is there."""
    secret = {"AWS_ACCESS_KEY_ID": "key-of-the-test", "AWS_SECRET_ACCESS_KEY": "secret-of-the-test"}
    return {"AWS_ENDPOINT_URL": url, "AWS_DEFAULT_REGION": "us-east-1", **secret}
