"""The table, the candidates and the splits; memory that a call takes."""

import weakref

import pytest
import torch
from tamis.kernels.backend import interpreting
from tamis.kernels.logits import LMHead
from tamis.kernels.tiles import LEAST_SPLITS, Tile, candidates, choose_splits, choose_tile
from tamis.kernels.token_stats import STATS
from tamis.tests.kernels.test_token_stats import problem
from torch.utils._python_dispatch import TorchDispatchMode

pytest.importorskip("triton")
from tamis.kernels import token_stats_triton as module
from tamis.tests.kernels.test_token_stats_kernels import matches

TILE = Tile(128, 256, 64, 8, 3)


@pytest.mark.parametrize("n", [0, 1, 128, 2048, 8192, 100_000])
@pytest.mark.parametrize("vocab", [0, 1, 256, 257, 50_257, 151_936, 256_000])
def test_splits_cover_the_vocabulary_and_none_is_empty(n, vocab):
    splits, span = choose_splits(n, vocab, TILE, 132)
    assert span % TILE.columns == 0
    assert splits * span >= vocab
    assert (splits - 1) * span < max(vocab, 1)


def test_many_tokens_take_few_splits_and_few_tokens_fill_the_gpu():
    splits, _ = choose_splits(8192, 256_000, TILE, 132)
    assert 8 <= splits <= 16
    splits, _ = choose_splits(128, 151_936, TILE, 132)
    assert splits >= 100


class Allocations(TorchDispatchMode):
    """Greatest number of bytes that were held at once by tensors made inside."""

    def __init__(self):
        super().__init__()
        self.held = {}
        self.live = self.peak = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for tensor in out if isinstance(out, tuple | list) else (out,):
            if isinstance(tensor, torch.Tensor):
                self.add(tensor, {s.data_ptr() for s in self.storages(args)})
        return out

    @staticmethod
    def storages(args):
        return (x.untyped_storage() for x in args if isinstance(x, torch.Tensor))

    def add(self, tensor, known):
        storage = tensor.untyped_storage()
        key = storage.data_ptr()
        if key in known and key not in self.held:
            return  # a view of what was there before, or an argument written in place
        if key not in self.held:
            self.held[key] = 0
            self.live += storage.nbytes()
            self.peak = max(self.peak, self.live)
        self.held[key] += 1
        weakref.finalize(tensor, self.drop, key, storage.nbytes())

    def drop(self, key, size):
        self.held[key] -= 1
        if not self.held[key]:
            del self.held[key]
            self.live -= size


@pytest.mark.parametrize(
    ("capability", "multiprocessors"),
    [(80, 108), (86, 84), (89, 128), (90, 132), (100, 148), (120, 170)],
)
@pytest.mark.parametrize("itemsize", [2, 4])
def test_memory_at_8192_tokens(monkeypatch, capability, multiprocessors, itemsize):
    """At most 6 MB beyond inputs and outputs, at 256,000 words, for each candidate."""
    n, vocab, dim = 8192, 256_000, 8
    hidden, weight = torch.zeros(n, dim), torch.zeros(vocab, dim)
    targets = torch.zeros(n, dtype=torch.int64)
    monkeypatch.setattr(module, "capability_of", lambda tensor: (capability, multiprocessors))
    monkeypatch.setattr(module, "choose", lambda *asked: "triton")

    def launch(hidden, head, targets, wanted, tile, span, logits, parts):
        programs = -(-n // tile.rows) * parts.shape[1]
        scratch = torch.empty(2 * 128 * programs * tile.specialised, dtype=torch.int8)
        assert len(scratch) < 1 << 20
        parts.fill_(1.0)
        logits.fill_(0.0)

    monkeypatch.setattr(module, "_launch", launch)
    for dim in (768, 2304):
        for tile in candidates(dim, itemsize, capability, True):
            with Allocations() as memory:
                found = module.token_stats_triton(hidden, LMHead(weight), targets, STATS, tile=tile)
            outputs = sum(values.nbytes for values in found.values())
            state = 5 * 4 * LEAST_SPLITS * n
            assert state < memory.peak - outputs <= 6_000_000, tile


@pytest.mark.parametrize("capability", [80, 86, 87, 89, 90, 100, 103, 120, 121])
@pytest.mark.parametrize("itemsize", [2, 4])
def test_every_architecture_has_a_tile(capability, itemsize):
    for dim in (768, 4096):
        for aligned in (False, True):
            tile = choose_tile(dim, itemsize, capability, aligned)
            for side in (tile.rows, tile.columns, tile.step):
                assert side >= 16
                assert side & (side - 1) == 0
            assert aligned or not tile.descriptors


@pytest.mark.parametrize("capability", [80, 86, 87, 89, 90, 100, 103, 120, 121])
@pytest.mark.parametrize("itemsize", [2, 4])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("aligned", [False, True])
def test_candidates_begin_with_the_table(capability, itemsize, bias, aligned):
    for dim in (768, 4096):
        found = candidates(dim, itemsize, capability, aligned, bias)
        assert found[0] == choose_tile(dim, itemsize, capability, aligned, bias)
        assert len(found) == len({*found}) > 1
        for tile in found:
            for side in (tile.rows, tile.columns, tile.step):
                assert side >= 16
                assert side & (side - 1) == 0
            assert aligned or not tile.descriptors
            assert tile.descriptors or not tile.specialised
            assert tile.warps == 4 or not tile.specialised


def test_an_old_compiler_has_fewer_candidates(monkeypatch):
    """3.6 specialises no epilogue in halves, and with a bias none without spills."""
    import triton

    def halves(bias):
        return {t.halves for t in candidates(4096, 2, 90, True, bias) if t.specialised}

    monkeypatch.setattr(triton, "__version__", "3.10.1")
    assert halves(False) == halves(True) == {True}
    monkeypatch.setattr(triton, "__version__", "3.6.0")
    assert halves(False) == {False}
    assert halves(True) == set()


@pytest.mark.skipif(not interpreting(), reason="a tile of its own for the interpreter")
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("specialised", [False, True])
def test_halves_and_specialised_programs_compute_the_same(bias, specialised):
    """Words end in the first half of a tile; one target lies in each half."""
    hidden, weight, targets = problem(n=19, d=40, vocab=150)
    targets[:3] = torch.tensor([149, 40, 64])
    head = LMHead(weight, torch.linspace(-1, 1, 150) if bias else None, softcap=5.0)
    tile = Tile(16, 64, 32, 4, 1, descriptors=specialised, specialised=specialised, halves=True)
    matches(hidden, head, targets, tile=tile, splits=(2, 128))
