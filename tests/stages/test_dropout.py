import numpy as np
import pytest
import torch
from tamis.errors import ModelError
from tamis.stages import models
from tamis.stages.adapters import NAME, attach_new
from tamis.stages.dropout import RowDropout, draw, dropouts

KEYS = torch.tensor([5, -7, 1 << 60])


def module(p=0.25, layer=0):
    return RowDropout(p, layer, "torch").train()


def test_drops_the_share_and_keeps_the_mean():
    own = module()
    draw([own], KEYS, 400)
    out = own(torch.ones(3, 400, 64))
    assert set(np.unique(out.numpy())) == {0.0, np.float32(1 / 0.75)}
    assert float((out == 0).float().mean()) == pytest.approx(0.25, abs=0.006)  # 4 deviations
    assert own.eval()(torch.ones(3, 400, 64)).eq(1).all()


def test_a_row_has_the_same_mask_in_any_batch():
    own = module()
    draw([own], KEYS, 9)
    whole = own(torch.ones(3, 9, 16))
    draw([own], KEYS[[2, 0]], 5)
    part = own(torch.ones(2, 5, 16))
    assert torch.equal(part, whole[[2, 0], :5])
    assert torch.equal(own(torch.ones(10, 16)), part.view(10, 16))
    assert not torch.equal(whole[0], whole[1])
    other = module(layer=1)
    draw([other], KEYS[[2, 0]], 5)
    assert not torch.equal(other(torch.ones(2, 5, 16)), part)


def test_inputs_of_some_positions_are_refused():
    own = module()
    with pytest.raises(ModelError, match=r"sees \(2, 5, 16\) inputs.*set warmup.dropout: 0"):
        own(torch.ones(2, 5, 16))
    draw([own], KEYS, 9)
    with pytest.raises(ModelError, match="not every position"):
        own(torch.ones(13, 16))


def test_takes_the_place_of_the_adapters_own(gpt2):
    lm = models.load(str(gpt2))
    lora = attach_new(lm, "m", {"r": 2, "lora_alpha": 4, "lora_dropout": 0.1}, ())
    found = dropouts(lm.backbone, NAME, "torch")
    assert [own.layer for own in found] == list(range(len(found))) and len(found) >= 4
    assert all(own.p == 0.1 and not own.training for own in found)
    with torch.no_grad():
        for weight in lora.parameters.values():
            weight.normal_(generator=torch.Generator().manual_seed(0))
    seen, ids = [], torch.arange(12).view(2, 6)
    lora.modules[0].register_forward_pre_hook(lambda module, given: seen.append(given[0].detach()))
    lm.hidden(ids)
    for own in found:
        own.train()
    draw(found, KEYS[:2], 6)
    lm.hidden(ids)
    mask = found[0](torch.ones(2, 6, seen[0].shape[-1]))  # what the first adapter sees of its input
    torch.testing.assert_close(seen[1], seen[0] * mask)
    assert 0 < float((mask == 0).float().mean()) < 0.3
    assert dropouts(lm.backbone, NAME, "torch") == []
