import pytest
from tamis.errors import ConfigError
from tamis.stages.pruning.settings import Pruning


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"method": "obs", "share": 0.5}, "method 'obs' is not one of magnitude, wanda, layers"),
        ({"method": "wanda", "share": 0.0}, "share is 0; it must lie between 0 and 1"),
        ({"method": "wanda", "share": 1.0}, "share is 1; it must lie between 0 and 1"),
        ({"method": "wanda", "share": float("nan")}, "share is nan"),
        ({"method": "magnitude"}, "needs either `share` or `pattern`"),
        ({"method": "magnitude", "share": 0.5, "pattern": "2:4"}, "needs either `share` or"),
        ({"method": "magnitude", "share": 0.5, "layers": 1}, "and no `layers`"),
        ({"method": "magnitude", "pattern": "4:4"}, "pattern '4:4' is none; write 2:4"),
        ({"method": "magnitude", "pattern": "0:4"}, "pattern '0:4' is none"),
        ({"method": "magnitude", "pattern": "half"}, "pattern 'half' is none"),
        ({"method": "wanda", "share": 0.5, "rule": "influence"}, "is for method layers"),
        ({"method": "layers"}, "method layers needs `layers` n"),
        ({"method": "layers", "layers": 1, "share": 0.5}, "neither `share` nor `pattern`"),
        ({"method": "layers", "layers": 0}, "layers is 0; it must be 1 or more"),
        ({"method": "layers", "layers": 1, "rule": "first"}, "rule 'first' is not one of last,"),
    ],
)
def test_what_does_not_fit_is_said_in_one_sentence(said, message):
    with pytest.raises(ConfigError) as caught:
        Pruning(**said)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_which_methods_look_at_rows():
    assert Pruning("wanda", share=0.5).needs_rows
    assert Pruning("layers", layers=1, rule="influence").needs_rows
    assert not Pruning("layers", layers=1).needs_rows
    assert not Pruning("magnitude", pattern="2:4").needs_rows


def test_patterns():
    assert Pruning.kept_of("2:4") == (2, 4)
    assert Pruning.kept_of("1:16") == (1, 16)
