from pathlib import Path

import pytest
from fsspec.config import conf
from tamis.errors import ConfigError
from tamis.stages.locations import (
    is_address,
    is_remote,
    locate,
    redacted,
    same_or_below,
    without_secrets,
)


@pytest.mark.parametrize(
    ("text", "there"),
    [
        *(("a/b", False), ("/a", False), ("./s3:/b", False), ("org/set", False), ("C:/x", False)),
        *(("s3://b/x", True), ("gs://b", True), ("hf://datasets/a/b", True), ("S3://b", True)),
        *(("file:///a", False), ("local:///a", False), ("zip::s3://b/a.zip", True)),
    ],
)
def test_what_is_an_address(text, there):
    assert is_address(text) == there


def test_local_paths_stay_as_they_are():
    for text in ("a/b", "/a", "a://", "~x"):
        if not is_address(text):
            assert locate(text) == Path(text)
    assert locate("file:///a/b") == Path("/a/b")
    assert not is_remote(locate("a"))


def test_an_address_has_the_operations_of_a_path():
    path = locate("memory://pool/folder/")
    assert is_remote(path)
    assert str(path / "x.jsonl.gz") == "memory://pool/folder/x.jsonl.gz"
    assert (path / "x.jsonl.gz").suffixes == [".jsonl", ".gz"]
    assert str(path.absolute()) == "memory://pool/folder"


def test_listings_are_not_remembered_as_other_processes_write_too():
    path = locate("s3://bucket/x") / "y"
    assert path.storage_options["use_listings_cache"] is False
    assert path.fs.retries == 1  # `steadily` tries again, and says so


def test_one_connection_for_all_addresses_of_a_kind(bucket):
    """What the libraries add to our options as they connect makes no other of it."""
    first = locate(f"{bucket}/x")
    first.write_bytes(b"x")
    assert locate(f"{bucket}/y").fs is first.fs


def test_the_users_own_settings_come_first(monkeypatch):
    own = {"use_listings_cache": True, "config_kwargs": {"connect_timeout": 1}}
    monkeypatch.setitem(conf, "s3", own)
    options = locate("s3://bucket/x").storage_options
    assert "use_listings_cache" not in options  # fsspec adds it
    assert options["config_kwargs"]["connect_timeout"] == 1
    assert options["config_kwargs"]["read_timeout"] == 20


def test_a_package_that_is_not_there_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "gcsfs", None)
    with pytest.raises(ConfigError, match=r"gs:// needs the package gcsfs.*pip install 'gcsfs'"):
        locate("gs://bucket/x")


def test_a_kind_of_address_that_there_is_not():
    with pytest.raises(ConfigError, match="s4:// is no kind of address"):
        locate("s4://bucket/x")


SECRETS = (
    ("sftp://me:word@host/x", "sftp://***@host/x"),
    ("https://host/x.jsonl?X-Amz-Signature=abc", "https://host/x.jsonl?***"),
    ("no such https://a:b@c/d?sig=e and s3://x", "no such https://***@c/d?*** and s3://x"),
)


@pytest.mark.parametrize(("text", "shown"), SECRETS)
def test_secrets_are_not_shown(text, shown):
    assert redacted(text) == shown


@pytest.mark.parametrize("text", ["s3://b/part-?.jsonl", "sftp://me@host/x", "a/b?c=d", "x"])
def test_what_is_no_secret(text):
    assert without_secrets(text) == text


@pytest.mark.parametrize("text", [text for text, _ in SECRETS[:2]])
def test_an_address_with_a_secret_is_refused_without_showing_it(text):
    with pytest.raises(ValueError, match="must hold no password") as caught:
        without_secrets(text)
    assert "word" not in str(caught.value).replace("password", "")
    assert "abc" not in str(caught.value)


def test_what_lies_in_what(tmp_path):
    assert same_or_below(tmp_path / "a" / "b", tmp_path / "a")
    assert not same_or_below(tmp_path / "ab", tmp_path / "a")
    assert same_or_below(locate("memory://a/b"), locate("memory://a/b"))
    assert same_or_below(locate("memory://a/b/c"), locate("memory://a/b"))
    assert not same_or_below(locate("memory://a/bc"), locate("memory://a/b"))
    assert not same_or_below(tmp_path, locate("memory://a"))
