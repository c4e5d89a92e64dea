"""Facts of a text that rules of web-scale curation go by, each computed once, and only if asked.

Words are runs of letters, digits and `_`, with an apostrophe inside, and every other sign by
itself, as tokenizers for English have them; where a script has no spaces, each letter is a word.
What the published codes call lines differs from rule to rule, and so it does here.
"""

import re
from collections import Counter
from collections.abc import Sequence
from functools import cached_property

# Thai, Lao, Burmese, Khmer; kana and Chinese characters
NO_SPACES = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
# Accents of their own, Hebrew and Arabic points, scripts of India: parts of words, but not \w
MARKS = "\u0300-\u036f\u0591-\u05c7\u0610-\u061a\u064b-\u065f\u0670\u0900-\u0963\u0966-\u0dff"
LETTER = rf"(?:[^\W{NO_SPACES}]|[{MARKS}])"
WORD = re.compile(rf"[{NO_SPACES}]|{LETTER}+(?:['\u2019]{LETTER}+)*|[^\w\s]")
PARAGRAPH = re.compile(r"\n{2,}")
LINES = re.compile(r"\n+")
# of Chinese and Japanese; Hindi, Arabic, Urdu, Armenian
SPACELESS_ENDS = "\u3002\uff01\uff1f\uff61"
OTHER_ENDS = "\u0964\u061f\u06d4\u0589"
ENDS = (".", "!", "?", "…", *SPACELESS_ENDS, *OTHER_ENDS)
SENTENCE = re.compile(rf"[.!?…{OTHER_ENDS}]+[\"')\]\u201d\u2019]*(?=\s|$)|[{SPACELESS_ENDS}]+")
ELLIPSES = ("...", "…")
BULLETS = ("•", "-")


class Text:
    """A text and its parts."""

    def __init__(self, text: str) -> None:
        self.text = text

    @cached_property
    def words(self) -> list[str]:
        """Words and signs, in order."""
        return WORD.findall(self.text)

    @cached_property
    def real_words(self) -> list[str]:
        """The words that hold a letter or digit."""
        return [word for word in self.words if word[0].isalnum() or len(word) > 1]

    @cached_property
    def split_lines(self) -> list[str]:
        """Lines at every kind of line end, empty ones among them."""
        return self.text.splitlines()

    @cached_property
    def filled_lines(self) -> list[str]:
        """Lines that are more than white space."""
        return [line for line in self.text.split("\n") if line.strip()]

    @cached_property
    def duplicate_lines(self) -> tuple[float, float]:
        """Share of the lines that stood there before, and their characters by those of the text."""
        return self._duplicates(LINES.split(self.text))

    @cached_property
    def duplicate_paragraphs(self) -> tuple[float, float]:
        """The same of paragraphs: what empty lines part."""
        return self._duplicates(PARAGRAPH.split(self.text.strip()))

    @cached_property
    def repeated_line_chars(self) -> int:
        """Characters of the lines, but for empty ones, that stood there before."""
        return duplicates(self.filled_lines)[1]

    def _duplicates(self, pieces: Sequence[str]) -> tuple[float, float]:
        number, chars = duplicates(pieces)
        return number / len(pieces), chars / len(self.text)

    def top_n_gram(self, n: int) -> float:
        """Return the characters of the most frequent n words in a row, by those of the text.

        Spaces between them count; of equally frequent ones the first is taken. Overlaps count
        twice, as published, so the value can exceed 1.
        """
        words = self.words
        counts = Counter(zip(*(words[i:] for i in range(n)), strict=False))
        if not counts:
            return 0.0
        most = max(counts.values())
        gram = next(gram for gram, count in counts.items() if count == most)
        return (sum(map(len, gram)) + n - 1) * most / len(self.text)

    def duplicate_n_grams(self, n: int) -> float:
        """Return the characters in repeated runs of n words, by those of the text.

        From left to right; behind a repeated run the search goes on after it. Spaces are not
        counted.
        """
        if n > 5 and not self._repeats_five:
            return 0.0  # a longer run repeats its first five words
        return repeated_chars(self.words, n) / len(self.text)

    @cached_property
    def _repeats_five(self) -> bool:
        grams = list(zip(*(self.words[i:] for i in range(5)), strict=False))
        return len(set(grams)) < len(grams)


def duplicates(pieces: Sequence[str]) -> tuple[int, int]:
    """Return how many of the pieces stood there before, and how many characters these have."""
    seen: set[str] = set()
    again = []
    for piece in pieces:
        if piece in seen:
            again.append(len(piece))
        seen.add(piece)
    return len(again), sum(again)


def repeated_chars(words: Sequence[str], n: int) -> int:
    """Return the characters of runs of n words that have been seen before, left to right."""
    seen: set[tuple[str, ...]] = set()
    chars, at = 0, 0
    while at + n <= len(words):
        gram = tuple(words[at : at + n])
        if gram in seen:
            chars += sum(map(len, gram))
            at += n
        else:
            seen.add(gram)
            at += 1
    return chars


def share(hits: int, of: int) -> float:
    """Return a quotient; 0 of nothing."""
    return hits / of if of else 0.0
