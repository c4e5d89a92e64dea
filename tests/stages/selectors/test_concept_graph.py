import tracemalloc
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tamis.stages.selectors import concept_graph
from tamis.stages.selectors.concept_graph import ConceptGraph

STREAM = ["ab", "bc", "ac", "ad", "abc", "e", "ea"]


def accepted(stream, **fields):
    graph, found = ConceptGraph(**fields), []
    for place, concepts in enumerate(stream):
        if graph.conflict(concepts) is None:
            graph.add(concepts)
            found.append(place)
    return found


def test_by_hand():
    """a and c are both known when ac comes, but not from one row; a and d are not both known."""
    assert accepted(STREAM) == [0, 1, 3, 5, 6]


def test_with_lone_concepts():
    """e is known by itself, and so ea conflicts."""
    assert accepted(STREAM, lone=True) == [0, 1, 3, 5]


def test_names_the_first_pair():
    graph = ConceptGraph()
    graph.add("ab")
    graph.add("cd")
    assert graph.conflict("xdbac") == ("d", "b")
    assert graph.conflict("ab") is None
    assert graph.conflict("ax") is None
    assert graph.conflict([]) is None


def test_a_concept_does_not_conflict_with_itself():
    graph = ConceptGraph(lone=True)
    graph.add("aa")
    assert graph.conflict("aa") is None


@given(st.lists(st.sets(st.sampled_from("abcdef"), max_size=4), max_size=12))
def test_what_was_accepted_stays_so(stream):
    rows = [sorted(concepts) for concepts in stream]
    once = [rows[place] for place in accepted(rows)]
    assert accepted(once + once) == list(range(2 * len(once)))


def decisions(stream, lone):
    graph, found = ConceptGraph(lone), []
    for concepts in stream:
        found.append(graph.conflict(concepts))
        if found[-1] is None:
            graph.add(concepts)
    return found


def plain_decisions(stream, lone):
    """With every edge in one set."""
    known, edges, found = set(), set(), []
    for concepts in stream:
        pairs = [p for p in combinations(dict.fromkeys(concepts), 2) if known.issuperset(p)]
        found.append(next((p for p in pairs if frozenset(p) not in edges), None))
        if found[-1] is None and (lone or len(set(concepts)) > 1):
            known.update(concepts)
            edges.update(map(frozenset, combinations(set(concepts), 2)))
    return found


@given(
    st.lists(st.lists(st.sampled_from("abcdefgh"), max_size=7), max_size=12),
    st.booleans(),
    st.sampled_from([0, 2, 3, 16]),
)
def test_how_edges_are_held_decides_nothing(stream, lone, short):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(concept_graph, "SHORT", short)
        assert decisions(stream, lone) == plain_decisions(stream, lone)


def test_memory_of_a_row_of_many_concepts():
    """4,000 concepts in one row have 8 million edges, which take 375 MB as sets."""
    concepts = [str(number) for number in range(4000)]
    graph = ConceptGraph()
    tracemalloc.start()
    try:
        graph.add(concepts)
        assert tracemalloc.get_traced_memory()[1] < 8e6
    finally:
        tracemalloc.stop()
    assert graph.conflict(concepts) is None
