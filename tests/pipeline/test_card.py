import yaml
from huggingface_hub import DatasetCard
from tamis.pipeline.card import make_card
from tamis.pipeline.plan import make_plan
from tamis.pipeline.pool import Pool
from tamis.pipeline.store import Part
from tamis.tests.runs import model_config

POOL = Pool("p", (Part("a" * 32, 0, 5),), 6, {}, {"data.rating": "int64"})
ENDS = [{"outcome": "kept", "step": "top_k", "reason": "", "n": 1234}]


def test_a_card_that_the_hub_reads(tmp_path, gpt2):
    config = model_config(tmp_path, gpt2)
    text = make_card(config, make_plan(config, POOL), ENDS, 1234)
    card = DatasetCard(text)
    assert card.data.to_dict()["configs"][0]["data_files"][0]["path"] == "data/train-*.parquet"
    assert card.data.size_categories == ["1K<n<10K"]
    assert "| kept | top_k |  | 1,234 |" in card.text


def test_the_recipe_names_no_place_on_this_machine(tmp_path, gpt2):
    config = model_config(tmp_path, gpt2)
    text = make_card(config, make_plan(config, POOL), ENDS, 1)
    assert str(tmp_path) not in text
    assert str(gpt2.parent) not in text
    recipe = yaml.safe_load(text.split("```yaml")[1].split("```")[0])
    assert recipe["signals"]["base"]["model"] == gpt2.name
    assert [block["use"] for block in recipe["selector"]] == ["threshold", "top_k"]
