import json
from pathlib import Path

import jsonschema
import pytest
import yaml
from tamis import __version__
from tamis.errors import ConfigError
from tamis.pipeline.kuberay import Place, rayjob
from tamis.pipeline.load import load
from tamis.pipeline.overrides import Overrides
from tamis.pipeline.parcel import make_parcel

SCHEMA = json.loads(Path(__file__).with_name("rayjob.schema.json").read_text())
PLACE = Place("registry/tamis:1", "pool", "/shared", "my-token")


def parcel(*sets, mount="/shared", **said):
    return make_parcel(load("quickstart", Overrides(sets=sets, **said)), Path(mount), False)


def made(*sets, place=PLACE, words=(), install=False, **said):
    """A RayJob, as it comes out of the file again, and checked against the schema."""
    job = rayjob(parcel(*sets, **said), place, list(words), install)
    found = yaml.safe_load(yaml.safe_dump(job))
    jsonschema.Draft202012Validator(SCHEMA).validate(found)
    return found["spec"]


def groups(spec):
    cluster = spec["rayClusterSpec"]
    return cluster["headGroupSpec"], *cluster["workerGroupSpecs"]


def containers(spec):
    return [group["template"]["spec"]["containers"][0] for group in groups(spec)]


def test_the_schema_refuses_what_it_should():
    validator = jsonschema.Draft202012Validator(SCHEMA)
    good = rayjob(parcel("engine.workers=2"), PLACE, [], False)
    assert validator.is_valid(good)
    assert not validator.is_valid(good | {"apiVersion": "ray.io/v1alpha1"})
    assert not validator.is_valid(good | {"spec": good["spec"] | {"entryPoint": "x"}})
    good["spec"]["rayClusterSpec"]["headGroupSpec"]["template"]["spec"]["containers"][0]["env"] = [
        {"name": "RAY_AUTH_TOKEN", "value": "a secret"}
    ]
    assert not validator.is_valid(good)


def test_the_head_shows_the_config_as_a_file_and_computes_nothing():
    spec = made("engine.workers=2", words=["--overwrite"])
    assert spec["entrypoint"] == "python -m tamis select /etc/tamis/config.yaml --overwrite"
    head, _ = groups(spec)
    assert head["rayStartParams"]["num-cpus"] == "0"
    config = yaml.safe_load(head["template"]["metadata"]["annotations"]["tamis-config"])
    assert config["name"] == "quickstart"
    assert (config["store"], config["out"]) == ("/shared/store", "/shared/runs")
    mounts = {mount["name"]: mount["mountPath"] for mount in containers(spec)[0]["volumeMounts"]}
    assert mounts == {"shared": "/shared", "config": "/etc/tamis"}
    assert containers(spec)[0]["resources"]["limits"]["memory"] == "8Gi"


def test_the_token_is_a_reference():
    spec = made("engine.workers=1")
    cluster = spec["rayClusterSpec"]
    assert cluster["authOptions"] == {"mode": "token", "secretName": "my-token"}
    for container in containers(spec):
        env = {one["name"]: one for one in container["env"]}
        assert env["RAY_AUTH_MODE"]["value"] == "token"
        reference = {"secretKeyRef": {"name": "my-token", "key": "auth_token"}}
        assert env["RAY_AUTH_TOKEN"]["valueFrom"] == reference


@pytest.mark.parametrize(
    ("sets", "pods", "cpus", "gigabytes", "gpus"),
    [
        (["engine.workers=6"], 6, "1", 8 + 4, None),
        (["engine.workers=6", "engine.threads=4"], 6, "4", 8 + 4, None),
        (["engine.workers=6", "engine.gpus_per_worker=1"], 6, "1", 8 + 4, "1"),
        (["engine.workers=3", "engine.gpus_per_worker=2"], 3, "1", 8 + 4, "2"),
        (["engine.workers=5", "engine.gpus_per_worker=0.5"], 3, "2", 16 + 4, "1"),
        (["engine.workers=1", f"engine.memory={20 << 30}"], 1, "1", 20 + 4, None),
    ],
)
def test_pods_have_room_for_their_workers(sets, pods, cpus, gigabytes, gpus):
    spec = made(*sets, dtype="bf16")
    _, workers = groups(spec)
    assert [workers[f"{kind}eplicas"] for kind in ("r", "minR", "maxR")] == [pods] * 3
    limits = containers(spec)[1]["resources"]["limits"]
    assert limits["cpu"] == cpus
    assert int(limits["memory"]) == gigabytes << 30
    assert limits.get("nvidia.com/gpu") == gpus
    assert containers(spec)[1]["resources"]["requests"] == limits


def test_tamis_can_be_installed_as_the_job_starts():
    assert "runtimeEnvYAML" not in made("engine.workers=1")
    spec = made("engine.workers=1", install=True)
    assert yaml.safe_load(spec["runtimeEnvYAML"]) == {"pip": [f"tamis=={__version__}"]}


def test_names_are_those_of_kubernetes():
    job = rayjob(parcel("engine.workers=1", "name=My_run.v2"), PLACE, [], False)
    assert job["metadata"]["name"] == "tamis-my-run-v2"
    job = rayjob(parcel("engine.workers=1", f"name={'x' * 33}.y"), PLACE, [], False)
    assert job["metadata"]["name"] == f"tamis-{'x' * 33}"
    jsonschema.validate(job, SCHEMA)


def test_without_a_number_of_workers_it_asks_for_one():
    with pytest.raises(ConfigError, match="must be told how many workers: --workers 8"):
        made()


def test_results_do_not_go_with_the_pods():
    bare = Place("i", None, "/shared", "t")
    with pytest.raises(ConfigError, match=r"/shared/store would go with the pods; .*--claim"):
        made("engine.workers=1", place=bare)
    elsewhere = {"store": "s3://b/store", "out": "s3://b/runs"}
    spec = made("engine.workers=1", place=bare, **elsewhere)
    assert containers(spec)[1]["volumeMounts"] == []
    with pytest.raises(ConfigError, match=r"/home/store is not on the shared volume, .*at /shared"):
        made("engine.workers=1", store="/home/store")
