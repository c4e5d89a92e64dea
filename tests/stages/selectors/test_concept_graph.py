from hypothesis import given
from hypothesis import strategies as st
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
