"""What a causal LM would say next, of a few words alone: the probabilities of rating tokens.

Which tokens the ratings are is asked of the tokenizer, behind the very text that stands before
them; published codes have the ids of one tokenizer written into them, and are wrong with every
other. The LM head is multiplied for these few words at the last position of each text, and for the
whole vocabulary at that one position where the mass of the ratings is wanted.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch

from ..errors import ModelError
from ..kernels.logits import LMHead, exact_products, logits_tile, multiplied, row_blocks
from ..kernels.token_stats import token_stats
from .halving import run_halving
from .models import LM
from .packing import pack, pad

if TYPE_CHECKING:  # heavy
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class RatingTokens:
    """How the ratings stand behind a text.

    Attributes:
        ids: the token of each rating.
        space: what is put between the text and a rating that has none of its own before it.
    """

    ids: tuple[int, ...]
    space: str = ""


def find_tokens(
    tokenizer: "PreTrainedTokenizerBase", text: str, words: Sequence[str]
) -> RatingTokens:
    """Return the tokens of some words behind a text.

    Behind white space a word begins at once; behind anything else it has a space before it, which
    is part of its token in some tokenizers, and a token of its own in others.

    Raises:
        ModelError: a word is more than one token.
    """
    forms = [("", " "), (" ", ""), ("", "")]  # between the text and a token; inside the token
    if not text or text[-1].isspace():
        forms = [("", "")]
    for between, inside in forms:
        before = plain_ids(tokenizer, text + between)
        found = [plain_ids(tokenizer, f"{text}{between}{inside}{word}") for word in words]
        if all(ids[:-1] == before for ids in found):
            ids = tuple(ids[-1] for ids in found)
            if len(set(ids)) == len(words):
                return RatingTokens(ids, between)
    bare = len(plain_ids(tokenizer, text))
    lengths = {word: len(plain_ids(tokenizer, text + word)) - bare for word in words}
    longest = max(lengths, key=lambda word: lengths[word])
    raise ModelError(
        f"the ratings {', '.join(words)} are not one token each for this tokenizer "
        f"({longest!r} takes {lengths[longest]} behind {text[-20:]!r}); take a prompt whose "
        f"scale has one digit, or a rating_server"
    )


def plain_ids(tokenizer: "PreTrainedTokenizerBase", text: str) -> list[int]:
    """Return the ids of a text, without those that a tokenizer adds by itself."""
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])


@dataclass
class NextWords:
    """What some texts go on with.

    Attributes:
        probabilities: (texts, words) softmax over the words alone, float64.
        mass: (texts,) of all the words in the whole vocabulary, or None.
        status: (texts,) ok or not_finite.
        tokens, padded: run through the model, without and with padding.
        splits: batches that were halved for want of memory.
    """

    probabilities: np.ndarray
    mass: np.ndarray | None
    status: np.ndarray
    tokens: int = 0
    padded: int = 0
    splits: int = 0


@dataclass
class NextPass:
    """A pass over texts, of which only the last position counts.

    Attributes:
        lm: the model.
        sequences: token ids of each text.
        ids: of the words.
        batch_tokens: padded tokens of a batch.
        with_mass: of the words in the whole vocabulary.
    """

    lm: LM
    sequences: Sequence[Sequence[int]]
    ids: Sequence[int]
    batch_tokens: int
    with_mass: bool
    _found: NextWords = field(init=False)

    @torch.inference_mode()
    def run(self) -> NextWords:
        """Run the model over all texts, in batches of like length."""
        n = len(self.sequences)
        self._found = NextWords(
            np.full((n, len(self.ids)), np.nan),
            np.full(n, np.nan) if self.with_mass else None,
            np.full(n, "ok", dtype=object),
        )
        lengths = [len(ids) for ids in self.sequences]
        for batch in pack(lengths, self.batch_tokens):
            self._found.splits += run_halving(batch, lengths, self._run_batch)
        return self._found

    def _run_batch(self, batch: Sequence[int]) -> None:
        found, device = self._found, self.lm.device
        ids = pad([self.sequences[i] for i in batch])
        hidden = self.lm.hidden(torch.from_numpy(ids).to(device))
        last = torch.tensor([len(self.sequences[i]) - 1 for i in batch], device=device)
        states = hidden[torch.arange(len(batch), device=device), last]
        words = torch.tensor(list(self.ids), device=device)
        logits = word_logits(states, self.lm.head, words).double()
        found.probabilities[batch] = torch.softmax(logits, 1).cpu().numpy()
        if found.mass is not None:
            lm, targets = self.lm, words[:1].expand(len(batch)).contiguous()
            every = token_stats(states, lm.head, targets, ["lse"], lm.kernel, lm.precision)["lse"]
            mass = torch.exp(torch.logsumexp(logits, 1) - every.double())
            found.mass[batch] = mass.clamp(max=1.0).cpu().numpy()
        fine = torch.isfinite(states).all(1) & torch.isfinite(logits).all(1)
        found.status[np.array(batch)[~fine.cpu().numpy()]] = "not_finite"
        found.tokens += sum(len(self.sequences[i]) for i in batch)
        found.padded += ids.size


def word_logits(states: torch.Tensor, head: LMHead, words: torch.Tensor) -> torch.Tensor:
    """Return the logits of a few words, (rows, words) fp32: of their rows of the head alone."""
    bias = None if head.bias is None else head.bias[words]
    few = LMHead(head.weight[words], bias, head.scale, head.softcap, head.temperature).checked()
    logits = torch.empty(len(states), len(words), device=states.device)
    with exact_products(states, few):
        weight = multiplied(few.weight, states, "exact")
        for rows, block in row_blocks(states):
            buffer = torch.empty(len(block) * len(words), device=states.device)
            tile = logits_tile(block, weight, few, slice(0, len(words)), buffer)
            logits[rows] = tile[: rows.stop - rows.start]
    return logits
