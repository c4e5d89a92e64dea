"""Prompts that ask for a rating: files that a user can read, copy and edit.

Those that come with Tamis lie in `stages/prompts/`; `prompt: alpagasus` names one of them, and
`prompt: ./mine.yaml` a file of the user's. What a file says is part of a result's identity, where
it lies is not. Its texts are Jinja templates, which run in the sandbox over

    instruction, input, system, answer   of the turn that is rated. Where the whole row is, and has
                                         several turns: all that is said before the last answer
    conversation                         everything, a line `User: …` or `Assistant: …` a message
    turns                                a list of the first four for each turn
    criteria, labels, scale              as the file has them
    criterion                            in `lead`: the one that is asked for
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from ..errors import ConfigError
from .replies import pattern
from .templates import compiled, spoken

FOLDER = Path(__file__).parent / "prompts"
NAME = r"^[a-z][a-z0-9_]*$"


class Reply(BaseModel):
    """How a number is found in a reply."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    find: tuple[str, ...] = ("<number>",)
    """Regular expressions, the first that finds a number counts; case does not. `<number>` stands
    for a number, `<criterion>` for the name of a criterion."""
    take: Literal["first", "last"] = "first"
    """Of several places that an expression finds."""
    json_fields: bool = False
    """Look for a JSON object with the criteria (or `rating`) as its fields first."""
    between: bool = False
    """Numbers between those of the scale count as well, such as 4.5."""

    @field_validator("find")
    @classmethod
    def _compiles(cls, find: tuple[str, ...]) -> tuple[str, ...]:
        for text in find:
            if text.count("<number>") != 1:
                raise ValueError(f"{text!r} must have <number> in it, once")
            try:
                pattern(text)  # as it is looked for: the number is a group, and may not fit in
            except re.error as error:
                raise ValueError(f"{text!r} is no regular expression: {error}") from error
        return find

    @model_validator(mode="after")
    def _looks_somewhere(self) -> Self:
        if not self.find and not self.json_fields:
            raise ValueError("find is empty and json_fields false: no reply would have a rating")
        return self


class Prompt(BaseModel):
    """A prompt that asks for one rating, or for several criteria at once."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    source: str = ""
    """Where it comes from."""
    wording: str = ""
    """Whose words it has."""
    each: Literal["row", "turn"] = "row"
    """What is rated: the whole conversation, or each answer by itself."""
    system: str = ""
    """Template of the system message; none if it renders to nothing."""
    user: tuple[str, ...] = Field(min_length=1)
    """Templates of the user message: one, or several wordings that are asked one by one."""
    lead: str = ""
    """Template of what a local model reads last: its next token is the rating."""
    scale: tuple[float, ...] = Field(min_length=2)
    """The ratings there are, ascending; their texts are the rating tokens."""
    reply: Reply = Reply()
    criteria: dict[str, str] = {}
    """Names and what they mean, where a reply rates several."""
    main: str = ""
    """The criterion that is the rating."""
    labels: dict[str, tuple[str, ...]] = {}
    """Further fields of a reply, and the words that are allowed there."""

    @field_validator("user", mode="before")
    @classmethod
    def _one_or_more(cls, user: object) -> object:
        return (user,) if isinstance(user, str) else user

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if list(self.scale) != sorted(set(self.scale)):
            raise ValueError(f"scale must ascend, got {list(self.scale)}")
        if (self.criteria or self.main) and self.main not in self.criteria:
            raise ValueError(f"main must be one of {list(self.criteria)}; got {self.main!r}")
        for name in (*self.criteria, *self.labels):
            if not re.match(NAME, name):
                raise ValueError(f"{name!r} cannot be the name of a column")
        example = {"messages": EXAMPLE, "input_start": None}
        for text in (self.system, self.lead, *self.user):
            try:
                compiled(text).render(**self._fields(spoken(example)), criterion=self.main)
            except Exception as error:  # a template is code: it may raise anything
                raise ValueError(f"template {text!r} is not valid: {error!r}") from error
        return self

    @property
    def tokens(self) -> tuple[str, ...]:
        """The texts of the ratings, as a model writes them."""
        return tuple(f"{rating:g}" for rating in self.scale)

    @property
    def asked(self) -> tuple[str, ...]:
        """The criteria, the main one first; one without a name where there are none."""
        others = (name for name in self.criteria if name != self.main)
        return (self.main, *others) if self.criteria else ("",)

    def sent(self) -> dict[str, Any]:
        """Return what decides what a model is asked, in plain values."""
        without = {"source", "wording", "reply", "main", "lead"}
        return self.model_dump(mode="json", exclude=without)

    def decides(self) -> dict[str, Any]:
        """Return what decides the ratings, in plain values."""
        return self.model_dump(mode="json", exclude={"source", "wording"})

    def questions(self, rows: Sequence[Mapping[str, Any]]) -> list["Question"]:
        """Return what is asked about rows, turn by turn, and in a turn wording by wording.

        Args:
            rows: `messages` and `input_start` as in `stages.base.ROWS`.

        Raises:
            ConfigError: a template fails with one of them.
        """
        found = []
        for place, row in enumerate(rows):
            turns = spoken(row)
            views = [[turn] for turn in turns] if self.each == "turn" else [turns]
            for number, view in enumerate(views if turns else []):
                system, *users = self._rendered(view)
                found += [Question(place, number, system.strip(), user) for user in users]
        return found

    def _rendered(self, view: Sequence[Mapping[str, str]]) -> list[str]:
        """The system message and those of each wording."""
        fields = self._fields(view) | {"criterion": self.main}
        try:
            return [compiled(text).render(fields).strip("\n") for text in (self.system, *self.user)]
        except Exception as error:  # a template is code: it may raise anything
            raise ConfigError(f"a template of the prompt fails with a row: {error!r}") from error

    def lead_of(self, criterion: str) -> str:
        """Return what a local model reads last when it is asked for a criterion."""
        fields = self._fields(spoken({"messages": EXAMPLE, "input_start": None}))
        return compiled(self.lead).render(fields, criterion=title(criterion)).rstrip()

    def _fields(self, turns: Sequence[Mapping[str, str]]) -> dict[str, Any]:
        """What the templates see of a turn, or of several."""
        said = [
            {"User": f"{turn['instruction']}\n{turn['input']}".strip(), "Assistant": turn["answer"]}
            for turn in turns
        ]
        lines = [f"{who}: {text}" for turn in said for who, text in turn.items()]
        one = dict(turns[-1])
        if len(turns) > 1:
            one |= {"instruction": "\n".join(lines[:-1]), "input": "", "system": turns[0]["system"]}
        own = {"criteria": self.criteria, "labels": self.labels, "scale": self.tokens}
        return one | own | {"turns": list(turns), "conversation": "\n".join(lines)}


EXAMPLE = [
    {"role": "user", "content": "Name a colour."},
    {"role": "assistant", "content": "Blue."},
]


@dataclass(frozen=True)
class Question:
    """One thing that is asked about a row.

    Attributes:
        row: its place in the part.
        turn: which is rated; 0 where the whole row is.
        system, user: the messages.
    """

    row: int
    turn: int
    system: str
    user: str

    @property
    def messages(self) -> list[dict[str, str]]:
        """As chat models take them."""
        before = [{"role": "system", "content": self.system}] if self.system else []
        return [*before, {"role": "user", "content": self.user}]


def title(name: str) -> str:
    """Return the name of a criterion as a person writes it."""
    return name.replace("_", " ").capitalize()


def names() -> list[str]:
    """Return the prompts that come with Tamis."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def checked(prompt: str) -> str:
    """Return the name of a prompt as it is.

    Raises:
        ValueError: there is none, or it has mistakes; so that pydantic adds the place.
    """
    try:
        load_prompt(prompt)
    except ConfigError as error:
        raise ValueError(str(error)) from error
    return prompt


PromptName = Annotated[str, AfterValidator(checked)]
"""Of one that comes with Tamis, or the path of a .yaml file."""


def load_prompt(prompt: str) -> Prompt:
    """Return a prompt by its name, or that of a file.

    Raises:
        ConfigError: no such file, or one that is no prompt; each mistake in it is named.
    """
    path = file_of(prompt)
    try:
        stat = path.stat()
    except OSError as error:
        raise ConfigError(f"prompt {prompt!r}: {error.strerror}") from error
    return _read(path.absolute(), stat.st_mtime_ns)


def file_of(prompt: str) -> Path:
    """Return the file of a prompt.

    Raises:
        ConfigError: neither the name of one that comes with Tamis nor the path of a .yaml file.
    """
    if Path(prompt).suffix in (".yaml", ".yml"):
        return Path(prompt)
    if prompt not in names():
        raise ConfigError(
            f"prompt {prompt!r} is not among {', '.join(names())}; for one of your own give the "
            f"path of a .yaml file"
        )
    return FOLDER / f"{prompt}.yaml"


@lru_cache(maxsize=32)
def _read(path: Path, changed: int) -> Prompt:
    """Read a file; `changed` says when it must be read again."""
    try:
        raw = yaml.safe_load(path.read_text("utf-8"))
    except (OSError, yaml.YAMLError, ValueError, RecursionError) as error:
        why = " ".join(str(error).split())
        raise ConfigError(f"prompt {path} is not readable YAML: {why}") from error
    if not isinstance(raw, dict):
        raise ConfigError(f"prompt {path}: its top level must be keys and values")
    try:
        return Prompt(**raw)
    except (ValidationError, TypeError) as error:
        raise ConfigError(f"prompt {path} is not valid: {_explained(error)}") from error


def _explained(error: ValidationError | TypeError) -> str:
    if isinstance(error, TypeError):
        return str(error)
    said = []
    for problem in error.errors():
        place = ".".join(str(part) for part in problem["loc"])
        message = problem["msg"].removeprefix("Value error, ")
        said.append(f"{place}: {message}" if place else message)
    return "; ".join(said)
