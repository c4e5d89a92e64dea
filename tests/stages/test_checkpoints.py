import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from tamis.errors import ArtifactError, ModelError
from tamis.stages.checkpoints import (
    check_alike,
    checkpoint_weights,
    content_of,
    has_moments,
    read_moments,
    read_weights,
    write_checkpoint,
)
from tamis.stages.facts import facts_of

WEIGHTS = {"base_model.model.h.0.x.lora_A.weight": torch.ones(2, 3)}
MOMENTS = {name: (torch.ones(2, 3), torch.full((2, 3), 2.0)) for name in WEIGHTS}
SETTINGS = {"peft_type": "LORA", "bias": "none", "r": 2, "lora_alpha": 4}


FILES = ["adapter_config.json", "adapter_model.safetensors", "moments.safetensors"]


def written(folder, **settings):
    write_checkpoint(folder, SETTINGS | settings, WEIGHTS, MOMENTS, {"steps": 3})
    return str(folder)


def rewrite(folder, **fields):
    """Settings as somebody else writes them: without a checkpoint.json that sums them."""
    path = folder / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))
    (folder / "checkpoint.json").unlink(missing_ok=True)


def test_what_is_written_is_read(tmp_path):
    path = written(tmp_path / "a")
    assert torch.equal(read_weights(path)[next(iter(WEIGHTS))], torch.ones(2, 3))
    m, v = read_moments(path, WEIGHTS)[next(iter(WEIGHTS))]
    assert m.eq(1).all() and v.eq(2).all()
    facts = dict(facts_of(path))
    assert set(facts.pop("sha256")) == set(FILES)
    assert facts == {"format": "tamis-checkpoint", "version": 1, "steps": 3}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a"]


def test_a_checkpoint_that_stands_there_stays(tmp_path):
    path = written(tmp_path / "a")
    before = content_of(path)
    write_checkpoint(tmp_path / "a", SETTINGS, WEIGHTS, MOMENTS, {"steps": 9})
    assert content_of(path) == before and sorted(p.name for p in tmp_path.iterdir()) == ["a"]


def test_content_names_every_file(tmp_path):
    same, other = written(tmp_path / "a"), written(tmp_path / "b")
    assert content_of(same) == content_of(other)
    save_file(
        dict(load_file(f"{other}/moments.safetensors"), x=torch.ones(1)),
        f"{other}/moments.safetensors",
    )
    assert content_of(same) != content_of(other)


def test_no_moments(tmp_path):
    path = written(tmp_path / "a")
    (tmp_path / "a/moments.safetensors").unlink()
    assert not has_moments(path)
    with pytest.raises(ModelError, match=r"has no moments\.safetensors.*direction: plain"):
        read_moments(path, WEIGHTS)


def test_moments_of_other_parameters(tmp_path):
    path = written(tmp_path / "a")
    with pytest.raises(ArtifactError, match="not of the parameters"):
        read_moments(path, {"other": torch.ones(1)})


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"peft_type": "IA3"}, "peft_type is 'IA3'; only plain LoRA"),
        ({"use_dora": True}, "use_dora is True"),
        ({"bias": "all"}, "bias is 'all'"),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save is set"),
        ({"use_qalora": True}, "use_qalora is set"),
        ({"alora_invocation_tokens": [3]}, "alora_invocation_tokens is set"),
        ({"unheard_of": {"a": 1}}, "unheard_of is set"),
        ({"init_lora_weights": "pissa"}, "'pissa', which changes the model's own weights"),
        ({"r": "x"}, "r is 'x'"),
        ({"r": 0}, "r is 0"),
        ({"lora_alpha": "8"}, "lora_alpha is '8'"),
        ({"rank_pattern": [1]}, "rank_pattern is "),
    ],
)
def test_adapters_that_are_not_plain_lora(tmp_path, fields, message):
    path = written(tmp_path / "a")
    rewrite(tmp_path / "a", **fields)
    with pytest.raises(ModelError, match=message):
        read_weights(path)


def test_folders_without_an_adapter(tmp_path):
    with pytest.raises(ModelError, match=r"has no adapter_config\.json"):
        content_of(str(tmp_path / "nowhere"))
    (tmp_path / "adapter_config.json").write_text("{}")
    (tmp_path / "adapter_model.bin").write_bytes(b"pickle")
    with pytest.raises(ModelError, match=r"has no adapter_model\.safetensors"):
        content_of(str(tmp_path))


def test_a_half_checkpoint_is_replaced_and_a_whole_one_is_not_touched(tmp_path):
    path = written(tmp_path / "a")
    (tmp_path / "a/moments.safetensors").rename(tmp_path / "a/moments.safetensors.damaged")
    written(tmp_path / "a")
    assert has_moments(path) and sorted(p.name for p in tmp_path.iterdir()) == ["a"]
    inode = (tmp_path / "a").stat().st_ino
    written(tmp_path / "a")
    assert (tmp_path / "a").stat().st_ino == inode


def test_weights_are_the_learning_rates(tmp_path):
    for name, rate in (("a", 3e-5), ("b", 1e-5), ("zero", 0.0)):
        facts = {"steps": 1, "mean_learning_rate": rate}
        write_checkpoint(tmp_path / name, SETTINGS, WEIGHTS, MOMENTS, facts)
    a, b, zero = (str(tmp_path / name) for name in ("a", "b", "zero"))
    assert checkpoint_weights([a, b], ()).tolist() == pytest.approx([0.75, 0.25])
    assert checkpoint_weights([a, b], (1, 3)).tolist() == [0.25, 0.75]
    assert checkpoint_weights([a, zero], ()).tolist() == [1, 0]
    with pytest.raises(ModelError, match=r"rate was 0 in every step.*a smaller warmup\.batch"):
        checkpoint_weights([zero], ())


def test_adapters_must_be_alike(tmp_path):
    one, other = written(tmp_path / "a"), written(tmp_path / "b", lora_dropout=0.3)
    check_alike([one, other])
    rewrite(tmp_path / "b", lora_alpha=5)
    with pytest.raises(ModelError, match="not alike: lora_alpha is 4 and 5"):
        check_alike([one, other])
