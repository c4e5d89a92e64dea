"""What lies beside a curated dataset for trainers: a script for TRL, and configs for two others.

None names a model or a place: the model is given on the command line, paths are relative to the
dataset's folder. The script is not called `trl.py`: it would hide the library of that name.
"""

TRL = '''"""Fine-tune on this dataset with TRL, on the answers only.

    python trainers/trl_sft.py --model_name_or_path MODEL --output_dir OUT

takes every option of TRL's SFTConfig and ModelConfig. A model without a chat template needs one:
--chat_template_path MODEL_OR_FILE.jinja
"""

from pathlib import Path

from datasets import load_dataset
from trl import ModelConfig, SFTConfig, SFTTrainer, TrlParser

folder = Path(__file__).resolve().parent.parent
args, model = TrlParser((SFTConfig, ModelConfig)).parse_args_and_config()
rows = load_dataset("json", data_files=str(folder / "train.jsonl"), split="train")
{shape}
SFTTrainer(model.model_name_or_path, args=args, train_dataset=rows).train()
'''

ONE_ANSWER = """rows = rows.map(  # with a prompt and a completion TRL trains on the completion only
    lambda row: {"prompt": row["messages"][:-1], "completion": row["messages"][-1:]},
    remove_columns="messages",
)"""

ANSWERS = """args.assistant_only_loss = True  # rows with several answers: on each of them"""

AXOLOTL = """# From the folder of the dataset:
#   axolotl train trainers/axolotl.yaml --base-model MODEL
base_model: MODEL
datasets:
  - path: train.jsonl
    ds_type: json
    type: chat_template
    field_messages: messages
    roles_to_train: [assistant]
    train_on_eos: turn
chat_template: tokenizer_default   # for a model without one: chatml, llama3, …
sequence_len: 2048
micro_batch_size: 1
gradient_accumulation_steps: 16
num_epochs: 3
learning_rate: 2.0e-5
lr_scheduler: cosine
optimizer: adamw_torch
output_dir: axolotl-out
"""

LLAMAFACTORY = """# From the folder of the dataset:
#   llamafactory-cli train trainers/llamafactory.yaml model_name_or_path=MODEL
model_name_or_path: MODEL
# template: qwen3   # by default the tokenizer's own chat template
stage: sft
do_train: true
finetuning_type: lora   # or full
dataset_dir: llamafactory
dataset: curated
cutoff_len: 2048
per_device_train_batch_size: 1
gradient_accumulation_steps: 16
num_train_epochs: 3.0
learning_rate: 2.0e-5
lr_scheduler_type: cosine
output_dir: llamafactory-out
"""


def trainer_files(several_answers: bool) -> dict[str, str]:
    """Return the files by name.

    Args:
        several_answers: whether the assistant speaks more than once in some row. Then TRL is told
            to train on every answer, which needs a chat template that marks them.
    """
    script = TRL.replace("{shape}", ANSWERS if several_answers else ONE_ANSWER)
    return {"trl_sft.py": script, "axolotl.yaml": AXOLOTL, "llamafactory.yaml": LLAMAFACTORY}
