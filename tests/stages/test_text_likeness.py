import math

import numpy as np
import pytest
from tamis.stages.text_likeness import likeness


def test_by_hand():
    """Two texts of one word each, compared with both words: only the shared one counts.

    Each word stands in one of two texts, so both have the weight ln(3 / 2) + 1 = 1.405; the text
    has the vector (1, 1) / sqrt(2), whose cosine to either is 1 / sqrt(2).
    """
    found = likeness([["sun"], ["moon"]], "sun moon")
    assert found == pytest.approx([1 / math.sqrt(2)] * 2)


def test_rare_words_weigh_more():
    """`the` stands in all three texts, weight 1; `sun` in one, ln(4 / 2) + 1 = 1.693."""
    found = likeness([["the sun", "the moon"], ["the"]], "the sun")
    rare = math.log(2) + 1
    own = np.array([1, rare]) / math.hypot(1, rare)
    other = 1 / math.hypot(1, rare)  # of `the` in "the moon"
    assert found == pytest.approx([1, own[0] * other, own[0]], rel=1e-5)


def test_nothing_shared_and_nothing_there():
    assert likeness([["sun"]], "moon").tolist() == [0]
    assert likeness([[], []], "moon").tolist() == []
