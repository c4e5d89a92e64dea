import numpy as np
import pyarrow as pa
import pytest
from tamis.errors import DataError
from tamis.scorers.random import bits
from tamis.stages.pruning.calibration import draw_rows
from tamis.stages.tokenize import Encoder
from tamis.tests.tiny import alpaca, conversation


@pytest.fixture(scope="module")
def encoder(gpt2):
    from transformers import AutoTokenizer

    return Encoder(AutoTokenizer.from_pretrained(gpt2), "none", "exact", 128)


def rows_of(n):
    return [
        {"sample_id": f"s{i}", **conversation(row["instruction"], row["output"])}
        for i, row in enumerate(alpaca(n))
    ]


def draw(rows, encoder, n=5, seed=0, size=7):
    parts = [rows[low : low + size] for low in range(0, len(rows), size)]
    return draw_rows(parts, encoder, n, seed)


def test_the_smallest_draws_of_all(encoder):
    rows = rows_of(30)
    order = np.argsort(bits(3, pa.chunked_array([[row["sample_id"] for row in rows]])))
    expected = [encoded.ids for encoded in encoder.encode([rows[i] for i in order[:5]])]
    assert draw(rows, encoder, seed=3) == expected


@pytest.mark.parametrize("size", [1, 4, 100])
def test_neither_order_nor_portions_matter(size, encoder):
    rows = rows_of(30)
    assert draw(rows[::-1], encoder, size=size) == draw(rows, encoder)
    assert draw(rows, encoder, seed=1) != draw(rows, encoder)


def test_rows_of_the_same_content_count_once(encoder):
    rows = rows_of(6)
    assert draw(rows + rows, encoder, n=6) == draw(rows, encoder, n=6)
    with pytest.raises(DataError, match="7 rows are asked for, but the data has 6 usable ones"):
        draw(rows + rows, encoder, n=7)


def test_rows_without_an_answer_in_the_window_are_not_drawn(encoder):
    rows = rows_of(4)
    long = {"sample_id": "long", **conversation("word " * 200, "never reached")}
    assert draw([*rows, long], encoder, n=4) == draw(rows, encoder, n=4)
    with pytest.raises(DataError, match="5 rows are asked for, but the data has 4"):
        draw([*rows, long], encoder, n=5)


def test_no_data(encoder):
    with pytest.raises(DataError, match="but the data has 0 usable ones"):
        draw_rows([], encoder, 1, 0)
