from pathlib import Path

from tamis.pipeline.notebook import as_html

MANIFEST = {
    "config": {"name": "run"},
    "pool": {"rows_in": 1234},
    "rows_kept": 60,
    "ends": [{"outcome": "dropped", "step": "s", "reason": "</script><b>", "n": 1174}],
}


def test_a_summary_whose_text_is_escaped():
    html = as_html(Path("/runs/<i>"), MANIFEST)
    assert "run: 1,234 rows in, 60 kept" in html
    assert "<td>&lt;/script&gt;&lt;b&gt;</td><td>1,174</td>" in html
    assert "/runs/&lt;i&gt;" in html
    assert "</script>" not in html and "<i>" not in html
