"""Filters in a run: what they drop before the first selector, and where that is said."""

import pyarrow.parquet as pq
import pytest
import yaml
from pydantic import ValidationError
from tamis.errors import PlanError
from tamis.pipeline.explain import explain
from tamis.pipeline.explain_command import show_explanation
from tamis.pipeline.finished import open_run
from tamis.pipeline.load import load
from tamis.pipeline.run import select
from tamis.pipeline.verdict import Passage, passages
from tamis.stages.hub import open_dataset_folder
from tamis.tests.runs import quiet, run_config

SHORT = '''"""Drops short answers."""
import pyarrow as pa
import pyarrow.compute as pc
from tamis.stages.filters.base import Filter


class Short(Filter):
    least: int = 1
    words = {"short": "its answer has {detail} characters"}

    @property
    def reads(self):
        return pa.schema([("length.answer_chars", pa.int32())])

    @property
    def details(self):
        return pa.schema([("chars", pa.int32())])

    def judge(self, rows, fitted=None):
        chars = rows["length.answer_chars"].combine_chunks()
        said = pc.binary_join_element_wise("short", chars.cast(pa.string()), ": ")
        reason = pc.if_else(pc.less(chars, self.least), said, None)
        return pa.table({"reason": reason, "chars": chars})
'''


@pytest.fixture(scope="module")
def code(tmp_path_factory):
    path = tmp_path_factory.mktemp("code") / "short.py"
    path.write_text(SHORT)
    return str(path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("filters")


def config(folder, code, least=120, **fields):
    return run_config(folder, filters={"short": {"use": code, "least": least}}, **fields)


@pytest.fixture(scope="module")
def run(folder, code):
    path = select(config(folder, code, budget={"rows": 40}), quiet()).folder.path
    return open_run(str(path), allow_code=True)


def test_what_is_dropped_says_why_and_the_values_of_all_are_there(run):
    lines = [line for line in run.ledger.to_pylist() if line["outcome"] != "rejected"]
    assert {line["outcome"] for line in lines} == {"kept", "dropped"}
    for line in lines:
        short = line["short.chars"] < 120
        assert (line["step"] == "short") == short
        assert (line["short.reason"] is not None) == short
        if short:
            assert line["outcome"] == "dropped" and line["rank"] is None
            assert line["reason"] == f"short: {line['short.chars']}"
    ends = {(end["step"], end["reason"]): end["n"] for end in run.manifest["ends"]}
    n_short = sum(line["short.chars"] < 120 for line in lines)
    assert ends["short", "short"] == n_short > 0
    assert passages(run)[0] == Passage("short", 59, 59 - n_short)


def test_explained_in_words(run):
    line = next(line for line in run.ledger.to_pylist() if line["step"] == "short")
    found = explain(run, line["row_id"])
    assert found.verdict.what == "dropped by short (step 1 of 2)"
    assert found.verdict.why.endswith(f"its answer has {line['short.chars']} characters")
    assert found.filters[0].details == {"chars": line["short.chars"]}
    kept = next(line for line in run.ledger.to_pylist() if line["outcome"] == "kept")
    said = explain(run, kept["row_id"])
    assert said.filters[0].reason is None
    assert [own.step for own in said.verdict.passed] == ["short"]
    show_explanation(said)


def test_replayed_it_is_the_same(run, folder, code):
    again = load(str(run.folder / "config.yaml"), allow_code=True)
    assert select(again, quiet()).was_done
    other = select(config(folder, code, least=130, budget={"rows": 40}), quiet())
    assert not other.was_done


def test_without_a_selector_all_that_passes_is_kept(folder, code):
    done = select(config(folder, code, selector=[], budget=None, name="all"), quiet())
    run = open_run(str(done.folder.path), allow_code=True)
    lines = [line for line in run.ledger.to_pylist() if line["outcome"] != "rejected"]
    assert all((line["outcome"] == "kept") == (line["short.chars"] >= 120) for line in lines)
    assert len(open_dataset_folder(run.folder / "curated" / "arrow" / "train")) == len(run.kept)
    kept = next(line for line in lines if line["outcome"] == "kept")
    assert explain(run, kept["row_id"]).verdict.why == "all rows that pass the filters are kept"
    assert yaml.safe_load((run.folder / "config.yaml").read_text())["budget"]["fraction"] == 1
    assert select(load(str(run.folder / "config.yaml"), allow_code=True), quiet()).was_done


def test_a_budget_without_a_selector_is_an_error(folder, code):
    with pytest.raises(PlanError, match="selector is missing"):
        select(config(folder, code, selector=[], budget={"rows": 3}, name="few"), quiet())


def test_all_dropped(folder, code):
    with pytest.raises(PlanError, match=r"nothing is kept: 59 x short: short$"):
        select(config(folder, code, least=10**6, name="none"), quiet())


def test_names_are_their_own(folder, code):
    with pytest.raises(ValidationError, match="a scorer and a filter are both called"):
        run_config(folder, filters={"long": {"use": code}})
    with pytest.raises(ValidationError, match="cannot be the name of a signal, scorer or filter"):
        run_config(folder, filters={"source": {"use": code}})


def test_a_selector_may_read_what_a_filter_measured(folder, code):
    chosen = [{"use": "quota", "by": "long.score", "column": "short.chars"}]
    done = select(config(folder, code, selector=chosen, name="read"), quiet())
    assert len(pq.read_table(done.folder.path / "ledger.parquet")) == 60
