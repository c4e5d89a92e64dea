import json

import pytest
import torch
from tamis.errors import ModelError
from tamis.stages.pretrained import first_line, pretrained, snapshot, text_config


def test_weights_come_as_they_are_stored_or_as_asked(gpt2):
    assert pretrained(str(gpt2)).dtype == torch.float32
    assert pretrained(str(gpt2), dtype=torch.bfloat16).dtype == torch.bfloat16


def test_a_folder_is_its_own_snapshot(gpt2):
    assert snapshot(str(gpt2), None) == gpt2
    with pytest.raises(ModelError, match=r"'no/such' at revision 'x' is neither a folder nor"):
        snapshot("no/such", "x")


def test_config_of_the_language_part(gpt2):
    assert text_config(str(gpt2), None).num_hidden_layers == 2


def test_a_config_that_is_broken_is_said(gpt2, tmp_path):
    for file in gpt2.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"model_type": "nothing"}))
    with pytest.raises(ModelError, match="cannot be loaded"):
        pretrained(str(tmp_path))


def test_first_line():
    assert first_line(ValueError("a\nb")) == "a"
    assert first_line(KeyError()) == "KeyError"
