import numpy as np
import pyarrow as pa
import pytest
import torch
from tamis.kernels.noise import uniform
from tamis.scorers.random import bits
from tamis.scorers.tshirt import TShirt
from tamis.stages.checks import check_stage
from tamis.stages.selectors.base import Budget
from tamis.stages.selectors.hierarchical import Hierarchical
from tamis.stages.signals import neighbours as module
from tamis.stages.signals.neighbours import COLUMNS, Neighbours
from tamis.tests.tiny import alpaca, conversation

SCHEMA = Neighbours(model="x").reads
NUMBERS = ["delta", "given_mean", "alone_mean"]
MULTI = {
    "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello world"},
        {"role": "user", "content": "Sort 3 1 2"},
        {"role": "assistant", "content": "1 2 3"},
    ],
    "tools": None,
    "input_start": None,
}
ODD = [
    conversation("two\n", "\n\nIt is forty-two."),
    conversation("x", "y"),
    conversation("word " * 400, "never reached"),
    conversation("cut", "word " * 400),
    MULTI,
    conversation("empty", ""),
]


def table(rows, seed=0):
    named = [row | {"sample_id": f"{seed}-{i:030x}"} for i, row in enumerate(rows)]
    return pa.Table.from_pylist(named, schema=SCHEMA)


def rows_of(n, seed=0):
    return table(
        [conversation(r["instruction"], r["output"], r["input"]) for r in alpaca(n, seed)], seed
    )


def neighbours(model, **fields):
    return Neighbours(model=str(model), **{"dtype": "fp32", "copies": 3, "seed": 7} | fields)


def noisy_losses(model, ids, noise):
    """Losses of ids[1:] with noise on the embeddings: one sequence, full logits."""
    ids = torch.tensor([ids])
    with torch.inference_mode():
        embeds = model.get_input_embeddings()(ids) + noise[None]
        logits = model(inputs_embeds=embeds).logits[0, :-1]
    return torch.nn.functional.cross_entropy(logits, ids[0, 1:], reduction="none").double().numpy()


def reference(folder, row, sample, mode, copies=3, window=512):
    """The published procedure with the BOS that it lacks, one row and one copy at a time.

    Delta (copies, tokens), and the mean losses of both passes (copies,).
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    user, answer = (message["content"] for message in row["messages"])
    before = user + "\n"
    bos = len(tokenizer("a")["input_ids"]) - len(tokenizer.tokenize("a"))
    ids = tokenizer(before + answer)["input_ids"][:window]
    n_before = len(tokenizer(before)["input_ids"])
    if mode == "aligned":  # a token that reaches over the boundary belongs to the answer
        offsets = tokenizer(before + answer, return_offsets_mapping=True)["offset_mapping"]
        n_before = bos + sum(end <= len(before) for _, end in offsets[bos:])
        alone = ids[:bos] + ids[n_before:]
    else:
        alone = tokenizer(answer)["input_ids"][: bos + window - n_before]
    dim = model.get_input_embeddings().weight.shape[1]
    key = torch.from_numpy(bits(7, pa.chunked_array([[sample]])).view(np.int64))
    deltas, given_means, alone_means = [], [], []
    for copy in range(copies):
        zero = torch.zeros(1, dtype=torch.int64)
        noise = uniform(key, zero + copy, zero, len(ids), dim)[0]
        noise = noise * (5 / np.sqrt(len(ids) * dim))
        given = noisy_losses(model, ids, noise)[n_before - 1 :]
        bare = noisy_losses(model, alone, noise[len(ids) - len(alone) :])
        n = min(len(given), len(bare))
        deltas.append(bare[len(bare) - n :] - given[len(given) - n :])
        shared = n if mode == "aligned" else len(given)
        given_means.append(given[len(given) - shared :].mean())
        alone_means.append(bare.mean())
    return np.array(deltas), np.array(given_means), np.array(alone_means)


@pytest.mark.parametrize("family", ["gpt2", "llama"])
@pytest.mark.parametrize("mode", ["aligned", "official"])
def test_equals_one_row_and_one_copy_at_a_time(family, mode, request):
    folder = request.getfixturevalue(family)
    rows = rows_of(5)
    found = neighbours(folder, mode=mode, batch_tokens=512)(rows, NUMBERS).to_pylist()
    for row, got in zip(rows.to_pylist(), found, strict=True):
        delta, given, alone = reference(folder, row, row["sample_id"], mode)
        ours = np.array(got["delta"]).reshape(3, -1)
        np.testing.assert_allclose(ours, delta, atol=1e-5, rtol=1e-5)
        np.testing.assert_allclose(got["given_mean"], given, rtol=1e-5)
        np.testing.assert_allclose(got["alone_mean"], alone, rtol=1e-5)


@pytest.mark.parametrize("family", ["gpt2", "llama"])
@pytest.mark.parametrize("mode", ["aligned", "official"])
def test_scores_and_choice_are_those_of_the_published_procedure(family, mode, request):
    """Threshold by numpy over all copies of all rows, S-IFD, drop, cut, cut; k 50, gamma 2."""
    folder = request.getfixturevalue(family)
    rows = rows_of(24)
    names = [*NUMBERS, "status", "given.status", "alone.status"]
    noisy = neighbours(folder, mode=mode, batch_tokens=512)(rows, names)
    noisy = noisy.rename_columns([f"noisy.{name}" for name in names])
    scorer = TShirt(k=50)
    found = scorer(noisy, scorer.fit([noisy]))
    plain = [reference(folder, row, row["sample_id"], mode) for row in rows.to_pylist()]
    threshold = np.percentile(np.abs(np.concatenate([d.ravel() for d, _, _ in plain])), 50)
    scores = []
    for delta, _, _ in plain:
        kept = np.abs(delta) > threshold
        scores.append(np.exp(-(delta * kept).sum(1) / np.maximum(kept.sum(1), 1)))
    means, deviations = (np.array([f(row) for row in scores]) for f in (np.mean, np.std))
    difficulty = np.array([np.exp(given - alone).mean() for _, given, alone in plain])
    np.testing.assert_allclose(found["score"], means, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(found["deviation"], deviations, atol=1e-5)
    np.testing.assert_allclose(found["ifd"], difficulty, rtol=1e-5)
    limit = float(np.median(difficulty) * 1.05)  # of random weights; drops some rows
    eligible = np.flatnonzero(difficulty < limit)
    first = eligible[np.argsort(-means[eligible], kind="stable")][:10]
    expected = first[np.argsort(deviations[first], kind="stable")][:5]
    pool = pa.table({"row_id": range(24), "sample_id": rows["sample_id"]})
    for name in ("score", "deviation", "ifd", "copies"):
        pool = pool.append_column(f"tshirt.{name}", found[name])
    choice = Hierarchical(limit=limit)(pool, Budget(5))
    assert choice.order[: choice.n_kept].tolist() == expected.tolist()
    assert len(eligible) < 24


@pytest.mark.parametrize("family", ["gpt2", "llama"])
@pytest.mark.parametrize("mode", ["aligned", "official"])
def test_a_row_cut_at_the_window(family, mode, request):
    folder = request.getfixturevalue(family)
    rows = rows_of(4)
    found = neighbours(folder, mode=mode, max_tokens=60)(rows, [*NUMBERS, "status"]).to_pylist()
    cut = [i for i, row in enumerate(found) if row["status"] == "truncated"]
    assert cut
    for i in cut:
        row = rows.slice(i, 1).to_pylist()[0]
        delta, given, alone = reference(folder, row, row["sample_id"], mode, window=60)
        np.testing.assert_allclose(found[i]["delta"], delta.ravel(), atol=1e-5, rtol=1e-5)
        np.testing.assert_allclose(found[i]["given_mean"], given, rtol=1e-5)
        np.testing.assert_allclose(found[i]["alone_mean"], alone, rtol=1e-5)


@pytest.mark.parametrize("family", ["gpt2", "llama"])
@pytest.mark.parametrize("mode", ["aligned", "official"])
def test_odd_rows_have_numbers_or_a_status(family, mode, request):
    stage = neighbours(request.getfixturevalue(family), mode=mode)
    found = stage(table(ODD), list(COLUMNS)).to_pylist()
    assert [row["status"] for row in found] == [
        *("ok", "ok", "instruction_too_long", "truncated", "ok", "no_answer_tokens")
    ]
    for row in found:
        usable = row["status"] in ("ok", "truncated")
        assert row["given.status"] == row["alone.status"] == ("ok" if usable else None)
        assert (row["delta"] is not None) == usable
        if usable:
            assert len(row["delta"]) % 3 == 0
            assert np.isfinite(row["delta"]).all()
    one_token = found[1]
    if family == "gpt2":  # its one token has no loss alone
        assert one_token["delta"] == []
        assert one_token["alone_mean"] is None
        assert (one_token["given_mean"] is None) == (mode == "aligned")
    else:
        assert len(one_token["delta"]) == 3
    for row in (found[0], found[3], found[4]):
        means = np.array(row["alone_mean"]) - np.array(row["given_mean"])
        if mode == "aligned":
            delta = np.array(row["delta"]).reshape(3, -1)
            np.testing.assert_allclose(delta.mean(1), means, atol=1e-5)


def test_turns_follow_each_other_and_share_the_conversation_s_noise(llama):
    """Each answer alone takes the noise that it has in the whole conversation."""
    from transformers import AutoModelForCausalLM

    stage, rows = neighbours(llama), table([MULTI])
    (got,) = stage(rows, ["delta"])["delta"].to_pylist()
    (encoded,) = stage._encoder.encode(rows.to_pylist())
    model = AutoModelForCausalLM.from_pretrained(llama, dtype=torch.float32).eval()
    zero = torch.zeros(1, dtype=torch.int64)
    key = torch.from_numpy(bits(7, rows["sample_id"]).view(np.int64))
    noise = uniform(key, zero, zero, len(encoded.ids), 32)[0]
    noise = noise * (5 / np.sqrt(len(encoded.ids) * 32))
    given = noisy_losses(model, encoded.ids, noise)
    expected = []
    for (first, last), (ids, start) in zip(encoded.answers, encoded.alone, strict=True):
        bare = noisy_losses(model, ids, noise[first - start : last])
        expected.append(bare[start - 1 :] - given[first - 1 : last - 1])
    expected = np.concatenate(expected)
    np.testing.assert_allclose(got[: len(expected)], expected, atol=1e-5, rtol=1e-5)


def test_numbers_do_not_depend_on_batch_slab_or_order(gpt2, monkeypatch):
    rows = rows_of(20)
    whole = neighbours(gpt2)(rows, NUMBERS).to_pylist()

    def same(found, order):
        for i, got in zip(order, found.to_pylist(), strict=True):
            for name in NUMBERS:
                np.testing.assert_allclose(got[name], whole[i][name], rtol=1e-5, atol=2e-5)

    for budget in (1, 300, 100_000):
        same(neighbours(gpt2, batch_tokens=budget)(rows, NUMBERS), range(20))
    order = np.random.default_rng(0).permutation(20)
    same(neighbours(gpt2)(rows.take(order), NUMBERS), order)
    monkeypatch.setattr(module, "SLAB", 3)
    same(neighbours(gpt2)(rows, NUMBERS), range(20))


@pytest.mark.parametrize("antithetic", [False, True])
def test_rounds_together_are_all_copies(gpt2, antithetic):
    rows = rows_of(6)
    whole = neighbours(gpt2, copies=5, antithetic=antithetic)(rows, NUMBERS).to_pylist()
    stage = neighbours(gpt2, copies=5, rounds=(1, 3, 5), antithetic=antithetic)
    assert stage.n_rounds == 3
    assert [stage.round_size(number) for number in range(3)] == [1, 2, 2]
    assert stage.round_name(2) == "copies-3-5"
    parts, spent = [], []
    for number in range(3):
        parts.append(stage(rows, NUMBERS, number).to_pylist())
        spent.append(stage.spent()["copies"])
    assert spent == [6, 12, 12]
    for i, row in enumerate(whole):
        for name in NUMBERS:
            joined = np.concatenate([part[i][name] for part in parts])
            np.testing.assert_allclose(joined, row[name], rtol=1e-5, atol=2e-5)


def test_identity_is_that_of_the_first_round(gpt2):
    stage = neighbours(gpt2, copies=30, rounds=(10, 30))
    assert stage.identity() == neighbours(gpt2, copies=10, batch_tokens=1).identity()
    assert stage.identity() == neighbours(gpt2, copies=20, rounds=(10, 20)).identity()
    for change in ({"alpha": 1.0}, {"seed": 8}, {"antithetic": True}, {"mode": "official"}):
        fields = {"copies": 30, "rounds": (10, 30)} | change
        assert neighbours(gpt2, **fields).identity() != stage.identity()


@pytest.mark.parametrize("rounds", [(10,), (10, 10, 30), (0, 30), (30, 10)])
def test_rounds_that_do_not_lead_to_copies(rounds):
    with pytest.raises(ValueError, match="rounds must rise"):
        Neighbours(model="x", rounds=rounds)


def test_without_noise_copies_are_the_clean_passes(gpt2):
    from tamis.stages.signals.forward import Forward

    rows = rows_of(4)
    found = neighbours(gpt2, alpha=0)(rows, ["delta"])["delta"].to_pylist()
    names = ["given.token_loss", "alone.token_loss"]
    clean = Forward(model=str(gpt2), dtype="fp32")(rows.drop_columns("sample_id"), names)
    for got, row in zip(found, clean.to_pylist(), strict=True):
        given, alone = (np.array(row[name]) for name in names)
        expected = np.tile(alone - given[1:], 3)
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=2e-5)


def test_antithetic_copies_have_opposite_noise(gpt2):
    """The first order cancels: the mean of a pair lies far nearer to the clean loss."""
    rows = rows_of(4)
    fields = {"copies": 2, "alpha": 0.01}
    clean = np.array(neighbours(gpt2, copies=1, alpha=0)(rows, ["given_mean"])[0].to_pylist())
    pair = neighbours(gpt2, antithetic=True, **fields)(rows, ["given_mean"])[0].to_pylist()
    off = np.array(pair) - clean
    assert (off[:, 0] * off[:, 1] < 0).all()
    assert (abs(off.mean(1)) < 0.2 * abs(off[:, 0])).all()


def test_rows_that_are_not_finite(gpt2):
    """An infinite embedding spoils the row that holds its token, and no other."""
    plain = [conversation(r["instruction"], r["output"]) for r in alpaca(4)]
    rows, stage = table([*plain[:2], conversation("a ~ b", "c d"), *plain[2:]]), neighbours(gpt2)
    stage.setup()
    token = stage._lm.tokenizer.convert_tokens_to_ids("~")

    def spoil(module, inputs, output):
        output[inputs[0] == token] = float("inf")

    stage._lm.backbone.wte.register_forward_hook(spoil)
    found = stage(rows, list(COLUMNS)).to_pylist()
    assert [row["given.status"] for row in found] == ["ok"] * 2 + ["not_finite"] + ["ok"] * 2
    assert [row["alone.status"] for row in found] == ["ok"] * 5
    for name in NUMBERS:
        assert [row[name] is None for row in found] == [False] * 2 + [True] + [False] * 2
    assert found[2]["status"] == "ok"


def test_no_rows_and_no_usable_rows(gpt2):
    stage = neighbours(gpt2)
    assert len(stage(rows_of(2).slice(0, 0), list(COLUMNS))) == 0
    (row,) = stage(table(ODD[2:3]), list(COLUMNS)).to_pylist()
    assert row == dict.fromkeys(COLUMNS) | {"status": "instruction_too_long"}


def test_only_what_is_wanted_runs(gpt2):
    stage = neighbours(gpt2)
    stage(rows_of(3), ["status"])
    assert stage.spent() == {}
    stage(rows_of(3), ["delta"])
    assert stage.spent()["copies"] == 9


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_contract(family, request):
    check_stage(neighbours(request.getfixturevalue(family)), rows_of(6), rtol=1e-3)


def test_tokens_that_do_not_match_are_a_status(gpt2, monkeypatch):
    monkeypatch.setattr(module, "mismatched", lambda row, window: len(row.ids) > 20)
    found = neighbours(gpt2, mode="official")(rows_of(8), ["status", "delta", "given_mean"])
    bad = [row for row in found.to_pylist() if row["status"] == "boundary_merge"]
    assert len(bad) > 0
    assert all(row["delta"] is None and row["given_mean"] is None for row in bad)
