import shutil

import numpy as np
import pyarrow as pa
import pytest
import torch
from tamis.errors import ModelError, WorkerError
from tamis.stages import models
from tamis.stages.checkpoints import content_of, read_moments, read_weights
from tamis.stages.crew import ALONE, Crew
from tamis.stages.facts import facts_of
from tamis.stages.lora import Training, last_epoch, training_of
from tamis.stages.signals.gradient import Gradient
from tamis.stages.warmup import Warmup, learning_rates
from tamis.tests.tiny import conversation

FILES = ("adapter_config.json", "adapter_model.safetensors", "moments.safetensors")
SMALL = Warmup(rank=4, alpha=16, learning_rate=5e-2, epochs=3, batch=8, seed=5, max_grad_norm=0)


def rows():
    """Rows whose answers all repeat one token, which is soon learned."""
    random = np.random.default_rng(0)
    ids = [[*random.integers(0, 300, random.integers(4, 20)).tolist(), *[9] * 4] for _ in range(20)]
    return ids, [np.arange(len(row) - 4, len(row)) for row in ids]


def train(
    model, folder, settings=SMALL, budget=128, progress=lambda rows, tokens: None, crew=ALONE
):
    lm = models.load(str(model))
    return list(Training(lm, str(model), settings, *rows(), budget, progress, crew).run(folder))


def same(left, right):
    return all((left / name).read_bytes() == (right / name).read_bytes() for name in FILES)


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_the_loss_falls_and_checkpoints_say_how(family, request, tmp_path):
    seen = []
    folder = request.getfixturevalue(family)
    found = train(folder, tmp_path, progress=lambda *done: seen.append(done))
    assert [facts["epoch"] for facts in found] == [1, 2, 3]
    assert [facts["steps"] for facts in found] == [3, 6, 9]  # 8 + 8 + 4 rows
    assert found[2]["loss"] < 0.8 * found[0]["loss"]
    rates = learning_rates(SMALL, 9).reshape(3, 3).mean(1)
    np.testing.assert_allclose([f["mean_learning_rate"] for f in found], rates)
    assert sum(n for n, _ in seen) == 60
    for number in (1, 2, 3):
        path = str(tmp_path / f"checkpoint-{number}")
        assert facts_of(path) == found[number - 1]
        weights = read_weights(path)
        moments = read_moments(path, weights)
        assert all(v.min() >= 0 and m.abs().max() > 0 for m, v in moments.values())


def test_goes_on_after_the_last_finished_epoch(gpt2, tmp_path):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    train(gpt2, whole)
    shutil.copytree(whole / "checkpoint-1", parts / "checkpoint-1")
    (parts / ".checkpoint-2.1.partial").mkdir()  # of one that broke off
    assert last_epoch(parts) == 1
    seen = []
    train(gpt2, parts, progress=lambda *done: seen.append(done))
    assert sum(n for n, _ in seen) == 40
    for number in (1, 2, 3):
        assert same(whole / f"checkpoint-{number}", parts / f"checkpoint-{number}")
    assert [facts["loss"] for facts in train(gpt2, parts, progress=None)] == [
        facts_of(str(whole / f"checkpoint-{number}"))["loss"] for number in (1, 2, 3)
    ]


def test_the_seed_decides_and_nothing_else(gpt2, tmp_path):
    torch.manual_seed(1)
    train(gpt2, tmp_path / "a")
    torch.manual_seed(2)
    before = torch.get_rng_state()
    train(gpt2, tmp_path / "b")
    assert torch.equal(torch.get_rng_state(), before)
    train(gpt2, tmp_path / "c", SMALL.model_copy(update={"seed": 6}))
    a, b, c = (content_of(str(tmp_path / name / "checkpoint-3")) for name in "abc")
    assert a == b != c


def test_one_step_is_that_of_torch(gpt2, tmp_path):
    """One batch, no dropout: gradients of the mean over rows of the mean over answer tokens."""
    fields = {"batch": 20, "epochs": 1, "dropout": 0, "warmup_ratio": 0, "max_grad_norm": 1.0}
    said = SMALL.model_copy(update=fields)
    train(gpt2, tmp_path, said, budget=64)
    from tamis.stages.adapters import attach_new

    lm = models.load(str(gpt2))
    with torch.random.fork_rng():
        torch.manual_seed(5)
        lora = attach_new(lm, "x", {"r": 4, "lora_alpha": 16.0, "lora_dropout": 0.0}, ())
    total = 0
    for ids, at in zip(*rows(), strict=True):
        logits = lm.hidden(torch.tensor([ids]))[0] @ lm.head.weight.T
        total = (
            total + torch.nn.functional.cross_entropy(logits[at - 1], torch.tensor(ids)[at]) / 20
        )
    total.backward()
    weights = list(lora.parameters.values())
    torch.nn.utils.clip_grad_norm_(weights, 1.0)
    found = read_moments(str(tmp_path / "checkpoint-1"), lora.parameters)
    for name, weight in lora.parameters.items():
        expected = 0.1 * weight.grad
        torch.testing.assert_close(found[name][0], expected, rtol=1e-3, atol=1e-6)
    assert facts_of(str(tmp_path / "checkpoint-1"))["loss"] == pytest.approx(total.item(), rel=1e-5)


def test_the_shares_of_a_step_add_up_to_it(gpt2, tmp_path):
    """What three workers would sum is the gradient and the loss of one; only the first writes."""
    fields = {"batch": 20, "epochs": 1, "dropout": 0.3, "warmup_ratio": 0}
    said = SMALL.model_copy(update=fields)
    (alone,) = train(gpt2, tmp_path / "alone", said)
    found = read_weights(str(tmp_path / "alone/checkpoint-1"))
    moments = read_moments(str(tmp_path / "alone/checkpoint-1"), found)
    said_by = []
    for rank in range(3):
        told = []
        crew = Crew(rank, 3, lambda tensor, told=told: told.append(tensor.clone()))
        yielded = train(gpt2, tmp_path / f"{rank}", said, crew=crew)
        assert len(yielded) == (rank == 0) == (tmp_path / f"{rank}").exists()
        said_by.append(told)
    *gradients, loss = (sum(parts) for parts in zip(*said_by, strict=True))
    assert float(loss) == pytest.approx(alone["loss"], rel=1e-6)
    for (m, _), gradient in zip(moments.values(), gradients, strict=True):
        torch.testing.assert_close(0.1 * gradient, m, rtol=1e-4, atol=1e-7)


def test_a_step_with_fewer_rows_than_workers(gpt2, tmp_path):
    said, seen = SMALL.model_copy(update={"batch": 19, "epochs": 1}), []
    crew = Crew(2, 3, lambda tensor: None)
    train(gpt2, tmp_path, said, progress=lambda *done: seen.append(done[0]), crew=crew)
    assert sum(seen) == 6  # of 19 rows, and none of the last one


@pytest.mark.slow
def test_the_budget_of_a_pass_moves_adapters_by_rounding(gpt2, tmp_path):
    said = SMALL.model_copy(update={"dropout": 0.3, "epochs": 2, "learning_rate": 1e-2})
    found = []
    for budget in (20, 128, 4096):
        train(gpt2, tmp_path / str(budget), said, budget=budget)
        weights = read_weights(str(tmp_path / str(budget) / "checkpoint-2"))
        found.append(torch.cat([weight.flatten() for weight in weights.values()]))
    for other in found[1:]:
        assert float((other - found[0]).norm() / found[0].norm()) < 1e-4
    train(gpt2, tmp_path / "none", said.model_copy(update={"dropout": 0}))
    plain = read_weights(str(tmp_path / "none/checkpoint-2"))
    bare = torch.cat([weight.flatten() for weight in plain.values()])
    assert float((bare - found[0]).norm() / found[0].norm()) > 1e-2  # so dropout did something


def test_out_of_memory_says_what_to_set(gpt2, tmp_path, monkeypatch):
    def full(self, rows, keys, trained):
        raise MemoryError

    monkeypatch.setattr(Training, "_step", full)
    with pytest.raises(WorkerError, match=r"set batch_tokens \(now 128\)"):
        train(gpt2, tmp_path)


def test_a_loss_that_is_not_finite(gpt2, tmp_path):
    said = SMALL.model_copy(update={"learning_rate": 1e30})
    with pytest.raises(
        ModelError, match=r"loss of the warm-up is nan .* lower warmup.learning_rate"
    ):
        train(gpt2, tmp_path, said)


@pytest.mark.parametrize("end_token", [True, False])
def test_the_end_of_an_answer_is_trained_on(gpt2, end_token):
    """Of the row that is cut at 12 tokens there is no end to train on."""
    stage = Gradient(model=str(gpt2), dtype="fp32", max_tokens=12, end_token=end_token)
    rows = [conversation("Sort 2 1.", "1 2"), conversation("Name a word.", "word " * 20)]
    table = pa.Table.from_pylist(rows, schema=stage.reads)
    training = training_of(stage, SMALL, table, lambda rows, tokens: None)
    end = training.lm.tokenizer.eos_token_id
    trained = [
        [ids[place] for place in some]
        for ids, some in zip(training.sequences, training.positions, strict=True)
    ]
    assert len(training.sequences[1]) == 12
    assert [some.count(end) for some in trained] == [int(end_token), 0]
    assert (training.sequences[0][-1] == end) == end_token
