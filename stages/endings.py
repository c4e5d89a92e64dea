r"""The token that ends an answer, as a part of the answer: a model is taught to stop by it.

    template  ends an answer with
    chat      the first special token that the template writes after an answer where a conversation
              ends with it, such as `<|im_end|>`, and the white space before it
    others    the tokenizer's EOS, and so does a chat template that writes no special token there,
              or one that begins messages

Every answer of a conversation gets its own: each is what the model should have said in its turn,
and in the format that LESS trains on (`<|assistant|>\n...</s>\n`) each has one. Where the text
after an answer begins with its end anyway, that is taken and nothing is added. An empty answer
stays empty. A row that is cut at the window has none in the answer that is cut.
"""

import re
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from ..errors import ModelError
from .templates import Turn

if TYPE_CHECKING:  # heavy
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class Endings:
    """Ends answers as one tokenizer and its chat template do."""

    tokenizer: "PreTrainedTokenizerBase"

    def of(self, turns: list[Turn]) -> list[Turn]:
        """Return the turns of one row, the end of each answer in the answer.

        Raises:
            ModelError: neither tokenizer nor template has an end.
        """
        found, taken = [], 0  # characters of the context that the answer before it took
        for turn, following in zip(turns, [*(t.context for t in turns[1:]), ""], strict=True):
            own = self._own.match(turn.after)
            begins = own is not None and own.group().strip() in turn.header  # the next message
            end = own.group() if own and not begins else self._eos
            answer = turn.answer + end if turn.answer else ""
            found.append(replace(turn, context=turn.context[taken:], answer=answer))
            taken = len(end) if answer and following.startswith(end) else 0
        return found

    def check(self, model: str, last: int) -> None:
        """Check that the last token of an ended answer is one that ends it.

        Raises:
            ModelError: the tokenizer cuts the text of its own EOS into pieces.
        """
        if last not in self._special:
            raise ModelError(
                f"model {model!r}: the tokenizer does not read its own end of sequence "
                f"{self.tokenizer.eos_token!r} as one token; set end_token: false"
            )

    @cached_property
    def _eos(self) -> str:
        if not self.tokenizer.eos_token:
            raise ModelError(
                f"the tokenizer of {self.tokenizer.name_or_path!r} has no end-of-sequence token "
                f"to end an answer with; set end_token: false"
            )
        return str(self.tokenizer.eos_token)

    @cached_property
    def _special(self) -> dict[int, str]:
        """The text of each special token by its id."""
        ids, texts = self.tokenizer.all_special_ids, self.tokenizer.all_special_tokens
        added = self.tokenizer.added_tokens_decoder
        named = dict(zip(ids, texts, strict=True))
        return named | {i: token.content for i, token in added.items() if token.special}

    @cached_property
    def _own(self) -> re.Pattern[str]:
        """White space and a special token, the longest that fits."""
        longest = sorted(map(re.escape, self._special.values()), key=len, reverse=True)
        return re.compile(rf"\s*(?:{'|'.join(longest) or '(?!)'})")
