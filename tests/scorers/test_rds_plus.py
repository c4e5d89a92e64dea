"""Golden A in the forward signal's pooling, golden B through scorer and selectors."""

import numpy as np
import pyarrow as pa
import pytest
import torch
from tamis.kernels.pooling import pool
from tamis.scorers.checks import check_scorer
from tamis.scorers.rds_plus import RdsPlus
from tamis.stages.selectors.base import Budget
from tamis.stages.selectors.global_max import GlobalMax
from tamis.stages.selectors.round_robin import RoundRobin
from tamis.tests.scorers.test_matching import X, Y, rows, run, target

GOLDEN_B = [[0.9, 0.8, 0.75, 0.1], [0.2, 0.1, 0.3, 0.4]]  # queries x rows


def test_golden_a():
    """Hidden states (1,0), (0,1), (1,1) weigh 1/6, 2/6, 3/6."""
    states = torch.tensor([[[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]])
    found = pool(states, torch.tensor([3]), "weighted_mean")[0].numpy()
    assert found == pytest.approx([0.624695, 0.780869], abs=1e-6)
    sims = run(RdsPlus(target="t"), rows([found]), ["by_query"], t=target([X, Y]))
    assert sims["by_query"][0] == pytest.approx([0.624695, 0.780869], abs=5e-4)  # fp16
    assert (sims["score"], sims["query"]) == ([pytest.approx(0.780869, abs=5e-4)], [1])


def test_golden_b_from_vectors_to_rows():
    sims = np.array(GOLDEN_B)
    third = np.sqrt(1 - (sims**2).sum(0))  # queries are the first two axes
    table = rows(np.vstack([sims, third]).T)
    scorer = RdsPlus(target="t")
    fitted = scorer.aim({"t": target([[1, 0, 0], [0, 1, 0]])})
    found = scorer(table, fitted, ["by_query"])
    np.testing.assert_allclose(found["by_query"].to_pylist(), sims.T, atol=1e-3)
    named = found.rename_columns([f"rds.{name}" for name in found.column_names])
    named = named.append_column("row_id", pa.array(range(4)))
    named = named.append_column("sample_id", pa.array(list("abcd")))
    for selector, expected in ((RoundRobin, [0, 3, 1]), (GlobalMax, [0, 1, 2])):
        choice = selector(by="rds.by_query")(named, Budget(3))
        assert choice.order[: choice.n_kept].tolist() == expected


def test_it_wants_position_weights():
    assert RdsPlus(target="t").requires == {"pooling": "weighted_mean"}


def test_contract():
    check_scorer(RdsPlus(target="t"), rows([X, Y, None]), {"t": target([X])})
