import pyarrow as pa
import pytest
from tamis.stages.base import ROWS
from tamis.stages.modelled import CONVERSATION, ModelStage
from tamis.stages.signals.forward import Forward
from tamis.stages.signals.neighbours import Neighbours
from tamis.stages.tokenize import Encoder
from tamis.tests.tiny import alpaca, conversation


@pytest.mark.parametrize("kind", [Forward, Neighbours])
def test_shared_by_stages_with_a_model(kind, gpt2):
    stage = kind(model=str(gpt2), device="cpu", dtype="fp32")
    assert isinstance(stage, ModelStage)
    assert {"messages", "tools", "input_start"} <= set(stage.reads.names) <= set(ROWS.names)
    assert stage.resources().gpus == 0
    identity = stage.identity()
    assert str(gpt2) not in str(identity)
    assert not {"batch_tokens", "revision"} & set(identity)
    assert stage.pinned() == stage
    stage.setup()
    assert stage._lm.embedding_dim == 32
    assert stage._encoder.window == 512


@pytest.mark.parametrize("kind", [Forward, Neighbours])
def test_an_unknown_template_is_refused_with_its_place(kind):
    with pytest.raises(ValueError, match="template"):
        kind(model="x", template="nothing")


def test_pinned_says_what_auto_means(gpt2):
    pinned = Forward(model=str(gpt2), device="auto").pinned()
    assert pinned.device in ("cpu", "cuda")
    assert pinned.dtype in ("fp32", "bf16", "fp16")


def rows_of(n, seed=0):
    made = [conversation(r["instruction"], r["output"]) for r in alpaca(n, seed)]
    found = pa.Table.from_pylist(made, schema=CONVERSATION)
    return found.append_column("sample_id", pa.array([f"{i:032x}" for i in range(n)]))


@pytest.mark.parametrize("kind", [Forward, Neighbours])
def test_what_is_prepared_is_used_once_and_for_its_rows_alone(kind, gpt2, monkeypatch):
    stage = kind(model=str(gpt2), dtype="fp32")
    stage.setup()
    wanted = ["status"]
    one, other = rows_of(3), rows_of(4, seed=1)
    expected = [stage(rows, wanted) for rows in (one, other)]
    encoded = []
    encode = Encoder.encode
    monkeypatch.setattr(Encoder, "encode", lambda *a: encoded.append(len(a[1])) or encode(*a))
    stage.prepare(one)
    stage.prepare(other)
    assert encoded == [3, 4]
    assert [stage(rows, wanted) for rows in (one, other)] == expected
    assert encoded == [3, 4]
    stage(one, wanted)
    assert encoded == [3, 4, 3]
    assert not stage._prepared


def test_before_set_up_nothing_is_prepared(gpt2):
    stage = Forward(model=str(gpt2))
    stage.prepare(rows_of(2))
    assert not stage._prepared


def test_smaller_has_half_the_batch_and_the_same_name(gpt2):
    stage = Forward(model=str(gpt2), batch_tokens=5)
    less = stage.smaller()
    assert less.batch_tokens == 2
    assert less.identity() == stage.identity()
    assert less.smaller().smaller() is None
