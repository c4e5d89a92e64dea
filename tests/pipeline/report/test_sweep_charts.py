from xml.etree import ElementTree

from tamis.pipeline.report.sweep_charts import Figures, dots

METHODS = [("top ifd", 0.25), ("a & <b>", 0.5)]


def test_a_dot_for_each_method_and_a_band_for_random():
    drawn = dots(Figures("share", METHODS, (0.1, 0.05, 0.15), "{:.1%}".format, 0.3), "what it says")
    root = ElementTree.fromstring(drawn)
    assert root.attrib["aria-label"] == "what it says"
    texts = [element.text for element in root.iter("text")]
    assert {"top ifd", "a & <b>", "25.0%", "50.0%", "share"} <= set(texts)
    uses = [e for e in root.iter("use") if "f-kept" in e.get("class", "")]
    assert len(uses) == len(METHODS)
    assert any("f-random" in e.get("class", "") for e in root.iter("path"))
    assert "style=" not in drawn
    again = dots(Figures("share", METHODS, (0.1, 0.05, 0.15), "{:.1%}".format, 0.3), "what it says")
    assert drawn == again


def test_nothing_but_zeros():
    assert "<svg" in dots(Figures("x", [("a", 0.0)], (0.0, 0.0, 0.0), "{:.2f}".format), "zeros")
