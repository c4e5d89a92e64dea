"""Small runs with a warm-up."""

from pathlib import Path

from tamis.pipeline.pool import find_pool, pool_key, read_pool
from tamis.pipeline.run import pin
from tamis.pipeline.store import Store
from tamis.tests.runs import run_config

SCORER = '''
"""First number of Adam's direction, times the weight of its checkpoint."""

from typing import final

import numpy as np
import pyarrow as pa
from tamis.scorers.base import Scorer
from tamis.scorers.matrices import matrix, unit
from tamis.scorers.signals import schema


@final
class First(Scorer):
    """One number."""

    @property
    def reads(self) -> pa.Schema:
        """Directions, weights, statuses."""
        return schema("grads", "adam", "weights", "given.status")

    def score(self, rows, fitted=None):
        """Return it."""
        weights = np.array(rows["grads.weights"].to_pylist())
        vectors = matrix(rows["grads.adam"], "grads.adam")
        vectors = unit(vectors.reshape(*weights.shape, -1))
        return pa.array((vectors[:, :, 0] * weights).sum(1))
'''
WARMUP = {
    **{"share": 0.2, "rank": 2, "alpha": 4, "learning_rate": 0.01, "epochs": 2, "batch": 4},
}


def config_of(folder, model, warmup=WARMUP, n=40, **fields):
    path = folder / "first.py"
    path.write_text(SCORER)
    grads = {"use": "gradient", "model": str(model), "dtype": "fp32", "dim": 32, "warmup": warmup}
    blocks = {
        "signals": {"grads": grads},
        "scorers": {"first": {"use": str(path)}},
        "selector": [{"use": "top_k", "by": "first.score"}],
    }
    return run_config(folder, n, **(blocks | fields))


def opened(config):
    """A pinned config, its store and its pool."""
    config = pin(config)
    store, name = Store(Path(config.store)), pool_key(config)
    pool = find_pool(store, name) or read_pool(config, store, name, lambda n: None)
    return config, store, pool
