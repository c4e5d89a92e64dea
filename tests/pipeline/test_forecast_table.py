import io

from rich.console import Console
from tamis.pipeline.forecast import Forecast, StepForecast
from tamis.pipeline.forecast_table import compared, duration, show_forecast, size


def shown(found):
    console = Console(file=io.StringIO(), width=140)
    console.print(show_forecast(found))
    return console.file.getvalue()


def test_units():
    assert [duration(s) for s in (1.25, 600, 36_000)] == ["1.2 s", "10 min", "10.0 h"]
    assert [size(n) for n in (7, 1500, 2_340_000, 5e12)] == ["7 B", "2 kB", "2.34 MB", "5.00 TB"]


def test_what_is_forecast_and_what_is_not():
    steps = (
        StepForecast("base", "", 9000, 9, 1_400_000, True, 60.0, 55.0, 150.0, 2_000_000, 10**9),
        StepForecast("text", "goal", 5, 1, 77, False, 1.0, 1.0, 5.0, 10, 10**9),
        StepForecast("clusters", "", 9000, 9, without="not forecast: k is 99"),
    )
    engine = {"kind": "ray", "workers": 4, "threads": 1}
    found = Forecast("k", "now", 9000, (256, 16), engine, 9.0, steps, ("long",), 3600.0, ("luck",))
    text = shown(found)
    for part in (
        "measured on 256 of 9,000 rows, and the 16 longest",
        "done already: long",
        "1,400,000",
        "some 77",
        "text of goal",
        "not forecast: k is 99",
        "in all:  70.0 s, of which 9.0 s until Ray's workers are there",
        "cost:    70 at 3600 an hour",
        "memory:  at least 4.00 GB, 4 workers together",
        "assumed: luck",
    ):
        assert part in text, part


def test_nothing_left():
    engine = {"kind": "local", "workers": 1, "threads": 1}
    found = Forecast("k", "now", 9, (0, 0), engine, 0.0, (), ("long",))
    assert " ".join(shown(found).split()) == "done already: long nothing is left to be computed"


def figure(forecast, really, off):
    return {"forecast": forecast, "really": really, "off": off}


def test_how_far_off():
    said = {
        "steps": [1],
        **{"compared": 2, "of": 3, "seconds": figure(110.0, 100.0, 0.1)},
        **{"tokens": figure(5, 5, 0.0), "size": figure(9, 10, -0.1), "cpu_s": figure(0, 0, None)},
    }
    line = compared(said)
    assert "110.0 s for 2 of 3 steps, which took 100.0 s (+10.0%)" in line
    assert "store -10.0%; tokens exact" in line and "processor" not in line
    assert "of other rows" in compared({"steps": []})
