import numpy as np
import pytest
from datasketch import MinHash, MinHashLSH
from tamis.stages import minhashing
from tamis.stages.grams import Lists
from tamis.stages.minhashing import bands, chance, permutations, signatures, values_of

DRAWN = permutations(1, 112)


def rows_of(sets):
    lengths = [len(own) for own in sets]
    flat = np.array([gram for own in sets for gram in own], np.uint64)
    return Lists(flat, np.concatenate([[0], np.cumsum(lengths, dtype=int)]))


def random_sets(n, size, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.integers(0, 2**63, rng.integers(1, size)).tolist() for _ in range(n)]


def sketch(values):
    """What datasketch makes of the same hashes with the same permutations."""
    own = MinHash(112, hashfunc=int, permutations=tuple(DRAWN), scheme="affine32")
    own.update_batch(values.tolist())
    return own


def test_equals_datasketch_to_the_bit():
    sets = rows_of(random_sets(40, 90))
    found = signatures(sets, DRAWN)
    for row in range(40):
        own = sets.values[sets.starts[row] : sets.starts[row + 1]]
        assert found[row].tolist() == sketch(values_of(own)).hashvalues.tolist()


def test_candidates_are_those_of_datasketch():
    """Sets of which many are alike: the pairs that share a band, from both."""
    rng = np.random.default_rng(1)
    base = [rng.integers(0, 2**63, 40) for _ in range(12)]
    sets = [np.where(rng.random(40) < 0.08, rng.integers(0, 2**63, 40), one) for one in base * 4]
    found = signatures(rows_of([own.tolist() for own in sets]), DRAWN)
    keys = bands(found, 14)
    ours = {(i, j) for i in range(48) for j in range(48) if i != j and set(keys[i]) & set(keys[j])}
    index = MinHashLSH(num_perm=112, params=(14, 8))
    sketches = [sketch(values_of(own.astype(np.uint64))) for own in sets]
    for row, own in enumerate(sketches):
        index.insert(row, own)
    theirs = {(i, j) for i, own in enumerate(sketches) for j in index.query(own) if i != j}
    assert ours == theirs and 40 < len(ours) < 48 * 47 / 2


def test_blocks_change_nothing(monkeypatch):
    sets = rows_of([*random_sets(30, 50), [], [1]])
    whole = signatures(sets, DRAWN)
    monkeypatch.setattr(minhashing, "BLOCK", 64)
    assert np.array_equal(signatures(sets, DRAWN), whole)


def test_no_ngrams_no_signature():
    assert (signatures(rows_of([[], [5]]), DRAWN)[0] == 2**32 - 1).all()
    assert signatures(rows_of([]), DRAWN).shape == (0, 112)


def test_order_and_copies_of_ngrams_do_not_matter():
    found = signatures(rows_of([[1, 2, 3], [3, 1, 2, 2, 1]]), DRAWN)
    assert np.array_equal(found[0], found[1])


def test_the_published_s_curve():
    """datatrove's 14 buckets of 8: half of the pairs at a similarity of about .72."""
    assert [round(chance(s, 8, 14), 4) for s in (0.5, 0.7, 0.8)] == [0.0533, 0.5645, 0.9235]
    assert pytest.approx(0.7190, abs=1e-4) == (1 / 14) ** (1 / 8)


@pytest.mark.parametrize(("similarity", "expected"), [(0.5, 0.0533), (0.7, 0.5645), (0.8, 0.9235)])
def test_pairs_pass_as_often_as_the_curve_says(similarity, expected):
    """2,000 drawn pairs; 4 standard deviations of a share of so many."""
    rng, n, size = np.random.default_rng(0), 2000, 170
    shared = round(size * 2 * similarity / (1 + similarity))
    drawn = rng.integers(0, 2**63, (n, 2 * size - shared)).astype(np.uint64)
    left, right = drawn[:, :size], drawn[:, size - shared :]
    keys = [bands(signatures(rows_of(side.tolist()), DRAWN), 14) for side in (left, right)]
    passed = (keys[0] == keys[1]).any(1).mean()
    room = 4 * np.sqrt(expected * (1 - expected) / n) + 0.01  # and the rounded share
    assert passed == pytest.approx(expected, abs=room)


def test_bands_know_their_place():
    """The same eight numbers in two bands are two keys."""
    same = np.tile(np.arange(8, dtype=np.uint32), (1, 14))
    assert len(set(bands(same, 14)[0].tolist())) == 14


def test_permutations_are_fixed():
    """They make stored signatures: other numbers would be another signal."""
    assert permutations(1, 2).tolist() == [[2894160641, 163928555], [3272743109, 3201297]]
    assert (DRAWN[0] % 2 == 1).all() and DRAWN[:, :2].tolist() == permutations(1, 2).tolist()
    assert permutations(2, 2).tolist() != permutations(1, 2).tolist()
