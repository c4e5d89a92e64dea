import sys

import numpy as np
import pyarrow as pa
import pytest
from tamis.errors import ModelError
from tamis.scorers.features import Features, there
from tamis.stages.base import ROWS
from tamis.stages.checks import check_stage
from tamis.stages.signals.embedding import COLUMNS, Embedding, text_of
from tamis.tests.tiny import alpaca, conversation, make_text_encoder

SCHEMA = pa.schema([ROWS.field("messages")])
TURNS = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Sort these\n3 1 2"},
    {"role": "assistant", "content": None, "tool_calls": '[{"name": "sort"}]'},
    {"role": "tool", "content": "1 2 3"},
    {"role": "assistant", "content": "1 2 3 it is", "tool_calls": None},
]


def table(rows):
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def rows_of(n, seed=0):
    return table([conversation(r["instruction"], r["output"], r["input"]) for r in alpaca(n, seed)])


def embedding(model, **fields):
    return Embedding(model=str(model), dtype="fp32", **fields)


def vectors(found):
    return np.array(found["embedding"].to_pylist(), dtype=np.float64)


@pytest.mark.parametrize(
    ("view", "text"),
    [
        ("instruction", "Be brief.\nSort these\n3 1 2\n1 2 3"),
        ("answer", '[{"name": "sort"}]\n1 2 3 it is'),
        ("both", 'Be brief.\nSort these\n3 1 2\n[{"name": "sort"}]\n1 2 3\n1 2 3 it is'),
    ],
)
def test_the_text_of_a_conversation(view, text):
    assert text_of(TURNS, view) == text


@pytest.mark.parametrize("view", ["instruction", "answer", "both"])
def test_the_vectors_are_those_of_the_library(text_model, view):
    from sentence_transformers import SentenceTransformer

    rows = rows_of(30)
    texts = [text_of(messages, view) for messages in rows["messages"].to_pylist()]
    own = SentenceTransformer(str(text_model), device="cpu").encode(
        texts, show_progress_bar=False, prompt="query: "
    )
    found = embedding(text_model, text=view, prefix="query: ")(rows, COLUMNS)
    assert found["embedding"].type == pa.list_(pa.float16())
    np.testing.assert_allclose(vectors(found), own, atol=5e-4)  # fp16
    assert np.linalg.norm(vectors(found), axis=1) == pytest.approx(1, abs=1e-3)
    assert set(found["given.status"].to_pylist()) == {"ok"}


def test_neither_batches_nor_order_move_a_vector(text_model):
    rows = rows_of(40)
    whole = vectors(embedding(text_model)(rows, COLUMNS))
    for batch_tokens in (1, 100):
        other = vectors(embedding(text_model, batch_tokens=batch_tokens)(rows, COLUMNS))
        np.testing.assert_allclose(other, whole, atol=5e-4)
    backwards = embedding(text_model)(rows.take(np.arange(40)[::-1]), COLUMNS)
    np.testing.assert_allclose(vectors(backwards)[::-1], whole, atol=5e-4)


def test_odd_rows_have_a_vector_or_a_status(text_model):
    rows = table(
        [
            conversation("what is it", "yes"),
            conversation(" \n", "no question"),
            conversation("what " * 30, "too long"),
            {"messages": [{"role": "assistant", "content": "alone"}]},
        ]
    )
    found = embedding(text_model)(rows, COLUMNS)
    assert found["status"].to_pylist() == ["ok", "no_text", "truncated", "no_text"]
    assert found["given.status"].to_pylist() == ["ok", None, "ok", None]
    assert [v is None for v in found["embedding"].to_pylist()] == [False, True, False, True]
    nothing = embedding(text_model)(rows.slice(3), COLUMNS)
    assert nothing["embedding"].to_pylist() == [None]
    assert len(embedding(text_model)(rows.slice(4), COLUMNS)) == 0


def test_what_is_not_finite_has_a_status_that_scorers_see(tmp_path):
    from safetensors.torch import load_file, save_file

    model = make_text_encoder(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    weights["embeddings.word_embeddings.weight"][1] = float("nan")  # of words that are unknown
    save_file(weights, tmp_path / "model.safetensors", {"format": "pt"})
    rows = table([conversation("what is", "a"), conversation("what is unheard", "b")])
    found = embedding(model)(rows, COLUMNS)
    assert found["given.status"].to_pylist() == ["ok", "not_finite"]
    assert found["status"].to_pylist() == ["ok", "ok"]
    assert found["embedding"].to_pylist()[1] is None
    features = Features("e.embedding")
    named = found.rename_columns([f"e.{name}" for name in found.column_names])
    assert features.status(named).to_pylist() == ["ok", "not_finite"]
    assert there(features.vectors(named)).tolist() == [True, False]


def test_what_names_a_result(text_model, tmp_path):
    import shutil

    stage = embedding(text_model)
    copy = shutil.copytree(text_model, tmp_path / "copy")
    assert embedding(copy, batch_tokens=7).identity() == stage.identity()
    assert str(text_model) not in str(stage.identity())
    (copy / "1_Pooling" / "config.json").write_text(
        (copy / "1_Pooling" / "config.json").read_text().replace("mean", "cls")
    )
    assert embedding(copy).identity() != stage.identity()
    for fields in ({"text": "answer"}, {"prefix": ""}, {"prompt": "query"}, {"max_tokens": 9}):
        assert embedding(text_model, **fields).identity() != stage.identity()


def test_what_is_open_is_settled(text_model):
    found = Embedding(model=str(text_model), device="cpu").pinned()
    assert found.dtype in ("fp32", "bf16") and found.revision is None
    assert found.resources().gpus == 0


def test_what_it_used_is_counted(text_model):
    stage = embedding(text_model)
    stage(table([conversation("what is it", "x"), conversation("what", "x")]), COLUMNS)
    assert stage.spent() == {"tokens": 8, "padded": 10, "splits": 0}
    stage(table([conversation("what is it", "x")]), ["status"])
    assert stage.spent() == {}


def test_mistakes_are_said_before_anything_runs(text_model, monkeypatch):
    with pytest.raises(ValueError, match=r"prompt \('query'\) and prefix \('a'\) are both given"):
        embedding(text_model, prompt="query", prefix="a")
    with pytest.raises(ModelError, match="'no/such' is neither a folder nor"):
        embedding("no/such").pinned()
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(ModelError, match=r"pip install 'tamis\[embed\]'"):
        embedding(text_model).pinned()


def test_contract(text_model):
    rows = pa.concat_tables([rows_of(8), table([conversation(" ", "x")])])
    check_stage(embedding(text_model, text="both"), rows, rtol=2e-3)
