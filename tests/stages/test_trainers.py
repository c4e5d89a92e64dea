import ast

import pytest
import yaml
from tamis.stages.trainers import trainer_files


@pytest.mark.parametrize("several_answers", [False, True])
def test_the_script_is_python_and_trains_on_answers_only(several_answers):
    script = trainer_files(several_answers)["trl_sft.py"]
    ast.parse(script)
    assert ("assistant_only_loss = True" in script) == several_answers
    assert ('"completion"' in script) == (not several_answers)


def test_no_file_hides_the_library_that_it_imports():
    assert "trl.py" not in trainer_files(False)


def test_paths_are_relative_to_the_folder_and_no_model_is_named():
    files = trainer_files(False)
    axolotl = yaml.safe_load(files["axolotl.yaml"])
    assert axolotl["datasets"][0]["path"] == "train.jsonl"
    assert axolotl["datasets"][0]["roles_to_train"] == ["assistant"]
    llamafactory = yaml.safe_load(files["llamafactory.yaml"])
    assert (llamafactory["dataset_dir"], llamafactory["dataset"]) == ("llamafactory", "curated")
    assert axolotl["base_model"] == llamafactory["model_name_or_path"] == "MODEL"


def test_learning_rates_are_numbers():
    """`2e-5` without a point would be text in YAML."""
    for name in ("axolotl.yaml", "llamafactory.yaml"):
        assert yaml.safe_load(trainer_files(False)[name])["learning_rate"] == 2e-5
