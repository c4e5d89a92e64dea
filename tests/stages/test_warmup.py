import numpy as np
import pyarrow as pa
import pytest
from tamis.stages.warmup import Warmup, chosen, learning_rates, normalised

IDS = pa.chunked_array([[f"{i:032x}" for i in range(200)]])


def test_defaults_are_the_published_ones():
    said = Warmup()
    assert (said.rank, said.alpha, said.dropout, said.learning_rate) == (128, 512, 0.1, 2e-5)
    assert (said.share, said.epochs, said.batch, said.warmup_ratio) == (0.05, 4, 128, 0.03)


def test_one_worker_goes_without_saying():
    """The keys of warm-ups and gradients are those of before there was a choice."""
    assert set(Warmup.model_fields) - set(Warmup().identity()) == {"workers"}
    assert Warmup(workers=3).identity() == Warmup().identity() | {"workers": 3}


def test_a_share_is_seeded_and_nested():
    ten, twenty = chosen(IDS, 0, 0.05), chosen(IDS, 0, 0.1)
    assert len(ten) == 10 and len(twenty) == 20 and set(ten) < set(twenty)
    assert list(ten) == sorted(ten)
    assert set(chosen(IDS, 1, 0.05)) != set(ten)
    assert len(chosen(IDS, 0, 1.0)) == 200 and len(chosen(IDS, 0, 1e-9)) == 1


def test_a_draw_depends_on_content_alone():
    order = np.random.default_rng(0).permutation(200)
    turned = chosen(IDS.take(pa.array(order)), 0, 0.05)
    assert set(order[turned]) == set(chosen(IDS, 0, 0.05))


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("linear", [1.671e-5, 1.290e-5, 7.69e-6, 2.555e-6]),
        ("cosine", [1.80e-5, 1.43e-5, 6.5e-6, 1.0e-6]),
    ],
)
def test_mean_rates_of_the_published_run(schedule, expected):
    """420 steps, checkpoints after 105, 211, 317 and 420."""
    rates = learning_rates(Warmup(schedule=schedule), 420)
    means = [part.mean() for part in np.split(rates, [105, 211, 317])]
    np.testing.assert_allclose(means, expected, rtol=0.02, atol=5e-8)
    assert rates[0] == 0 and rates.max() == 2e-5 and rates[-1] < 1e-7


def test_rates_by_hand():
    linear = learning_rates(Warmup(learning_rate=1.0, warmup_ratio=0.4), 5)
    np.testing.assert_allclose(linear, [0, 0.5, 1, 2 / 3, 1 / 3])
    cosine = learning_rates(Warmup(learning_rate=1.0, warmup_ratio=0, schedule="cosine"), 4)
    np.testing.assert_allclose(cosine, [1, 0.5 + 0.5**1.5, 0.5, 0.5 - 0.5**1.5])


def test_weights_of_the_published_rates():
    weights = normalised([1.6877e-5, 1.2859e-5, 7.703e-6, 2.5616e-6])
    np.testing.assert_allclose(weights, [0.421919, 0.321470, 0.192572, 0.064039], atol=1e-6)
    for bad in ([0, 0], [np.nan, 1], [-1, 2], [np.inf, 1]):
        with pytest.raises(ValueError, match="must be finite, at least 0 and not all 0"):
            normalised(bad)


@pytest.mark.parametrize(
    "fields", [{"share": 0}, {"epochs": 0}, {"schedule": "step"}, {"workers": 0}, {"x": 1}]
)
def test_values_that_are_not_allowed(fields):
    with pytest.raises(ValueError, match=next(iter(fields))):
        Warmup(**fields)
