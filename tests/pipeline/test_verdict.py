from pathlib import Path

import pytest
from tamis.pipeline.finished import open_run
from tamis.pipeline.row_search import line_of
from tamis.pipeline.run import select
from tamis.pipeline.selection import KEPT
from tamis.pipeline.verdict import NEVER, Passage, order_of, passages, shown, verdict
from tamis.tests.runs import quiet, run_config

TOKENIZER = Path(__file__).resolve().parents[2] / "configs" / "quickstart" / "model"
SLOW = pytest.mark.slow  # three runs each, of the same code
CAPPED = [
    {"use": "threshold", "by": "rated.score", "at_most": 4},
    {"use": "top_k", "by": "long.score"},
]


def run_of(folder, **fields):
    return open_run(str(select(run_config(folder, **fields), quiet()).folder.path))


def verdicts(run):
    """Line and verdict of every row."""
    lines = run.ledger.to_pylist()
    return [(line, verdict(run, line)) for line in lines]


@pytest.fixture(scope="module")
def two_steps(tmp_path_factory):
    return run_of(tmp_path_factory.mktemp("two"), selector=CAPPED)


def test_what_came_to_each_step(two_steps):
    """60 rows, one without an answer; ratings are the row's number modulo 7."""
    over = sum(i % 7 > 4 for i in range(60) if i != 5)
    assert passages(two_steps) == (
        Passage("threshold", 59, 59 - over),
        Passage("top_k", 59 - over, 10),
    )
    assert order_of(two_steps) == "long.score"


def test_each_end_in_words(two_steps):
    by_end = {(line["outcome"], line["step"]): (line, said) for line, said in verdicts(two_steps)}
    line, said = by_end["dropped", "threshold"]
    assert said.what == "dropped by threshold (step 1 of 2)"
    assert said.why == "rated.score not at most 4"
    assert said.budget == f"{NEVER}: threshold drops it whatever the budget"
    assert f"rank {line['rank']} of 59 rows that came to threshold (by rated.score)" in said.place
    assert "short of the cut" in said.place and said.passed == ()
    line, said = by_end["dropped", "top_k"]
    assert said.what == "dropped by top_k (step 2 of 2)"
    assert said.why == "over budget: the rows before it in the order fill the budget"
    assert said.budget == f"10 rows; in at a budget of {line['rank']}"
    assert [own.step for own in said.passed] == ["threshold"]
    line, said = by_end["kept", "top_k"]
    assert said.what == "kept by top_k (step 2 of 2)"
    assert said.budget == f"10 rows; it stays in down to a budget of {line['rank']}"
    assert "inside the cut" in said.place or "level with the cut" in said.place
    _, said = by_end["rejected", "ingest"]
    assert (said.what, said.place, said.budget) == ("rejected as it was read", "", NEVER)
    assert said.why == "it cannot be used: empty answer"


def is_kept_with(folder, row_id, **fields):
    """Whether a row is kept by a run of another budget."""
    (unit, limit), *_ = fields["budget"].items()
    run = run_of(folder, name=f"{unit}-{limit}", **fields)
    return line_of(run, row_id)["outcome"] == KEPT


@pytest.mark.parametrize(
    "selector",
    [
        CAPPED,
        pytest.param([{"use": "random"}], marks=SLOW),
        [{"use": "threshold", "by": "rated.score", "above": 1}],
        pytest.param([{"use": "band", "by": "long.score"}], marks=SLOW),
        pytest.param(
            [{"use": "best_of_each", "by": "long.score", "column": "data.rating"}], marks=SLOW
        ),
    ],
    ids=lambda blocks: blocks[-1]["use"],
)
def test_the_budget_that_is_named_is_the_least(tmp_path, selector):
    """What is said to be in at a budget is in there, and not at one row less."""
    run = run_of(tmp_path, selector=selector)
    lines = run.ledger.to_pylist()
    over = [line for line in lines if line["reason"] == "over budget"]
    line = over[len(over) // 2]
    assert f"in at a budget of {line['rank']}" in verdict(run, line).budget
    for less in (0, 1):
        fields = {"selector": selector, "budget": {"rows": line["rank"] - less}}
        assert is_kept_with(tmp_path, line["row_id"], **fields) == (less == 0)


@pytest.mark.slow
def test_a_budget_in_tokens(tmp_path):
    """The first rows of the order cost their answer tokens together."""
    signals = {"length": {"use": "length", "tokenizer": str(TOKENIZER)}}
    fields = {"signals": signals, "selector": CAPPED, "budget": {"answer_tokens": 150}}
    run = run_of(tmp_path, **fields)
    lines = run.ledger.to_pylist()
    line = next(line for line in lines if line["reason"] == "over budget" and line["rank"] > 12)
    said = verdict(run, line).budget
    tokens = int(said.rpartition(" ")[2].replace(",", ""))
    assert said.startswith("150 answer tokens; in at a budget of")
    for less in (0, 1):
        fields["budget"] = {"answer_tokens": tokens - less}
        assert is_kept_with(tmp_path, line["row_id"], **fields) == (less == 0)


@pytest.mark.parametrize(
    ("selector", "says"),
    [
        ([{"use": "quota", "by": "long.score", "column": "data.rating"}], "may choose other rows"),
        (
            [{"use": "top_k", "by": "long.score"}, {"use": "band", "by": "rated.score"}],
            "top_k before it goes by the budget as well",
        ),
        (
            [{"use": "quota", "by": "long.score", "fraction": 0.5}, *CAPPED[1:]],
            "in at a budget of",
        ),
    ],
)
def test_where_the_rank_does_not_tell_it_says_so(tmp_path, selector, says):
    run = run_of(tmp_path, selector=selector)
    last = selector[-1]["use"]
    found = [
        s for line, s in verdicts(run) if line["step"] == last and line["outcome"] == "dropped"
    ]
    assert found and all(says in one.budget for one in found)


def test_groups_are_named(tmp_path):
    selector = [{"use": "quota", "by": "long.score", "column": "data.rating"}]
    run = run_of(tmp_path, selector=selector)
    whys = {said.why for line, said in verdicts(run) if line["outcome"] == "dropped"}
    words = "the better rows of its group 3 fill the quota of that group"
    assert f"over the quota: 3: {words}" in whys


def test_a_row_without_a_number(tmp_path):
    """It never came to the selector that reads the score."""
    scorers = {"rated": {"use": "column", "column": "data.gone_for_some"}}
    rows = (tmp_path / "pool.jsonl").open("w")
    for i in range(20):
        value = "null" if i == 4 else str(i)
        rows.write(f'{{"instruction": "q{i}", "output": "a{i}", "gone_for_some": {value}}}\n')
    rows.close()
    data = [{"name": "pool", "path": str(tmp_path / "pool.jsonl")}]
    selector = [{"use": "random"}, {"use": "top_k", "by": "rated.score"}]
    fields = {"data": data, "scorers": scorers, "selector": selector, "budget": {"rows": 20}}
    run = run_of(tmp_path, **fields)
    said = verdict(run, line_of(run, 4))
    assert said.what == "dropped before top_k (step 2 of 2), which reads rated.score"
    assert said.why.startswith("rated gave it no number: its status is")
    assert (said.place, said.budget) == ("", NEVER)
    assert said.passed == (Passage("random", 20, 20),)
    assert passages(run)[1] == Passage("top_k", 19, 19)


def test_numbers_are_read_with_ease():
    assert [shown(value) for value in (398_278.0, 9_999.5, 0.0082851, -12_345.0)] == [
        "398,278",
        "10,000",
        "0.008285",
        "-12,345",
    ]
