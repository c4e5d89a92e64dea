"""Ray: whether workers come up, on this machine or on a cluster, and who may join."""

import os
import time

from ...errors import TamisError
from ..config import EngineConfig
from .finding import Finding

WORKERS = 2
NAME = "ray, workers"


def workers(address: str | None) -> Finding:
    """Start two workers that set a stage up, on a cluster of this machine's own by default.

    Args:
        address: of a running cluster, `host:port`.
    """
    place = address or os.environ.get("RAY_ADDRESS") or "a cluster of this machine's own"
    began = time.monotonic()
    try:
        names = _probe(address)
    except (ImportError, OSError) as error:
        return Finding(NAME, "MAJOR", f"Ray is broken: {error}", "see the line of ray")
    except TamisError as error:
        advice = "where it cannot be mended, runs work without Ray: --engine local"
        return Finding(NAME, "MAJOR", f"{place}: {str(error).splitlines()[0]}", advice)
    asks = os.environ.get("RAY_AUTH_MODE") == "token"
    said = f"{len(names)} on {place} in {time.monotonic() - began:.0f} s: {'; '.join(names)}"
    if asks:
        return Finding(NAME, "OK", f"{said}; a token is asked for")
    advice = "whoever reaches it can run code there: RAY_AUTH_MODE=token (see the README)"
    return Finding(NAME, "MINOR", f"{said}; no token is asked for", advice)


def _probe(address: str | None) -> list[str]:
    from ...stages.signals.length import Length
    from ..executor import RayEngine

    engine = RayEngine(EngineConfig(kind="ray", workers=WORKERS, address=address), "")
    try:
        return engine.probe(Length())
    finally:
        engine.close()
