from tamis.pipeline.report.planted import _finding, planted


def test_the_table_of_the_summary(run):
    shown = planted(run).__html__()
    assert "data.fault" in shown and ">echo<" in shown
    assert all(f">{name}<" in shown for name in ("pool", "selection", "random", "long", "rated"))


def test_no_labels_no_chapter(made):
    assert planted(made(labels=None)) is None


def test_levels():
    assert [_finding(k, 0.1).level for k in (0.05, 0.12, 0.2)] == ["ok", "minor", "major"]
    assert _finding(0.0, 0.0).level == "ok"  # there are none
    assert _finding(0.05, 0.1).text.endswith(
        "fewer faulty rows than a random choice: 5.0% against 10.0%."
    )
