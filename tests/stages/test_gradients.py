import numpy as np
import pytest
import torch
from tamis.errors import ModelError
from tamis.stages import gradients as module
from tamis.stages.gradients import GradientPass
from tamis.stages.sinks import Dense
from tamis.tests.stages.trained import adapted
from tamis.tests.tiny import make_model

FAMILIES = ["gpt2", "llama", "qwen2", "gpt_neox", "opt"]


@pytest.fixture(scope="module", params=FAMILIES)
def model(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    return make_model(folder, request.param)


def rows_of(n, seed=0, longest=40, vocab=300):
    """Random sequences of different lengths, with scattered scored tokens."""
    random = np.random.default_rng(seed)
    ids = [random.integers(0, vocab, random.integers(4, longest)).tolist() for _ in range(n)]
    positions = []
    for row in ids:
        some = np.flatnonzero(random.random(len(row)) < 0.5)
        positions.append(np.union1d(some[some > 0], [len(row) // 2]))
    return ids, positions


def one_by_one(lm, lora, ids, positions):
    """A backward for each row through the model's own graph, full logits; (rows, numbers)."""
    out = []
    weights = list(lora.parameters.values())
    for weight in weights:
        weight.requires_grad_(True)
    for row, some in zip(ids, positions, strict=True):
        hidden = lm.hidden(torch.tensor([row]))[0]
        logits = hidden @ lm.head.weight.T * lm.head.scale
        losses = torch.nn.functional.cross_entropy(
            logits[some - 1], torch.tensor(row)[some], reduction="none"
        )
        found = torch.autograd.grad(losses.mean(), weights)
        out.append(torch.cat([gradient.flatten() for gradient in found]))
    return torch.stack(out)


def batched(lm, lora, ids, positions, budget=512, **fields):
    sink = Dense(len(ids), lora.sizes, **{"dim": None} | fields)
    one = GradientPass(lm, lora, ids, positions, [sink], budget)
    status = one.run()
    return sink.result(), status, one


def test_equals_one_backward_per_row(model):
    lm, lora = adapted(model)
    ids, positions = rows_of(12)
    expected = one_by_one(lm, lora, ids, positions)
    assert expected.norm(dim=1).min() > 0
    found, status, one = batched(lm, lora, ids, positions)
    assert list(status) == ["ok"] * 12
    assert one.padded > one.tokens  # so there was padding that could have leaked
    error = (found - expected).norm(dim=1) / expected.norm(dim=1)
    assert error.max() < 1e-4
    at = 0
    for name, size in zip(lora.parameters, lora.sizes, strict=True):  # each parameter by itself
        ours, theirs = (some[:, at : at + size] for some in (found, expected))
        assert (ours - theirs).norm() < 1e-4 * theirs.norm(), name
        at += size


def test_batch_budget_and_order_do_not_matter(gpt2):
    lm, lora = adapted(gpt2)
    ids, positions = rows_of(10)
    whole, _, _ = batched(lm, lora, ids, positions, 100_000)
    for budget in (1, 90):
        found, _, _ = batched(lm, lora, ids, positions, budget)
        assert ((found - whole).norm(dim=1) < 1e-4 * whole.norm(dim=1)).all()
    order = np.random.default_rng(1).permutation(10)
    found, _, _ = batched(lm, lora, [ids[i] for i in order], [positions[i] for i in order])
    assert ((found - whole[order]).norm(dim=1) < 1e-4 * whole.norm(dim=1)).all()


def test_padding_may_hold_anything(gpt2):
    """The token that fills up has a huge embedding, and no row holds it."""
    lm, lora = adapted(gpt2)
    ids, positions = rows_of(6)
    ids = [[max(token, 1) for token in row] for row in ids]
    clean, _, _ = batched(lm, lora, ids, positions, 10_000)

    def spoil(layer, inputs, output):
        output[inputs[0] == 0] = 1e4

    handle = lm.backbone.wte.register_forward_hook(spoil)
    found, status, one = batched(lm, lora, ids, positions, 10_000)
    handle.remove()
    assert one.padded > one.tokens
    assert list(status) == ["ok"] * 6
    torch.testing.assert_close(found, clean, rtol=1e-4, atol=1e-6)


def test_a_row_that_is_not_finite_spoils_no_other(gpt2):
    lm, lora = adapted(gpt2)
    ids, positions = rows_of(5)
    ids = [[token if i != 2 else 7 for token in row] for i, row in enumerate(ids)]
    ids = [[8 if token == 7 and i != 2 else token for token in row] for i, row in enumerate(ids)]
    clean, _, _ = batched(lm, lora, ids, positions, 10_000)

    def spoil(layer, inputs, output):
        output[inputs[0] == 7] = float("nan")

    handle = lm.backbone.wte.register_forward_hook(spoil)
    found, status, _ = batched(lm, lora, ids, positions, 10_000)
    handle.remove()
    assert list(status) == ["ok", "ok", "not_finite", "ok", "ok"]
    others = [0, 1, 3, 4]
    torch.testing.assert_close(found[others], clean[others], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("memory", [1 << 30, 1 << 14])
def test_out_of_memory_halves_the_batch(gpt2, monkeypatch, memory):
    lm, lora = adapted(gpt2)
    ids, positions = rows_of(9)
    whole, _, _ = batched(lm, lora, ids, positions, 10_000, dim=16, memory=memory)
    plain = module.GradientPass._run_batch

    def small(self, batch):
        found = plain(self, batch)  # what it gave to the sinks must be forgotten
        if len(batch) > 2:
            raise MemoryError
        return found

    monkeypatch.setattr(module.GradientPass, "_run_batch", small)
    found, _, one = batched(lm, lora, ids, positions, 10_000, dim=16, memory=memory)
    assert one.splits > 0
    torch.testing.assert_close(found, whole, rtol=1e-3, atol=1e-5)


def test_leaves_the_model_as_it_was(gpt2):
    lm, lora = adapted(gpt2)
    ids, positions = rows_of(3)
    before = [weight.clone() for weight in lora.parameters.values()]
    batched(lm, lora, ids, positions)
    for weight, was in zip(lora.parameters.values(), before, strict=True):
        assert weight.requires_grad and weight.grad is None and torch.equal(weight, was)
    assert not any(m._forward_hooks for m in lora.modules)


def test_an_adapter_that_takes_no_part(gpt2):
    lm, lora = adapted(gpt2)
    lora.modules.append(torch.nn.Linear(2, 2))
    lora.parameters["other"] = torch.nn.Parameter(torch.zeros(2, 2))
    with pytest.raises(ModelError, match="1 of 9 adapter matrices took no part"):
        batched(lm, lora, *rows_of(2))
