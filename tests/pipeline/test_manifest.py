from datetime import UTC, datetime

from tamis.pipeline.compute import StepReport
from tamis.pipeline.manifest import describe_files, make_manifest, result_fingerprint
from tamis.pipeline.plan import make_plan
from tamis.pipeline.pool import Pool
from tamis.pipeline.store import Part
from tamis.tests.runs import run_config

POOL = Pool("p", (Part("a" * 32, 0, 5),), 6, {"bad JSON": 1}, {"data.rating": "int64"})


def fingerprint(config, pool=POOL):
    return result_fingerprint(config, pool, make_plan(config, pool))


def test_the_fingerprint_is_of_the_result(tmp_path):
    first = fingerprint(run_config(tmp_path))
    same = run_config(
        tmp_path, store="elsewhere", out="there", engine={"kind": "ray", "workers": 9}
    )
    assert fingerprint(same) == first
    others = [
        run_config(tmp_path, budget={"rows": 11}),
        run_config(tmp_path, selector=[{"use": "random"}]),
        run_config(tmp_path, seed=4, selector=[{"use": "random"}]),
        run_config(tmp_path, labels="data.rating"),
        run_config(tmp_path, scorers={"long": {"use": "length", "unit": "words"}}),
    ]
    assert len({fingerprint(other) for other in others} | {first}) == 6
    other_pool = Pool("q", POOL.parts, 6, {}, POOL.columns)
    assert fingerprint(run_config(tmp_path), other_pool) != first


def test_a_manifest_names_steps_and_versions(tmp_path):
    config = run_config(tmp_path)
    plan = make_plan(config, POOL)
    reports = [
        StepReport(step.name, step.key, step.wanted, 1, 1, 5, 0.1, {"tokens": 7})
        for step in plan.steps
    ]
    made = make_manifest(config, POOL, plan, reports, datetime.now(UTC))
    assert made["pool"] == {
        "key": "p",
        "parts": 1,
        "rows_in": 6,
        "rows_usable": 5,
        "rejected": {"bad JSON": 1},
    }
    assert made["steps"][0]["made_by"]["class"] == "Length"
    assert made["steps"][0]["spent"] == {"tokens": 7}
    assert {"torch", "pyarrow", "ray", "python"} <= set(made["environment"])


def test_files_are_described(tmp_path):
    (tmp_path / "sub" / "deep").mkdir(parents=True)
    (tmp_path / "sub" / "deep" / "b").write_text("b")
    (tmp_path / "a").write_text("")
    found = describe_files(tmp_path, ["a", "sub"])
    assert list(found) == ["a", "sub/deep/b"]
    assert found["a"]["sha256"].startswith("e3b0c442")
    assert found["sub/deep/b"]["bytes"] == 1
