"""Whether two models speak of the same words, so that their predictions can be compared."""

import json
from typing import TYPE_CHECKING, Any

from ..errors import ModelError
from .models import load_tokenizer
from .pretrained import text_config

if TYPE_CHECKING:  # heavy
    from transformers import PreTrainedTokenizerBase

Named = tuple[str, str | None]
"""A model and its revision."""


def check_same_words(first: Named, second: Named, trust_remote_code: bool = False) -> None:
    """Check that two models have one tokenizer and a vocabulary of one size, wherever they lie.

    Compared are the words with their ids, and of fast tokenizers how words are put together from
    pieces (merges and the like). Templates and which words count as special may differ.

    Raises:
        ModelError: they differ; it says where.
    """
    names = f"models {first[0]!r} and {second[0]!r}"
    one, other = (load_tokenizer(*name, trust_remote_code) for name in (first, second))
    if why := _difference(one, other):
        raise ModelError(f"{names} need the same tokenizer, to be compared: {why}")
    sizes = [text_config(*name, trust_remote_code).vocab_size for name in (first, second)]
    if sizes[0] != sizes[1]:
        raise ModelError(
            f"{names} need vocabularies of the same size, to be compared; they have {sizes[0]} and "
            f"{sizes[1]} rows"
        )


def _difference(one: "PreTrainedTokenizerBase", other: "PreTrainedTokenizerBase") -> str:
    """Where two tokenizers differ; nothing if they do not."""
    words, others = one.get_vocab(), other.get_vocab()
    if words != others:
        differ = {word for word, _ in words.items() ^ others.items()}
        word = min(differ, key=lambda word: (words.get(word, others.get(word)), word))
        ids = [f"id {found[word]}" if word in found else "none" for found in (words, others)]
        return f"{word!r} has {ids[0]} in the first and {ids[1]} in the second"
    if one.is_fast and other.is_fast and _pieces(one) != _pieces(other):
        return "they put words together from pieces in different ways"
    return ""


def _pieces(tokenizer: "PreTrainedTokenizerBase") -> Any:  # noqa: ANN401 - JSON
    return json.loads(tokenizer.backend_tokenizer.to_str())["model"]
