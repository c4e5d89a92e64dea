"""The YAML file as types. Unknown keys are errors; each `use:` block becomes its object at once."""

from itertools import combinations
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationInfo,
    WrapSerializer,
    field_validator,
    model_validator,
)

from ..errors import UsageError
from ..scorers.base import Params, Reader, Scorer
from ..stages.base import Stage
from ..stages.filters.base import Filter
from ..stages.locations import is_address, without_secrets
from ..stages.selectors.base import Selector, share_of
from ..stages.source import Source, Target
from . import lookup

NAME = r"^[A-Za-z0-9][A-Za-z0-9_.-]*$"
BLOCK_NAME = r"^[a-z][a-z0-9_]*$"


def _builder(section: str) -> BeforeValidator:
    def build(block: object, info: ValidationInfo) -> object:
        if isinstance(block, Params):
            return block
        if not isinstance(block, dict) or not isinstance(block.get("use"), str):
            raise ValueError("must be a block with `use:` and the name of a file")
        allow_code = bool((info.context or {}).get("allow_code"))
        try:
            kind = lookup.find(section, block["use"], allow_code)
        except UsageError as error:
            raise ValueError(str(error)) from error
        fields = {name: value for name, value in block.items() if name != "use"}
        if fields.get("trust_remote_code") and not allow_code:
            raise ValueError("trust_remote_code runs code; to allow it, add --allow-code")
        if strange := [name for name in fields if not isinstance(name, str)]:
            raise ValueError(f"the key {strange[0]!r} is not a name")
        return kind(**fields)

    return BeforeValidator(build)


def _with_use(value: Params, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
    return {"use": use_of(value), **value.model_dump(mode="json")}


def use_of(value: Params) -> str:
    """Return the `use:` that names a block's class."""
    module = type(value).__module__
    if module.startswith("tamis_user_"):
        return str(next(m.__file__ for m in lookup.USER_MODULES if m.__name__ == module))
    return module.rpartition(".")[2]


DUMP = WrapSerializer(_with_use)
Signal = Annotated[Stage, _builder("signals"), DUMP]
ScorerBlock = Annotated[Scorer, _builder("scorers"), DUMP]
FilterBlock = Annotated[Filter, _builder("filters"), DUMP]
SelectorBlock = Annotated[Selector, _builder("selector"), DUMP]


def _one_or_more(blocks: object) -> object:
    return [blocks] if isinstance(blocks, dict) else blocks


SelectorChain = Annotated[list[SelectorBlock], BeforeValidator(_one_or_more)]
"""One selector, or several that narrow in turn."""


Folder = Annotated[str, Field(min_length=1), AfterValidator(without_secrets)]
"""Here, or at an address such as `s3://bucket/folder`."""
MODELS = ("model", "other", "tokenizer", "adapters")


class BudgetConfig(BaseModel):
    """How much to keep: one of rows, fraction or answer_tokens."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rows: int | None = Field(default=None, gt=0, strict=True)
    fraction: float | None = Field(default=None, gt=0, le=1)
    """Of the usable rows of the pool."""
    answer_tokens: int | None = Field(default=None, gt=0, strict=True)

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        given = [name for name, value in self if value is not None]
        if len(given) != 1:
            raise ValueError(f"give one of rows, fraction, answer_tokens; got {given or 'none'}")
        return self

    def rows_of(self, n_pool: int) -> int:
        """Return the budget in rows for a pool of `n_pool` usable rows."""
        if self.fraction is None:
            return self.rows or 0
        return share_of(n_pool, self.fraction)


class SweepConfig(BaseModel):
    """What `tamis sweep` compares; changes no run."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    budgets: list[BudgetConfig] = []
    """By default 1, 5 and 10 % of the pool, and the config's own."""
    by: list[str] | None = None
    """Columns whose best rows are a method each; by default the score of every scorer."""
    selectors: dict[Annotated[str, Field(pattern=BLOCK_NAME)], SelectorChain] = {}
    """Further methods by name: a selector or a list of them, as `selector`."""
    seeds: int = Field(default=5, gt=0, le=1000)
    """Of the random choices that all others stand beside."""


class EngineConfig(BaseModel):
    """Where and how the work runs; changes no result (threads may move last digits)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["ray", "local"] = "ray"
    workers: int | None = Field(default=None, gt=0)
    """By default as many as there are cores (Ray), or GPUs where a GPU is asked for."""
    threads: int = Field(default=1, gt=0)
    """Per worker."""
    address: str | None = None
    """Of a running Ray cluster; by default one is started for the run."""

    @field_validator("address")
    @classmethod
    def _no_secrets(cls, address: str | None) -> str | None:
        if address is not None and "@" in address:  # it would stand in config.yaml and manifest
            raise ValueError("an address is host:port or ray://host:port, without user or password")
        return address

    memory: int | None = Field(default=None, gt=0)
    """Bytes that Ray reserves for a worker."""
    gpus_per_worker: float | None = Field(default=None, ge=0)


class LimitsConfig(BaseModel):
    """When a run stops by itself, to be gone on with later; changes no result."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    max_hours: float | None = Field(default=None, gt=0)
    """Of all starts of the run together."""
    max_cost: float | None = Field(default=None, gt=0)
    """The same hours times the price, in whatever currency that is."""
    price: float | None = Field(default=None, ge=0)
    """Per hour, of all that the run works on."""

    @model_validator(mode="after")
    def _cost_needs_price(self) -> Self:
        if self.max_cost is not None and self.price is None:
            raise ValueError(f"max_cost is {self.max_cost:g}, but there is no price (per hour)")
        return self


class Config(BaseModel):
    """A whole run: data, signals, scorers, filters, selector, budget, and where it happens."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=NAME)
    seed: int = Field(default=0, ge=0, lt=1 << 63)
    data: list[Source] = Field(min_length=1)
    targets: dict[Annotated[str, Field(pattern=BLOCK_NAME)], Target] = {}
    """Example rows of what the chosen data should be good for, by name; scorers aim at them."""
    strict: bool = False
    """A row that cannot be read is an error instead of a rejected row."""
    max_chars: int = Field(default=1_000_000, gt=0, le=100_000_000)
    part_rows: int = Field(default=1024, gt=0)
    """Rows of a part: the unit of work, of resume and of reuse."""
    signals: dict[Annotated[str, Field(pattern=BLOCK_NAME)], Signal] = {}
    scorers: dict[Annotated[str, Field(pattern=BLOCK_NAME)], ScorerBlock] = {}
    filters: dict[Annotated[str, Field(pattern=BLOCK_NAME)], FilterBlock] = {}
    """What is dropped before the first selector, in this order."""
    selector: SelectorChain = []
    """May be left out where there are filters: then all rows that pass them are kept."""
    budget: BudgetConfig | None = None
    labels: str | None = None
    """A column that says what is wrong with a row (`none`: nothing); the summary then shows how
    much of each fault every scorer keeps, beside a random choice."""
    report: bool = True
    """Draw report.html at the end; like engine, store and out it changes no result."""
    sweep: SweepConfig = SweepConfig()
    engine: EngineConfig = EngineConfig()
    limits: LimitsConfig = LimitsConfig()
    store: Folder = "store"
    """Where computed columns live."""
    out: Folder = "runs"
    """Where runs live."""

    @model_validator(mode="after")
    def _distinct_names(self) -> Self:
        names = [source.name for source in self.data]
        if twice := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"two data entries are called {sorted(twice)}")
        blocks = {"signal": {*self.signals}, "scorer": {*self.scorers}, "filter": {*self.filters}}
        for (one, some), (other, others) in combinations(blocks.items(), 2):
            if both := some & others:
                raise ValueError(f"a {one} and a {other} are both called {sorted(both)}")
        if taken := {"data", "source"} & {*self.signals, *self.scorers, *self.filters}:
            raise ValueError(f"{sorted(taken)} cannot be the name of a signal, scorer or filter")
        return self

    @model_validator(mode="after")
    def _all_that_passes(self) -> Self:
        """Where nothing is to be chosen, keep all that passes the filters."""
        if self.filters and not self.selector and self.budget is None:
            object.__setattr__(self, "budget", BudgetConfig(fraction=1))
        return self

    @property
    def readers(self) -> dict[str, tuple[str, Reader]]:
        """Scorers and filters by their place in the config, such as `scorers.ifd`: name, block."""
        sections: dict[str, dict[str, Any]] = {"scorers": self.scorers, "filters": self.filters}
        return {
            f"{section}.{name}": (name, block)
            for section, blocks in sections.items()
            for name, block in blocks.items()
        }

    @model_validator(mode="after")
    def _models_here(self) -> Self:
        """Models are read as files, by libraries that know no addresses."""
        for section in ("signals", "scorers", "filters"):
            for name, block in getattr(self, section).items():
                for field in MODELS:
                    value = getattr(block, field, None)
                    texts = [value] if isinstance(value, str) else value or ()
                    if any(is_address(t) for t in texts if isinstance(t, str)):
                        raise ValueError(
                            f"{section}.{name}.{field} is at an address; models, tokenizers and "
                            f"adapters are folders of this machine or names of the hub: copy it"
                        )
        return self

    @model_validator(mode="after")
    def _named_targets(self) -> Self:
        """Give every target its key as its name."""
        for name, target in self.targets.items():
            if target.name not in ("", name):
                raise ValueError(f"targets.{name}.name: leave it out, the key is the name")
        named = {n: t.model_copy(update={"name": n}) for n, t in self.targets.items()}
        object.__setattr__(self, "targets", named)
        return self

    @model_validator(mode="after")
    def _seeded(self) -> Self:
        """Give the seed of the run to every block that leaves its own open."""

        def seeded(block: Any) -> Any:  # noqa: ANN401 - a signal, scorer, filter or selector
            if getattr(block, "seed", 0) is None:
                return block.model_copy(update={"seed": self.seed})
            return block

        for name in ("signals", "scorers", "filters"):
            blocks = {key: seeded(block) for key, block in getattr(self, name).items()}
            object.__setattr__(self, name, blocks)
        object.__setattr__(self, "selector", [seeded(block) for block in self.selector])
        chains = {n: [seeded(b) for b in chain] for n, chain in self.sweep.selectors.items()}
        object.__setattr__(self, "sweep", self.sweep.model_copy(update={"selectors": chains}))
        return self

    def to_yaml(self) -> str:
        """Return the resolved config as YAML; running it replays the run."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
