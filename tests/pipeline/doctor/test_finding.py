from tamis.pipeline.doctor.finding import Finding


def test_all_is_well_without_advice():
    assert Finding("python", "OK", "3.11").advice == ""
