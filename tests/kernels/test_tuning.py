"""The choice among timed candidates; the kernels are replaced, and so is the clock."""

import warnings

import pytest
import torch
from tamis.kernels.logits import LMHead
from tamis.tests.kernels.test_token_stats import problem

pytest.importorskip("triton")
from tamis.kernels import tuning
from tamis.kernels.tiles import Tile, candidates, choose_tile

TILES = candidates(64, 2, 90, True)


@pytest.fixture
def kernel(monkeypatch):
    """Calls that the replaced kernel got, by tile, and what it adds to its results."""
    calls, errors = [], {}

    def replaced(hidden, head, targets, stats, *, tile):
        calls.append(tile)
        values = torch.arange(len(hidden)) + errors.get(tile, 0.0)
        return {name: values.clone() for name in stats}

    monkeypatch.setattr(tuning, "token_stats_triton", replaced)
    return calls, errors


def tune(calls, times, **options):
    """Tune with a clock by which `times[tile]` are the runs of a tile."""
    left = {tile: list(values) for tile, values in times.items()}

    def timer(call):
        call()
        return left[calls[-1]].pop(0)

    hidden, weight, targets = problem(n=4, d=64, vocab=70, dtype=torch.float16)
    found = tuning.fastest_tile(hidden, LMHead(weight), targets, timer=timer, **options)
    assert all(not values for values in left.values()), "every run is timed"
    return found


def test_the_median_decides(kernel):
    calls, _ = kernel
    times = {tile: [5.0, 1.0, 9.0] for tile in TILES}
    times[TILES[2]] = [4.0, 4.5, 90.0]  # neither the least run nor the least mean
    times[TILES[1]] = [0.1, 6.0, 6.0]
    best, medians = tune(calls, times, runs=3)
    assert best == TILES[2]
    assert medians == {tile: 5.0 for tile in TILES} | {TILES[2]: 4.5, TILES[1]: 6.0}
    assert list(medians) == TILES


def test_warm_up_then_turns(kernel):
    calls, _ = kernel
    tune(calls, {tile: [1.0, 1.0] for tile in TILES}, runs=2)
    assert calls == TILES * 3


def test_the_table_wins_among_equals(kernel):
    best, _ = tune(kernel[0], {tile: [2.0] for tile in TILES}, runs=1)
    assert best == TILES[0] == choose_tile(64, 2, 90, True)


def test_wrong_numbers_are_left_out_however_fast(kernel):
    calls, errors = kernel
    errors[TILES[1]] = 0.1
    errors[TILES[2]] = 1e-5  # rounding
    times = {tile: [3.0] for tile in TILES if tile != TILES[1]} | {TILES[2]: [2.0]}
    with pytest.warns(RuntimeWarning, match="left out: its loss, entropy is not"):
        best, medians = tune(calls, times, runs=1, stats=("loss", "entropy", "rank"))
    assert best == TILES[2]
    assert medians[TILES[1]] == float("inf")
    assert list(medians) == TILES


def test_ranks_may_differ(kernel, monkeypatch):
    calls, errors = kernel
    errors[TILES[1]] = 1.0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tune(calls, {tile: [1.0] for tile in TILES}, runs=1, stats=("rank",))


def test_real_kernels_agree(monkeypatch):
    """Two tiles through the interpreter, with a bias and a hidden size that is no multiple."""
    pair = [Tile(16, 64, 32, 4, 1), Tile(16, 32, 16, 4, 1, halves=True)]
    monkeypatch.setattr(tuning, "candidates", lambda *key: pair)
    hidden, weight, targets = problem(n=20, d=40, vocab=130)
    ticks = iter([2.0, 1.0])

    def timer(call):
        assert call()["entropy"].shape == (20,)
        return next(ticks)

    head = LMHead(weight, torch.randn(130))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        best, medians = tuning.fastest_tile(
            hidden, head, targets, ("loss", "entropy"), runs=1, timer=timer
        )
    assert best == pair[1]
    assert medians == dict(zip(pair, (2.0, 1.0), strict=True))


def test_what_cannot_be_timed_is_said():
    hidden, weight, targets = problem(n=2, d=16, vocab=70)
    with pytest.raises(ValueError, match="needs an NVIDIA GPU; the tensors are on cpu"):
        tuning.fastest_tile(hidden, LMHead(weight), targets)
    for tokens, runs in ((0, 1), (2, 0)):
        with pytest.raises(ValueError, match=f"{tokens} tokens, {runs} runs"):
            tuning.fastest_tile(
                hidden[:tokens], LMHead(weight), targets[:tokens], runs=runs, timer=lambda call: 1.0
            )


@pytest.mark.gpu
def test_tuning_on_a_gpu():
    if not torch.cuda.is_available():
        pytest.skip("no GPU here")
    hidden, weight, targets = (x.cuda() for x in problem(n=256, d=128, vocab=1000))
    hidden, weight = hidden.bfloat16(), weight.bfloat16()
    best, medians = tuning.fastest_tile(hidden, LMHead(weight), targets, ("loss", "entropy"))
    assert medians[best] == min(medians.values()) > 0
    assert all(value < float("inf") for value in medians.values())
