"""Ray: whether workers come up and do their work, or a cluster can be joined; and who may join."""

import io
import json
import os
import tempfile
import time
from pathlib import Path

from rich.console import Console

from ...errors import TamisError
from ...stages.locations import redacted
from ..config import Config, EngineConfig
from ..logs import Reporter
from .finding import Finding

WORKERS = 2
NAME = "ray, workers"
TOKEN = "whoever reaches it can run code there: RAY_AUTH_MODE=token"


def workers(address: str | None) -> Finding:
    """Score two rows by two workers of a cluster that is started for them; or join a cluster.

    Args:
        address: of a running cluster, `host:port`.
    """
    address = address or os.environ.get("RAY_ADDRESS")
    began = time.monotonic()
    try:
        done = _joined(address) if address else _scored()
    except (ImportError, OSError) as error:
        return Finding(NAME, "MAJOR", f"Ray is broken: {error}", "see the line of ray")
    except TamisError as error:
        said = redacted(str(error).splitlines()[0])
        return Finding(NAME, "MAJOR", said, "runs work without Ray: --engine local")
    said = f"{done} in {time.monotonic() - began:.0f} s"
    if os.environ.get("RAY_AUTH_MODE") == "token":
        return Finding(NAME, "OK", f"{said}; a token is asked for")
    return Finding(NAME, "MINOR", f"{said}; no token is asked for", TOKEN)


def _scored() -> str:
    """What two workers here have done, from a file of rows to scores in a store."""
    from ..run import score

    with tempfile.TemporaryDirectory(prefix="tamis-doctor-") as place:
        pool = Path(place) / "pool.jsonl"
        rows = [{"instruction": f"Count to {n}.", "output": "1 2 3"} for n in (3, 4)]
        pool.write_text("".join(f"{json.dumps(row)}\n" for row in rows), "utf-8")
        fields = {
            "name": "doctor",
            "data": [{"name": "rows", "path": str(pool)}],
            "part_rows": 1,
            "signals": {"length": {"use": "length"}},
            "scorers": {"long": {"use": "length", "unit": "words"}},
            "engine": {"kind": "ray", "workers": WORKERS},
            "store": str(Path(place) / "store"),
            "out": str(Path(place) / "runs"),
        }
        silent = Reporter(Console(file=io.StringIO()))
        _, table = score(Config.model_validate(fields), silent)
    return f"{WORKERS} workers came up and scored {len(table)} rows"


def _joined(address: str) -> str:
    """That a cluster can be joined, and has room for two workers."""
    from ...stages.signals.length import Length
    from ..executor import RayEngine

    engine = RayEngine(EngineConfig(kind="ray", workers=WORKERS, address=address), "")
    try:
        engine.reserve(Length(), WORKERS)
    finally:
        engine.close()
    return f"{address} is joined, and has room for {WORKERS} workers"
