"""Every file in the folders of scorers, signals and selectors keeps the contract's outer form."""

import inspect

import pyarrow as pa
import pytest
from tamis.pipeline import lookup

EVERY = [(section, name) for section in lookup.FOLDERS for name in lookup.names(section)]
NEEDED = {
    "bounds": {"column": "data.x", "at_least": 1},
    "language": {"keep": ["en"]},
    "forward": {"model": "x"},
    "neighbours": {"model": "x"},
    "gradient": {"model": "x"},
    "divergence": {"model": "x", "other": "y"},
    "embedding": {"model": "x"},
    "rating_model": {"model": "x", "prompt": "selectit"},
    "rating_server": {"model": "x", "prompt": "ds2", "base_url": "http://127.0.0.1/v1"},
    "column": {"column": "data.x"},
    "embedding_column": {"column": "data.x"},
    "clusters": {"of": "base.embedding"},
    "knn": {"of": "base.embedding"},
    "spectral": {"of": "base.embedding"},
    "top_k": {"by": "a.score"},
    "band": {"by": "a.score"},
    "quota": {"by": "a.score"},
    "threshold": {"by": "a.score", "above": 0},
    "influence": {"target": "t"},
    "rds_plus": {"target": "t"},
    "similarity": {"target": ["s", "t"]},
    "diverse_top_k": {"by": "a.score", "of": "base.embedding"},
    "facility_location": {"graph": "knn"},
    "best_of_each": {"by": "a.score"},
    "simcore": {"by": "a.by_query"},
    "k_center": {"of": "base.embedding"},
    "dsir": {"target": "t"},
    "got_d": {"target": "t"},
    "tsds": {"target": "t"},
    "sample": {"by": "a.score"},
    "best_source": {"by": "a.score", "instruction": "i.group"},
    "round_robin": {"by": "a.by_query"},
    "global_max": {"by": "a.by_query"},
    "weighted_sum": {"columns": ["data.x"]},
    "semantic_duplicates": {"of": "base.embedding"},
    "representatives": {"column": "exact.group"},
    "sem_dedup": {"of": "base.embedding"},
    "contamination": {"target": "t"},
    "fuzzy_contamination": {"target": ["s", "t"]},
    "embedding_contamination": {"target": "t", "of": "base.embedding"},
}


@pytest.mark.parametrize(("section", "name"), EVERY)
def test_form(section, name):
    kind = lookup.find(section, name)
    module = inspect.getmodule(kind)
    assert getattr(kind, "__final__", False), "mark the class @final"
    assert kind.__doc__, "say what it is"
    assert module.__doc__, "say formula and source"
    made = kind(**NEEDED.get(name, {}))
    assert isinstance(made.reads, pa.Schema)
    again = kind(**made.model_dump(mode="json"))
    assert again == made
    with pytest.raises(ValueError, match="extra"):
        kind(**NEEDED.get(name, {}), no_such_field=1)
