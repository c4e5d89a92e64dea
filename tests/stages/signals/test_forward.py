import numpy as np
import pyarrow as pa
import pytest
import torch
from tamis.scorers.ifd import IFD
from tamis.stages.base import ROWS
from tamis.stages.checks import check_stage
from tamis.stages.signals.forward import COLUMNS, Forward, pass_columns
from tamis.tests.tiny import alpaca, broken_model, conversation

SCHEMA = pa.schema([ROWS.field(name) for name in ("messages", "tools", "input_start")])
TOKEN_LOSSES = [f"{part}.token_loss" for part in ("given", "alone", "instruction")]


def table(rows):
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def rows_of(n, seed=0):
    return table([conversation(r["instruction"], r["output"], r["input"]) for r in alpaca(n, seed)])


ODD = [
    conversation("two\n", "\n\nIt is forty-two."),
    conversation("x", "y"),
    conversation("naïve café", "Grüße, 世界! 🙂"),
    conversation("word " * 400, "never reached"),
    conversation("cut", "word " * 400),
    {
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Hi"},
            {"role": "assistant", "content": "Hello world"},
            {"role": "user", "content": "Sort 3 1 2"},
            {"role": "assistant", "content": "1 2 3"},
        ],
        "tools": None,
        "input_start": None,
    },
]


def forward(model, **fields):
    return Forward(model=str(model), dtype="fp32", **fields)


def own_losses(folder, ids):
    """Losses of ids[1:] from the model's own logits, one sequence at a time."""
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    with torch.inference_mode():
        logp = model(input_ids=torch.tensor([ids])).logits[0, :-1].double().log_softmax(-1)
    return -logp.gather(1, torch.tensor(ids[1:])[:, None]).squeeze(1).numpy()


@pytest.mark.parametrize("family", ["gpt2", "llama"])
@pytest.mark.parametrize("template", ["none", "alpaca", "chat"])
def test_losses_of_all_conditions_match_one_row_at_a_time(family, template, request):
    folder = request.getfixturevalue(family)
    stage = forward(folder, template=template, batch_tokens=256)
    rows = rows_of(12)
    found = stage(rows, [*TOKEN_LOSSES, "status"])
    for encoded, losses in zip(
        stage._encoder.encode(rows.to_pylist()), found.to_pylist(), strict=True
    ):
        assert losses["status"] == encoded.status
        whole = own_losses(folder, encoded.ids)
        ((first, last),) = encoded.answers
        given, before = whole[max(first, 1) - 1 : last - 1], whole[: first - 1]
        alone_ids, start = encoded.alone[0]
        alone = own_losses(folder, alone_ids)[max(start, 1) - 1 :]
        np.testing.assert_allclose(losses["given.token_loss"], given, rtol=1e-5, atol=2e-6)
        np.testing.assert_allclose(losses["instruction.token_loss"], before, rtol=1e-5, atol=2e-6)
        np.testing.assert_allclose(losses["alone.token_loss"], alone, rtol=1e-5, atol=2e-6)


def test_official_superfiltering_equals_the_published_loop(gpt2):
    """Separate tokenisation, no BOS: N scored tokens given, N - 1 alone."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(gpt2)
    rows = rows_of(15)
    signal = forward(gpt2, tokenisation="official")
    scorer = IFD(signal="base")
    columns = signal(rows, [name.removeprefix("base.") for name in scorer.reads.names])
    columns = columns.rename_columns([f"base.{name}" for name in columns.column_names])
    for row, score in zip(rows.to_pylist(), scorer(columns)["score"].to_pylist(), strict=True):
        before = row["messages"][0]["content"] + "\n"
        answer = row["messages"][1]["content"]
        whole = own_losses(gpt2, tokenizer(before + answer)["input_ids"])
        given = whole[len(tokenizer(before)["input_ids"]) - 1 :].mean()
        alone = own_losses(gpt2, tokenizer(answer)["input_ids"]).mean()
        assert score == pytest.approx(np.exp(given - alone), rel=1e-5)


@pytest.mark.parametrize("family", ["gpt2", "llama"])
@pytest.mark.parametrize("tokenisation", ["exact", "official"])
def test_odd_rows_have_numbers_or_a_status(family, tokenisation, request):
    stage = forward(request.getfixturevalue(family), tokenisation=tokenisation)
    found = stage(table(ODD), list(COLUMNS)).to_pylist()
    status = [row["status"] for row in found]
    assert status == ["ok", "ok", "ok", "instruction_too_long", "truncated", "ok"]
    for row in found:
        usable = row["status"] in ("ok", "truncated")
        for part in ("given", "alone", "instruction"):
            losses = row[f"{part}.token_loss"]
            assert (losses is not None) == usable
            if usable:
                assert row[f"{part}.token_loss_count"] == len(losses)
                assert row[f"{part}.token_loss_sum"] == pytest.approx(sum(losses))
                assert np.isfinite(losses).all()
        if usable:
            assert sum(row["given.turns"]) == row["given.token_loss_count"]
            assert sum(row["alone.turns"]) == row["alone.token_loss_count"]
    assert len(found[5]["given.turns"]) == 2
    one_token = found[1]["alone.token_loss_count"]
    assert one_token == (0 if family == "gpt2" else 1)


def test_exact_passes_score_the_same_tokens(llama):
    found = forward(llama)(rows_of(10), ["given.token_loss_count", "alone.token_loss_count"])
    assert found["given.token_loss_count"].equals(found["alone.token_loss_count"])


def test_every_statistic_is_consistent(gpt2):
    found = forward(gpt2)(rows_of(6), list(COLUMNS)).to_pylist()
    for row in found:
        loss, rank = (np.array(row[f"given.{name}"]) for name in ("token_loss", "rank"))
        top, p2 = (np.array(row[f"given.{name}"]) for name in ("max_prob", "sum_p2"))
        entropy = np.array(row["given.entropy"])
        assert (np.exp(-loss) <= top + 1e-6).all()
        assert (np.isclose(np.exp(-loss), top, rtol=1e-5) == (rank == 0)).all()
        assert (p2 <= top + 1e-6).all()
        assert (entropy >= -np.log(p2) - 1e-4).all()  # Shannon is at least collision entropy
        assert np.linalg.norm(np.array(row["embedding"], dtype=np.float32)) == pytest.approx(
            1, abs=2e-3
        )


def test_numbers_do_not_depend_on_the_batch_or_the_order(gpt2):
    rows = rows_of(40)
    whole = forward(gpt2)(rows, TOKEN_LOSSES)
    for budget in (1, 100, 100_000):
        other = forward(gpt2, batch_tokens=budget)(rows, TOKEN_LOSSES)
        for name in TOKEN_LOSSES:
            expected, got = whole[name].combine_chunks(), other[name].combine_chunks()
            np.testing.assert_allclose(
                got.flatten().to_numpy(), expected.flatten().to_numpy(), rtol=1e-5, atol=2e-6
            )
    order = np.random.default_rng(0).permutation(40)
    shuffled = forward(gpt2)(rows.take(order), TOKEN_LOSSES)
    for name in TOKEN_LOSSES:
        for place, row in enumerate(order):
            np.testing.assert_allclose(
                shuffled[name][place].as_py(), whole[name][int(row)].as_py(), rtol=1e-5, atol=2e-6
            )


def test_fast_products_are_near_the_exact_ones_and_have_another_name(gpt2):
    rows = rows_of(6)
    exact, fast = (
        Forward(model=str(gpt2), dtype="bf16", precision=precision)
        for precision in ("exact", "fast")
    )
    losses = [
        stage(rows, ["given.token_loss"])["given.token_loss"].combine_chunks().flatten().to_numpy()
        for stage in (exact, fast)
    ]
    np.testing.assert_allclose(losses[1], losses[0], atol=5e-2)
    assert (losses[0] != losses[1]).mean() > 0.5
    assert exact.identity() != fast.identity()


def test_only_what_is_wanted_runs(gpt2):
    stage, rows = forward(gpt2), rows_of(8)
    stage(rows, ["answer_tokens", "status"])
    assert stage.spent() == {}
    stage(rows, ["given.token_loss_sum"])
    given = stage.spent()["tokens"]
    stage(rows, ["given.token_loss_sum", "instruction.rank", "embedding"])
    assert stage.spent()["tokens"] == given  # the instruction and the embedding come free
    stage(rows, ["alone.token_loss_sum"])
    assert 0 < stage.spent()["tokens"] < given


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_contract(family, request):
    check_stage(forward(request.getfixturevalue(family)), rows_of(9), rtol=1e-3)


def test_identity_is_content_and_choice_not_place(gpt2, tmp_path):
    copy = tmp_path / "elsewhere"
    copy.mkdir()
    for file in gpt2.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    first, second = forward(gpt2).identity(), forward(copy, batch_tokens=1).identity()
    assert first == second
    assert first["dtype"] == "fp32"
    assert first["kernel"] == "torch"
    assert str(gpt2) not in str(first)
    assert forward(gpt2, template="alpaca").identity() != first


def test_pass_columns():
    assert "embedding" in pass_columns("given")
    assert "embedding" not in pass_columns("alone")
    assert "given.turns" in pass_columns("given", "instruction")


@pytest.mark.parametrize("pooling", ["mean", "weighted_mean", "last"])
def test_embedding_is_of_the_last_hidden_states(gpt2, pooling):
    from tamis.kernels.pooling import pool

    stage, rows = forward(gpt2, pooling=pooling), rows_of(5)
    found = stage(rows, ["embedding"])["embedding"].to_pylist()
    for vector, encoded in zip(found, stage._encoder.encode(rows.to_pylist()), strict=True):
        with torch.inference_mode():
            states = stage._lm.hidden(torch.tensor([encoded.ids]))
        expected = pool(states, torch.tensor([len(encoded.ids)]), pooling)[0]
        np.testing.assert_allclose(np.array(vector, np.float32), expected, atol=2e-3)


@pytest.mark.parametrize(
    "wanted", [["given.status"], ["embedding", "given.status"], ["given.rank", "given.status"]]
)
def test_a_status_is_the_same_beside_whatever_numbers(llama, tmp_path, wanted):
    """So that a file of statuses that got lost is made again as it was."""
    stage = forward(broken_model(llama, tmp_path))
    found = stage(table([conversation("Name a sign.", "It is §."), *ODD[:2]]), wanted)
    assert found["given.status"].to_pylist() == ["not_finite", "ok", "ok"]
    assert all(found[name][0].as_py() is None for name in wanted[:-1])
