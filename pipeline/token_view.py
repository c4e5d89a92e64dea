"""The answer of one row, token by token: what the instruction did for each, and which counted."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..errors import ConfigError, DataError
from ..scorers.sifd import threshold_of
from ..scorers.tshirt import TShirt
from ..stages.signals.neighbours import Neighbours
from ..stages.tokenize import compared, token_texts
from .config import Config
from .finished import Finished, open_run
from .plan import folder_of
from .pool import Pool
from .round_files import known_places, read_round
from .selection import REJECTED
from .store import Address, Part, Store


@dataclass(frozen=True)
class Token:
    """One token of an answer.

    Attributes:
        text: what it adds to the text before it.
        delta: loss without the instruction less loss with it, nats, mean over the noisy copies;
            above 0 the instruction helps.
        counted: share of the copies in which it counted: |delta| above the threshold.
    """

    text: str
    delta: float
    counted: float


@dataclass(frozen=True)
class TokenView:
    """The tokens of one row that its score is made of.

    Attributes:
        row_id, scorer: which row, by which scorer.
        status: of the row's score.
        score: its score in the run, None without one.
        outcome: kept or dropped.
        threshold: of |delta|, nats.
        copies: noisy copies that the run had of the row.
        tokens: in order, over all answers.
    """

    row_id: int
    scorer: str
    status: str
    score: float | None
    outcome: str
    threshold: float
    copies: int
    tokens: tuple[Token, ...]

    def as_json(self) -> dict[str, Any]:
        """Return the same in plain values."""
        return asdict(self)


def token_view(
    run: str, row_id: int, scorer: str | None = None, allow_code: bool = False
) -> TokenView:
    """Return the tokens of a row of a finished run.

    Args:
        run: its folder.
        row_id: as in its ledger.
        scorer: which `tshirt` block, where there are several.
        allow_code: as for the run itself.

    Raises:
        ConfigError: no finished run, or no such scorer in it.
        DataError: no such row, or its numbers are no longer in the store.
    """
    return view_tokens(open_run(run, allow_code), row_id, scorer)


def view_tokens(found: Finished, row_id: int, scorer: str | None = None) -> TokenView:
    """Return the tokens of a row of a run that is open already.

    Raises:
        ConfigError: no such scorer in it, or its config names code and may not run it.
        DataError: no such row, or its numbers are no longer in the store.
    """
    config, manifest = found.config, found.manifest
    name, block = _scorer(config, scorer)
    signal = config.signals[block.signal]
    if not isinstance(signal, Neighbours):
        raise ConfigError(f"tokens are known of `neighbours`, but {block.signal} is another signal")
    keys = {step["name"]: step["key"] for step in manifest["steps"]}
    line = found.line(row_id)
    if line["outcome"] == REJECTED:
        raise DataError(f"row {row_id} was rejected as it was read: {line['reason']}")
    store = found.store
    part, place = _place(store, found.pool, row_id)
    where = folder_of(signal, keys[block.signal])
    delta = _delta(store, signal, where, part, place)
    fitted = store.read_fitted(folder_of(block, keys[name]))
    if fitted is None:
        raise DataError(f"the threshold of {name} is no longer in the store {config.store!r}")
    texts = _texts(store, signal, part, place)
    score, status = line[f"{name}.score"], line[f"{name}.status"]
    if not texts or not len(delta):
        raise DataError(f"row {row_id} has no tokens to compare: its status is {status}")
    copies = delta.reshape(-1, len(texts))[: line[f"{name}.copies"]]  # other runs may know more
    threshold = threshold_of(fitted)
    tokens = tuple(
        Token(text, float(of_token.mean()), float((np.abs(of_token) > threshold).mean()))
        for text, of_token in zip(texts, copies.T, strict=True)
    )
    return TokenView(row_id, name, status, score, line["outcome"], threshold, len(copies), tokens)


def _scorer(config: Config, name: str | None) -> tuple[str, TShirt]:
    found = {other: block for other, block in config.scorers.items() if isinstance(block, TShirt)}
    if not found:
        raise ConfigError(f"the run {config.name!r} has no `tshirt` scorer, which tokens belong to")
    name = name or next(iter(found))
    if name not in found:
        raise ConfigError(f"{name!r} is no `tshirt` scorer of the run; there is {', '.join(found)}")
    return name, found[name]


def _place(store: Store, pool: Pool, row_id: int) -> tuple[Part, int]:
    part = [part for part in pool.parts if part.first <= row_id][-1]
    ids = store.read(part, {"row_id": Address("", "position")})["row_id"]
    return part, int(pc.index(pc.add(ids.cast(pa.int64()), part.first), row_id).as_py())


def _delta(store: Store, signal: Neighbours, folder: str, part: Part, place: int) -> np.ndarray:
    """(copies x tokens,) of all copies of a row that there are."""
    first = store.read(part, {"delta": Address(folder, "delta")})["delta"][place].as_py()
    found = [np.array(first or [], dtype=np.float64)]
    for number in range(1, signal.n_rounds):
        name = signal.round_name(number)
        if place in known_places(store, folder, part.hash, name, ["delta"]):
            added = read_round(store, folder, part.hash, name, np.array([place]), ["delta"])
            found.append(np.array(added["delta"][0].as_py() or [], dtype=np.float64))
    return np.concatenate(found)


def _texts(store: Store, signal: Neighbours, part: Part, place: int) -> list[str]:
    names = ("messages", "tools", "input_start")
    row = store.read(part, {name: Address("", name) for name in names}).slice(place, 1)
    encoder = signal.encoder()
    (encoded,) = encoder.encode(row.to_pylist())
    return [
        text
        for first, last in compared(encoded, encoder.window)
        for text in token_texts(encoder.tokenizer, encoded.ids, first, last)
    ]
