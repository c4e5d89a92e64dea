import pyarrow as pa
import pytest
from tamis.errors import ConfigError, DataError, PlanError
from tamis.pipeline.config import Config
from tamis.pipeline.load import load
from tamis.pipeline.plan import make_plan
from tamis.pipeline.pool import Pool, pool_key, read_pool
from tamis.pipeline.store import Address, Part, Store
from tamis.pipeline.targets import Aim, as_pools, pin_targets
from tamis.tests.tiny import alpaca, write_jsonl

POOL = Pool("p", (Part("a" * 32, 0, 5),), 5, {}, {"data.rating": "int64"})
BIGGER = Pool("q", (*POOL.parts, Part("c" * 32, 5, 5)), 10, {}, POOL.columns)
GSM = Pool("g", (Part("d" * 32, 0, 2, "e" * 32),), 2, {}, {"data.subject": "string"})
OTHER = Pool("o", (Part("f" * 32, 0, 2),), 2, {}, {"data.subject": "string"})


def config(tmp_path, **fields):
    base = {
        "name": "x",
        "data": [{"name": "d", "path": "p"}],
        "targets": {"gsm": {"path": str(tmp_path / "t.jsonl")}},
        "signals": {"base": {"use": "forward", "model": "m", "dtype": "fp32"}},
        "scorers": {"near": {"use": "similarity", "target": "gsm"}},
        "selector": [{"use": "top_k", "by": "near.score"}],
        "budget": {"rows": 2},
        "part_rows": 10,
    }
    return Config.model_validate(base | fields)


@pytest.fixture
def fake(monkeypatch):
    """No model is looked at."""
    from tamis.stages.signals.forward import Forward

    monkeypatch.setattr(Forward, "identity", lambda self: self.model_dump(mode="json"))


def read(made, name, store):
    own = as_pools(made)[name]
    return read_pool(own, store, pool_key(own), lambda n: None)


def key(plan, name="near"):
    return next(step.key for step in plan.steps if step.name == name)


def test_rows_limit_and_name(tmp_path):
    rows = [row | {"subject": i} for i, row in enumerate(alpaca(8))]
    write_jsonl(tmp_path / "t.jsonl", rows)
    store = Store(tmp_path / "store")
    path = str(tmp_path / "t.jsonl")
    target = {"path": path, "rows": [5, 0, 2], "subtask": "data.subject"}
    made = config(tmp_path, targets={"gsm": target})
    pool = read(made, "gsm", store)
    assert (pool.n_rows, pool.n_input) == (3, 3)
    reads = {"x": Address("", "data.subject", True), "subtask": pool.address("data.subject")}
    found = Aim(pool.parts, reads).rows(store)
    assert found.to_pydict() == {"x": [0, 2, 5], "subtask": ["0", "2", "5"]}
    assert found["subtask"].type == pa.string()
    few = config(tmp_path, targets={"gsm": {"path": path, "limit": 2}})
    assert read(few, "gsm", store).n_rows == 2
    without = Aim(pool.parts, {"x": reads["x"]}).rows(store)
    assert without["subtask"].to_pylist() == [None] * 3
    assert made.model_dump(mode="json")["targets"]["gsm"]["rows"] == [0, 2, 5]
    assert Config.model_validate(made.model_dump(mode="json")) == made


def test_it_is_the_content_that_counts(tmp_path):
    write_jsonl(tmp_path / "t.jsonl", alpaca(4))
    write_jsonl(tmp_path / "u.jsonl", alpaca(4))
    keys = {pool_key(as_pools(config(tmp_path))["gsm"])}
    other = {"path": str(tmp_path / "u.jsonl"), "subtask": "data.x"}
    keys.add(pool_key(as_pools(config(tmp_path, targets={"gsm": other}))["gsm"]))
    assert len(keys) == 1


def test_shots_are_part_of_the_content(tmp_path):
    """With them the subtask decides the rows; without them no key is another than it was."""
    rows = [row | {"subject": i % 2, "other": 0} for i, row in enumerate(alpaca(4))]
    path = str(write_jsonl(tmp_path / "t.jsonl", rows))
    store, keys, parts = Store(tmp_path / "store"), [], []
    for fields in ({}, {"shots": 0}, {"shots": 1}, {"shots": 1, "subtask": "data.subject"}):
        made = config(tmp_path, targets={"gsm": {"path": path, **fields}})
        keys.append(pool_key(as_pools(made)["gsm"]))
        parts.append(read(made, "gsm", store).parts)
    assert keys[0] == keys[1]
    assert len(set(keys)) == len({part[0].hash for part in parts}) == 3
    messages = store.read(parts[3][0], {"messages": Address("", "messages", False)})["messages"]
    first = rows[2]["instruction"] + (f"\n{rows[2]['input']}" if rows[2]["input"] else "")
    assert messages[0][0]["content"].as_py().startswith(f"{first}\n{rows[2]['output']}\n\n")


def test_too_few_rows_for_the_shots(tmp_path):
    path = str(write_jsonl(tmp_path / "t.jsonl", alpaca(4)))
    made = config(tmp_path, targets={"gsm": {"path": path, "shots": 4}})
    with pytest.raises(DataError, match=r"targets\.gsm\.shots is 4, but the target has 4 rows"):
        read(pin_targets(made), "gsm", Store(tmp_path / "store"))


def test_a_target_that_nobody_aims_at_is_not_read(tmp_path):
    made = config(tmp_path, targets={"gsm": {"path": "p"}, "spare": {"path": "gone/x"}})
    assert list(as_pools(made)) == ["gsm"]


def test_wrong_names(tmp_path):
    for target in ("gms", ["gsm", "gms"]):
        made = config(tmp_path, scorers={"near": {"use": "similarity", "target": target}})
        with pytest.raises(PlanError, match=r"scorers.near aims at 'gms', .* there are gsm"):
            pin_targets(made)


@pytest.mark.parametrize(
    ("text", "fields", "message"),
    [
        ("{broken\n", {}, r"targets\.gsm: .*t\.jsonl, line 5: bad JSON.*readable to the last row"),
        ("", {"rows": [1, 9]}, r"targets\.gsm\.rows: no row 9; there are 4, the first is 0"),
        ("", {"path": "gone.jsonl", "limit": 2}, r"targets\.gsm: no file or folder"),
    ],
)
def test_what_cannot_be_read_is_said(tmp_path, text, fields, message):
    with write_jsonl(tmp_path / "t.jsonl", alpaca(4)).open("a") as file:
        file.write(text)
    target = {"path": str(tmp_path / fields.pop("path", "t.jsonl")), **fields}
    made = config(tmp_path, targets={"gsm": target})
    with pytest.raises(DataError, match=message):
        read(pin_targets(made), "gsm", Store(tmp_path / "store"))


def test_an_empty_target(tmp_path):
    write_jsonl(tmp_path / "t.jsonl", [])
    with pytest.raises(DataError, match=r"targets\.gsm: no usable row"):
        read(config(tmp_path), "gsm", Store(tmp_path / "store"))


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ({"path": "p", "rows": [1], "limit": 1}, "targets.gsm: give limit or rows, not both"),
        ({"path": "p", "rows": []}, "targets.gsm.rows: must be one place or more, each once"),
        ({"path": "p", "rows": [2, 2]}, "each once"),
        ({"path": "p", "rows": [-1]}, "greater than or equal to 0"),
        ({"path": "p", "subtask": "subject"}, "targets.gsm.subtask"),
        ({"path": "p", "shots": -1}, "targets.gsm.shots: .*greater than or equal to 0"),
        ({"path": "p", "name": "else"}, "targets.gsm.name: leave it out"),
        ({"path": "p", "lines": 3}, "targets.gsm.lines: unknown key; .*known are columns, format"),
        ({}, "targets.gsm.path: Field required"),
    ],
)
def test_wrong_blocks(tmp_path, target, message):
    import yaml

    path = tmp_path / "c.yaml"
    data = [{"name": "d", "path": "p"}]
    path.write_text(yaml.safe_dump({"name": "x", "data": data, "targets": {"gsm": target}}))
    with pytest.raises(ConfigError, match=message):
        load(str(path))


def test_relative_paths_are_beside_the_file(tmp_path):
    (tmp_path / "t.jsonl").touch()
    text = "name: x\ndata: [{name: d, path: p}]\ntargets: {gsm: {path: t.jsonl}}\n"
    (tmp_path / "c.yaml").write_text(text)
    assert load(str(tmp_path / "c.yaml")).targets["gsm"].path == str(tmp_path / "t.jsonl")


class TestPlan:
    def test_the_same_step_makes_the_columns_of_both(self, tmp_path, fake):
        plan = make_plan(config(tmp_path), POOL, {"gsm": GSM})
        (target,) = plan.targets
        assert (target.name, target.pool) == ("gsm", GSM)
        (own,) = target.steps
        assert own.folder == plan.steps[0].folder
        assert set(own.wanted) == {"embedding", "given.status", "status"}
        aim = plan.steps[1].aims["gsm"]
        assert aim.reads["base.embedding"] == Address(own.folder, "embedding")

    def test_the_key_of_the_scorer_holds_the_target_and_not_the_pool(self, tmp_path, fake):
        made = config(tmp_path)
        first = key(make_plan(made, POOL, {"gsm": GSM}))
        assert key(make_plan(made, BIGGER, {"gsm": GSM})) == first
        assert key(make_plan(made, POOL, {"gsm": OTHER})) != first

    def test_the_subtask_column_matters(self, tmp_path, fake):
        target = {"path": "p", "subtask": "data.subject"}
        made = config(tmp_path, targets={"gsm": target})
        plan = make_plan(made, POOL, {"gsm": GSM})
        assert key(plan) != key(make_plan(config(tmp_path), POOL, {"gsm": GSM}))
        assert plan.steps[1].aims["gsm"].reads["subtask"].column == "data.subject"
        with pytest.raises(PlanError, match=r"no column data\.subject; there are data\.rating"):
            make_plan(made, POOL, {"gsm": POOL})

    def test_lists_are_made_only_where_they_are_read(self, tmp_path, fake):
        plan = make_plan(config(tmp_path), POOL, {"gsm": GSM})
        assert set(plan.steps[1].wanted) == {"score", "status", "target", "subtask", "query"}
        selector = [{"use": "round_robin", "by": "near.by_query"}]
        other = make_plan(config(tmp_path, selector=selector), POOL, {"gsm": GSM})
        assert "by_query" in other.steps[1].wanted
        assert key(other) == key(plan)

    def test_what_a_target_does_not_have(self, tmp_path, fake):
        made = config(
            tmp_path, signals={"base": {"use": "embedding_column", "column": "data.rating"}}
        )
        with pytest.raises(PlanError, match=r"base reads data\.rating, which nobody makes"):
            make_plan(made, POOL, {"gsm": GSM})

    def test_rds_plus_wants_weighted_positions(self, tmp_path, fake):
        made = config(tmp_path, scorers={"near": {"use": "rds_plus", "target": "gsm"}})
        with pytest.raises(
            PlanError,
            match=r"scorers\.near does not fit signals\.base: needs pooling: weighted_mean",
        ):
            make_plan(made, POOL, {"gsm": GSM})

    def test_of_a_target_only_signals_are_read(self, tmp_path, fake, monkeypatch):
        from tamis.scorers.similarity import Similarity

        reads = pa.schema([("other.score", pa.float32())])
        monkeypatch.setattr(Similarity, "target_reads", reads)
        scorers = {"near": {"use": "similarity", "target": "gsm"}, "other": {"use": "random"}}
        with pytest.raises(PlanError, match=r"reads other\.score; of a target only signals"):
            make_plan(config(tmp_path, scorers=scorers), POOL, {"gsm": GSM})
        reads = pa.schema([("noisy.delta", pa.null())])
        monkeypatch.setattr(Similarity, "target_reads", reads)
        signals = {"noisy": {"use": "neighbours", "model": "m", "copies": 4, "rounds": [2, 4]}}
        with pytest.raises(PlanError, match=r"reads signals\.noisy, which works in rounds"):
            make_plan(config(tmp_path, signals=signals), POOL, {"gsm": GSM})

    def test_a_fitted_signal_says_nothing_of_a_target(self, tmp_path, fake, monkeypatch):
        from tamis.scorers.similarity import Similarity

        reads = pa.schema([("groups.label", pa.int32())])
        monkeypatch.setattr(Similarity, "target_reads", reads)
        signals = {
            "base": {"use": "forward", "model": "m", "dtype": "fp32"},
            "groups": {"use": "clusters", "of": "base.embedding"},
        }
        with pytest.raises(PlanError, match=r"reads signals\.groups, which is fitted to the pool"):
            make_plan(config(tmp_path, signals=signals), POOL, {"gsm": GSM})

    def test_targets_and_a_fit_that_does_not_know_them(self, tmp_path, fake, monkeypatch):
        from tamis.scorers.similarity import Similarity

        monkeypatch.setattr(Similarity, "fits_pool", True)
        with pytest.raises(PlanError, match="fits the pool, but has no fit_to_targets"):
            make_plan(config(tmp_path), POOL, {"gsm": GSM})
