"""One entry of `data` or of `targets`: where rows come from, and how they are to be read."""

from typing import Annotated, ClassVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

from .formats import FORMATS
from .locations import without_secrets

LICENSE = r"^[a-z0-9][a-z0-9.+-]*(, [a-z0-9][a-z0-9.+-]*)*$"
PARTS = ("messages", "instruction", "input", "answer", "system", "tools")


class Source(BaseModel):
    """One entry of `data`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    section: ClassVar[str] = "data"
    """Of the config."""

    name: str
    """Becomes the column `source`."""
    path: Annotated[str, AfterValidator(without_secrets)] = Field(min_length=1)
    """A file, folder or glob (here, or at an address), a `datasets` folder, or a hub dataset."""
    format: str = "auto"
    """auto, or one of `FORMATS`."""
    revision: str | None = None
    """Branch, tag or commit, for a dataset of the hub."""
    subset: str | None = None
    """Configuration, for a dataset of the hub."""
    split: str | None = None
    limit: int | None = Field(default=None, gt=0, strict=True)
    """Only the first so many records, for a quick trial."""
    rows: tuple[Annotated[int, Field(ge=0, strict=True)], ...] | None = None
    """Only the records at these places, from 0, in their order in the input."""
    license: str | None = Field(default=None, pattern=LICENSE)
    """For the card: the hub's identifier, as `cc-by-4.0`, or several with commas; for a dataset of
    the hub by default its own card's."""
    columns: dict[str, str] | None = None
    """Which field plays which part: messages, or instruction, input, answer; system, tools."""

    @property
    def place(self) -> str:
        """Where it stands in the config, for messages."""
        return f"{self.section}.{self.name}"

    @field_validator("format")
    @classmethod
    def _known_format(cls, name: str) -> str:
        if name != "auto" and name not in FORMATS:
            raise ValueError(f"{name!r} is not one of auto, {', '.join(FORMATS)}")
        return name

    @field_validator("rows")
    @classmethod
    def _in_order(cls, rows: tuple[int, ...] | None) -> tuple[int, ...] | None:
        if rows is None:
            return None
        if not rows or len(set(rows)) < len(rows):
            raise ValueError("must be one place or more, each once")
        return tuple(sorted(rows))

    @model_validator(mode="after")
    def _one_choice(self) -> "Source":
        if self.limit is not None and self.rows is not None:
            raise ValueError("give limit or rows, not both")
        return self

    @model_validator(mode="after")
    def _whole_columns(self) -> "Source":
        if self.columns is not None:
            if unknown := [part for part in self.columns if part not in PARTS]:
                raise ValueError(f"columns {unknown} are not among {', '.join(PARTS)}")
            if self.format == "auto" and not (
                "messages" in self.columns or {"instruction", "answer"} <= set(self.columns)
            ):
                raise ValueError("columns must name messages, or instruction and answer")
        return self


class Target(Source):
    """One entry of `targets`: example rows of what the chosen data should be good for."""

    section: ClassVar[str] = "targets"

    name: str = Field(default="", exclude=True)
    """Its key in the config."""
    subtask: str | None = Field(default=None, pattern=r"^data\..")
    """An input column, as `data.<column>`, that says to which subtask a row belongs."""
    shots: int = Field(default=0, ge=0, strict=True)
    """Worked examples in front of each row, of its own subtask; see `stages.shots`."""
