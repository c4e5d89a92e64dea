import pytest
import torch
from tamis.kernels.adam import adam_direction

M = torch.tensor([1e-4, -2e-4, 0.0])
V = torch.tensor([1e-8, 4e-8, 1e-10])
G = torch.tensor([[3e-4, 1e-4, -2e-5]])
TARGET = torch.tensor([2e-4, 0.0, 1e-4])


def cosine(a, b):
    return float(torch.nn.functional.cosine_similarity(a[0], b, dim=0))


@pytest.mark.parametrize(
    ("mode", "expected", "cos"),
    [
        ("adam", [0.846836, -0.760491, -0.019900], 0.657552),
        ("adam_outside", [1.195110, -0.850276, -0.199501], 0.661873),
    ],
)
def test_worked_by_hand(mode, expected, cos):
    """m' = 1.2e-4, -1.7e-4, -2e-6; v' = 1.008e-8, 3.997e-8, 1.003e-10."""
    found = G.clone()
    adam_direction(found, M, V, mode)
    torch.testing.assert_close(found, torch.tensor([expected]), rtol=1e-5, atol=1e-6)
    assert cosine(found, TARGET) == pytest.approx(cos, abs=1e-5)
    assert cosine(G, TARGET) == pytest.approx(0.818608, abs=1e-6)


def test_state_of_the_published_issue():
    """With v far below 1e-8 the place of the constant is two orders of magnitude."""
    size = {}
    for mode in ("adam", "adam_outside"):
        found = torch.zeros(1, 1)
        adam_direction(found, torch.tensor([-3.4e-7]), torch.tensor([7.6e-13]), mode)
        size[mode] = abs(float(found))
    assert size["adam"] == pytest.approx(0.0031, rel=0.02)
    assert size["adam_outside"] == pytest.approx(0.347, rel=0.02)


@pytest.mark.parametrize("steps", [0, 1, 7])
def test_corrected_is_the_step_of_torch(steps):
    weight = torch.nn.Parameter(torch.zeros(4))
    optimizer = torch.optim.AdamW([weight], lr=1.0, weight_decay=0.0, eps=1e-8)
    generator = torch.Generator().manual_seed(0)
    for _ in range(steps):
        weight.grad = torch.randn(4, generator=generator)
        optimizer.step()
    state = optimizer.state[weight]
    m, v = (state.get(k, torch.zeros(4)).clone() for k in ("exp_avg", "exp_avg_sq"))
    grad, before = torch.randn(4, generator=generator), weight.detach().clone()
    weight.grad = grad.clone()
    optimizer.step()
    found = grad[None].clone()
    adam_direction(found, m, v, "adam_corrected", steps)
    torch.testing.assert_close(found[0], before - weight.detach(), rtol=1e-5, atol=1e-6)


def test_rows_apart():
    grads = torch.randn(5, 3, generator=torch.Generator().manual_seed(1)) * 1e-4
    together = grads.clone()
    adam_direction(together, M, V)
    for row, expected in zip(grads, together, strict=True):
        alone = row[None].clone()
        adam_direction(alone, M, V)
        assert torch.equal(alone[0], expected)


@pytest.mark.parametrize(
    ("change", "message"),
    [({"mode": "sgd"}, "mode"), ({"m": M[:2]}, "moments"), ({"step": -1}, "step")],
)
def test_what_does_not_fit(change, message):
    with pytest.raises(ValueError, match=message):
        adam_direction(**{"grads": G.clone(), "m": M, "v": V, "mode": "adam", "step": 0} | change)
