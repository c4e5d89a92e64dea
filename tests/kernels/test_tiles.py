import pytest
from tamis.kernels.tiles import Tile, choose_splits, choose_tile

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


def test_the_state_of_8192_tokens_takes_at_most_6_mb():
    for capability in (80, 86, 90, 100, 120):
        tile = choose_tile(2304, 2, capability, True)
        splits, _ = choose_splits(8192, 256_000, tile, 132)
        assert 5 * 4 * splits * 8192 < 3 << 20  # as much again while they are merged


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
