"""What scorers and filters share that name the targets of the config that they compare with."""

from typing import Annotated

from pydantic import AfterValidator

from .base import Reader


def _each_once(target: str | tuple[str, ...]) -> str | tuple[str, ...]:
    if not target or (len(set(target)) < len(target) and not isinstance(target, str)):
        raise ValueError("must be the name of a target, or several, each once")
    return target


class Aimed(Reader):
    """Compares rows with the rows of one target, or of several."""

    target: Annotated[str | tuple[str, ...], AfterValidator(_each_once)]
    """Names of the config's targets, one or several."""

    @property
    def targets(self) -> tuple[str, ...]:
        """The names."""
        return (self.target,) if isinstance(self.target, str) else self.target
