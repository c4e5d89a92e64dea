"""What a run on a Ray cluster adds to the metrics of its nodes, for those who watch it there.

::

    ray_tamis_rows_total{step}      rows computed
    ray_tamis_tokens_total{step}    tokens that went through a model
    ray_tamis_parts_total{step}     parts computed
    ray_tamis_parts_left{step}      parts that wait, or are being computed
    ray_tamis_deaths_total{step}    workers that died at work

A step is named by its folder in the store, `<use>-<key>`. Ray exports them with its own, for
Prometheus; `tamis status` needs none of them.
"""

from typing import Any

from .task import Receipt

PREFIX = "tamis"


class Meter:
    """Counts what one step does; costs some microseconds a part."""

    def __init__(self, metrics: Any, step: str, parts: int) -> None:  # noqa: ANN401 - a module
        """Begin to count.

        Args:
            metrics: `ray.util.metrics`.
            step: its folder.
            parts: that are to be computed.
        """
        self._tags = {"step": step}
        keys = tuple(self._tags)

        def counter(name: str, what: str) -> Any:  # noqa: ANN401 - Ray's
            return metrics.Counter(f"{PREFIX}_{name}_total", description=what, tag_keys=keys)

        self._rows = counter("rows", "Rows computed.")
        self._tokens = counter("tokens", "Tokens that went through a model.")
        self._parts = counter("parts", "Parts computed.")
        self._deaths = counter("deaths", "Workers that died at work.")
        self._left = metrics.Gauge(
            f"{PREFIX}_parts_left", description="Parts not yet computed.", tag_keys=keys
        )
        self._n_left = parts
        self._left.set(parts, self._tags)

    def done(self, receipt: Receipt) -> None:
        """Count a part that is computed."""
        if tokens := receipt.spent.get("tokens", 0):
            self._tokens.inc(tokens, self._tags)
        if receipt.n_rows:
            self._rows.inc(receipt.n_rows, self._tags)
        self._parts.inc(1, self._tags)
        self._n_left -= 1
        self._left.set(self._n_left, self._tags)

    def died(self) -> None:
        """Count a worker that died."""
        self._deaths.inc(1, self._tags)
