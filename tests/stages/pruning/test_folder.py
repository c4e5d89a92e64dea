import json

import pytest
import torch
from safetensors.torch import load_file
from tamis.errors import ConfigError, ModelError
from tamis.stages.pretrained import pretrained
from tamis.stages.pruning.folder import check_free, write_folder


def test_an_ordinary_folder(gpt2, tmp_path):
    lm, out = pretrained(str(gpt2)).eval(), tmp_path / "deep" / "out"
    write_folder(lm, gpt2, out, {"method": "none"})
    assert json.loads((out / "pruned.json").read_text()) == {"method": "none"}
    for file in gpt2.iterdir():
        assert (out / file.name).is_file()
        if file.name.startswith(("tokenizer", "chat_template")):
            assert (out / file.name).read_bytes() == file.read_bytes()
    found, expected = (load_file(f / "model.safetensors") for f in (out, gpt2))
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    assert [path.name for path in out.parent.iterdir()] == ["out"]


def test_a_model_that_was_pruned_before_says_so(gpt2, tmp_path):
    lm = pretrained(str(gpt2)).eval()
    write_folder(lm, gpt2, tmp_path / "a", {"method": "first"})
    write_folder(lm, tmp_path / "a", tmp_path / "b", {"method": "second"})
    said = json.loads((tmp_path / "b" / "pruned.json").read_text())
    assert said == {"method": "second", "before": {"method": "first"}}
    (tmp_path / "a" / "pruned.json").write_text("{broken")
    with pytest.raises(ModelError, match=r"pruned\.json' is not readable JSON"):
        write_folder(lm, tmp_path / "a", tmp_path / "c", {})


def test_a_folder_that_does_not_give_what_the_model_gives_is_not_left(gpt2, tmp_path):
    lm = pretrained(str(gpt2)).eval()
    lm.transformer.ln_f.register_forward_hook(lambda module, given, out: 2 * out)
    with pytest.raises(ModelError, match="written and loaded again, the pruned model gives other"):
        write_folder(lm, gpt2, tmp_path / "out", {})
    assert list(tmp_path.iterdir()) == []


def test_what_is_there_is_not_overwritten(tmp_path):
    check_free(tmp_path / "new")
    with pytest.raises(ConfigError, match="is there already; name a folder that is not"):
        check_free(tmp_path)
