import functools

import numpy as np
import pyarrow as pa
import pytest
import torch
from tamis.errors import ConfigError, ModelError
from tamis.kernels.logits import LMHead
from tamis.pipeline.load import load
from tamis.stages.base import ROWS
from tamis.stages.checks import check_stage
from tamis.stages.comparison import Comparison, Kept
from tamis.stages.passes import Tokens
from tamis.stages.pretrained import pretrained
from tamis.stages.pruning.prune import prune
from tamis.stages.pruning.settings import Pruned, Pruning
from tamis.stages.signals.divergence import COLUMNS, Divergence
from tamis.tests.tiny import (
    alpaca,
    broken_model,
    conversation,
    make_model,
    make_sentencepiece_like,
)

SCHEMA = pa.schema([ROWS.field(name) for name in ("messages", "tools", "input_start")])
LISTS = ["given.jsd", "instruction.jsd"]


def table(rows):
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def rows_of(n, seed=0, with_input=True):
    rows = alpaca(n, seed)
    extra = [r["input"] if with_input else "" for r in rows]
    return table(
        [conversation(r["instruction"], r["output"], e) for r, e in zip(rows, extra, strict=True)]
    )


@pytest.fixture(scope="session")
def nearby(gpt2, tmp_path_factory):
    """GPT-2 with other weights in one block: what a pruner may have left."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = tmp_path_factory.mktemp("nearby")
    lm = AutoModelForCausalLM.from_pretrained(gpt2)
    with torch.no_grad():
        for name, weight in lm.named_parameters():
            if "h.1.mlp" in name and weight.ndim > 1:
                weight[weight.abs() < 0.2] = 0
    lm.save_pretrained(folder)
    AutoTokenizer.from_pretrained(gpt2).save_pretrained(folder)
    return folder


def divergence(model, other, **fields):
    return Divergence(model=str(model), other=str(other), dtype="fp32", **fields)


@functools.cache
def in_float64(folder):
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float64).eval()


def textbook(folders, ids):
    """KL(P || M) / 2 + KL(Q || M) / 2 at each position, from the models' own softmax in float64."""
    given = torch.tensor([ids])
    with torch.inference_mode():
        p, q = (in_float64(f)(input_ids=given).logits[0].softmax(-1) for f in folders)
    m = (p + q) / 2
    return (torch.xlogy(p, p / m) + torch.xlogy(q, q / m)).sum(-1).numpy() / 2


def same_numbers(found, expected):
    for name in LISTS:
        for one, other in zip(found[name].to_pylist(), expected[name].to_pylist(), strict=True):
            np.testing.assert_allclose(one, other, rtol=0, atol=1e-6)


def golden(p, q, positions):
    """A pass over one-word models: hidden state 1, logits the logarithms of p and q."""
    heads = [LMHead(torch.tensor(one).log()[:, None].float()) for one in (p, q)]
    tokens = Tokens.of([np.array(positions)])
    states = {"given": torch.ones(len(positions), 1)}
    comparison = Comparison([[0] * (max(positions) + 1)], {"given": tokens}, ["given"])
    return comparison.run(*(Kept(head, states) for head in heads)).stats["given"]["jsd"]


def test_golden_g7():
    """JSD([.5, .3, .2], [.2, .3, .5]) = 0.0664143 nat.

    By hand: M = [.35, .3, .35], and both halves are .5 ln(.5/.35) + .2 ln(.2/.35) = 0.0664143.
    """
    by_hand = 0.5 * np.log(0.5 / 0.35) + 0.2 * np.log(0.2 / 0.35)
    assert by_hand == pytest.approx(0.0664143, abs=5e-8)
    found = golden([0.5, 0.3, 0.2], [0.2, 0.3, 0.5], [1, 2])
    np.testing.assert_allclose(found, [by_hand] * 2, rtol=1e-5)
    # over that position and an identical one: mean 0.0332072, sum 0.0664143
    identical = golden([0.5, 0.3, 0.2], [0.5, 0.3, 0.2], [1])
    both = np.concatenate([found[:1], identical]).astype(np.float64)
    assert both.mean() == pytest.approx(0.0332072, abs=5e-8)
    assert both.sum() == pytest.approx(0.0664143, abs=1e-7)


@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.parametrize("template", ["none", "alpaca"])
def test_divergences_are_those_of_the_models_own_softmax(gpt2, nearby, template, apart):
    stage = divergence(gpt2, nearby, template=template, batch_tokens=256, apart=apart)
    rows = rows_of(8)
    found = stage(rows, list(COLUMNS)).to_pylist()
    for row, encoded in zip(found, stage._encoder.encode(rows.to_pylist()), strict=True):
        whole = textbook([gpt2, nearby], encoded.ids)
        ((first, last),) = encoded.answers
        np.testing.assert_allclose(row["given.jsd"], whole[first - 1 : last - 1], rtol=1e-3)
        np.testing.assert_allclose(row["instruction.jsd"], whole[: first - 1], rtol=1e-3)
        assert 1e-4 < np.mean(row["given.jsd"]) < np.log(2)
        for group in ("given", "instruction"):
            assert row[f"{group}.jsd_count"] == len(row[f"{group}.jsd"])
            assert row[f"{group}.jsd_sum"] == pytest.approx(sum(row[f"{group}.jsd"]))
        assert row["status"] == row["given.status"] == "ok"


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_the_sum_of_the_published_code(family, request, tmp_path):
    """It sums over every position of the instruction, tokenised by itself; rows have no input."""
    from transformers import AutoTokenizer

    folder = request.getfixturevalue(family)
    other = make_model(tmp_path, family, bos=family == "llama", seed=1)
    tokenizer, rows = AutoTokenizer.from_pretrained(folder), rows_of(6, with_input=False)
    found = divergence(folder, other)(rows, ["instruction.jsd_sum"])["instruction.jsd_sum"]
    for row, value in zip(rows.to_pylist(), found.to_pylist(), strict=True):
        ids = tokenizer(row["messages"][0]["content"])["input_ids"]
        assert value == pytest.approx(textbook([folder, other], ids).sum(), rel=1e-4)


def test_numbers_do_not_depend_on_the_batch_the_slab_or_the_order(gpt2, nearby):
    rows = rows_of(40)
    whole = divergence(gpt2, nearby)(rows, LISTS)
    for fields in ({"batch_tokens": 1}, {"batch_tokens": 100}, {"slab_tokens": 200}):
        same_numbers(divergence(gpt2, nearby, **fields)(rows, LISTS), whole)
    order = np.random.default_rng(0).permutation(40)
    same_numbers(divergence(gpt2, nearby)(rows.take(order), LISTS), whole.take(order))


def test_one_after_the_other_gives_the_same_bytes(gpt2, nearby):
    """Also from the second slab on, where the models come in the other order."""
    rows, wanted = rows_of(12), list(COLUMNS)
    both, apart = (
        divergence(gpt2, nearby, slab_tokens=500, apart=apart) for apart in (False, True)
    )
    expected = both(rows, wanted)
    assert apart(rows, wanted).equals(expected)
    assert apart(rows, wanted).equals(expected)
    assert (apart._lm is None) != (apart._other is None)
    assert apart.spent()["tokens"] == both.spent()["tokens"] > 500
    assert apart.identity() == both.identity()


def test_apart_loads_each_model_once_for_two_slabs(gpt2, nearby, monkeypatch):
    stage, rows = divergence(gpt2, nearby, apart=True, slab_tokens=1), rows_of(4)
    loads, load_one = [], Divergence._load
    monkeypatch.setattr(
        Divergence, "_load", lambda self, *name: loads.append(name[0]) or load_one(self, *name)
    )
    stage(rows, LISTS)
    first, second = str(gpt2), str(nearby)
    assert loads == [first, second, first, second, first]


def test_a_model_does_not_diverge_from_itself(gpt2):
    found = divergence(gpt2, gpt2)(rows_of(5), LISTS)
    assert all(not any(row) for name in LISTS for row in found[name].to_pylist())


def test_the_two_sides_are_alike(gpt2, nearby):
    rows = rows_of(5)
    same_numbers(divergence(gpt2, nearby)(rows, LISTS), divergence(nearby, gpt2)(rows, LISTS))


def test_models_of_other_shapes(gpt2, tmp_path):
    """A narrower model with one layer, as structured pruning leaves it."""
    small = {"n_layer": 1, "n_embd": 16, "n_positions": 64}
    same = {"num_hidden_layers": 1, "hidden_size": 16, "max_position_embeddings": 64}
    other = make_model(tmp_path, "gpt2", seed=3, **small, **same)
    stage = divergence(gpt2, other)
    found = stage(table([conversation("x", "a b c"), conversation("x", "word " * 200)]), LISTS)
    assert stage._encoder.window == 64  # of the one with fewer positions
    ids = stage._encoder.encode([conversation("x", "a b c")])[0]
    expected = textbook([gpt2, other], ids.ids)[ids.answers[0][0] - 1 : -1]
    np.testing.assert_allclose(found["given.jsd"][0].as_py(), expected, rtol=1e-4)


@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.parametrize("turned", [False, True])
def test_odd_rows_have_numbers_or_a_status(llama, tmp_path, apart, turned):
    """Whichever of the models breaks."""
    pair = (llama, broken_model(llama, tmp_path))
    rows = [
        conversation("Name a sign.", "It is § or not."),
        conversation("x", "y"),
        conversation("word " * 600, "never reached"),
        conversation("cut", "word " * 600),
    ]
    stage = divergence(*(pair[::-1] if turned else pair), apart=apart)
    found = stage(table(rows), list(COLUMNS)).to_pylist()
    assert [r["status"] for r in found] == ["ok", "ok", "instruction_too_long", "truncated"]
    assert [r["given.status"] for r in found] == ["not_finite", "ok", None, "ok"]
    assert [r["given.jsd"] is None for r in found] == [True, False, True, False]
    alone = stage(table(rows), ["given.status"])
    assert alone["given.status"].to_pylist() == [r["given.status"] for r in found]


def test_only_what_is_wanted_runs(gpt2, nearby):
    stage = divergence(gpt2, nearby)
    stage(rows_of(4), ["answer_tokens", "status"])
    assert stage.spent() == {}


def test_contract(gpt2, nearby):
    check_stage(divergence(gpt2, nearby), rows_of(9), rtol=1e-3)


def test_no_rows(gpt2, nearby):
    assert len(divergence(gpt2, nearby)(rows_of(1).slice(0, 0), list(COLUMNS))) == 0


def test_identity_is_the_content_of_both_models(gpt2, nearby, tmp_path):
    copy = tmp_path / "elsewhere"
    copy.mkdir()
    for file in nearby.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    first = divergence(gpt2, nearby).identity()
    assert first == divergence(gpt2, copy, apart=True, slab_tokens=1).identity()
    assert str(nearby) not in str(first)
    assert first != divergence(gpt2, gpt2).identity()
    assert divergence(gpt2, nearby).pinned().other_revision is None


def test_another_tokenizer_is_said_before_anything_runs(gpt2, tmp_path):
    make_model(tmp_path, "gpt2")
    make_sentencepiece_like(tmp_path)
    for step in ("pinned", "setup"):
        with pytest.raises(ModelError, match=r"same tokenizer, .*'<unk>' has none in .* id 0 in"):
            getattr(divergence(gpt2, tmp_path), step)()
    with pytest.raises(ModelError, match="neither a folder nor to be had from the hub"):
        divergence(gpt2, "gone/gone").pinned()


def test_fast_products_are_refused(gpt2):
    with pytest.raises(ValueError, match="precision: fast is not for divergences"):
        divergence(gpt2, gpt2, precision="fast")


def test_the_other_model_is_looked_for_beside_the_config(tmp_path):
    (tmp_path / "pruned").mkdir()
    (tmp_path / "c.yaml").write_text(
        "name: x\ndata: [{name: pool, path: p.jsonl}]\n"
        "signals: {gap: {use: divergence, model: m, other: pruned}}\n"
    )
    assert load(str(tmp_path / "c.yaml")).signals["gap"].other == str(tmp_path / "pruned")


HOW = [
    {"method": "magnitude", "share": 0.5},
    {"method": "magnitude", "pattern": "2:4"},
    {"method": "layers", "layers": 1},
]


class TestPrunedWhileLoaded:
    @pytest.mark.parametrize("how", HOW, ids=["share", "pattern", "layers"])
    @pytest.mark.parametrize("family", ["gpt2", "llama"])
    @pytest.mark.parametrize("dtype", ["fp32", "bf16"])
    def test_same_bytes_as_the_folder_that_prune_writes(self, how, family, dtype, tmp_path):
        model = make_model(tmp_path / "model", family)
        prune(str(model), None, tmp_path / "half", Pruning(**how))
        rows = rows_of(6)
        stages = [
            Divergence(model=str(model), other=other, dtype=dtype)
            for other in (str(tmp_path / "half"), Pruned(**how))
        ]
        from_folder, in_memory = (stage(rows, LISTS) for stage in stages)
        assert in_memory.equals(from_folder)
        assert max(map(max, in_memory["given.jsd"].to_pylist())) > 1e-6

    @pytest.mark.slow
    def test_one_after_the_other(self, gpt2):
        pruned = Pruned(method="magnitude", share=0.5)
        whole = Divergence(model=str(gpt2), other=pruned, dtype="fp32")
        rows = rows_of(6)
        apart = whole.model_copy(update={"apart": True})
        assert apart(rows, LISTS).equals(whole(rows, LISTS))

    def test_the_original_stays_whole(self, gpt2):
        before = pretrained(str(gpt2)).state_dict()
        stage = Divergence(model=str(gpt2), other=Pruned(method="layers", layers=1), dtype="fp32")
        stage.setup()
        found = stage._lm.backbone.state_dict()
        assert all(torch.equal(found[n], before[f"transformer.{n}"]) for n in found)
        assert len(stage._other.backbone.h) == len(stage._lm.backbone.h) - 1

    def test_the_settings_are_its_identity(self, gpt2):
        def identity(**how):
            return Divergence(model=str(gpt2), other=Pruned(**how), dtype="fp32").identity()

        found = [identity(**how) for how in HOW]
        assert found[0]["other"] == HOW[0] | {"pattern": None, "layers": None}
        assert len({str(one) for one in found}) == 3

    @pytest.mark.parametrize(
        ("how", "said"),
        [
            ({"method": "wanda", "share": 0.5}, "'magnitude' or 'layers'"),
            ({"method": "magnitude"}, "needs either `share` or `pattern`"),
            ({"method": "magnitude", "share": 1.5}, "share is 1.5; it must lie between"),
            ({"method": "magnitude", "pattern": "4:2"}, "pattern '4:2' is none"),
            ({"method": "layers", "layers": 0}, "layers is 0; it must be 1 or more"),
        ],
    )
    def test_what_is_not_allowed(self, how, said, gpt2):
        with pytest.raises(ValueError, match=said):
            Divergence(model=str(gpt2), other=how)

    def test_a_revision_is_for_the_hub(self, gpt2):
        with pytest.raises(ValueError, match="other_revision is for another model of the hub"):
            Divergence(model=str(gpt2), other=HOW[0], other_revision="main")

    def test_more_layers_than_there_are(self, gpt2):
        stage = Divergence(model=str(gpt2), other=Pruned(method="layers", layers=99), dtype="fp32")
        with pytest.raises(ConfigError, match="layers is 99, but the model has"):
            stage.setup()
