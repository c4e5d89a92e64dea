"""What pruning is asked to do: a method, and how much; for `tamis prune`, or as a model is loaded.

=========== =====================================================================================
magnitude   weights of least |W|, compared over a whole layer (Han et al. 2015); with a pattern
            within each group of an output row
wanda       weights of least |W_ij| ||X_j||_2, compared within each output row, or group of it (Sun
            et al. 2023, arXiv 2306.11695); X_j is input j of the layer over all tokens of the
            calibration rows
layers      whole decoder layers: the `last` before the final one (Gromov et al. 2024, arXiv
            2403.17887), or those of least `influence`, which turn the hidden states least (Men et
            al. 2024, arXiv 2403.03853)
=========== =====================================================================================
"""

import re
from dataclasses import dataclass
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, model_validator

from ...errors import ConfigError

METHODS = ("magnitude", "wanda", "layers")
RULES = ("last", "influence")


@dataclass(frozen=True)
class Pruning:
    """A way to prune.

    Attributes:
        method: magnitude, wanda or layers.
        share: of the weights of every layer to set to zero, in (0, 1).
        pattern: `N:M` in place of a share: N of every M weights in a row stay.
        layers: how many decoder layers to remove.
        rule: which layers: last or influence.

    Raises:
        ConfigError: values that are not allowed, or do not fit together.
    """

    method: str
    share: float | None = None
    pattern: str | None = None
    layers: int | None = None
    rule: str = "last"

    def __post_init__(self) -> None:
        _one_of("method", self.method, METHODS)
        _one_of("rule", self.rule, RULES)
        if self.method == "layers":
            if self.layers is None or self.share is not None or self.pattern is not None:
                raise ConfigError(
                    "method layers needs `layers` n, and neither `share` nor `pattern`"
                )
            if self.layers < 1:
                raise ConfigError(f"layers is {self.layers}; it must be 1 or more")
            return
        if (self.share is None) == (self.pattern is None) or self.layers is not None:
            raise ConfigError(
                f"method {self.method} needs either `share` or `pattern`, and no `layers`"
            )
        if self.rule != "last":
            raise ConfigError(f"rule {self.rule} is for method layers, not for {self.method}")
        if self.share is not None and not 0 < self.share < 1:
            raise ConfigError(
                f"share is {self.share:g}; it must lie between 0 and 1, both excluded"
            )
        if self.pattern is not None:
            self.kept_of(self.pattern)

    @property
    def needs_rows(self) -> bool:
        """Whether it looks at what calibration rows do in the model."""
        return self.method == "wanda" or self.rule == "influence"

    @staticmethod
    def kept_of(pattern: str) -> tuple[int, int]:
        """Return N and M of a pattern: N of every M weights stay.

        Raises:
            ConfigError: it is none.
        """
        found = re.fullmatch(r"(\d{1,4}):(\d{1,4})", pattern)
        kept, group = (int(found[1]), int(found[2])) if found else (0, 0)
        if not 0 < kept < group:
            raise ConfigError(f"pattern {pattern!r} is none; write 2:4, where 2 of every 4 stay")
        return kept, group


class Pruned(BaseModel):
    """A model that is pruned while it is loaded: by weights alone, no rows are looked at.

    The same weights are zero, or the same layers gone, as in the folder that `tamis prune` writes.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: Literal["magnitude", "layers"]
    share: float | None = None
    """Of the weights of every linear layer, in (0, 1)."""
    pattern: str | None = None
    """`N:M` in place of a share: N of every M weights in a row stay."""
    layers: int | None = None
    """How many decoder layers to leave out: the last before the final one."""

    @model_validator(mode="after")
    def _allowed(self) -> Self:
        try:
            _ = self.how
        except ConfigError as error:
            raise ValueError(str(error)) from error  # so that pydantic adds the place
        return self

    @property
    def how(self) -> Pruning:
        """The same as what a pruner is asked."""
        return Pruning(self.method, self.share, self.pattern, self.layers)


def _one_of(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ConfigError(f"{name} {value!r} is not one of {', '.join(allowed)}")
