from tamis.pipeline.report.cost import cost


def test_steps_and_what_was_reused(run):
    shown = cost(run).__html__()
    for words in ("s from start to end", "engine local", ">length<", ">long<", "UTC"):
        assert words in shown
    assert 'data-v="119"' in shown and ">0%<" in shown
