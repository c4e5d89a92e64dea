from tamis.pipeline.report.beside import put_beside
from tamis.pipeline.report.lengths import find_lengths
from tamis.pipeline.report.mixes import mixes
from tamis.pipeline.report.sampling import draw_sample
from tamis.tests.pipeline.report.conftest import NAME


def test_length_and_source(run, beside):
    """The longest rows: nearly all of the second source, whose answers are longer."""
    chapter = mixes(run, beside, find_lengths(run, beside, draw_sample(run, beside)))
    length, source = chapter.findings
    assert length.level == source.level == "major"
    assert "leans strongly towards longer answers" in length.text
    kept = sum(name == NAME for name in run.kept["source"].to_pylist()) / 20
    assert f"{kept:.1%} of the kept rows" in source.text
    assert "33.6% of the pool" in source.text  # 40 of 119


def test_random_rows_do_not_lean(made):
    run = made(selector={"use": "random"})
    beside = put_beside(run)
    chapter = mixes(run, beside, find_lengths(run, beside, draw_sample(run, beside)))
    assert [finding.level for finding in chapter.findings] == ["ok", "ok"]


def test_without_lengths(run, beside):
    chapter = mixes(run, beside, None, "they are <gone>")
    assert "Lengths are not shown: they are &lt;gone&gt;." in chapter.__html__()
    assert len(chapter.findings) == 1
