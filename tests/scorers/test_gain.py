import logging

import pytest
from tamis.scorers.gain import GRID, LARGEST_GRID, best_of, checked


@pytest.mark.parametrize(
    ("errors", "best"),
    [
        # gains .3, .3, .02, .01; a tenth of the largest is .03: relative 1, 10, .67
        ({1: 0.9, 2: 0.6, 3: 0.3, 4: 0.28, 6: 0.26}, 3),
        # gains .1, .1, .1, .01 of each new one: relative 1, 1, 10
        ({1: 0.9, 2: 0.8, 4: 0.6, 8: 0.2, 16: 0.12}, 8),
        ({1: 0.9, 2: 0.7, 3: 0.5, 4: 0.3}, 2),  # equal: the smallest
        ({1: 0.5, 2: 0.4, 3: 0.45, 4: 0.39}, 2),  # an error that rises gains nothing
        ({1: 0.0, 2: 0.0, 3: 0.0}, 2),
    ],
)
def test_by_hand(errors, best):
    assert best_of(errors, "x") == best


def test_what_it_was_chosen_by_is_logged(caplog):
    with caplog.at_level(logging.INFO):
        best_of({1: 1.0, 2: 0.25, 3: 0.2}, "e.embedding")
    assert "e.embedding: 2 clusters, by the errors 1: 1.0000, 2: 0.2500, 3: 0.2000" in caplog.text


def test_grids():
    assert checked(GRID) == GRID and len(GRID) == LARGEST_GRID
    for grid in ((4,), (4, 3), (2, 2), tuple(range(2, 11))):
        with pytest.raises(ValueError, match="two to 8 rising numbers"):
            checked(grid)
