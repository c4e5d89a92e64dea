import gzip
import json

import numpy as np
import pyarrow.parquet as pq
import pytest
from datasets import load_dataset, load_from_disk
from tamis.errors import DataError, PlanError
from tamis.kernels.backend import interpreting
from tamis.pipeline.config import Config
from tamis.pipeline.load import load
from tamis.pipeline.run import score, select
from tamis.tests.runs import digest, model_config, quiet, run_config
from tamis.tests.tiny import alpaca, write_jsonl


def run(config, **kwargs):
    return select(config, quiet(), **kwargs)


def test_from_config_to_curated(tmp_path):
    result = run(run_config(tmp_path))
    folder = result.folder.path
    names = {path.name for path in folder.iterdir()}
    assert names == {
        "config.yaml",
        "manifest.json",
        "log.jsonl",
        "status.json",
        "uses.json",
        "ledger.parquet",
        "rejected.parquet",
        "curated",
    }
    ledger = pq.read_table(folder / "ledger.parquet").to_pylist()
    assert [row["row_id"] for row in ledger] == list(range(60))
    kept = [row for row in ledger if row["outcome"] == "kept"]
    assert sorted(row["rank"] for row in kept) == list(range(1, 11))
    assert min(row["long.score"] for row in kept) >= max(
        row["long.score"] for row in ledger if row["outcome"] == "dropped"
    )
    curated = load_from_disk(str(folder / "curated/arrow/train"))
    assert curated["row_id"][:] == [row["row_id"] for row in kept]
    assert curated["rank"][:] == [row["rank"] for row in kept]
    assert curated["long.score"][:] == [row["long.score"] for row in kept]
    assert curated["rating"][:] == [row["row_id"] % 7 for row in kept]
    hub = load_dataset(str(folder / "curated"), split="train", cache_dir=str(tmp_path / "hf"))
    assert hub.to_list() == curated.to_list()


def test_every_row_is_accounted_for(tmp_path):
    manifest = run(run_config(tmp_path)).manifest
    assert manifest["pool"]["rows_in"] == 60 == sum(end["n"] for end in manifest["ends"])
    assert manifest["pool"]["rejected"] == {"empty answer": 1}
    assert manifest["rows_kept"] == 10


def test_the_manifest_says_what_made_what(tmp_path):
    result = run(run_config(tmp_path))
    manifest = json.loads((result.folder.path / "manifest.json").read_text())
    assert [step["name"] for step in manifest["steps"]] == ["length", "long", "rated"]
    assert manifest["steps"][1]["made_by"]["class"] == "Length"
    for name, facts in manifest["files"].items():
        assert (result.folder.path / name).stat().st_size == facts["bytes"]
    assert manifest["environment"]["pyarrow"]


def test_the_same_again_is_already_done(tmp_path):
    first = run(run_config(tmp_path))
    before = digest(first.folder.path)
    again = run(run_config(tmp_path))
    assert again.was_done
    assert again.folder.path == first.folder.path
    assert digest(again.folder.path) == before


def test_a_replay_of_the_resolved_config_gives_the_same_bytes(tmp_path):
    first = run(run_config(tmp_path))
    replay = load(str(first.folder.path / "config.yaml"))
    fresh = replay.model_copy(
        update={"store": str(tmp_path / "store2"), "out": str(tmp_path / "runs2")}
    )
    assert digest(run(fresh).folder.path) == digest(first.folder.path)


def test_changed_data_under_the_same_path_is_another_run(tmp_path):
    config = run_config(tmp_path)
    first = run(config)
    path = tmp_path / "pool-60.jsonl"
    path.write_text(path.read_text().replace("capital", "center"))
    second = run(config)
    assert not second.was_done
    assert second.folder.path.name == "run-2"
    assert digest(second.folder.path) != digest(first.folder.path)


def test_another_budget_computes_nothing(tmp_path, gpt2):
    run(model_config(tmp_path, gpt2))
    second = run(model_config(tmp_path, gpt2, budget={"fraction": 0.5}))
    assert [step["computed"] for step in second.manifest["steps"]] == [0, 0, 0]
    assert second.manifest["rows_kept"] == 29


def test_a_second_scorer_costs_no_second_pass(tmp_path, gpt2):
    run(model_config(tmp_path, gpt2))
    scorers = {"ifd": {"use": "ifd"}, "ppl": {"use": "perplexity"}}
    second = run(model_config(tmp_path, gpt2, scorers=scorers))
    assert {step["name"]: step["computed"] for step in second.manifest["steps"]} == {
        "base": 0,
        "ifd": 0,
        "ppl": 4,
    }


def test_a_damaged_file_is_named_set_aside_and_computed_again(tmp_path, gpt2, caplog):
    first = run(model_config(tmp_path, gpt2))
    for pattern in ("forward-*/given.token_loss_sum", "ifd-*/score", "rows"):
        path = sorted((tmp_path / "store").glob(f"{pattern}/*.parquet"))[1]
        path.write_bytes(path.read_bytes()[:-9])
        caplog.clear()
        config = model_config(tmp_path, gpt2, name="again", scorers={"ifd": {"use": "ifd"}})
        again = select(config, quiet(), overwrite=True)
        if "forward" not in pattern:  # whose sums nobody needs once the scores are there
            assert str(path) in caplog.text
        assert again.manifest["rows_kept"] == first.manifest["rows_kept"]
    ledgers = [pq.read_table(r.folder.path / "ledger.parquet") for r in (first, again)]
    assert ledgers[0]["ifd.score"].equals(ledgers[1]["ifd.score"])


def test_budgets_over_the_pool_keep_all_that_is_eligible(tmp_path):
    assert run(run_config(tmp_path, budget={"rows": 10**6})).manifest["rows_kept"] == 59


def test_a_budget_in_answer_tokens(tmp_path, gpt2):
    signals = {"length": {"use": "length", "tokenizer": str(gpt2)}}
    result = run(run_config(tmp_path, signals=signals, budget={"answer_tokens": 500}))
    kept = load_from_disk(str(result.folder.path / "curated/arrow/train"))
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(gpt2)
    n_tokens = sum(len(tokenizer(m[-1]["content"])["input_ids"]) for m in kept["messages"])
    assert 300 < n_tokens <= 500


def test_quota_by_an_input_column(tmp_path):
    selector = [{"use": "quota", "by": "long.score", "column": "data.rating", "shares": "equal"}]
    result = run(run_config(tmp_path, selector=selector, budget={"rows": 14}))
    kept = load_from_disk(str(result.folder.path / "curated/arrow/train"))
    assert sorted(kept["rating"]) == sorted([*range(7)] * 2)


def test_labels_show_what_every_scorer_keeps(tmp_path):
    manifest = run(run_config(tmp_path, labels="data.rating")).manifest
    assert set(manifest["faults"]["shares"]) == {
        "pool",
        "selection",
        "random",
        "top long",
        "top rated",
    }


@pytest.mark.parametrize(
    ("fields", "error", "message"),
    [
        ({"budget": None}, PlanError, "budget is missing"),
        ({"selector": []}, PlanError, "selector is missing"),
        ({"budget": {"fraction": 0.001}}, PlanError, "less than one row"),
        ({"data": [{"name": "d", "path": "/gone.jsonl"}]}, DataError, "no file or folder"),
        (
            {"selector": [{"use": "threshold", "by": "long.score", "above": 1e9}]},
            PlanError,
            "nothing",
        ),
    ],
)
def test_mistakes_end_the_run_and_leave_no_finished_folder(tmp_path, fields, error, message):
    with pytest.raises(error, match=message):
        run(run_config(tmp_path, **fields))
    assert not list((tmp_path / "runs").glob("*/manifest.json"))


def test_score_without_selecting(tmp_path):
    config = run_config(tmp_path, selector=[], budget=None)
    path, table = score(config, quiet())
    assert path.name == "scores.parquet"
    assert pq.read_table(path).equals(table)
    assert table.column_names == [
        "row_id",
        "sample_id",
        "source",
        "long.score",
        "long.percentile",
        "long.status",
        "rated.score",
        "rated.percentile",
        "rated.status",
    ]
    assert len(table) == 59


def test_several_sources_and_a_shuffled_input(tmp_path, gpt2):
    """The same rows in another order: the same ids, up to the tolerance of the margin."""
    first = model_config(tmp_path, gpt2)
    lines = (tmp_path / "pool-60.jsonl").read_text().splitlines(keepends=True)
    order = [(7 * i) % 60 for i in range(60)]
    shuffled = tmp_path / "shuffled.jsonl"
    shuffled.write_text("".join(lines[i] for i in order))
    fields = first.model_dump(mode="json")
    second = Config.model_validate(
        fields | {"name": "second", "data": [{"name": "pool", "path": str(shuffled)}]}
    )
    kept = []
    for config in (first, second):
        curated = run(config).folder.path / "curated/arrow/train"
        kept.append(set(load_from_disk(str(curated))["sample_id"]))
    assert kept[0] == kept[1]


def write_pool(tmp_path, rows):
    return [{"name": "pool", "path": str(write_jsonl(tmp_path / "other.jsonl", rows))}]


def curated(result):
    return load_from_disk(str(result.folder.path / "curated/arrow/train"))


def test_a_row_without_room_for_its_answer_says_so(tmp_path, gpt2):
    rows = alpaca(20)
    rows[3]["instruction"] = "word " * 900
    result = run(model_config(tmp_path, gpt2, data=write_pool(tmp_path, rows)))
    row = pq.read_table(result.folder.path / "ledger.parquet").to_pylist()[3]
    assert (row["outcome"], row["step"]) == ("dropped", "ifd")
    assert row["reason"] == row["ifd.status"] == "instruction_too_long"


def test_a_chosen_dataset_can_be_chosen_from_again(tmp_path):
    first = run(run_config(tmp_path))
    again = [{"name": "again", "path": str(first.folder.path / "curated")}]
    scorers = {"long": {"use": "length", "unit": "chars"}}
    result = run(run_config(tmp_path, name="second", data=again, scorers=scorers))
    assert result.manifest["pool"]["rows_in"] == 10
    assert curated(result)["data.long.score"][:] == curated(first)["long.score"][:]


def test_columns_with_the_names_of_ours_are_kept(tmp_path):
    names = ("tools", "messages", "rank", "row_id", "sample_id", "source", "position", "a.score")
    rows = [row | {name: f"{name} {i}" for name in names} for i, row in enumerate(alpaca(12))]
    data = write_pool(tmp_path, rows)
    data[0]["format"] = "alpaca"
    scorers = {"long": {"use": "length", "unit": "chars"}}
    found = curated(run(run_config(tmp_path, data=data, scorers=scorers)))
    for row in found.to_list():
        for name in names:
            own = name if name in ("position", "a.score") else f"data.{name}"
            assert row[own] == f"{name} {row['row_id']}"


def test_a_column_of_several_types_is_the_same_in_every_part(tmp_path):
    rows = alpaca(48)
    for i, row in enumerate(rows):
        row["flag"] = "n/a" if i == 40 else i % 2 == 0
        row["big"] = 2**60 + i if i < 16 else 0.5
        row["kind"] = i if i < 16 else "text"
    scorers = {"flag": {"use": "column", "column": "data.flag"}}
    fields = {
        "data": write_pool(tmp_path, rows),
        "scorers": scorers,
        "selector": [{"use": "quota", "by": "flag.score", "column": "data.kind"}],
        "labels": "data.kind",
        "budget": {"rows": 20},
    }
    found = [run(run_config(tmp_path, name=f"p{n}", part_rows=n, **fields)) for n in (16, 48)]
    ledgers = [pq.read_table(result.folder.path / "ledger.parquet") for result in found]
    assert ledgers[0].equals(ledgers[1])
    assert ledgers[0]["flag.status"].to_pylist().count("not_a_number") == 1
    assert curated(found[0]).to_list() == curated(found[1]).to_list()


def test_another_column_or_name_of_a_source_costs_no_pass(tmp_path, gpt2):
    rows = alpaca(20)
    first = run(model_config(tmp_path, gpt2, data=write_pool(tmp_path, rows)))
    data = write_pool(tmp_path, [row | {"rating": 1} for row in rows])
    data[0]["name"] = "renamed"
    second = run(model_config(tmp_path, gpt2, data=data))
    assert not second.was_done
    assert [step["computed"] for step in second.manifest["steps"]] == [0, 0, 0]
    assert [step["computed"] for step in first.manifest["steps"]] == [2, 2, 2]
    assert curated(second)["rating"][0] == 1


def damage_messages(path):
    """Turn over a byte in the pages of the messages, which only the export reads here."""
    group = pq.ParquetFile(path).metadata.row_group(0)
    columns = [group.column(i) for i in range(group.num_columns)]
    content = next(c for c in columns if c.path_in_schema.endswith("content"))
    data = bytearray(path.read_bytes())
    data[content.data_page_offset + content.total_compressed_size // 2] ^= 1
    path.write_bytes(data)


def test_a_run_goes_on_after_its_rows_turn_out_damaged_in_the_export(tmp_path, caplog):
    run(run_config(tmp_path))
    paths = list((tmp_path / "store").glob("rows/*.parquet"))
    for path in paths:  # what is read for the scores stays whole
        damage_messages(path)
    rejected = next((tmp_path / "store").glob("pools/*/rejected.parquet"))
    rejected.write_bytes(rejected.read_bytes()[:-9])
    assert run(run_config(tmp_path, budget={"rows": 20})).manifest["rows_kept"] == 20
    seen = [str(path) for path in (*paths, rejected) if str(path) in caplog.text]
    assert str(rejected) in seen
    assert len(seen) > 1


def test_a_revision_of_a_local_file_is_a_mistake(tmp_path):
    data = write_pool(tmp_path, alpaca(5))
    data[0]["revision"] = "main"
    with pytest.raises(DataError, match=r"data.pool.revision is 'main', but .* is a local path"):
        run(run_config(tmp_path, data=data))


def test_the_inner_suffix_of_a_compressed_file_counts(tmp_path):
    text = json.dumps(alpaca(6)).encode()
    for name, n_rows in (("p.jsonl.gz", None), ("p.json.gz", 6)):
        (tmp_path / name).write_bytes(gzip.compress(text))
        config = run_config(tmp_path, data=[{"name": "p", "path": str(tmp_path / name)}])
        if n_rows is None:
            with pytest.raises(DataError, match="no usable row"):
                run(config)
        else:
            result = run(config.model_copy(update={"scorers": {"long": config.scorers["long"]}}))
            assert result.manifest["pool"]["rows_in"] == n_rows


def test_a_folder_with_the_store_in_it_is_no_input(tmp_path):
    write_jsonl(tmp_path / "pool.jsonl", alpaca(5))
    with pytest.raises(DataError, match=r"holds the store .*; give the data a folder of its own"):
        run(run_config(tmp_path, data=[{"name": "pool", "path": str(tmp_path)}]))


def test_a_split_of_a_plain_file_is_a_mistake(tmp_path):
    data = write_pool(tmp_path, alpaca(5))
    data[0]["split"] = "test"
    with pytest.raises(DataError, match=r"data.pool.split is 'test', but .* is a local path"):
        run(run_config(tmp_path, data=data))


def test_no_selector_is_said_before_anything_is_computed(tmp_path):
    with pytest.raises(PlanError, match="selector is missing"):
        run(run_config(tmp_path, selector=[]))
    assert not list((tmp_path / "store").glob("length-*"))


def test_a_quota_by_an_input_column_called_score(tmp_path):
    rows = [row | {"score": i % 2, "data.score": 7} for i, row in enumerate(alpaca(20))]
    selector = [{"use": "quota", "by": "long.score", "column": "data.score", "shares": "equal"}]
    scorers = {"long": {"use": "length", "unit": "chars"}}
    data = write_pool(tmp_path, rows)
    found = curated(run(run_config(tmp_path, data=data, selector=selector, scorers=scorers)))
    assert sum(found["score"][:]) == 5
    assert set(found["data.score"][:]) == {7}


@pytest.mark.skipif(not interpreting(), reason="Triton is not interpreted here")
def test_torch_and_triton_select_the_same_rows(tmp_path, gpt2):
    found = {}
    for kernel in ("torch", "triton"):
        signal = {"use": "forward", "model": str(gpt2), "dtype": "fp32", "kernel": kernel}
        result = run(model_config(tmp_path, gpt2, n=16, name=kernel, signals={"base": signal}))
        found[kernel] = pq.read_table(result.folder.path / "ledger.parquet")
        made = next(s for s in result.manifest["steps"] if s["name"] == "base")["made_by"]
        assert made["fields"]["kernel"] == kernel
    assert found["torch"]["outcome"].equals(found["triton"]["outcome"])
    scores = [found[kernel]["ifd.score"].to_numpy() for kernel in ("torch", "triton")]
    np.testing.assert_allclose(*scores, rtol=1e-5)
