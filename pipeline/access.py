"""Who may talk to a cluster: whether it asks for a token, and the user's own."""

import http.client
import os
import re
import secrets
import socket
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path

from ..errors import ConfigError, PlanError

AUTH = "where it asks for a token: RAY_AUTH_MODE=token and RAY_AUTH_TOKEN"
ADDRESS = re.compile(r"https?://[^\s/@?#]+(/[^\s@?#]*)?")
TIMEOUT_S = 30
REFUSED = (401, 403)


def headers_for(address: str, no_auth: bool) -> Mapping[str, str]:
    """Return the headers that let the user in at a cluster's dashboard.

    Args:
        address: `http://host:8265`, say.
        no_auth: go on where nobody asks for a token; none is then sent.

    Raises:
        ConfigError: no address; or the user has no token, and the cluster asks for one.
        PlanError: nobody answers, or the cluster lets everybody in and `no_auth` is not said.
    """
    if not ADDRESS.fullmatch(address):
        raise ConfigError(
            f"--address {address.rpartition('@')[2]!r} is none; write http://host:8265 or "
            "https://host:8265, without user or password"
        )
    status = _status(address)
    if status in REFUSED:
        return {"Authorization": f"Bearer {_token(address)}"}
    if status != 200:
        raise PlanError(f"--address {address}: no dashboard of Ray there, it answers {status}")
    if not no_auth:
        raise PlanError(
            f"--address {address}: this cluster asks for no token, so whoever reaches it can run "
            "code there; start it with RAY_AUTH_MODE=token, or add --no-auth"
        )
    return {"Authorization": ""}  # which keeps Ray from sending a token of its own accord


def _status(address: str) -> int:
    """What a cluster answers somebody without a token."""
    try:
        url = f"{address.rstrip('/')}/api/version"
        with urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code
    except (OSError, ValueError) as error:
        raise PlanError(f"--address {address}: nobody answers: {error}") from error
    except http.client.HTTPException as error:
        why = f"no dashboard of Ray there: {type(error).__name__}: {str(error).strip()}"
        raise PlanError(f"--address {address}: {why}") from error


def _token(address: str) -> str:
    """The user's token, from where Ray itself looks for it, in its order."""
    if token := os.environ.get("RAY_AUTH_TOKEN", "").strip():
        return token
    own = os.environ.get("RAY_AUTH_TOKEN_PATH")
    path = Path(own) if own else Path.home() / ".ray" / "auth_token"
    try:
        token = path.read_text("utf-8").strip()
    except OSError:
        token = ""
    if not token:
        raise ConfigError(
            f"--address {address}: this cluster asks for a token, and there is none in "
            f"RAY_AUTH_TOKEN or {path}"
        )
    return token


def keep_to_ourselves() -> None:
    """Let nobody else join a cluster of ours: Ray reads on import where to listen and for whom."""
    if "ray" not in sys.modules:  # else its user has decided
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")  # loopback, on Linux too
        if "RAY_AUTH_MODE" not in os.environ:
            os.environ["RAY_AUTH_MODE"] = "token"
            os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))


def check_reachable(address: str) -> None:
    """Say at once when nobody answers at an address: Ray itself tries for minutes, then exits."""
    host, colon, port = address.rpartition("://")[2].partition(":")
    if not colon or not port.isdigit():
        return  # `auto`, or an address that Ray must make sense of
    try:
        socket.create_connection((host, int(port)), timeout=10).close()
    except OSError as error:
        raise PlanError(f"engine.address {address!r}: cannot join Ray: {error}") from error
