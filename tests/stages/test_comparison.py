import numpy as np
import pytest
import torch
from tamis.errors import WorkerError
from tamis.kernels.logits import LMHead
from tamis.stages.comparison import JSD, Comparison
from tamis.stages.models import LM
from tamis.stages.passes import Tokens

SEQUENCES = [[1, 2, 3], [4, 4], [5, 6, 7, 0, 1], [2]]
GROUPS = {
    "all": Tokens.of([np.arange(1, len(ids)) for ids in SEQUENCES]),
    "last": Tokens.of([np.arange(len(ids) - 1, len(ids)) if ids[1:] else [] for ids in SEQUENCES]),
}


class OneHot:
    """A backbone whose hidden states are the tokens; may run out of memory, or break at a token."""

    def __init__(self, limit=10**9, broken=-1):
        self.limit, self.broken, self.calls = limit, broken, []

    def __call__(self, input_ids, use_cache):
        self.calls.append(tuple(input_ids.shape))
        if input_ids.numel() > self.limit:
            raise MemoryError
        states = torch.nn.functional.one_hot(input_ids, 8).float()
        states[input_ids == self.broken] = float("inf")
        return type("Output", (), {"last_hidden_state": states})


def lm(scale, **fields):
    """A model that foresees the token before, the surer the larger `scale` is."""
    return LM(OneHot(**fields), LMHead(torch.eye(8) * scale), None, "cpu")


def expected(a, b):
    """The divergence of two such models, the same for every token, from the definition."""
    p, q = (torch.tensor([s, *[0.0] * 7], dtype=torch.float64).softmax(0) for s in (a, b))
    m = (p + q) / 2
    return float(((p * (p / m).log() + q * (q / m).log()) / 2).sum())


def compare(p, q, wanted=("all", "last"), keep=None, **fields):
    comparison = Comparison(SEQUENCES, GROUPS, wanted, **fields)
    if keep == "p":
        return comparison.run(comparison.keep(p), q)
    return comparison.run(p, comparison.keep(q) if keep else q)


@pytest.mark.parametrize("keep", [None, "p", "q"])
@pytest.mark.parametrize("budget", [1, 6, 100])
def test_every_token_of_every_group(keep, budget):
    found = compare(lm(3), lm(1), keep=keep, batch_tokens=budget)
    sizes = {name: len(values[JSD]) for name, values in found.stats.items()}
    assert sizes == {"all": 7, "last": 3}
    for values in found.stats.values():
        np.testing.assert_allclose(values[JSD], expected(3, 1), rtol=1e-5)
    assert found.status.tolist() == ["ok"] * 4
    assert found.tokens == 2 * 11
    assert found.padded >= found.tokens


def test_tokens_of_a_batch_that_the_second_model_halves_count_once():
    found = compare(lm(3), lm(1, limit=6))
    whole = compare(lm(3), lm(1))
    assert (found.splits, whole.splits) == (2, 0)
    assert found.tokens == whole.tokens == 2 * 11
    assert found.padded < whole.padded


@pytest.mark.parametrize("keep", [None, "p", "q"])
def test_out_of_memory_halves_the_batch_of_the_model_that_needs_it(keep):
    found = compare(lm(3, limit=6), lm(1), keep=keep)
    np.testing.assert_allclose(found.stats["all"][JSD], expected(3, 1), rtol=1e-5)
    assert found.splits == 2
    assert found.tokens == 2 * 11
    with pytest.raises(WorkerError, match="a sequence of 5 tokens does not fit"):
        compare(lm(3), lm(1, limit=4), keep=keep)


@pytest.mark.parametrize("keep", [None, "p", "q"])
@pytest.mark.parametrize("turned", [False, True])
def test_states_that_are_not_finite_are_a_status(keep, turned):
    """Also in a group that is looked at for the status alone; after the last token they count not.

    Token 2 stands before another in the first sequence, and is all of the last one.
    """
    pair = (lm(3, broken=2), lm(1))
    found = compare(*(pair[::-1] if turned else pair), wanted=("last",), keep=keep)
    assert found.status.tolist() == ["not_finite", "ok", "ok", "ok"]
    others = found.stats["last"][JSD][1:]
    np.testing.assert_allclose(others, expected(3, 1), rtol=1e-5)


def test_logits_that_are_not_finite_are_a_status():
    weight = torch.eye(8)
    weight[0, 7] = 3e38  # beyond fp32, once it is scaled
    model = LM(OneHot(), LMHead(weight, scale=2.0), None, "cpu")
    assert compare(model, lm(1)).status.tolist() == ["ok", "ok", "not_finite", "ok"]


def test_kept_states_have_the_dtype_of_the_model():
    model = lm(1)
    kept = Comparison(SEQUENCES, GROUPS, ["last"]).keep(model)
    assert list(kept.states) == ["last"]
    assert kept.states["last"].shape == (3, 8)
    assert kept.states["last"].dtype == torch.float32
    assert kept.head is model.head


def test_no_sequences():
    nothing = Comparison([], {"all": Tokens.of([])}, ["all"])
    assert len(nothing.run(nothing.keep(lm(1)), lm(2)).status) == 0
