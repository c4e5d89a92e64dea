import numpy as np
import pytest
import torch
from tamis.kernels import noise
from tamis.kernels.noise import philox, uniform

ALL = 0xFFFFFFFF
# Random123's known answers for philox4x32-10: counter, key, words
KNOWN = [
    ((0, 0, 0, 0), (0, 0), "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ((ALL,) * 4, (ALL,) * 2, "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        "d16cfe09 94fdcceb 5001e420 24126ea1",
    ),
]


def arguments(keys=(5, -7, 2**40), copies=(0, 1, 29), first=(0, 3, -2)):
    return [torch.tensor(values, dtype=torch.int64) for values in (keys, copies, first)]


@pytest.mark.parametrize(("counter", "key", "expected"), KNOWN)
def test_known_answers(counter, key, expected):
    words = [torch.tensor([[word]]) for word in (*counter, *key)]
    found = philox(tuple(words[:4]), tuple(words[4:]))
    assert " ".join(f"{word.item():08x}" for word in found) == expected


def test_a_value_worked_by_hand():
    """Counter 0 and key 0: the first known answer, as floats."""
    found = uniform(*arguments((0,), (0,), (0,)), 1, 4)[0, 0].tolist()
    words = (int(word, 16) for word in KNOWN[0][2].split())
    assert found == [(word >> 8) / 2**23 - 1 for word in words]


def test_where_key_copy_and_position_go():
    key = (0x299F31D0 << 32 | 0xA4093822) & (2**63 - 1)
    found = uniform(*arguments((key,), (9,), (7,)), 1, 12)[0, 0, 8:]
    words = philox(
        tuple(torch.tensor([[word]]) for word in (2, 7, 9, 0)),
        tuple(torch.tensor([[word]]) for word in (key & ALL, key >> 32)),
    )
    assert found.tolist() == [(word.item() >> 8) / 2**23 - 1 for word in words]


@pytest.mark.parametrize("dim", [1, 4, 7, 64])
def test_a_value_depends_on_its_own_place_only(dim, monkeypatch):
    whole = uniform(*arguments(), 9, dim)
    assert whole.shape == (3, 9, dim)
    one = uniform(*(tensor[1:2] for tensor in arguments()), 9, dim)
    assert torch.equal(one[0], whole[1])
    later = uniform(*arguments(first=(4, 7, 2)), 5, dim)
    assert torch.equal(later, whole[:, 4:])
    assert torch.equal(uniform(*arguments(), 9, 65)[..., :dim], whole[..., : min(dim, 65)])
    monkeypatch.setattr(noise, "CHUNK", 1)
    assert torch.equal(uniform(*arguments(), 9, dim), whole)


def test_every_key_copy_and_position_has_its_own():
    keys = torch.tensor([1, 1, 2, 1 + 2**32, -1])
    copies = torch.tensor([0, 1, 0, 0, 0])
    found = uniform(keys, copies, torch.zeros(5, dtype=torch.int64), 50, 16)
    assert len(found.flatten().unique()) > 0.999 * found.numel()


def test_uniform_in_minus_one_to_one():
    values = uniform(*arguments(), 300, 256).double()
    n = values.numel()
    assert -1 <= values.min() < -0.9999
    assert 0.9999 < values.max() < 1
    assert abs(values.mean()) < 5 / np.sqrt(3 * n)
    assert abs((values**2).mean() - 1 / 3) < 5 * np.sqrt(4 / 45 / n)
    shifted = (values[:, 1:] * values[:, :-1]).mean(), (values[0] * values[1]).mean()
    assert max(abs(product) for product in shifted) < 5 / 3 / np.sqrt(n / 3)


def test_nothing():
    empty = torch.zeros(0, dtype=torch.int64)
    assert uniform(empty, empty, empty, 3, 4).shape == (0, 3, 4)
    assert uniform(*arguments(), 0, 4).shape == (3, 0, 4)


def test_errors():
    keys, copies, first = arguments()
    with pytest.raises(ValueError, match="copies must be int64"):
        uniform(keys, copies.int(), first, 2, 4)
    with pytest.raises(ValueError, match=r"first must be int64 of shape \(3,\)"):
        uniform(keys, copies, first[:2], 2, 4)
    with pytest.raises(ValueError, match="got 2 and 0"):
        uniform(keys, copies, first, 2, 0)
