import math
import shutil

import numpy as np
import pyarrow as pa
import pytest
import torch
from tamis.errors import ModelError
from tamis.kernels.adam import adam_direction
from tamis.kernels.projection import project
from tamis.scorers.matrices import matrix, unit
from tamis.scorers.signals import column_type
from tamis.stages import models
from tamis.stages.adapters import attach_like
from tamis.stages.checkpoints import read_moments, read_weights
from tamis.stages.checks import check_stage
from tamis.stages.signals import gradient as module
from tamis.stages.signals.gradient import Gradient
from tamis.stages.tokenize import scored_rows
from tamis.tests.stages.test_gradients import one_by_one
from tamis.tests.stages.trained import make_checkpoints
from tamis.tests.tiny import alpaca, conversation

SCHEMA = Gradient(model="x").reads
ODD = [
    conversation("two\n", "\n\nIt is forty-two."),
    conversation("word " * 400, "never reached"),
    conversation("cut", "word " * 400),
    conversation("empty", ""),
]


def units(column, checkpoints, dim=None):
    """(rows, checkpoints, dim) unit vectors of a column."""
    found = matrix(column, "vectors")
    return unit(found.reshape(len(found), checkpoints, -1)[:, :, :dim])


def rows_of(n, seed=0):
    rows = [conversation(r["instruction"], r["output"], r["input"]) for r in alpaca(n, seed)]
    return pa.Table.from_pylist(rows, schema=SCHEMA)


@pytest.fixture(scope="module")
def trained(gpt2, llama, tmp_path_factory):
    """Two random checkpoints of each model."""
    return {
        str(model): make_checkpoints(model, tmp_path_factory.mktemp(model.name))
        for model in (gpt2, llama)
    }


def gradient(model, trained, **fields):
    base = {"dtype": "fp32", "dim": 256, "seed": 3, "adapters": trained[str(model)]}
    return Gradient(model=str(model), **base | fields)


def numbers(stage, rows, name):
    """(rows, checkpoints, dim) as they are in the column."""
    return np.array(stage(rows, [name])[name].to_pylist(), np.float32).reshape(len(rows), 2, -1)


def reference(folder, checkpoint, rows, mode):
    """One backward per row; Adam's direction; the whole gradient, unprojected."""
    lm = models.load(str(folder))
    lora = attach_like(lm, checkpoint)
    lora.fill(read_weights(checkpoint), checkpoint)
    stage = Gradient(model=str(folder))
    encoded = stage.encoder(lm.tokenizer).encode(rows.to_pylist())
    places, positions = scored_rows(encoded)
    found = one_by_one(lm, lora, [encoded[i].ids for i in places], positions)
    if mode == "plain":
        return found
    moments = read_moments(checkpoint, lora.parameters).values()
    m, v = (torch.cat([pair[side].flatten() for pair in moments]) for side in (0, 1))
    adam_direction(found, m, v, mode, 3 * int(checkpoint[-1]))
    return found


@pytest.mark.parametrize("family", ["gpt2", "llama"])
@pytest.mark.parametrize("mode", ["adam", "adam_outside", "adam_corrected", "plain"])
def test_equals_one_backward_per_row(family, mode, request, trained):
    """Both readings of every checkpoint, projected and of unit length; fp16 is the tolerance."""
    folder, rows = request.getfixturevalue(family), rows_of(5)
    stage = gradient(folder, trained, direction=mode)
    name = "plain" if mode == "plain" else "adam"
    found = numbers(stage, rows, name)
    for number, checkpoint in enumerate(trained[str(folder)]):
        true = reference(folder, checkpoint, rows, mode)
        expected = torch.nn.functional.normalize(project(true, 3, 256)).numpy()
        np.testing.assert_allclose(found[:, number], expected, atol=2e-4)


def test_the_end_of_an_answer_counts(gpt2, trained):
    """The loss is the mean over the answer and its end, unless it is left out."""
    rows, number = rows_of(3), 0
    lm = models.load(str(gpt2))
    checkpoint = trained[str(gpt2)][number]
    lora = attach_like(lm, checkpoint)
    lora.fill(read_weights(checkpoint), checkpoint)
    encoder = Gradient(model=str(gpt2), end_token=False).encoder(lm.tokenizer)
    bare = encoder.encode(rows.to_pylist())
    for end_token in (True, False):
        ids = [[*row.ids, *[lm.tokenizer.eos_token_id] * end_token] for row in bare]
        positions = [np.arange(row.answers[0][0], len(i)) for row, i in zip(bare, ids, strict=True)]
        true = project(one_by_one(lm, lora, ids, positions), 3, 256)
        expected = torch.nn.functional.normalize(true).numpy()
        stage = gradient(gpt2, trained, end_token=end_token)
        np.testing.assert_allclose(numbers(stage, rows, "plain")[:, number], expected, atol=2e-4)


def test_cosines_are_those_of_whole_gradients(gpt2, trained):
    """Within four deviations of a random projection, 1 / sqrt(dim) where the cosine is 0."""
    rows = rows_of(8)
    stage = gradient(gpt2, trained, dim=8192)
    adam, plain = (numbers(stage, rows, name) for name in ("adam", "plain"))
    for number, checkpoint in enumerate(trained[str(gpt2)]):
        sides = [reference(gpt2, checkpoint, rows, mode) for mode in ("adam", "plain")]
        left, right = (torch.nn.functional.normalize(side).numpy() for side in sides)
        found = adam[:, number] @ plain[:, number].T
        assert np.abs(found - left @ right.T).max() < 4 / math.sqrt(8192) + 1e-3


def test_both_columns_of_one_pass_are_those_of_two(gpt2, trained):
    rows, stage = rows_of(4), gradient(gpt2, trained)
    both = stage(rows, ["adam", "plain", "weights", "given.status"])
    for name in ("adam", "plain"):
        alone = numbers(stage, rows, name)
        together = np.array(both[name].to_pylist(), np.float32).reshape(4, 2, -1)
        np.testing.assert_allclose(together, alone, atol=1e-4)
    np.testing.assert_allclose(both["weights"].to_pylist(), [[2 / 3, 1 / 3]] * 4, rtol=1e-6)
    assert both["given.status"].to_pylist() == ["ok"] * 4


def test_first_numbers_are_the_narrower_projection(gpt2, trained):
    rows = rows_of(4)
    wide = gradient(gpt2, trained, dim=512)(rows, ["adam"])["adam"]
    narrow = gradient(gpt2, trained, dim=128)(rows, ["adam"])["adam"]
    np.testing.assert_allclose(units(wide, 2, dim=128), units(narrow, 2), rtol=1e-2, atol=1e-3)


@pytest.mark.parametrize("kind", ["dense", "kronecker"])
def test_batch_memory_slab_and_order_do_not_matter(kind, gpt2, trained, monkeypatch):
    rows, fields = rows_of(10), {"kind": kind, "direction": "plain" if kind != "dense" else "adam"}
    name = "plain" if kind != "dense" else "adam"
    whole = numbers(gradient(gpt2, trained, **fields), rows, name)
    for other in ({"batch_tokens": 1}, {"batch_tokens": 100_000}, {"memory_mb": 1}):
        found = numbers(gradient(gpt2, trained, **fields, **other), rows, name)
        np.testing.assert_allclose(found, whole, atol=2e-4)
    order = np.random.default_rng(0).permutation(10)
    found = numbers(gradient(gpt2, trained, **fields), rows.take(order), name)
    np.testing.assert_allclose(found, whole[order], atol=2e-4)
    monkeypatch.setattr(module, "SLAB", 3)
    found = numbers(gradient(gpt2, trained, **fields), rows, name)
    np.testing.assert_allclose(found, whole, atol=2e-4)


@pytest.mark.parametrize(("keep", "largest"), [("int8", 5e-3), ("sign", 4 / math.sqrt(1024))])
def test_kept_in_fewer_bits(keep, largest, gpt2, trained):
    rows = rows_of(8)
    full, few = (
        units(gradient(gpt2, trained, keep=kept, dim=1024)(rows, ["plain"])["plain"], 2)
        for kept in ("fp16", keep)
    )
    for number in range(2):
        cosines = full[:, number] @ full[:, number].T
        if keep == "sign":
            cosines = 2 / np.pi * np.arcsin(np.clip(cosines, -1, 1))
        found = few[:, number] @ few[:, number].T
        assert np.abs(found - cosines).max() < largest


def test_half_precision_points_the_same_way(llama, trained):
    """The model runs in bf16; adapters, gradients and sums stay in fp32."""
    rows = rows_of(4)
    full, half = (
        numbers(gradient(llama, trained, dtype=dtype, dim=1024), rows, "plain")
        for dtype in ("fp32", "bf16")
    )
    assert ((full * half).sum(2) > 0.95).all()


def test_length_is_kept_on_request(gpt2, trained):
    rows = rows_of(4)
    unit, long = (
        numbers(gradient(gpt2, trained, normalise=flag), rows, "plain") for flag in (True, False)
    )
    lengths = np.linalg.norm(long, axis=2, keepdims=True)
    np.testing.assert_allclose(np.linalg.norm(unit, axis=2), 1, atol=1e-3)
    np.testing.assert_allclose(long / lengths, unit, atol=2e-3)
    assert np.ptp(lengths) > 0.1


def test_a_vector_too_long_for_fp16_is_none(gpt2, trained, monkeypatch):
    monkeypatch.setattr(module, "LARGEST", 0.0)
    found = gradient(gpt2, trained, normalise=False)(rows_of(2), ["plain", "given.status"])
    assert found["given.status"].to_pylist() == ["ok"] * 2
    assert found["plain"].null_count == 2


def test_odd_rows_have_numbers_or_a_status(llama, trained):
    stage = gradient(llama, trained)
    found = stage(pa.Table.from_pylist(ODD, schema=SCHEMA), stage.adds.names).to_pylist()
    assert [row["status"] for row in found] == [
        *("ok", "instruction_too_long", "truncated", "no_answer_tokens")
    ]
    for row in found:
        usable = row["status"] in ("ok", "truncated")
        assert row["given.status"] == ("ok" if usable else None)
        assert (row["adam"] is not None) == (row["plain"] is not None) == usable
        assert row["weights"] == pytest.approx([2 / 3, 1 / 3])


def test_columns_have_the_types_of_the_vocabulary(gpt2, trained):
    adds = gradient(gpt2, trained).adds
    assert all(field.type == column_type(field.name) for field in adds)
    assert "adam" not in gradient(gpt2, trained, direction="plain").adds.names


def test_only_what_is_wanted_runs(gpt2, trained):
    stage = gradient(gpt2, trained)
    stage(rows_of(3), ["status", "weights"])
    assert stage.spent() == {}
    stage(rows_of(3), ["adam"])
    assert stage.spent()["tokens"] > 0


def test_adapters_without_moments(gpt2, tmp_path):
    bare = make_checkpoints(gpt2, tmp_path, 2, moments=False)
    stage = Gradient(model=str(gpt2), dtype="fp32", dim=64, adapters=bare)
    with pytest.raises(ModelError, match=r"no moments\.safetensors.*direction: adam needs"):
        stage.setup()
    plain = stage.model_copy(update={"direction": "plain"})
    found = plain(rows_of(2), ["plain", "weights"])
    assert found["plain"].null_count == 0
    assert found["weights"].to_pylist() == [[0.5, 0.5]] * 2


def test_weights(gpt2, trained, tmp_path):
    with pytest.raises(ModelError, match="3 weights for 2 adapters"):
        gradient(gpt2, trained, weights=(1, 3, 1)).setup()
    (bare,) = make_checkpoints(gpt2, tmp_path, 1, moments=False)
    mixed = [trained[str(gpt2)][0], bare]
    with pytest.raises(ModelError, match="others have; give `weights`"):
        gradient(gpt2, trained, adapters=mixed, direction="plain").setup()


def test_no_adapters_yet(gpt2):
    stage = Gradient(model=str(gpt2), warmup={"epochs": 2})
    assert stage.identity()["warmup"]["epochs"] == 2
    with pytest.raises(ModelError, match="needs adapters: give `warmup"):
        stage.setup()
    assert stage.pinned().dtype in ("fp32", "bf16")
    with pytest.raises(ModelError, match="needs adapters: give `warmup"):
        Gradient(model=str(gpt2)).pinned()


def test_corrected_directions_need_the_number_of_steps(gpt2, trained, tmp_path):
    bare = shutil.copytree(trained[str(gpt2)][0], tmp_path / "bare")
    (bare / "checkpoint.json").unlink()
    stage = gradient(gpt2, trained, adapters=(str(bare),), direction="adam_corrected")
    with pytest.raises(ModelError, match=r"no checkpoint\.json that says after how many steps"):
        stage(rows_of(2), ["adam"])


@pytest.mark.parametrize("keep", ["fp16", "int8", "sign"])
def test_a_gradient_of_zero_has_no_direction(gpt2, trained, monkeypatch, keep):
    stage = gradient(gpt2, trained, keep=keep)
    stage.setup()
    stage._lm.head.weight.zero_()  # every word as likely, whatever the adapters do
    found = stage(rows_of(3), ["plain", "adam", "given.status"])
    assert found["plain"].null_count == 3 and found["adam"].null_count == 0
    assert found["given.status"].to_pylist() == ["ok"] * 3


def test_a_direction_too_long_for_fp16_is_no_vector_and_says_nothing_of_the_row(gpt2, tmp_path):
    """Moments that push Adam's direction beyond 65,504; the plain gradient is what it was."""
    (folder,) = make_checkpoints(gpt2, tmp_path, 1)
    stage = gradient(gpt2, {str(gpt2): (folder,)}, normalise=False, weights=(1,))
    plain = stage(rows_of(3), ["plain", "given.status"])
    stage.setup()
    stage._sinks(folder, ["adam"], 1)
    for m, _ in stage._moments.values():
        m.fill_(1e6)
    both = stage(rows_of(3), ["adam", "plain", "given.status"])
    assert both["adam"].null_count == 3 and both["plain"] == plain["plain"]
    assert both["given.status"].to_pylist() == ["ok"] * 3


def test_a_column_does_not_depend_on_what_else_is_wanted(gpt2, trained):
    """What is kept of a run that broke off between two columns stays what it would have been."""
    rows = rows_of(9)
    stage = gradient(gpt2, trained, memory_mb=1)
    both = stage(rows, ["adam", "plain"])
    for name in ("adam", "plain"):
        assert stage(rows, [name])[name] == both[name]


def test_identity_is_the_adapters_content(gpt2, trained, tmp_path):
    stage = gradient(gpt2, trained)
    moved = [shutil.copytree(folder, tmp_path / str(i)) for i, folder in enumerate(stage.adapters)]
    same = {"adapters": [str(folder) for folder in moved], "memory_mb": 7, "batch_tokens": 9}
    assert gradient(gpt2, trained, **same).identity() == stage.identity()
    changes = ({"seed": 4}, {"dim": 64}, {"keep": "int8"}, {"adapters": stage.adapters[:1]})
    for change in (*changes, {"end_token": False}):
        assert gradient(gpt2, trained, **change).identity() != stage.identity()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"kind": "kronecker"}, "kronecker is for plain gradients"),
        ({"keep": "int8", "normalise": False}, "keep: int8 loses the length"),
        ({"keep": "sign", "dim": 12}, "eight numbers to a byte"),
        ({"weights": (0, 0)}, "not all 0"),
        ({"weights": (float("nan"), 1)}, "must be finite"),
        ({"weights": (1, 2, 3), "warmup": {"epochs": 2}}, "weights are 3, but warmup.epochs"),
        ({"warmup": {}, "adapters": ("a",)}, "adapters or a warmup that trains them, not both"),
        ({"dim": 1 << 40}, "dim"),
        ({"warmup": {"rank": 10**12}}, "rank"),
        ({"dtype": "fp16"}, "underflow in fp16"),
        ({"seed": -1}, "seed"),
    ],
)
def test_values_that_do_not_fit_together(fields, message):
    with pytest.raises(ValueError, match=message):
        Gradient(model="x", **fields)


@pytest.mark.parametrize("fields", [{}, {"keep": "sign"}, {"direction": "plain", "dim": 60}])
def test_contract(gpt2, trained, fields):
    rows, stage = rows_of(6), gradient(gpt2, trained, **fields)
    if fields.get("keep") == "sign":  # a number next to zero may take the other sign
        stage = stage.model_copy(update={"batch_tokens": 1})
    check_stage(stage, rows, rtol=1e-2)
