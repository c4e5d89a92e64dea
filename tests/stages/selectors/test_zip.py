import zlib

import numpy as np
import pyarrow as pa
import pytest
from tamis.stages.base import ROWS
from tamis.stages.checks import check_selector
from tamis.stages.selectors.base import Budget
from tamis.stages.selectors.zip import BETWEEN, Chosen, Zip
from tamis.tests.tiny import conversation


def pool(texts):
    table = pa.Table.from_pylist(
        [conversation(text, "") for text in texts], schema=pa.schema([ROWS.field("messages")])
    )
    ids = [f"{place:032x}" for place in range(len(texts))]
    return table.append_column("row_id", pa.array(range(len(texts)))).append_column(
        "sample_id", pa.array(ids)
    )


def kept(selector, texts, limit):
    choice = selector(pool(texts), Budget(limit))
    return choice.order[: choice.n_kept].tolist()


def ratio(texts):
    whole = BETWEEN.join(text.encode() for text in texts)
    return len(whole) / len(zlib.compress(whole, 9))


def plain(texts, limit, k1, k2, k3, official=False):
    """The published loop, which compresses everything anew each time."""
    state = [ratio([text]) for text in texts]
    chosen = []
    while len(chosen) < limit:
        free = [i for i in sorted(range(len(texts)), key=lambda i: state[i]) if i not in chosen]
        some = free[:k1]
        for i in some:
            state[i] = ratio([texts[j] for j in chosen] + [texts[i]])
        near = sorted(some, key=lambda i: (state[i], some.index(i)))[:k2]
        if official:
            for i in near:
                state[i] = 1e6
        taken = []
        while len(taken) < min(k3, len(near)):
            left = [i for i in near if i not in taken]
            taken.append(min(left, key=lambda i: ratio([texts[j] for j in [*taken, i]])))
        chosen += taken
    return chosen[:limit]


def sentences(n, seed=0):
    rng = np.random.default_rng(seed)
    words = [f"{chr(97 + i % 26)}{i * 37 % 101}" for i in range(200)]
    return [" ".join(rng.choice(words, size=rng.integers(3, 40))) + f" {i}" for i in range(n)]


def test_golden():
    """Two copies of a text of 16 signs, which takes 4 of 8 bits each, and one of 4 signs, 2 bits.

    So a copy's own ratio, under 2, is smaller than the other's. But behind the first copy the
    second adds next to nothing to be compressed, and their ratio is near 4: the other comes first.
    """
    rng = np.random.default_rng(0)
    a = "".join(rng.choice(list("0123456789abcdef"), size=600))
    b = "".join(rng.choice(list("ghij"), size=600))
    assert ratio([a]) < 2 < 2.5 < ratio([b])
    assert ratio([a, a]) > 3 > ratio([a, b])
    assert kept(Zip(), [a, f"{a} ", b], 3) == [0, 2, 1]


@pytest.mark.parametrize("official", [False, True])
@pytest.mark.parametrize(("k1", "k2", "k3"), [(100, 10, 5), (20, 7, 3), (12, 12, 1)])
def test_it_is_the_published_loop(k1, k2, k3, official):
    texts = sentences(60)
    selector = Zip(k1=k1, k2=k2, k3=k3, left_over="official" if official else "again")
    assert kept(selector, texts, 17) == plain(texts, 17, k1, k2, k3, official)


def test_what_a_round_leaves_may_be_taken_in_the_next():
    texts = sentences(40, seed=1)
    again = kept(Zip(k1=20, k2=20, k3=5), texts, 15)
    official = kept(Zip(k1=20, k2=20, k3=5, left_over="official"), texts, 15)
    assert again[:5] == official[:5]
    assert again != official


def test_the_ratio_is_that_of_compressing_everything_anew():
    chosen, texts = Chosen(), sentences(300, seed=2)
    for place, text in enumerate(texts):
        if place % 50 == 0:
            assert chosen.ratio_with(text.encode()) == ratio(texts[: place + 1])
        chosen.add(text.encode())


def test_rows_without_text_are_never_taken():
    texts = ["", "a text of its own", " \n", "and another one"]
    choice = Zip()(pool(texts), Budget(4))
    assert choice.n_kept == 2
    assert choice.reason[[0, 2]].tolist() == ["no_text", "no_text"]


def test_all_rows_can_be_taken():
    texts = sentences(12)
    for selector in (Zip(k1=5, k2=3, k3=2), Zip(k1=5, k2=3, k3=2, left_over="official")):
        assert sorted(kept(selector, texts, 12)) == list(range(12))


def test_settings():
    with pytest.raises(ValueError, match="must narrow: k1 10 >= k2 200 >= k3 100"):
        Zip(k1=10)


def test_contract():
    check_selector(Zip(k1=8, k2=4, k3=2), pool(sentences(12)), 4)
