import numpy as np
import pytest
from tamis.stages import likes
from tamis.stages.likes import NOBODY, alike, nearest_earlier

CHAIN = np.array([[np.cos(a), np.sin(a)] for a in np.radians([0, 16, 30, 100])])


def random_vectors(n=70, numbers=4):
    vectors = np.random.default_rng(0).normal(size=(n, numbers))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_by_hand():
    near, who = nearest_earlier(CHAIN)
    assert near[0] == NOBODY
    assert who[1:3].tolist() == [0, 1]
    np.testing.assert_allclose(near[1:], np.cos(np.radians([16, 14, 70])), atol=1e-6)
    labels, likest = alike(CHAIN, 0.95)
    assert labels[0] == labels[1] == labels[2] != labels[3]
    np.testing.assert_allclose(likest, np.cos(np.radians([16, 14, 14, 70])), atol=1e-6)


@pytest.mark.parametrize(("at_once", "links"), [(512, 1 << 22), (16, 8)])
def test_equals_all_pairs(monkeypatch, at_once, links):
    monkeypatch.setattr(likes, "AT_ONCE", at_once)
    monkeypatch.setattr(likes, "LINKS", links)
    vectors = random_vectors()
    cosines = (vectors @ vectors.T).astype(np.float32)
    np.fill_diagonal(cosines, NOBODY)
    near, who = nearest_earlier(vectors)
    earlier = np.where(np.tri(70, k=-1, dtype=bool), cosines, np.float32(NOBODY))
    np.testing.assert_allclose(near, earlier.max(1), atol=1e-6)
    assert (who[1:] < np.arange(1, 70)).all()
    labels, likest = alike(vectors, 0.9)
    np.testing.assert_allclose(likest, cosines.max(1), atol=1e-6)
    rows, others = np.nonzero(cosines > 0.9)
    expected = likes.linked(70, rows, others)
    same = len(set(zip(labels, expected, strict=True)))
    assert same == len(set(labels.tolist())) == len(set(expected.tolist())) < 70


def test_none_and_one():
    for n in (0, 1):
        assert len(nearest_earlier(CHAIN[:n])[0]) == n
        assert len(alike(CHAIN[:n], 0.9)[0]) == n
