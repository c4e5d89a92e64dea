from tamis.pipeline.report.planted import _finding, _found, planted


def test_the_table_of_the_summary(run):
    shown = planted(run).__html__()
    assert "data.fault" in shown and ">echo<" in shown
    assert all(f">{name}<" in shown for name in ("pool", "selection", "random", "long", "rated"))


def test_what_filters_find(run):
    assert _found({"kinds": ["echo"], "shares": {}}) == []  # a run of before there were filters
    own = {"rows": 20, "recall": [0.125, 0.25], "precision": [0.4, 0.5], "harmed": 0.0123}
    _, shown = _found({"kinds": ["echo"], "found": {"text": own}})
    shown = shown.__html__()
    assert all(part in shown for part in (">text<", "12.5%", "25.0%", "50.0%", "1.23%"))


def test_no_labels_no_chapter(made):
    assert planted(made(labels=None)) is None


def test_levels():
    assert [_finding(k, 0.1).level for k in (0.05, 0.12, 0.2)] == ["ok", "minor", "major"]
    assert _finding(0.0, 0.0).level == "ok"  # there are none
    assert _finding(0.05, 0.1).text.endswith(
        "fewer faulty rows than a random choice: 5.0% against 10.0%."
    )
