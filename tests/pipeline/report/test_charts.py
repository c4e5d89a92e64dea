import re

import numpy as np
import pytest
from tamis.pipeline.report import charts
from tamis.pipeline.report.charts import Group, Spread, bars, bin_edges, histogram, mix, points


def spread(pool, **others):
    pool = np.asarray(pool, dtype=float)
    fields = {"kept": pool[-2:], "random": pool[:2], "unit": "score"} | others
    return Spread(pool=pool, **fields)


def test_bins_leave_tails_out_but_hold_the_cut():
    values = np.concatenate([np.linspace(0, 1, 1000), [1e6]])
    edges = bin_edges(spread(values, kept=values[400:500]))
    assert len(edges) == 41 and edges[0] >= 0 and edges[-1] < 2
    assert bin_edges(spread(values, kept=values[400:500], cuts=(3.0,)))[-1] == 3


def test_bins_of_equal_and_of_few_values():
    assert bin_edges(spread([2, 2, 2]))[[0, -1]].tolist() == [1.5, 2.5]
    assert len(bin_edges(spread([1, 2, 3]))) == 6
    log = bin_edges(spread([1, 10, 100]), log=True)
    assert np.allclose(np.diff(np.log(log)), np.diff(np.log(log))[0])


@pytest.mark.parametrize("log", [False, True])
def test_histogram(log):
    svg = histogram(spread(np.linspace(1, 9, 100), cuts=(7.0,)), "says", log=log)
    for mark in ("f-shade", "s-kept", "s-random", "stroke-dasharray", "s-ink", ">score<"):
        assert mark in svg


def test_a_choice_without_the_number():
    assert "s-kept" in histogram(spread([1.0, 2.0], kept=np.empty(0)), "says")
    assert "s-kept" in histogram(spread([1.0, 2.0], random=np.empty(0)), "says")


def test_bars_name_rows():
    svg = bars([("in", 4500, "shade"), ("kept", 0, "kept")], "says")
    assert ">4,500 rows<" in svg and ">0 rows<" in svg and "f-kept" in svg


def test_mix_names_groups_of_strangers():
    svg = mix([Group("<b>\x00", 0.5, 0.25, 0.4, 0.6), Group("x", 0.5, 0.75, 0.4, 0.6)], "says")
    assert "&lt;b&gt;\ufffd" in svg and "<b>" not in svg
    assert svg.count("s-random") == 2


def test_a_dot_of_the_map_takes_few_bytes():
    places = np.random.default_rng(0).normal(size=(8_000, 2))
    svg = points(places, places[:100], "kept", "says")
    assert len(svg) < 8_100 * 15
    assert len(re.findall(r"h0", svg)) == 8_100
    assert "h0" in points(np.zeros((3, 2)), np.zeros((0, 2)), "random", "says")


def test_panels_fit_a_phone():
    assert charts.PANEL[0] <= 328
