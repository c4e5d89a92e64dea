import numpy as np
import pyarrow as pa
from tamis.stages.grams import Lists, gram_hashes, mix, whole_hashes, word_hashes

WORDS = pa.array([["a", "b", "c", "a"], [], ["b", "c"], ["a", "b", "c", "a"]])


def test_words_are_the_same_wherever_they_stand():
    found = word_hashes(WORDS)
    assert found.starts.tolist() == [0, 4, 4, 6, 10]
    assert found.lengths.tolist() == [4, 0, 2, 4]
    assert found.owner.tolist() == [0] * 4 + [2] * 2 + [3] * 4
    a, b, c, again = found.values[:4]
    assert a == again and len({a, b, c}) == 3
    assert found.values[4:6].tolist() == [b, c]
    assert word_hashes(WORDS.slice(2)).values.tolist() == found.values[4:].tolist()


def test_grams_do_not_leave_their_row():
    found = gram_hashes(word_hashes(WORDS), 2)
    assert found.lengths.tolist() == [3, 0, 1, 3]
    assert found.values[3] == found.values[1]  # b c
    assert gram_hashes(word_hashes(WORDS), 3).lengths.tolist() == [2, 0, 0, 2]
    assert gram_hashes(word_hashes(WORDS), 9).lengths.tolist() == [0] * 4


def test_the_order_of_words_counts():
    found = gram_hashes(word_hashes(pa.array([["a", "b"], ["b", "a"], ["a", "a"]])), 2)
    assert len(set(found.values.tolist())) == 3


def test_a_whole_row():
    found = whole_hashes(word_hashes(WORDS))
    assert found[0] == found[3] and len(set(found.tolist())) == 3


def test_no_rows_and_no_words():
    nothing = word_hashes(pa.array([[], []], pa.list_(pa.string())))
    assert gram_hashes(nothing, 3).lengths.tolist() == [0, 0]
    assert len(whole_hashes(Lists(np.empty(0, np.uint64), np.zeros(1, int)))) == 0


def test_mix_is_the_finaliser_of_murmurhash3():
    """fmix64 of 1, as the reference code of MurmurHash3 computes it."""
    assert mix(np.array([0, 1], np.uint64)).tolist() == [0, 0xB456BCFC34C2CB2C]
