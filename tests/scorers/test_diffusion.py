import numpy as np
import pytest
from scipy import sparse
from tamis.scorers.diffusion import (
    Spectrum,
    affinities,
    exact_spectrum,
    landmark_map,
    landmark_spectrum,
    sparse_spectrum,
)

POINTS = np.array([0.0, 1.0, 5.0, 6.0])
DISTANCES = np.abs(POINTS[:, None] - POINTS)
AFFINITY = affinities(DISTANCES, 2.5)


def test_affinities_by_hand():
    """exp(-1 / 12.5), exp(-25 / 12.5), exp(-36 / 12.5), exp(-16 / 12.5)."""
    found = AFFINITY[[0, 0, 0, 1], [1, 2, 3, 2]]
    assert found == pytest.approx([0.923116, 0.135335, 0.056135, 0.278037], abs=1e-6)
    assert AFFINITY.sum(1)[:2] == pytest.approx([2.114586, 2.336489], abs=1e-6)
    assert np.median(DISTANCES) == 2.5


def test_affinities_of_a_width_out_of_all_proportion():
    with np.errstate(all="raise", under="ignore"):
        assert affinities(np.array([0.0, 1.0]), 1e-200).tolist() == [1, 0]
        assert affinities(np.array([0.0, 1.0]), 1e200).tolist() == [1, 1]


def test_eigenvalues_by_hand():
    found = exact_spectrum(AFFINITY.copy(), 4).values
    assert found == pytest.approx([0, 0.261315, 0.953557, 0.983331], abs=1e-6)


def test_the_random_walk_has_the_same_and_these_vectors():
    degrees = AFFINITY.sum(1)
    walk = np.eye(4) - AFFINITY / degrees[:, None]
    spectrum = exact_spectrum(AFFINITY.copy(), 4)
    np.testing.assert_allclose(
        walk @ spectrum.vectors, spectrum.vectors * spectrum.values, atol=1e-12
    )
    np.testing.assert_allclose(spectrum.vectors[:, 0], 1, atol=1e-12)
    np.testing.assert_allclose(degrees @ spectrum.vectors**2, degrees.sum())


def test_a_symmetric_solver_of_the_random_walk_finds_others():
    """What the published code does: it reads one triangle of a matrix that is not symmetric."""
    walk = np.eye(4) - AFFINITY / AFFINITY.sum(1)[:, None]
    found = np.linalg.eigvalsh(walk)
    assert abs(found[0]) > 0.002
    assert abs(found[1] - 0.261315) > 0.001


def test_sparse_finds_the_same():
    exact, found = (
        exact_spectrum(AFFINITY.copy(), 3),
        sparse_spectrum(sparse.csr_array(AFFINITY), 3, 0.0, 0),
    )
    np.testing.assert_allclose(found.values, exact.values, atol=1e-9)
    np.testing.assert_allclose(found.vectors, exact.vectors, atol=1e-6)


def test_landmarks_by_hand():
    """W has 1.5 along (1, 1) and 0.5 across; a third point between both has 0.75 with each."""
    mapping = landmark_map(np.array([[1.0, 0.5], [0.5, 1.0]]), 1)
    assert np.abs(mapping).ravel() == pytest.approx([1 / 3**0.5] * 2)
    factor = np.array([[1.0, 0.5], [0.5, 1.0], [0.75, 0.75]]) @ mapping
    np.testing.assert_allclose(factor @ factor.T, 0.75)
    found = landmark_spectrum(factor, 1)  # degrees 3 x 0.75 and the 0.25 that are missing to 1
    assert found.values == pytest.approx([1 - 3 * 0.75 / 2.5])


def test_all_points_as_landmarks_are_the_exact_form():
    factor = AFFINITY @ landmark_map(AFFINITY, 4)
    np.testing.assert_allclose(factor @ factor.T, AFFINITY)
    exact, found = exact_spectrum(AFFINITY.copy(), 4), landmark_spectrum(factor, 4)
    np.testing.assert_allclose(found.values, exact.values, atol=1e-12)
    np.testing.assert_allclose(found.vectors, exact.vectors, atol=1e-9)


def test_eigenvalues_that_are_nothing_are_left_out():
    """Two copies of two points: two eigenvalues are 0, whose inverse says nothing."""
    twice = np.tile(AFFINITY[:2, :2], (2, 2))
    mapping = landmark_map(twice, 4)
    assert mapping.shape == (4, 2)
    assert landmark_spectrum(twice @ mapping, 3).vectors.shape == (4, 2)


def test_tau_is_spread_over_all_pairs():
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(40, 3))
    affinity = affinities(np.linalg.norm(vectors[:, None] - vectors, axis=2), 1.0)
    affinity[affinity < 0.3] = 0
    exact = exact_spectrum(affinity + 2.0 / 40, 6)
    found = sparse_spectrum(sparse.csr_array(affinity), 6, 2.0, 0)
    np.testing.assert_allclose(found.values, exact.values, atol=1e-6)
    np.testing.assert_allclose(np.abs(found.vectors), np.abs(exact.vectors), atol=1e-4)


def test_tau_keeps_a_few_points_apart_from_being_a_cluster():
    """Two groups of 30, and 3 points that only know each other."""
    affinity = np.zeros((63, 63))
    affinity[:30, :30] = affinity[30:60, 30:60] = 0.2
    affinity[60:, 60:] = 1.0
    affinity[:60, :60] += 0.05 * np.kron(1 - np.eye(2), np.eye(30))
    affinity[0, 60] = affinity[60, 0] = 0.01
    graph = sparse.csr_array(affinity)
    plain = sparse_spectrum(graph, 2, 0.0, 0).vectors[:, 1]
    assert plain[60] > 10 * np.abs(plain[:60]).max()
    spread = sparse_spectrum(graph, 2, affinity.sum() / 63, 0).vectors[:, 1]
    assert (spread[:30] * spread[30:60] < 0).all()


def test_coordinates_by_hand():
    spectrum = Spectrum(np.array([0.0, 0.5, 0.9]), np.array([[1.0, 2, 3], [1, -2, 4]]))
    assert spectrum.coordinates(2, 2.0, trivial=False) == pytest.approx(
        np.array([[0.5, 0.03], [-0.5, 0.04]])
    )
    assert spectrum.coordinates(2, 0.0, trivial=True).tolist() == [[1, 2], [1, -2]]


def test_no_number_of_a_negative_one():
    """A part of the pairs of a kernel may have eigenvalues of the Laplacian above 1."""
    spectrum = Spectrum(np.array([0.0, 1.2]), np.ones((2, 2)))
    assert spectrum.coordinates(1, 0.5, trivial=False).tolist() == [[0.0], [0.0]]


def test_signs_are_fixed():
    found = exact_spectrum(AFFINITY.copy(), 4).vectors
    first = [0, 0, 0, 1]  # of the largest magnitude; the points mirror each other
    assert (found[first, np.arange(4)] > 0).all()
    np.testing.assert_allclose(np.abs(found[first, np.arange(4)]), np.abs(found).max(0))
