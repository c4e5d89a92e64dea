from typing import final

import pyarrow as pa
import pytest
from tamis.scorers.base import Scorer
from tamis.stages.reading import Reading
from tamis.stages.score import Score

POOL, TARGETS = [pa.table({"x": [1.0]})], {"gsm": pa.table({"x": [2.0]})}


class Marked(Scorer):
    """Says which of the three it was asked for."""

    fits: bool = False

    @property
    def reads(self):
        return pa.schema([("x", pa.float64())])

    @property
    def fits_pool(self):
        return self.fits

    def fit(self, pool):
        return pa.table({"by": ["fit"]})

    def aim(self, targets):
        return pa.table({"by": ["aim"]})

    def score(self, rows, fitted=None):
        return rows["x"]


@final
class Both(Marked):
    def fit_to_targets(self, pool, targets):
        return pa.table({"by": [f"both of {len(list(pool))} and {sorted(targets)}"]})


@pytest.mark.parametrize(
    ("scorer", "targets", "by"),
    [
        (Marked(fits=True), {}, "fit"),
        (Marked(), TARGETS, "aim"),
        (Both(fits=True), TARGETS, "both of 1 and ['gsm']"),
        (Both(), TARGETS, "aim"),
    ],
)
def test_what_must_be_known_before_the_first_row(scorer, targets, by):
    stage = Score(scorer=scorer)
    assert isinstance(stage, Reading)
    assert stage.known(POOL, targets)["by"].to_pylist() == [by]


def test_who_needs_both_and_has_no_way_says_so():
    with pytest.raises(NotImplementedError, match="fits pool and targets, but not together"):
        Score(scorer=Marked(fits=True)).known(POOL, TARGETS)
