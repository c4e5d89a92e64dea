from tamis.pipeline import lookup
from tamis.pipeline.doctor.selector_goldens import GOLDENS


def test_every_selector_has_one():
    assert {golden.use for golden in GOLDENS} == set(lookup.names("selector"))


def test_each_leaves_rows_out_or_orders_them():
    for golden in GOLDENS:
        n = len(next(iter(golden.rows.values())))
        assert len(golden.kept) < n or golden.in_order
        assert golden.source
