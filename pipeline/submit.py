"""`tamis submit`: a run as a job of a Ray cluster, or as a RayJob file for KubeRay.

What is sent is the wheel of a checkout (of an installation its version alone) and the resolved
config; never the checkout, its data, or anything of the environment.
"""

import asyncio
import logging
import os
import re
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer
import yaml

from .. import __version__
from ..errors import ConfigError, PlanError, WorkerError
from .access import headers_for
from .kuberay import Place, rayjob
from .load import load
from .logs import printable
from .options import (
    AllowCode,
    BudgetText,
    ConfigFile,
    Data,
    Dtype,
    EngineKind,
    Limit,
    Model,
    Out,
    Overwrite,
    Sets,
    StoreFolder,
)
from .overrides import Overrides
from .parcel import Parcel, make_parcel, pack

if TYPE_CHECKING:
    from ray.job_submission import JobSubmissionClient

Address = Annotated[
    str | None,
    typer.Option(envvar="RAY_API_SERVER_ADDRESS", help="Of the dashboard: http://host:8265."),
]
T = TypeVar("T")
JOB_ID = re.compile(r"[A-Za-z0-9_-]+")
CODES = (0, 1, 2, 130)  # of `tamis select`
PATIENCE_S = 60  # without an answer, before the job is left to itself
QUIET_S = 60  # of the log, before the connection is made anew
STOP_S = 20  # for a job to end that was asked to
PAUSE_S = 1.0


def submit(
    config: ConfigFile,
    address: Address = None,
    data: Data = None,
    model: Model = None,
    limit: Limit = None,
    budget: BudgetText = None,
    out: Out = None,
    store: StoreFolder = None,
    engine: EngineKind = None,
    dtype: Dtype = None,
    sets: Sets = None,
    overwrite: Overwrite = False,
    allow_code: AllowCode = False,
    workers: Annotated[int | None, typer.Option(help="As engine.workers.")] = None,
    gpus_per_worker: Annotated[float | None, typer.Option(help="As in engine.")] = None,
    memory: Annotated[int | None, typer.Option(help="As engine.memory, in bytes.")] = None,
    install: Annotated[
        bool, typer.Option("--install", help="Let the cluster install Tamis and its dependencies.")
    ] = False,
    no_auth: Annotated[
        bool, typer.Option("--no-auth", help="Also to a cluster that asks for no token.")
    ] = False,
    submission_id: Annotated[str | None, typer.Option(help="Name of the job.")] = None,
    no_wait: Annotated[
        bool, typer.Option("--no-wait", help="Print the id of the job and leave it alone.")
    ] = False,
    kuberay: Annotated[
        bool, typer.Option("--kuberay", help="Print a RayJob for KubeRay; submit nothing.")
    ] = False,
    image: Annotated[str | None, typer.Option(help="KubeRay: with Ray and Tamis in it.")] = None,
    claim: Annotated[str | None, typer.Option(help="KubeRay: claim of a shared volume.")] = None,
    mount: Annotated[str, typer.Option(help="KubeRay: where it is mounted.")] = "/shared",
    token_secret: Annotated[
        str, typer.Option(help="KubeRay: Secret that holds the token as auth_token.")
    ] = "ray-token",
) -> None:
    """Run `select` on a Ray cluster; show its log, end as it ends; Ctrl-C asks it to stop."""
    own = {"workers": workers, "gpus_per_worker": gpus_per_worker, "memory": memory}
    sets = [*(sets or ()), *(f"engine.{k}={v}" for k, v in own.items() if v is not None)]
    said = Overrides(data or (), model, budget, limit, out, store, engine, dtype, sets)
    loaded = load(config, said, allow_code)
    options = {"--overwrite": overwrite, "--allow-code": allow_code}
    words = [option for option, given in options.items() if given]
    if kuberay:
        place = Place(_given(image, "--image"), claim, mount, token_secret)
        parcel = make_parcel(loaded, Path(mount), with_code=False)
        job_file = rayjob(parcel, place, words, install)
        _say_what_it_must_see(parcel.inputs)
        typer.echo(yaml.safe_dump(job_file, sort_keys=False), nl=False)
        return
    if submission_id is not None and not JOB_ID.fullmatch(submission_id):
        raise ConfigError(f"--submission-id {submission_id!r} is not of letters, digits, _ and -")
    client = _client(_given(address, "--address"), no_auth)
    parcel = make_parcel(loaded, Path.cwd())
    _say_what_it_must_see(parcel.inputs + parcel.outputs)
    job = _send(client, parcel, words, install, submission_id)
    if not no_wait:
        raise typer.Exit(_follow(client, job))
    typer.echo(job)


def _given(value: str | None, option: str) -> str:
    if not value:
        raise ConfigError(f"{option} is missing")
    return value


def _say_what_it_must_see(paths: tuple[str, ...]) -> None:
    for path in paths:
        typer.echo(printable(f"every machine of the cluster must see {path}"), err=True)


def _client(address: str, no_auth: bool) -> "JobSubmissionClient":
    headers = headers_for(address, no_auth)
    for name in ("RAY_API_SERVER_ADDRESS", "RAY_ADDRESS"):  # they would win over --address
        os.environ.pop(name, None)
    from ray.job_submission import JobSubmissionClient

    for handler in logging.getLogger("ray").handlers:
        handler.setLevel(logging.WARNING)  # uploads and closed sockets are nothing to tell
    return _asked(lambda: JobSubmissionClient(address, headers=dict(headers)), address)


def _send(
    client: "JobSubmissionClient", parcel: Parcel, words: list[str], install: bool, name: str | None
) -> str:
    """Send a job; return its id."""
    with tempfile.TemporaryDirectory(prefix="tamis-job-") as place:
        runtime_env = pack(parcel, Path(place), install)
        entrypoint = ["python", "job.py", __version__, "select", "config.yaml", *words]

        def send() -> str:
            found: str = client.submit_job(
                entrypoint=" ".join(entrypoint),
                submission_id=name,
                runtime_env=runtime_env,
                metadata={"tamis": __version__, "run": str(parcel.values["name"])},
            )
            return found

        job = _asked(send, client.get_address())
    typer.echo(f"job {job}", err=True)
    return job


def _asked(ask: Callable[[], T], address: str) -> T:
    """Ask a cluster; what it refuses is said in one sentence."""
    from ray.exceptions import AuthenticationError

    try:
        return ask()
    except AuthenticationError as error:
        raise PlanError(f"--address {address}: the cluster refuses the token") from error
    except (RuntimeError, OSError) as error:
        last = _lines(str(error))[-1]  # of a traceback on the cluster, for example
        raise PlanError(f"--address {address}: the job is not taken: {last}") from error


def _lines(text: str) -> list[str]:
    return [line.strip() for line in printable(text).splitlines() if line.strip(" .")] or [text]


def _follow(client: "JobSubmissionClient", job: str) -> int:
    """Show the log of a job until it ends; return the exit code of its run."""
    try:
        details = _watch(client, job)
    except KeyboardInterrupt:
        typer.echo(f"asking job {job} to stop", err=True)
        try:
            _stop(client, job)
        except (RuntimeError, OSError) as error:
            typer.echo(printable(f"it cannot be asked, and goes on: {error}"), err=True)
        raise
    code = details.driver_exit_code
    if details.status == "SUCCEEDED":
        return 0
    if code not in CODES[1:]:
        lines = _lines(details.message or "without a reason")
        why = " … ".join(dict.fromkeys((lines[0], lines[-1])))  # of a traceback, for example
        raise WorkerError(f"job {job} ended as {details.status.value}: {why}")
    return int(code)


def _stop(client: "JobSubmissionClient", job: str) -> None:
    """Ask a job to stop, and wait a little until it has."""
    client.stop_job(job)
    end = time.monotonic() + STOP_S
    while not client.get_job_status(job).is_terminal() and time.monotonic() < end:
        time.sleep(PAUSE_S)


def _watch(client: "JobSubmissionClient", job: str) -> Any:  # noqa: ANN401 - Ray's JobDetails
    """Show the log as it grows, also over a connection that breaks; return how the job ended.

    Raises:
        WorkerError: the cluster does not answer any more.
    """
    from aiohttp import ClientError

    log = _Log(client, job)
    while True:
        why: Exception | None = None
        try:
            asyncio.run(log.show())
            details = client.get_job_info(job)
            if details.status.is_terminal():
                return details
            log.heard = time.monotonic()
            if details.status == "PENDING":
                typer.echo(f"job {job}: {printable(str(details.message))}", err=True)
        except (ClientError, RuntimeError, OSError) as error:
            why = error
        if time.monotonic() - log.heard > PATIENCE_S:
            raise WorkerError(
                f"no answer for {PATIENCE_S} s ({why}); job {job} goes on by itself"
            ) from why
        time.sleep(PAUSE_S)


@dataclass
class _Log:
    """Shows the log of a job once, however often the connection is made anew.

    Attributes:
        shown: characters so far.
        heard: when the last came, or the cluster last answered.
    """

    client: "JobSubmissionClient"
    job: str
    shown: int = 0
    heard: float = field(default_factory=time.monotonic)

    async def show(self) -> None:
        """Show what is new until the job or the connection ends, or nothing comes any more."""
        known = self.shown  # a new connection begins at the start of the log
        texts = self.client.tail_job_logs(self.job)
        while True:
            try:  # one that is dead without a word must not be waited for
                text = await asyncio.wait_for(anext(texts), QUIET_S)
            except (StopAsyncIteration, TimeoutError):
                return
            self.heard = time.monotonic()
            new = text[known:]
            known -= len(text) - len(new)
            self.shown += len(new)
            typer.echo(printable(new), nl=False)
