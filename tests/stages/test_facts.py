import json

import pytest
from tamis.errors import ArtifactError
from tamis.stages.checkpoints import adapter_settings, read_moments, read_weights
from tamis.stages.facts import facts_of
from tamis.tests.stages.test_checkpoints import FILES, written


def test_facts_of_another_format(tmp_path):
    path = written(tmp_path / "a")
    (tmp_path / "a/checkpoint.json").write_text('{"format": "other"}')
    with pytest.raises(ArtifactError, match="is not of the format"):
        facts_of(path)
    (tmp_path / "a/checkpoint.json").write_text("{")
    with pytest.raises(ArtifactError):
        facts_of(path)


@pytest.mark.parametrize(
    ("name", "value"),
    [("mean_learning_rate", v) for v in ("abc", -1.0, float("nan"), None)]
    + [("steps", v) for v in (None, -3, 1.5)],
)
def test_facts_that_are_no_numbers(tmp_path, name, value):
    path = written(tmp_path / "a")
    file = tmp_path / "a/checkpoint.json"
    said = json.loads(file.read_text())
    del said["check"]
    file.write_text(json.dumps(said | {name: value}))
    with pytest.raises(ArtifactError, match=f"{name} is "):
        facts_of(path)


@pytest.mark.parametrize("name", FILES)
def test_a_flipped_byte_is_found(tmp_path, name):
    path = written(tmp_path / "a")
    content = bytearray((tmp_path / "a" / name).read_bytes())
    content[-1] ^= 1
    (tmp_path / "a" / name).write_bytes(content)
    with pytest.raises(ArtifactError, match=r"is not what checkpoint\.json says was written"):
        read_moments(path, read_weights(path))


def test_settings_are_summed_like_weights(tmp_path):
    path = written(tmp_path / "a")
    file = tmp_path / "a/adapter_config.json"
    file.write_text(file.read_text().replace('"lora_alpha": 4', '"lora_alpha": 400'))
    with pytest.raises(ArtifactError, match=r"adapter_config\.json: is not what"):
        adapter_settings(path)
    file.write_text("")
    with pytest.raises(ArtifactError, match=r"adapter_config\.json: is not what"):
        read_weights(path)


def test_facts_that_somebody_changed(tmp_path):
    path = written(tmp_path / "a")
    file = tmp_path / "a/checkpoint.json"
    file.write_text(file.read_text().replace('"steps": 3', '"steps": 4'))
    with pytest.raises(ArtifactError, match=r"checkpoint\.json: is not what was written"):
        facts_of(path)
