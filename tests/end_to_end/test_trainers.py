"""What lies in `curated/trainers/` is taken by the trainers themselves.

TRL trains a tiny model for five steps. LLaMA-Factory, without what only its training needs, reads
its config and rows with its own code; so does Axolotl its config.
"""

import json
import math
import os
import subprocess
import sys
from importlib.metadata import version

import pytest
from tamis.pipeline.finished import open_run
from tamis.pipeline.other_form import write_form
from tamis.pipeline.run import select
from tamis.tests.environments import environment
from tamis.tests.runs import quiet, run_config
from tamis.tests.tiny import mixed_rows, write_jsonl

pytestmark = pytest.mark.compat

QUICK = ["--max_steps", "5", "--logging_steps", "1", "--save_steps", "5", "--report_to", "none"]
QUICK += ["--use_cpu", "--bf16", "False", "--per_device_train_batch_size", "2"]
MARKED = """{% for m in messages %}<|im_start|>{{ m.role }}
{% if m.role == 'assistant' %}{% generation %}{{ m.content }}<|im_end|>{% endgeneration %}
{% else %}{{ m.content }}<|im_end|>
{% endif %}{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""
PROMPT_COMPLETION = """
import json, sys
from datasets import load_dataset
from trl import SFTConfig, SFTTrainer
rows, model, out = sys.argv[1:]
data = load_dataset("json", data_files=rows, split="train")
args = SFTConfig(out, max_steps=5, logging_steps=1, save_strategy="no", report_to="none",
                 use_cpu=True, bf16=False)
trainer = SFTTrainer(model, args=args, train_dataset=data)
trainer.train()
tokenizer = trainer.processing_class
batch = trainer.data_collator([trainer.train_dataset[i] for i in range(3)])
trained = [tokenizer.decode(ids[labels != -100])
           for ids, labels in zip(batch["input_ids"], batch["labels"])]
print(json.dumps([trained, [line["loss"] for line in trainer.state.log_history if "loss" in line]]))
"""


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return select(run_config(tmp_path_factory.mktemp("plain")), quiet()).folder.path


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    """A run over rows with tools and several answers, all kept."""
    folder = tmp_path_factory.mktemp("mixed")
    data = [{"name": "mixed", "path": str(write_jsonl(folder / "mixed.jsonl", mixed_rows()))}]
    scorers = {"long": {"use": "length", "unit": "chars"}}
    config = run_config(folder, data=data, scorers=scorers, budget={"fraction": 1.0})
    return select(config, quiet()).folder.path


@pytest.fixture(scope="module")
def dialogues(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dialogues")
    turns = [{"role": r, "content": f"{r} says"} for r in ("user", "assistant") * 2]
    rows = [{"messages": [*turns[:-1], turns[-1] | {"content": f"{i}"}]} for i in range(6)]
    data = [{"name": "d", "path": str(write_jsonl(folder / "d.jsonl", rows))}]
    scorers = {"long": {"use": "length", "unit": "chars"}}
    config = run_config(folder, data=data, scorers=scorers, budget={"fraction": 1.0})
    return select(config, quiet()).folder.path


def run(python, *command, cwd=None, **environ):
    environ = os.environ | environ
    done = subprocess.run(
        [python, *command], capture_output=True, text=True, check=False, cwd=cwd, env=environ
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout


def losses(folder):
    state = json.loads((folder / "checkpoint-5" / "trainer_state.json").read_text())
    return [line["loss"] for line in state["log_history"] if "loss" in line]


def test_the_script_for_trl_trains(plain, llama, tmp_path):
    script = str(plain / "curated" / "trainers" / "trl_sft.py")
    where = ["--model_name_or_path", str(llama), "--output_dir", str(tmp_path / "out")]
    run(sys.executable, script, *where, *QUICK, cwd=tmp_path)
    found = losses(tmp_path / "out")
    assert len(found) == 5 and all(map(math.isfinite, found))


def test_trl_trains_on_every_answer_of_a_dialogue(dialogues, llama, tmp_path):
    (tmp_path / "chat.jinja").write_text(MARKED)
    script = str(dialogues / "curated" / "trainers" / "trl_sft.py")
    where = ["--model_name_or_path", str(llama), "--output_dir", str(tmp_path / "out")]
    template = ["--chat_template_path", str(tmp_path / "chat.jinja")]
    run(sys.executable, script, *where, *template, *QUICK, cwd=tmp_path)
    found = losses(tmp_path / "out")
    assert len(found) == 5 and all(map(math.isfinite, found))


def test_trl_trains_on_completions_only(plain, llama, tmp_path):
    made = write_form(open_run(str(plain)), "prompt-completion", str(tmp_path / "form"))
    said = run(
        sys.executable, "-c", PROMPT_COMPLETION, str(made.path), str(llama), str(tmp_path / "out")
    )
    trained, found = json.loads(said.splitlines()[-1])
    assert len(found) == 5 and all(map(math.isfinite, found))
    rows = [json.loads(line) for line in made.path.read_text("utf-8").splitlines()[:3]]
    answers = [row["completion"][0]["content"].strip() for row in rows]
    assert [text.partition("<|im_end|>")[0] for text in trained] == answers


LLAMAFACTORY = """
import json, sys
from types import SimpleNamespace
from datasets import __version__, disable_progress_bars
from llamafactory.data.loader import _get_merged_dataset
from llamafactory.hparams import DataArguments, FinetuningArguments, ModelArguments
from llamafactory.hparams.parser import read_args
from transformers import HfArgumentParser, Seq2SeqTrainingArguments
disable_progress_bars()
cache, model = sys.argv[1:]
sys.argv = ["llamafactory-cli", "trainers/llamafactory.yaml", f"model_name_or_path={model}"]
kinds = (ModelArguments, DataArguments, Seq2SeqTrainingArguments, FinetuningArguments)
parsed = HfArgumentParser(kinds).parse_dict(read_args())
parsed[0].cache_dir = cache
rows = _get_merged_dataset(parsed[1].dataset, parsed[0], parsed[1], parsed[2], "sft")
print(json.dumps([__version__, parsed[0].model_name_or_path, rows.to_list()]))
"""


@pytest.fixture(scope="module")
def llamafactory(pytestconfig, tmp_path_factory):
    """Its Python, and a folder with what stands for the one library for audio that it imports."""
    packages = ["datasets==4.0.0", "transformers==5.6.0", "omegaconf", "einops", "fire"]
    alone = ["llamafactory==0.9.5", "peft==0.18.1", "trl==0.24.0", "accelerate==1.11.0"]
    folder = pytestconfig.cache.mkdir("environments")
    python = environment(folder, "llamafactory", [*packages, "tyro<0.9"], alone)
    path = tmp_path_factory.mktemp("audio")
    (path / "torchaudio.py").touch()
    return python, path


def read_by_llamafactory(llamafactory, finished, model, cache):
    python, path = llamafactory
    said = run(
        python,
        "-c",
        LLAMAFACTORY,
        str(cache),
        str(model),
        cwd=finished / "curated",
        PYTHONPATH=str(path),
    )
    installed, name, rows = json.loads(said.splitlines()[-1])
    assert (installed, name) == ("4.0.0", str(model))
    return rows


def test_llamafactory_reads_config_and_rows(llamafactory, plain, llama, tmp_path):
    rows = read_by_llamafactory(llamafactory, plain, llama, tmp_path)
    lines = (plain / "curated" / "train.jsonl").read_text("utf-8").splitlines()
    assert [row["_prompt"] + row["_response"] for row in rows] == [
        json.loads(line)["messages"] for line in lines
    ]


def test_llamafactory_reads_tools(llamafactory, mixed, llama, tmp_path):
    rows = read_by_llamafactory(llamafactory, mixed, llama, tmp_path)
    assert len(rows) == 5
    roles = [message["role"] for message in rows[0]["_prompt"] + rows[0]["_response"]]
    assert roles == ["user", "function", "observation", "assistant"]
    call = json.loads(rows[0]["_prompt"][1]["content"])
    assert call == [{"name": "f", "arguments": {"a": 1}}]
    assert json.loads(rows[0]["_tools"])[0]["function"]["name"] == "f"
    assert all(row["_response"] for row in rows)  # none was skipped


AXOLOTL = """
import json, sys, yaml
from axolotl.prompt_strategies.chat_template import load
from axolotl.utils.data.shared import load_dataset_with_config
from axolotl.utils.dict import DictDefault
from axolotl.utils.schemas.config import AxolotlInputConfig
from datasets import __version__
from transformers import AutoTokenizer
(model,) = sys.argv[1:]
raw = yaml.safe_load(open("trainers/axolotl.yaml")) | {"base_model": model}
config = DictDefault(AxolotlInputConfig(**DictDefault(raw)).model_dump(exclude_none=True))
rows = load_dataset_with_config(config.datasets[0], False)
tokenizer = AutoTokenizer.from_pretrained(model)
strategy = load(tokenizer, config, ds_cfg=dict(config.datasets[0]))
trained = []
for row in rows:
    made = strategy.tokenize_prompt(row)
    pairs = zip(made["input_ids"], made["labels"])
    trained.append(tokenizer.decode([token for token, label in pairs if label != -100]))
print(json.dumps([__version__, trained]))
"""


def test_axolotl_reads_config_and_rows_and_trains_on_answers(pytestconfig, plain, llama, tmp_path):
    packages = ["datasets==4.8.4", "addict", "pillow", "numba", "colorama", "posthog", "distro"]
    folder = pytestconfig.cache.mkdir("environments")
    python = environment(folder, "axolotl", packages, ["axolotl==0.19.0"])
    silent = {"HF_DATASETS_CACHE": str(tmp_path), "AXOLOTL_DO_NOT_TRACK": "1"}
    said = run(python, "-c", AXOLOTL, str(llama), cwd=plain / "curated", **silent)
    installed, trained = json.loads(said.splitlines()[-1])
    assert installed == "4.8.4"
    rows = (plain / "curated" / "train.jsonl").read_text("utf-8").splitlines()
    answers = [json.loads(row)["messages"][-1]["content"].strip() for row in rows]
    assert [text.partition("<|im_end|>")[0].strip() for text in trained] == answers


def test_the_version_of_trl_is_the_one_that_the_page_names():
    assert version("trl") == "1.16.0"


@pytest.mark.shared
def test_five_steps_on_real_rows(shared, tmp_path):
    """The 20 longest answers of alpaca-9k, with a small model that has no chat template."""
    config = run_config(
        tmp_path,
        data=[{"name": "alpaca", "path": str(shared / "data" / "alpaca-9k.json")}],
        scorers={"long": {"use": "length", "unit": "chars"}},
        budget={"rows": 20},
        part_rows=1024,
    )
    path = select(config, quiet()).folder.path
    (tmp_path / "chat.jinja").write_text(
        "{% for m in messages %}{{ m.content }}{% if m.role == 'assistant' %}{{ eos_token }}"
        "{% endif %}\n{% endfor %}"
    )
    where = ["--model_name_or_path", str(shared / "models" / "alpaca-5m")]
    where += ["--output_dir", str(tmp_path / "out"), "--max_length", "512"]
    where += ["--chat_template_path", str(tmp_path / "chat.jinja")]
    run(sys.executable, str(path / "curated" / "trainers" / "trl_sft.py"), *where, *QUICK)
    found = losses(tmp_path / "out")
    assert len(found) == 5 and all(0 < loss < 9 for loss in found)
