"""One entry of `data`: where rows come from, and how they are to be read."""

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from .formats import FORMATS

PARTS = ("messages", "instruction", "input", "answer", "system", "tools")


class Source(BaseModel):
    """One entry of `data`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    """Becomes the column `source`."""
    path: str = Field(min_length=1)
    """A file, folder or glob, a `datasets` folder, or a dataset of the hub."""
    format: str = "auto"
    """auto, or one of `FORMATS`."""
    revision: str | None = None
    """Branch, tag or commit, for a dataset of the hub."""
    subset: str | None = None
    """Configuration, for a dataset of the hub."""
    split: str | None = None
    limit: int | None = Field(default=None, gt=0, strict=True)
    """Only the first so many records, for a quick trial."""
    columns: dict[str, str] | None = None
    """Which field plays which part: messages, or instruction, input, answer; system, tools."""

    @field_validator("format")
    @classmethod
    def _known_format(cls, name: str) -> str:
        if name != "auto" and name not in FORMATS:
            raise ValueError(f"{name!r} is not one of auto, {', '.join(FORMATS)}")
        return name

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
