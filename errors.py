"""Every error that Tamis raises on purpose.

::

    TamisError                 exit code 1: stopped; what is computed is kept, start again to resume
    ├── UsageError             exit code 2: the user's mistake, said in one sentence
    │   ├── ConfigError        a value in the config or on the command line
    │   │   └── UnknownName    a `use:` that names no file
    │   ├── PlanError          steps that do not fit together
    │   ├── DataError          an input that cannot be read at all
    │   ├── ModelError         a model or tokenizer that cannot be used
    │   └── ContractError      a scorer, stage or selector that broke its promise
    ├── ArtifactError          a stored file that fails its check
    ├── LimitReached           the time or money that a run may take is used up
    ├── RemoteError            an address (s3://…) that fails for good
    ├── NoAnswer               questions that a server has not answered as yet
    └── WorkerError            a worker that died again and again

A message says what is wrong, the value, what is allowed, and where (YAML path, file or part).
"""

from collections.abc import Mapping
from typing import ClassVar


class TamisError(Exception):
    """Something stopped the run; the next start goes on where it stopped."""

    exit_code: ClassVar[int] = 1


class UsageError(TamisError):
    """The user asked for something that cannot be done as asked."""

    exit_code: ClassVar[int] = 2


class ConfigError(UsageError):
    """A value in the config or on the command line is not valid."""


class UnknownName(ConfigError):
    """A `use:` names neither a file of Tamis nor one of the user's."""


class PlanError(UsageError):
    """The steps do not fit together: a column nobody makes, a budget nobody can count."""


class DataError(UsageError):
    """An input cannot be read at all (a single bad row is rejected instead)."""


class ModelError(UsageError):
    """A model or tokenizer cannot be loaded, or fails its self-check."""


class ContractError(UsageError):
    """A scorer, stage or selector broke its promise (wrong type, length or column)."""


class ArtifactError(TamisError):
    """A stored file is truncated, damaged or not what its name says.

    Attributes:
        path: the file.
    """

    def __init__(self, path: str, why: str) -> None:
        super().__init__(f"{path}: {why}")
        self.path = path
        self.why = why

    def __reduce__(self) -> tuple[type["ArtifactError"], tuple[str, str]]:
        return type(self), (self.path, self.why)


class LimitReached(TamisError):
    """A run has taken the hours or the money that its config allows."""


class RemoteError(TamisError):
    """A file at an address cannot be read or written, however often it is tried.

    Attributes:
        address: of the file.
    """

    def __init__(self, address: str, why: str) -> None:
        super().__init__(f"{address} cannot be used: {why}")
        self.address = address
        self.why = why

    def __reduce__(self) -> tuple[type["RemoteError"], tuple[str, str]]:
        return type(self), (self.address, self.why)


class NoAnswer(TamisError):
    """Questions about some rows of a part have no answer now; other parts can go on.

    Attributes:
        address: of the server.
        why: how many have no answer, by their statuses.
    """

    def __init__(self, address: str, why: Mapping[str, int]) -> None:
        said = ", ".join(f"{status} ({n:,})" for status, n in sorted(why.items()))
        super().__init__(
            f"{address}: {sum(why.values()):,} questions have no answer: {said}; all others are "
            f"kept, start again to ask for these, or set unanswered: keep"
        )
        self.address = address
        self.why = dict(why)

    def __reduce__(self) -> tuple[type["NoAnswer"], tuple[str, dict[str, int]]]:
        return type(self), (self.address, self.why)

    def with_other(self, other: "NoAnswer") -> "NoAnswer":
        """Return this and what another part says."""
        statuses = sorted({*self.why, *other.why})
        why = {status: self.why.get(status, 0) + other.why.get(status, 0) for status in statuses}
        return NoAnswer(self.address, why)


class WorkerError(TamisError):
    """A worker died, or raised an unexpected error, on the same part again and again."""
