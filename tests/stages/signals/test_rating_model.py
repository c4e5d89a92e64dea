import numpy as np
import pyarrow as pa
import pytest
import torch
from tamis.errors import ModelError
from tamis.stages.checks import check_stage
from tamis.stages.signals.rating_model import RatingModel
from tamis.tests.tiny import conversation, make_model

TURNS = [
    {"role": role, "content": text}
    for role, text in zip(
        ("user", "assistant") * 2, ("Hi", "Hello", "Sort 3 1", "1 3"), strict=True
    )
]
ROWS = [
    conversation("Name a city.", "Paris is one."),
    {"messages": TURNS, "input_start": None},
    conversation("Say it.", "word " * 600),
]
FIELDS = {"dtype": "fp32", "batch_tokens": 4096}


def table(stage, rows=ROWS):
    return pa.Table.from_pylist([dict(row) for row in rows], schema=stage.reads)


def test_the_expectation_is_that_of_the_models_own_logits(gpt2):
    """The whole way by hand: chat template, lead, tokens, softmax over 1 to 6."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    stage = RatingModel(model=str(gpt2), prompt="deita_quality", **FIELDS)
    found = stage(table(stage), stage.adds.names).to_pydict()
    tokenizer = AutoTokenizer.from_pretrained(gpt2)
    said = (
        "You are a helpful assistant. Please identify the quality score of the Response "
        "corresponding to the Question. \n #Question#:\nName a city.\n#Response#:\nParis is one. "
    )
    # and no space: behind it 1 to 3 are a token with it, 4 to 6 are not
    text = f"<|im_start|>user\n{said.strip()}<|im_end|>\n<|im_start|>assistant\n##Quality:"
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    model = AutoModelForCausalLM.from_pretrained(gpt2)
    with torch.inference_mode():
        logits = model(torch.tensor([ids])).logits[0, -1].double()
    six = [tokenizer(str(rating))["input_ids"][0] for rating in range(1, 7)]
    probabilities = torch.softmax(logits[six], 0).numpy()
    assert found["probabilities"][0] == pytest.approx(probabilities, rel=1e-4)
    assert found["rating"][0] == pytest.approx(probabilities @ np.arange(1, 7), rel=1e-5)
    mass = float(torch.softmax(logits, 0)[six].sum())
    assert found["mass"][0] == pytest.approx([mass], rel=1e-4)
    assert found["scale"][0] == [1, 2, 3, 4, 5, 6]
    assert stage.spent()["tokens"] > len(ids)


def test_each_turn_by_itself_and_long_ones_have_a_status(gpt2):
    stage = RatingModel(model=str(gpt2), prompt="deita_quality", max_tokens=256, **FIELDS)
    found = stage(table(stage), ["rating", "ratings", "turns", "status"]).to_pydict()
    assert found["turns"] == [1, 2, 1]
    assert found["status"] == ["ok", "ok", "prompt_too_long"]
    assert found["rating"][1] == pytest.approx(np.mean(found["ratings"][1]), rel=1e-6)
    assert found["rating"][2] is None
    assert found["ratings"][2] == [None]


def test_wordings(gpt2):
    stage = RatingModel(model=str(gpt2), prompt="selectit", template="none", **FIELDS)
    found = stage(table(stage, ROWS[:1]), ["ratings", "probabilities"]).to_pydict()
    assert len(found["ratings"][0]) == 5
    each = np.array(found["probabilities"][0]).reshape(5, 5)
    assert each.sum(1) == pytest.approx(np.ones(5), rel=1e-6)
    assert found["ratings"][0] == pytest.approx(each @ np.arange(1, 6), rel=1e-6)


def test_each_criterion_is_a_question(gpt2, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(
        "user: '{{ answer }}'\nscale: [1, 2]\nlead: '{{ criterion }}:'\nmain: overall\n"
        "criteria: {depth: '', overall: ''}\nlabels: {domain: [Law]}\n"
    )
    stage = RatingModel(model=str(gpt2), prompt=str(path), **FIELDS)
    found = stage(table(stage, ROWS[:1]), stage.adds.names).to_pydict()
    assert found["rating"] == found["criteria.overall"]
    assert found["criteria.depth"] != found["criteria.overall"]
    assert "labels.domain" not in found


def test_criteria_that_a_model_could_not_tell_apart(tmp_path):
    path = tmp_path / "mine.yaml"
    text = "user: '{{ answer }}'\nscale: [1, 2]\nmain: a\ncriteria: {a: '', b: ''}\n"
    path.write_text(text + "lead: 'Score:'\n")
    with pytest.raises(ValueError, match="its lead needs"):
        RatingModel(model="gpt2", prompt=str(path))


def test_scales_that_a_tokenizer_cannot_say_in_one_token(gpt2):
    with pytest.raises(ModelError, match="'10' takes"):
        RatingModel(model=str(gpt2), prompt="ds2", **FIELDS).setup()


def test_a_template_that_is_not_there(tmp_path):
    model = make_model(tmp_path / "m", "gpt2")
    (model / "chat_template.jinja").unlink()
    with pytest.raises(ModelError, match="no chat template"):
        RatingModel(model=str(model), prompt="selectit", template="chat", **FIELDS).setup()


def test_tokens_are_counted_without_a_model(gpt2):
    stage = RatingModel(model=str(gpt2), prompt="deita_quality", max_tokens=256, **FIELDS)
    rows = table(stage)
    counts = stage.model_copy().tokens_of(rows, ["rating"])
    stage(rows, ["rating"])
    assert counts.sum() == stage.spent()["tokens"]
    assert counts[2] == 0


def test_the_prompts_content_is_part_of_the_identity(gpt2, tmp_path):
    from tamis.stages.prompt import FOLDER

    path = tmp_path / "mine.yaml"
    path.write_text((FOLDER / "selectit.yaml").read_text())
    named = RatingModel(model=str(gpt2), prompt="selectit")
    assert named.identity() == RatingModel(model=str(gpt2), prompt=str(path)).identity()
    path.write_text(path.read_text().replace("careful", "strict"))
    assert named.identity() != RatingModel(model=str(gpt2), prompt=str(path)).identity()


@pytest.mark.slow
def test_contract(llama):
    stage = RatingModel(model=str(llama), prompt="deita_complexity", max_tokens=400, **FIELDS)
    check_stage(stage, table(stage, ROWS[:2]))
