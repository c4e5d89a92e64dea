import numpy as np
import pyarrow as pa
from tamis.stages.selectors.graph import COLUMNS, graph_schema, read_graph

LISTS = (pa.list_(pa.int32()), pa.list_(pa.float32()))


def graph_pool(neighbours, similarity, place=None, ids=None, status=None, **more):
    """A pool with a graph called `knn`."""
    n = len(neighbours)
    place = list(range(n)) if place is None else place
    columns = {
        "row_id": range(n),
        "sample_id": ids or [f"{i:04x}" for i in range(n)],
        "knn.place": pa.array(place, pa.int32()),
        "knn.neighbours": pa.array(neighbours, LISTS[0]),
        "knn.similarity": pa.array(similarity, LISTS[1]),
        "knn.status": pa.array(status or ["ok"] * n, pa.string()),
        "tokens": pa.array([10] * n, pa.int32()),
    }
    return pa.table(columns | more)


def pool_of_cosines(cosine, **fields):
    """Every row with all others, best first."""
    cosine = np.array(cosine)
    n = len(cosine)
    own = cosine - 9 * np.eye(n)
    order = np.argsort(-own, axis=1, kind="stable")[:, : n - 1]
    return graph_pool(order.tolist(), np.take_along_axis(own, order, 1).tolist(), **fields)


POOL = graph_pool([[1, 2], None, [0], []], [[0.9, 0.5], None, [0.5], []], [0, None, 2, 1])


def test_lists():
    graph = read_graph(POOL, "knn")
    assert graph.place.tolist() == [0, -1, 2, 1]
    assert graph.starts.tolist() == [0, 2, 2, 3, 3]
    assert [each.tolist() for each in graph.of(0)] == [[1, 2], np.float32([0.9, 0.5]).tolist()]
    assert [len(each) for each in graph.of(1)] == [0, 0]
    assert graph.of(2)[0].tolist() == [0]


def test_in_any_pieces():
    whole = read_graph(POOL, "knn")
    pieces = pa.concat_tables([POOL.slice(0, 1), POOL.slice(1, 2), POOL.slice(3)])
    for name, value in vars(read_graph(pieces, "knn")).items():
        np.testing.assert_array_equal(value, getattr(whole, name))
    assert read_graph(POOL.slice(2, 1), "knn").neighbours.tolist() == [0]
    assert read_graph(POOL.slice(0, 0), "knn").starts.tolist() == [0]


def test_schema():
    assert graph_schema("g").names == [f"g.{name}" for name in COLUMNS]
    assert graph_schema("g").field("g.neighbours").type == LISTS[0]
