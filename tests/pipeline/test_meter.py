from tamis.pipeline.meter import Meter
from tamis.pipeline.store import Part
from tamis.pipeline.task import Receipt


class Metrics:
    """Keeps what would be exported; that Ray does so is seen on a cluster (end_to_end)."""

    def __init__(self):
        self.found = {}

    def Counter(self, name, description, tag_keys):
        return self._made(name, tag_keys)

    Gauge = Counter

    def _made(self, name, tag_keys):
        found = self.found

        class One:
            def inc(self, value, tags):
                assert tuple(tags) == tag_keys
                found[name] = found.get(name, 0) + value

            def set(self, value, tags):
                assert tuple(tags) == tag_keys
                found[name] = value

        return One()


def test_what_is_counted():
    metrics = Metrics()
    meter = Meter(metrics, "forward-k", 3)
    meter.done(Receipt(Part("a" * 32, 0, 10), 10, 0.1, {"tokens": 70.0}))
    meter.done(Receipt(Part("b" * 32, 10, 4), 4, 0.1))
    meter.died()
    assert metrics.found == {
        "tamis_rows_total": 14,
        "tamis_tokens_total": 70.0,
        "tamis_parts_total": 2,
        "tamis_parts_left": 1,
        "tamis_deaths_total": 1,
    }
