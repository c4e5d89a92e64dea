"""Several answers to an instruction: one of each, or one source of all."""

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from rich.console import Console
from tamis.pipeline.run import select
from tamis.pipeline.summary import summarise
from tamis.tests.runs import model_config, quiet, run_config
from tamis.tests.tiny import write_jsonl

# of each instruction a's answer is rated i, b's 9 - i; a has answered easy ones beside
ASKED = [f"What is {i} and {i}?" for i in range(6)]
A = [
    {"instruction": text, "output": f"It is {2 * i}, as far as I can see.", "rating": i}
    for i, text in enumerate(ASKED)
]
B = [
    {"instruction": f"  {text.upper()}", "output": f"{2 * i}", "rating": 9 - i}
    for i, text in enumerate(ASKED)
]
EASY = [{"instruction": f"Say {i}.", "output": str(i), "rating": 99} for i in range(3)]


def fields(folder, **more):
    paths = {
        "a": write_jsonl(folder / "a.jsonl", A + EASY),
        "b": write_jsonl(folder / "b.jsonl", B),
    }
    base = {
        "data": [{"name": name, "path": str(path)} for name, path in paths.items()],
        "signals": {"asked": {"use": "exact_duplicates", "side": "instruction"}},
        "scorers": {"rated": {"use": "column", "column": "data.rating"}},
        "selector": [{"use": "representatives", "column": "asked.group", "by": "rated.score"}],
        "budget": {"fraction": 1},
    }
    return base | more


def kept(result):
    table = pq.read_table(result.folder.path / "ledger.parquet")
    return table.filter(pc.equal(table["outcome"], "kept")), table


def test_the_best_rating_of_each_instruction(tmp_path):
    found, _ = kept(select(run_config(tmp_path, **fields(tmp_path)), quiet()))
    # a: instructions 5 and the easy ones; b: 0 to 4 (rows 9 to 13)
    assert sorted(found["row_id"].to_pylist()) == [5, 6, 7, 8, 9, 10, 11, 12, 13]


def test_one_source_for_all(tmp_path):
    selector = [{"use": "best_source", "by": "rated.score", "instruction": "asked.group"}]
    result = select(run_config(tmp_path, **fields(tmp_path, selector=selector)), quiet())
    found, table = kept(result)
    assert set(found["source"].to_pylist()) == {"b"}  # 6.5 against 2.5; with the easy ones 34.7
    assert len(found) == 6
    assert found["reason"].to_pylist() == ["best source: b (6.5)"] * 6
    assert table["reason"].to_pylist()[0] == "another source: a (2.5)"
    said = [
        "best_source: mean rated.score on 6 instructions that every source has",
        "best_source: b: 6.5, 6 rows",
        "best_source: a: 2.5, 9 rows",
    ]
    assert result.manifest["said"] == said
    console = Console(width=100)
    with console.capture() as shown:
        console.print(summarise(result.folder.path, result.manifest, was_done=False))
    assert all(line in shown.get() for line in said)


@pytest.mark.slow
def test_the_answer_that_fits_the_model_best(tmp_path, gpt2):
    scorers = {
        "rated": {"use": "column", "column": "data.rating"},
        "grape": {"use": "grape", "min_tokens": 6, "quality": "rated.score", "at_least": 1},
    }
    selector = [{"use": "representatives", "column": "asked.group", "by": "grape.score"}]
    own = fields(tmp_path, scorers=scorers, selector=selector)
    own["signals"] |= {"base": {"use": "forward", "model": str(gpt2), "dtype": "fp32"}}
    found, table = kept(select(model_config(tmp_path, gpt2, **own), quiet()))
    # the short answers of b are under the floor, and the one that is rated 0
    status = table["grape.status"].to_pylist()
    assert status == ["below_floor", *["ok"] * 5, *["below_floor"] * 9]
    assert found["row_id"].to_pylist() == [1, 2, 3, 4, 5]
    score = table["grape.score"].drop_null()
    assert pc.all(pc.and_(pc.greater(score, 0), pc.less(score, 1))).as_py()
    assert table.schema.field("grape.score").type == pa.float32()
