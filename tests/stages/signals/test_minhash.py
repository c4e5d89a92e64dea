import numpy as np
import pytest
from pydantic import ValidationError
from tamis.stages.checks import check_stage
from tamis.stages.signals.minhash import Minhash
from tamis.tests.conversations import pairs

LONG = "the quick brown fox jumps over the lazy dog and runs far away"
ROWS = pairs(
    (LONG, "yes it does"),
    (LONG.upper() + "!", "yes, it does"),  # 1: form alone
    (LONG.replace("lazy", "sleepy"), "yes it does"),
    ("2+2", "4"),  # 3: fewer words than n
    ("2-2", "4"),
    ("2+2", " 4 "),  # 5: as 3, up to form
)


def columns(rows=ROWS, **fields):
    found = Minhash(**fields)(rows, ["bands", "signature", "status"])
    return found["bands"].to_pylist(), found["signature"].to_pylist()


def test_form_does_not_count():
    bands, signature = columns()
    assert bands[0] == bands[1] and signature[0] == signature[1]
    assert bands[0] != bands[2]
    assert len(bands[0]) == 14 and len(signature[0]) == 112


def test_the_share_of_equal_places_is_near_the_similarity():
    """15 words have 11 5-grams; another word in the middle changes 5: 6 / (11 + 5) = .375."""
    _, signature = columns(bands=64, hashes=16)
    same = np.mean(np.array(signature[0]) == np.array(signature[2]))
    assert abs(same - 6 / 16) < 4 * np.sqrt(0.375 * 0.625 / 1024)


def test_short_rows_have_the_hash_of_their_text():
    """datatrove never finds those: they have no n-grams."""
    bands, signature = columns()
    assert [len(own) for own in bands[3:]] == [1, 1, 1]
    assert bands[3] == bands[5] != bands[4]  # with its punctuation: 2+2 is not 2-2
    assert signature[3] == [2**32 - 1] * 112
    assert columns(n=1)[0][3] == columns(n=1)[0][4]  # three words are enough, punctuation is not


def test_settings():
    assert columns(seed=2)[1][0] != columns()[1][0]
    assert columns(side="answer")[0][0] == columns(side="answer")[0][2]
    assert columns(punctuation="keep")[0][0] != columns(punctuation="keep")[0][1]
    assert [len(own) for own in columns(bands=3, hashes=4)[0]] == [3, 3, 3, 1, 1, 1]


def test_promises():
    check_stage(Minhash(), ROWS)
    assert len(Minhash()(ROWS.slice(0, 0), ["bands", "signature", "status"])) == 0
    short = ROWS.slice(3)
    assert Minhash()(short, ["bands"])["bands"].to_pylist() == columns()[0][3:]


@pytest.mark.parametrize("seed", [-1, 1 << 63])
def test_seeds_have_an_end(seed):
    with pytest.raises(ValidationError, match="seed"):
        Minhash(seed=seed)
