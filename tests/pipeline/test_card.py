import dataclasses

import pyarrow as pa
import yaml
from huggingface_hub import DatasetCard
from tamis.pipeline.card import make_card
from tamis.pipeline.config import Config
from tamis.pipeline.plan import make_plan
from tamis.pipeline.pool import Pool
from tamis.pipeline.store import Part
from tamis.stages.export import Curated
from tamis.tests.runs import model_config, run_config

POOL = Pool("p", (Part("a" * 32, 0, 5),), 6, {}, {"data.rating": "int64"})
ENDS = [{"outcome": "kept", "step": "top_k", "reason": "", "n": 1234}]
PLAIN = Curated(0, {})


def ledger(config, scores=(1.0, 2.0, 3.0, 4.0, float("nan"))):
    """Five rows, of which the third and fourth are kept."""
    n = len(scores)
    columns = {
        "row_id": range(n),
        "source": ["pool"] * n,
        "outcome": ["dropped", "dropped", "kept", "kept", "dropped"],
    }
    columns |= {f"{name}.score": pa.array(scores, pa.float32()) for name in config.scorers}
    return pa.table(columns)


def card_of(config, made=PLAIN, ends=ENDS):
    return make_card(config, make_plan(config, POOL), ledger(config), ends, made)


def licensed(config, *licenses):
    sources = [
        {"name": f"s{i}", "path": "x.jsonl", "license": name} for i, name in enumerate(licenses)
    ]
    return Config.model_validate(config.model_dump() | {"data": sources})


def test_a_card_that_the_hub_reads(tmp_path, gpt2):
    card = DatasetCard(card_of(model_config(tmp_path, gpt2)))
    assert card.data.to_dict()["configs"][0]["data_files"][0]["path"] == "data/train-*.parquet"
    assert card.data.size_categories == ["n<1K"]
    assert card.data.license == "unknown"
    assert "| kept | top_k |  | 1,234 |" in card.text
    assert "2 of 5 rows, chosen by Tamis" in card.text


def test_scores_of_the_pool_and_of_what_is_kept(tmp_path):
    """By hand: 1 to 4 have mean 2.5, percentiles at 1.15, 2.5 and 3.85; 3 and 4 at 3.05, 3.95."""
    text = card_of(run_config(tmp_path))
    assert "| long | pool | 4 | 2.5 | 1.15 | 2.5 | 3.85 |" in text
    assert "| long | kept | 2 | 3.5 | 3.05 | 3.5 | 3.95 |" in text


def test_licences_of_the_sources(tmp_path):
    config = licensed(run_config(tmp_path), "mit", None, "cc-by-4.0, mit")
    card = DatasetCard(card_of(config))
    assert card.data.license == ["cc-by-4.0", "mit", "unknown"]
    assert "| s0 | files | mit | 0 | 0 |" in card.text
    assert "| s1 | files | unknown |" in card.text
    assert "| s2 | files | cc-by-4.0, mit |" in card.text
    one = DatasetCard(card_of(licensed(run_config(tmp_path), "mit", "mit")))
    assert one.data.license == "mit"


def test_a_dataset_of_the_hub_is_named_with_its_commit(tmp_path):
    config = run_config(tmp_path)
    source = config.data[0].model_copy(update={"path": "some/data", "revision": "abc123"})
    text = card_of(config.model_copy(update={"data": [source]}))
    assert "| pool | some/data at abc123 | unknown | 5 | 2 |" in text


def test_the_recipe_names_no_place_on_this_machine(tmp_path, gpt2):
    config = model_config(tmp_path, gpt2)
    text = card_of(config)
    assert str(tmp_path) not in text
    assert str(gpt2.parent) not in text
    recipe = yaml.safe_load(text.split("```yaml")[1].split("```")[0])
    assert recipe["signals"]["base"]["model"] == gpt2.name
    assert [block["use"] for block in recipe["selector"]] == ["threshold", "top_k"]


def test_nor_do_lists_of_places(tmp_path, gpt2):
    """Adapters of the gradient signal are folders."""
    gradient = {"use": "gradient", "model": str(gpt2), "adapters": [str(tmp_path / "adapter-1")]}
    config = run_config(tmp_path, signals={"length": {"use": "length"}, "gradient": gradient})
    plan = make_plan(config, POOL)
    step = dataclasses.replace(plan.steps[0], name="gradient")
    plan = dataclasses.replace(plan, steps=(*plan.steps, step))
    text = make_card(config, plan, ledger(config), ENDS, PLAIN)
    assert str(tmp_path) not in text
    assert "adapter-1" in text


def test_what_a_trainer_cannot_hold_is_said(tmp_path):
    text = card_of(run_config(tmp_path), Curated(7, {"text beside a tool call": 3}))
    assert "LLaMA-Factory cannot hold 3 rows: text beside a tool call." in text
    assert "In 7 rows the assistant answers more than once." in text
    assert "cannot hold" not in card_of(run_config(tmp_path))


def test_text_from_elsewhere_stays_in_its_cell(tmp_path):
    ends = [{"outcome": "dropped", "step": "x", "reason": "a|b\n<script>", "n": 1}]
    assert "| dropped | x | a\\|b &lt;script> | 1 |" in card_of(run_config(tmp_path), ends=ends)
