import pytest
from tamis.errors import PlanError
from tamis.pipeline.agreement import agreement
from tamis.pipeline.run import select
from tamis.tests.pipeline.test_rounds import config, kept  # noqa: F401 - a fixture
from tamis.tests.runs import quiet


def test_a_selection_in_rounds_beside_the_exhaustive_one(config, tmp_path):  # noqa: F811
    found = agreement(config(), quiet())
    every = kept(select(config(tmp_path / "all", rounds=False), quiet()))
    some = kept(select(config(), quiet()))
    assert found.same == len(some.keys() & every.keys())
    assert found.kept == len(some) == 6
    assert found.of == 59 * 14
    assert 59 * 2 < found.took < found.of


def test_without_rounds_there_is_nothing_to_compare(config):  # noqa: F811
    with pytest.raises(PlanError, match="no signal of this config works in rounds"):
        agreement(config(rounds=False), quiet())
