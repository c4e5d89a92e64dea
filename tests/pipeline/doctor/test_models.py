from tamis.pipeline.doctor.models import model, model_checks


def test_the_model_that_comes_along():
    (check,) = model_checks([])
    found = check()
    assert (found.verdict, found.name) == ("OK", "model, embedded")
    assert "as its own logits" in found.said


def test_others(gpt2, tmp_path):
    _, own, none = model_checks([str(gpt2), str(tmp_path / "none")])
    assert own().verdict == "OK"
    assert "GPT2Model" in own().said
    assert none().verdict == "MAJOR"
    assert none().name == "model none"


def test_a_family_whose_logits_are_made_in_another_way(gpt2, monkeypatch):
    """What a head gets wrong is found by the check against the model's own logits."""
    from dataclasses import replace

    from tamis.stages import models

    right = models.lm_head
    monkeypatch.setattr(models, "lm_head", lambda lm: replace(right(lm), scale=2.0))
    found = model(str(gpt2), "model gpt2")
    assert found.verdict == "MAJOR"
    assert "differ from its own logits" in found.said
