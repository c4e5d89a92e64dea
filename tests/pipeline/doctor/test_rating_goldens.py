from tamis.pipeline.doctor import rating_goldens, scorer_goldens


def test_they_are_among_those_of_all_scorers():
    own = rating_goldens.GOLDENS
    assert len(own) > 5
    assert scorer_goldens.GOLDENS[-len(own) :] == own
