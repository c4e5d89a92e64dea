import pytest
import torch
from tamis.kernels import logits
from tamis.kernels.logits import LMHead
from tamis.kernels.token_loss import token_loss

HEADS = {
    "plain": {},
    "bias": {"bias": torch.linspace(-1, 1, 517)},
    "cohere": {"scale": 0.25},
    "negative": {"scale": -0.5, "softcap": 3.0},
    "gemma": {"softcap": 3.0, "temperature": 0.7, "scale": 1.5, "bias": torch.linspace(1, -1, 517)},
}


def problem(dtype=torch.float32, n=70, dim=24, vocab=517):
    generator = torch.Generator().manual_seed(3)
    hidden = torch.randn(n, dim, generator=generator).to(dtype)
    weight = (torch.randn(vocab, dim, generator=generator) * 0.5).to(dtype)
    targets = torch.randint(vocab, (n,), generator=generator)
    grad = torch.randn(n, generator=generator)
    return hidden, weight, targets, grad


def autograd(hidden, head, targets, grad):
    """The same by torch on whole logits in fp64."""
    exact = hidden.double().requires_grad_()
    z = exact @ head.weight.double().T
    z = z + (0 if head.bias is None else head.bias.double())
    z = z * head.scale
    if head.softcap is not None:
        z = torch.tanh(z / head.softcap) * head.softcap
    loss = torch.nn.functional.cross_entropy(z / head.temperature, targets, reduction="none")
    loss.backward(grad.double())
    return loss.detach(), exact.grad


@pytest.mark.parametrize("fields", HEADS.values(), ids=HEADS)
@pytest.mark.parametrize("tiles", [(512, 2048), (16, 100)])
def test_loss_and_gradient_are_those_of_autograd(monkeypatch, fields, tiles):
    monkeypatch.setattr(logits, "TILE_ROWS", tiles[0])
    monkeypatch.setattr(logits, "TILE_VOCAB", tiles[1])
    hidden, weight, targets, grad = problem()
    head = LMHead(weight, **fields)
    expected, expected_grad = autograd(hidden, head, targets, grad)
    hidden.requires_grad_()
    loss = token_loss(hidden, head, targets)
    loss.backward(grad)
    torch.testing.assert_close(loss.detach().double(), expected, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(hidden.grad.double(), expected_grad, rtol=1e-5, atol=2e-6)


def test_padded_words_take_no_part():
    hidden, weight, targets, grad = problem()
    targets %= 500
    _, expected = autograd(hidden, LMHead(weight[:500]), targets, grad)
    hidden.requires_grad_()
    token_loss(hidden, LMHead(weight, vocab=500), targets).backward(grad)
    torch.testing.assert_close(hidden.grad.double(), expected, rtol=1e-5, atol=2e-6)


def test_there_is_no_second_derivative_and_no_ignored_token():
    hidden, weight, targets, grad = problem()
    hidden.requires_grad_()
    loss = token_loss(hidden, LMHead(weight), targets)
    (first,) = torch.autograd.grad(loss, hidden, grad.requires_grad_(), create_graph=True)
    with pytest.raises(RuntimeError, match=r"once_differentiable|does not require grad|twice"):
        first.sum().backward()
    with pytest.raises(ValueError, match=r"\[0, 517\); got -100"):
        token_loss(hidden, LMHead(weight), torch.full_like(targets, -100))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_rounded_once_at_the_end(dtype):
    hidden, weight, targets, grad = problem(dtype)
    head = LMHead(weight)
    _, expected = autograd(hidden, head, targets, grad)
    hidden.requires_grad_()
    token_loss(hidden, head, targets).backward(grad)
    assert hidden.grad.dtype == dtype
    torch.testing.assert_close(
        hidden.grad.double(), expected, rtol=2 * torch.finfo(dtype).eps, atol=1e-4
    )


def test_by_hand():
    # two words, logits h and 0, target the first: loss log(1 + e^-h), gradient -1 / (1 + e^h)
    hidden = torch.tensor([[0.0], [2.0]], requires_grad=True)
    loss = token_loss(hidden, LMHead(torch.tensor([[1.0], [0.0]])), torch.tensor([0, 0]))
    loss.sum().backward()
    torch.testing.assert_close(loss.detach(), torch.tensor([0.6931472, 0.1269280]))
    torch.testing.assert_close(hidden.grad, torch.tensor([[-0.5], [-0.1192029]]))


def test_a_tiny_loss_keeps_a_tiny_gradient():
    hidden = torch.tensor([[30.0]], requires_grad=True)
    loss = token_loss(hidden, LMHead(torch.tensor([[1.0], [-1.0]])), torch.tensor([0]))
    loss.backward(torch.ones(1))
    assert float(loss.detach()) == pytest.approx(8.756511e-27, rel=1e-5, abs=0)
    assert float(hidden.grad) == pytest.approx(-2 * 8.756511e-27, rel=1e-5, abs=0)


def test_no_tokens():
    hidden = torch.zeros(0, 4, requires_grad=True)
    token_loss(hidden, LMHead(torch.ones(7, 4)), torch.zeros(0, dtype=torch.int64)).sum().backward()
    assert hidden.grad.shape == (0, 4)


def test_the_head_gets_no_gradient():
    weight = torch.ones(7, 4, requires_grad=True)
    hidden = torch.ones(2, 4, requires_grad=True)
    token_loss(hidden, LMHead(weight), torch.tensor([0, 1])).sum().backward()
    assert weight.grad is None
