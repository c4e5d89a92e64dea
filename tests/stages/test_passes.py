import numpy as np
import pytest
import torch
from tamis.errors import WorkerError
from tamis.kernels.logits import LMHead
from tamis.kernels.noise import uniform
from tamis.stages.models import LM
from tamis.stages.passes import Noise, Pass, Tokens


class Embedding:
    """A backbone whose hidden states are the tokens themselves; may run out of memory."""

    def __init__(self, limit=10**9, error=None):
        self.limit, self.calls = limit, []
        self.error = error or RuntimeError("DefaultCPUAllocator: can't allocate memory: 1 TB")

    def __call__(self, input_ids, use_cache):
        self.calls.append(tuple(input_ids.shape))
        if input_ids.numel() > self.limit:
            raise self.error
        states = torch.nn.functional.one_hot(input_ids, 8).float()
        return type("Output", (), {"last_hidden_state": states})


def lm(backbone):
    return LM(backbone, LMHead(torch.eye(8) * 3), None, "cpu")


SEQUENCES = [[1, 2, 3], [4, 4], [5, 6, 7, 0, 1], [2]]
EVERY = Tokens.of([np.arange(1, len(ids)) for ids in SEQUENCES])


def run(backbone, wanted=("loss", "rank"), pooling=None, budget=100):
    return Pass(
        lm(backbone), SEQUENCES, {"all": EVERY}, {"all": wanted}, pooling, batch_tokens=budget
    ).run()


def test_numbers_come_back_in_order_of_the_sequences():
    found = run(Embedding())
    same = np.array([ids[i] == ids[i - 1] for ids in SEQUENCES for i in range(1, len(ids))])
    assert (found.stats["all"]["rank"] == np.where(same, 0, 1)).all()
    assert found.stats["all"]["rank"].dtype == np.int32
    assert (found.status == "ok").all()
    assert found.tokens == 11


@pytest.mark.parametrize("budget", [1, 4, 6, 1000])
def test_any_batch_budget(budget):
    whole, found = run(Embedding()), run(Embedding(), budget=budget)
    np.testing.assert_allclose(found.stats["all"]["loss"], whole.stats["all"]["loss"], rtol=1e-5)
    assert found.padded >= found.tokens == 11


def test_vectors():
    found = run(Embedding(), pooling="last")
    assert found.vectors.argmax(1).tolist() == [ids[-1] for ids in SEQUENCES]


@pytest.mark.parametrize(
    "error",
    [None, MemoryError(), torch.OutOfMemoryError("CUDA out of memory")],
)
def test_out_of_memory_halves_the_batch_by_a_fixed_rule(error):
    backbone = Embedding(limit=6, error=error)
    found = run(backbone)
    np.testing.assert_allclose(
        found.stats["all"]["loss"], run(Embedding()).stats["all"]["loss"], rtol=1e-6
    )
    assert backbone.calls == [(4, 5), (2, 5), (1, 5), (1, 3), (2, 2)]
    assert found.splits == 2
    assert (found.status == "ok").all()


def test_a_sequence_that_does_not_fit_alone_ends_the_work_and_is_no_status():
    with pytest.raises(WorkerError, match="a sequence of 5 tokens does not fit into memory"):
        run(Embedding(limit=4))


def test_other_errors_are_not_taken_for_memory():
    with pytest.raises(RuntimeError, match="shape"):
        run(Embedding(limit=0, error=RuntimeError("bad shape")))


def test_infinite_states_are_a_status():
    class Broken(Embedding):
        def __call__(self, input_ids, use_cache):
            output = super().__call__(input_ids, use_cache)
            output.last_hidden_state[input_ids == 6] = float("inf")
            return output

    found = run(Broken())
    assert found.status.tolist() == ["ok", "ok", "not_finite", "ok"]
    vectors = run(Broken(), wanted=(), pooling="mean")  # no statistic looks at the states
    assert vectors.status.tolist() == ["ok", "ok", "not_finite", "ok"]


def test_infinite_logits_of_finite_states_are_a_status():
    weight = torch.eye(8) * 3
    weight[0, 7] = 3e38  # beyond fp32, once it is scaled
    model = LM(Embedding(), LMHead(weight, scale=2.0), None, "cpu")
    found = Pass(model, SEQUENCES, {"all": EVERY}, {"all": ("loss",)}).run()
    assert found.status.tolist() == ["ok", "ok", "not_finite", "ok"]


def test_no_sequences():
    found = Pass(lm(Embedding()), [], {"all": Tokens.of([])}, {"all": ("loss",)}).run()
    assert len(found.stats["all"]["loss"]) == len(found.status) == 0


def test_places_of_a_batch():
    places, rows = EVERY.at([2, 0])
    assert places.tolist() == [3, 4, 5, 6, 0, 1]
    assert rows.tolist() == [0, 0, 0, 0, 1, 1]


class Noisy(Embedding):
    """A backbone that also takes embeddings; they are its hidden states."""

    def get_input_embeddings(self):
        return torch.nn.Embedding.from_pretrained(torch.eye(8))

    def __call__(self, inputs_embeds, use_cache):
        self.calls.append(tuple(inputs_embeds.shape[:2]))
        if inputs_embeds[..., 0].numel() > self.limit:
            raise self.error
        return type("Output", (), {"last_hidden_state": inputs_embeds})


@pytest.mark.parametrize(("budget", "limit"), [(100, 10**9), (1, 10**9), (100, 6)])
def test_noise_belongs_to_the_sequence_in_any_batch(budget, limit):
    keys, copies, first = (np.array(v) for v in ([3, 4, 3, 5], [0, 0, 1, 2], [0, 2, 7, 0]))
    noise = Noise(keys, copies, first, np.array([0.5, 0.1, 1.0, 0.0]))
    backbone = Noisy(limit=limit)
    found = Pass(
        lm(backbone), SEQUENCES, {"all": EVERY}, {"all": ("loss",)}, None, budget, noise
    ).run()
    expected = []
    for i, ids in enumerate(SEQUENCES):
        one = [torch.tensor([int(values[i])]) for values in (keys, copies, first)]
        states = torch.eye(8)[ids] + uniform(*one, len(ids), 8)[0] * noise.scales[i]
        for place in range(1, len(ids)):
            logp = (states[place - 1] * 3).log_softmax(-1)
            expected.append(-logp[ids[place]].item())
    np.testing.assert_allclose(found.stats["all"]["loss"], expected, rtol=1e-5)
    assert (found.splits > 0) == (limit == 6)
