"""A run as a RayJob of KubeRay (ray.io/v1): a cluster that comes, runs it and goes.

The config travels as an annotation of the head's pod, which Kubernetes shows there as a file. The
token is a reference to a Secret; the file itself holds none.
"""

import math
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import yaml

from .. import __version__
from ..errors import ConfigError
from .config import EngineConfig
from .parcel import Parcel

CONFIG_FOLDER = "/etc/tamis"
ANNOTATION = "tamis-config"
HEAD = {"cpu": "2", "memory": "8Gi"}
WORKER_BYTES = 8 << 30  # where engine.memory says nothing
BESIDE_BYTES = 4 << 30  # of a pod, for Ray's own processes
OBJECT_STORE_BYTES = 256 << 20  # receipts are small
TTL_S = 600  # the cluster stays so long for a look at its logs
WAIT_S = 3600  # for the pods to come up
RETRIES = 2  # of the whole job, which goes on where it stopped


@dataclass(frozen=True)
class Place:
    """Where a RayJob runs.

    Attributes:
        image: holds Ray and Tamis.
        claim: name of the persistent volume claim that all pods share.
        mount: where they see it.
        secret: name of the Secret whose `auth_token` is the cluster's token.
    """

    image: str
    claim: str | None
    mount: str
    secret: str


def rayjob(parcel: Parcel, place: Place, words: list[str], install: bool) -> dict[str, Any]:
    """Return the RayJob of a config.

    Args:
        parcel: the config.
        place: where it runs.
        words: options of `tamis select`.
        install: let pip put Tamis into the image's Python when the job starts.

    Raises:
        ConfigError: no number of workers, or results that would go with the pods.
    """
    engine = EngineConfig.model_validate(parcel.values["engine"])
    if engine.workers is None:
        raise ConfigError("--kuberay must be told how many workers: --workers 8")
    _check_outputs(parcel, place)
    command = ["python", "-m", "tamis", "select", f"{CONFIG_FOLDER}/config.yaml", *words]
    spec: dict[str, Any] = {
        "entrypoint": shlex.join(command),
        "shutdownAfterJobFinishes": True,
        "ttlSecondsAfterFinished": TTL_S,
        "preRunningDeadlineSeconds": WAIT_S,
        "backoffLimit": RETRIES,
        "rayClusterSpec": {
            "rayVersion": version("ray"),
            "authOptions": {"mode": "token", "secretName": place.secret},
            "headGroupSpec": _head(parcel, place),
            "workerGroupSpecs": [_workers(engine, place)],
        },
    }
    if install:
        spec["runtimeEnvYAML"] = yaml.safe_dump({"pip": [f"tamis=={__version__}"]})
    name = re.sub(r"[^a-z0-9]+", "-", str(parcel.values["name"]).lower()).strip("-")
    return {
        "apiVersion": "ray.io/v1",
        "kind": "RayJob",
        "metadata": {"name": f"tamis-{name}"[:40].rstrip("-")},
        "spec": spec,
    }


def _check_outputs(parcel: Parcel, place: Place) -> None:
    for path in parcel.outputs:
        if place.claim is None:
            raise ConfigError(
                f"{path} would go with the pods; name a shared volume with --claim, or give store "
                "and out as addresses"
            )
        if not path.startswith(f"{place.mount.rstrip('/')}/"):
            raise ConfigError(
                f"{path} is not on the shared volume, which is mounted at {place.mount} (--mount)"
            )


def _head(parcel: Parcel, place: Place) -> dict[str, Any]:
    shown = {
        "name": "config",
        "downwardAPI": {
            "items": [
                {
                    "path": "config.yaml",
                    "fieldRef": {"fieldPath": f"metadata.annotations['{ANNOTATION}']"},
                }
            ]
        },
    }
    pod = _pod("ray-head", place, HEAD)
    pod["containers"][0]["volumeMounts"].append({"name": "config", "mountPath": CONFIG_FOLDER})
    pod["volumes"].append(shown)
    return {
        "rayStartParams": {  # nothing but the run's own process and Ray's runs on the head
            "num-cpus": "0",
            "object-store-memory": str(OBJECT_STORE_BYTES),
            "dashboard-host": "0.0.0.0",  # of the pod: KubeRay asks there for the job's state
        },
        "template": {"metadata": {"annotations": {ANNOTATION: parcel.to_yaml()}}, "spec": pod},
    }


def _workers(engine: EngineConfig, place: Place) -> dict[str, Any]:
    gpus = engine.gpus_per_worker or 0.0
    together = int(1 / gpus) if 0 < gpus < 1 else 1  # workers that share a GPU share its pod
    memory = together * (engine.memory or WORKER_BYTES) + BESIDE_BYTES
    needs = {"cpu": str(together * engine.threads), "memory": str(memory)}
    if gpus:
        needs["nvidia.com/gpu"] = str(math.ceil(gpus))
    pods = math.ceil((engine.workers or 1) / together)
    return {
        "groupName": "workers",
        "replicas": pods,
        "minReplicas": pods,
        "maxReplicas": pods,
        "rayStartParams": {"object-store-memory": str(OBJECT_STORE_BYTES)},
        "template": {"spec": _pod("ray-worker", place, needs)},
    }


def _pod(name: str, place: Place, needs: Mapping[str, str]) -> dict[str, Any]:
    token = {"name": place.secret, "key": "auth_token"}
    container: dict[str, Any] = {
        "name": name,
        "image": place.image,
        "env": [
            {"name": "RAY_AUTH_MODE", "value": "token"},
            {"name": "RAY_AUTH_TOKEN", "valueFrom": {"secretKeyRef": token}},
        ],
        "resources": {"requests": dict(needs), "limits": dict(needs)},
        "volumeMounts": [],
    }
    volumes: list[dict[str, Any]] = []
    if place.claim is not None:
        container["volumeMounts"].append({"name": "shared", "mountPath": place.mount})
        claim = {"claimName": place.claim}
        volumes.append({"name": "shared", "persistentVolumeClaim": claim})
    return {"containers": [container], "volumes": volumes}
