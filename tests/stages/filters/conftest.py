"""Rows for filters."""

import pyarrow as pa
import pytest
from tamis.tests.conversations import pairs


@pytest.fixture
def pair_rows() -> pa.Table:
    """Three conversations."""
    return pairs(("a", "b"), ("c", "d"), ("e", "f")).select(["messages"])
