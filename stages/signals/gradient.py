"""Projected gradients of each row at the checkpoints of a warm-up: what LESS compares.

LESS (arXiv 2402.04333) scores a training row z for a target row z' by

    sum over checkpoints i of weight_i cos(plain gradient of z', Adam's direction at z)

with gradients of the mean loss over the answer tokens with respect to LoRA adapters, projected to
`dim` numbers, and weights in proportion to the mean learning rate of the epochs. The token that
ends an answer is one of them (`end_token`), in targets too; the published code counts it in the
rows to choose from, and leaves it out of its targets.

    adam     Adam's direction (`kernels.adam`, by `direction`), for the rows to choose from
    plain    the gradient itself, for targets; with `direction: plain` there is nothing else

A column holds `dim` numbers for the first checkpoint, then for the second, and so on. With
`normalise` each such vector has unit length, so that a cosine is a dot product:

    fp16    16 bits per number; a cosine moves by less than 1e-3
    int8    8 bits; a cosine moves by less than 0.003 at dim 8,192
    sign    1 bit; the cosine of the signs is 2 / pi asin(c), with a deviation of 1 / sqrt(dim)

`kind: dense` is one random matrix for all checkpoints, columns and sides. Its first columns are
the narrow projection: the first d numbers of each vector, set to unit length again, are what
`dim: d` gives, so a smaller `dim` needs no second pass. `kronecker` (plain gradients only, see
`kernels.projection`) has other numbers and no such prefix.

Numbers of a row do not depend on its batch beyond rounding: in fp32 a cosine moves by less than
1e-4 (int8 and sign: of that of their rounded numbers) when `batch_tokens` changes.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, final

import numpy as np
import pyarrow as pa
from pydantic import Field, PrivateAttr, model_validator

from ...errors import ModelError
from ...scorers.signals import column_type
from ...scorers.vectors import KEPT, LARGEST, Keep, kept, vector_column
from ..columns import Sequences
from ..facts import FACTS, facts_of
from ..modelled import ModelStage
from ..tokenize import Encoded, Tokenisation, scored, scored_rows
from ..warmup import Warmup, normalised

if TYPE_CHECKING:  # torch
    from torch import Tensor

    from ..adapters import Lora
    from ..sinks import Sink, Turn

NO_ADAPTERS = (
    "a gradient signal needs adapters: give `warmup: {}` to train them, or the folders of some in "
    "`adapters`"
)
SLAB = 1024
"""Rows worked on at a time: their projections are held as fp32."""


@final
class Gradient(ModelStage):
    """Projected per-row gradients with respect to LoRA adapters, at each of their checkpoints."""

    neutral: ClassVar[frozenset[str]] = frozenset({"memory_mb"})

    adapters: tuple[str, ...] = ()
    """Folders of checkpoints (`stages.checkpoints`) or of adapters in peft's format, first to last;
    or leave them out and give `warmup`."""
    warmup: Warmup | None = None
    """How to train the adapters; a run then fills in their folders, for itself."""
    weights: tuple[float, ...] = ()
    """Of the adapters; by default the mean learning rates of the epochs, or equal ones where none
    is known."""
    direction: Literal["adam", "adam_outside", "adam_corrected", "plain"] = "adam"
    """What the column `adam` holds, see `kernels.adam`; plain: there is no such column."""
    end_token: bool = True
    """Each answer goes on to the token that ends it, the tokenizer's EOS or the chat template's own
    (`stages.endings`), and its loss counts, here and in the warm-up."""
    dim: int = Field(default=8192, ge=1, le=1 << 20)
    """Numbers per checkpoint."""
    kind: Literal["dense", "kronecker"] = "dense"
    seed: int | None = Field(default=None, ge=0, lt=1 << 63)
    """Names the projection; both sides of a comparison must share it."""
    normalise: bool = True
    """Set each checkpoint's vector to unit length."""
    keep: Keep = "fp16"
    """See `scorers.vectors`."""
    batch_tokens: int = Field(default=2048, ge=1)
    """As in every stage with a model, but what the backward needs is held for all of them: some
    7 hidden sizes and an inner one of the MLP per layer and token."""
    memory_mb: int = Field(default=1024, ge=1)
    """For gradients before they are projected; more of it is faster. Moves results by rounding."""

    _lora: "Lora | None" = PrivateAttr(default=None)
    _filled: str = PrivateAttr(default="")
    _moments: dict[str, Any] = PrivateAttr(default_factory=dict)

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.kind == "kronecker" and self.direction != "plain":
            raise ValueError(
                f"kind: kronecker is for plain gradients, as Adam's direction is not linear in "
                f"them; set direction: plain or kind: dense, not direction: {self.direction}"
            )
        if self.keep != "fp16" and not self.normalise:
            raise ValueError(f"keep: {self.keep} loses the length; it needs normalise: true")
        if self.keep == "sign" and self.dim % 8:
            raise ValueError(
                f"keep: sign packs eight numbers to a byte; dim is {self.dim}, no multiple of 8"
            )
        if self.weights:
            normalised(self.weights)
        if self.warmup and self.adapters:
            raise ValueError("give adapters or a warmup that trains them, not both")
        if self.warmup and len(self.weights) not in (0, self.warmup.epochs):
            raise ValueError(
                f"weights are {len(self.weights)}, but warmup.epochs, which leaves a checkpoint "
                f"each, is {self.warmup.epochs}"
            )
        if self.dtype == "fp16":
            raise ValueError("gradients underflow in fp16; set dtype: bf16 or fp32")
        return self

    @property
    def adds(self) -> pa.Schema:
        """The vectors of all checkpoints, their weights, and statuses."""
        names = ("plain",) if self.direction == "plain" else ("adam", "plain")
        others = ("weights", "status", "given.status")
        vectors = [(name, KEPT[self.keep]) for name in names]
        return pa.schema([*vectors, *((name, column_type(name)) for name in others)])

    def identity(self) -> dict[str, Any]:
        """Return what makes the numbers: the adapters' content, not where they lie."""
        fields = super().identity()
        del fields["warmup"]
        if self.adapters:
            from ..checkpoints import content_of  # torch

            return fields | {"adapters": [content_of(folder) for folder in self.adapters]}
        return fields | {"warmup": self.warmup and self.warmup.identity()}

    def pinned(self) -> Self:
        """Return it with all settled, as every stage with a model.

        Raises:
            ModelError: there are no adapters, and nothing that would train some.
        """
        if not self.adapters and self.warmup is None:
            raise ModelError(NO_ADAPTERS)
        return super().pinned()

    def setup(self) -> None:
        """Load the model and put adapters on it.

        Raises:
            ModelError: no adapters, adapters that do not fit, or Adam's direction without moments.
        """
        from ..adapters import attach_like  # torch and peft
        from ..checkpoints import check_alike, checkpoint_weights, has_moments

        if not self.adapters:
            raise ModelError(NO_ADAPTERS)
        check_alike(self.adapters)
        if self.direction != "plain" and (
            bare := [folder for folder in self.adapters if not has_moments(folder)]
        ):
            raise ModelError(
                f"adapter {bare[0]!r} has no moments.safetensors, which direction: "
                f"{self.direction} needs; take adapters that `tamis warmup` has trained, or set "
                f"direction: plain"
            )
        checkpoint_weights(self.adapters, self.weights)
        super().setup()
        assert self._lm is not None
        self._lora, self._filled = attach_like(self._lm, self.adapters[0]), ""

    def run(self, rows: pa.Table, wanted: Sequence[str]) -> pa.Table:
        """Return the wanted columns."""
        self._spent = {}
        encoded = self._encoded(rows)
        starts = range(0, max(len(rows), 1), SLAB)
        return pa.concat_tables([self._slab(encoded[i : i + SLAB], wanted) for i in starts])

    def _tokenised(self) -> Tokenisation:
        return "exact"

    def _ends_answers(self) -> bool:
        return self.end_token

    def _n_tokens(self, row: Encoded, wanted: Sequence[str]) -> int:
        has_loss = any(len(scored(*span)) for span in row.answers)
        n = len(self.adapters) or (self.warmup.epochs if self.warmup else 0)
        return n * len(row.ids) if has_loss and set(wanted) - {"status", "weights"} else 0

    def _slab(self, encoded: list[Encoded], wanted: Sequence[str]) -> pa.Table:
        columns = {"status": pa.array([row.status for row in encoded], pa.string())}
        if "weights" in wanted:
            from ..checkpoints import checkpoint_weights  # torch

            weights = checkpoint_weights(self.adapters, self.weights).astype(np.float32).tolist()
            columns["weights"] = pa.array([weights] * len(encoded), column_type("weights"))
        if set(wanted) - set(columns):
            columns |= self._vectors(encoded, [n for n in ("adam", "plain") if n in wanted])
        return pa.table({name: columns[name] for name in wanted})

    def _vectors(self, encoded: list[Encoded], names: list[str]) -> dict[str, pa.Array]:
        """Run every checkpoint over the rows; return their vectors and the status of the pass."""
        places, positions = scored_rows(encoded)
        ids = [encoded[i].ids for i in places]
        found: dict[str, list[np.ndarray]] = {name: [] for name in names}
        status = np.full(len(ids), "ok", dtype=object)
        lost: dict[str, np.ndarray] = {}  # without a direction, or too long for what is kept
        for folder in self.adapters if ids else ():
            sinks = self._sinks(folder, names or ["plain"], len(ids))
            status[self._pass(ids, positions, list(sinks.values())) != "ok"] = "not_finite"
            for name in found:
                vectors = sinks[name].result().cpu().numpy()
                lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
                bad = ~np.isfinite(lengths[:, 0]) | (lengths[:, 0] == 0)
                if self.normalise:
                    vectors /= np.maximum(lengths, np.finfo(np.float32).tiny)
                bad |= ~(np.abs(vectors).max(axis=1) <= LARGEST)
                vectors[bad] = 0
                lost[name] = lost.get(name, bad) | bad
                found[name].append(kept(vectors, self.keep))
        sequences = Sequences(places, status, len(encoded))
        columns = {"given.status": sequences.status_column()}
        for name, parts in found.items():
            there = sequences.ok.copy()
            there[places[lost[name]] if name in lost else []] = False
            columns[name] = vector_column(parts, places, there, self.keep)
        return columns

    def _pass(
        self, ids: list[list[int]], positions: list[np.ndarray], sinks: "list[Sink]"
    ) -> np.ndarray:
        from ..gradients import GradientPass  # torch

        assert self._lm is not None and self._lora is not None
        one = GradientPass(self._lm, self._lora, ids, positions, sinks, self.batch_tokens)
        status = one.run()
        self._count(one)
        return status

    def _sinks(self, folder: str, names: list[str], n_rows: int) -> "dict[str, Sink]":
        """Load a checkpoint; return what takes the gradients for each column."""
        from ..checkpoints import read_weights  # torch
        from ..sinks import Dense, Kronecker

        assert self._lm is not None and self._lora is not None
        if self._filled != folder:
            self._lora.fill(read_weights(folder), folder)
            self._filled, self._moments = folder, {}
        seed, device, backend = self.seed or 0, self._lm.device, self._lm.kernel
        if self.kind == "kronecker":
            return {
                "plain": Kronecker(n_rows, dim=self.dim, seed=seed, device=device, backend=backend)
            }
        return {
            name: Dense(
                n_rows,
                self._lora.sizes,
                dim=self.dim,
                seed=seed,
                turn=self._turn(folder) if name == "adam" else None,
                memory=(self.memory_mb << 20) // (1 if self.direction == "plain" else 2),
                device=device,
                backend=backend,
            )
            for name in names
        }

    def _turn(self, folder: str) -> "Turn":
        """What makes Adam's direction of gradients at a checkpoint."""
        from ...kernels.adam import adam_direction  # torch
        from ..checkpoints import read_moments

        assert self._lm is not None and self._lora is not None
        if not self._moments:
            read = read_moments(folder, self._lora.parameters)
            self._moments = {
                name: tuple(some.to(self._lm.device).flatten() for some in pair)
                for name, pair in read.items()
            }
        pairs: list[tuple[Tensor, Tensor]] = list(self._moments.values())
        steps = facts_of(folder).get("steps")
        if self.direction == "adam_corrected" and steps is None:
            raise ModelError(
                f"adapter {folder!r} has no {FACTS} that says after how many steps its moments "
                f"are, which direction: adam_corrected needs"
            )

        def turn(place: int, grads: "Tensor") -> None:
            assert self.direction != "plain"
            m, v = pairs[place]
            adam_direction(grads, m, v, self.direction, steps or 0)

        return turn
