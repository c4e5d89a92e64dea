"""Rules of web-scale curation and of broken text: a value of a text each, and the side that is bad.

Rae et al. 2021 (Gopher), arXiv 2112.11446, table A1 and section A.1.1; Raffel et al. 2020 (C4),
JMLR 21(140); Penedo et al. 2024 (FineWeb), arXiv 2406.17557; their definitions as in the code of
datatrove. What is bad is strictly beyond the bound.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Literal

from .letter_pairs import surprise
from .text_facts import BULLETS, ELLIPSES, ENDS, NO_SPACES, SENTENCE, Text, share

SHORT_LINE = 30  # characters; FineWeb
FEWEST_NEIGHBOURS = 24  # below, a share of neighbouring characters says nothing
STOP_WORDS = frozenset(("the", "be", "to", "of", "and", "that", "have", "with"))  # Gopher
C4_ENDS = (".", "?", "!", '"', "'")
C4_LINE_WORDS = 3
C4_LONGEST_WORD = 1000  # characters
C4_PHRASES = (
    "javascript", "terms of use", "privacy policy", "cookie policy", "uses cookies",
    "use of cookies", "use cookies",
)  # fmt: skip
C4_CITATION = re.compile(r"\[\d*\]|\[edit\]|\[citation needed\]")

# UTF-8 read as Latin-1 or Windows-1252: a lead byte, and one or two that follow
TAIL = (
    "\x80-\xbf\u0152\u0153\u0160\u0161\u0178\u017d\u017e\u0192\u02c6\u02dc\u2013-\u203a\u20ac\u2122"
)
# after à, which is the byte E0, UTF-8 has A0 to BF alone; A0 begins Samaritan, and in French is the
# space before the end of a quotation
MISREAD = re.compile(
    rf"[ÂÃÐÑ][{TAIL}]|à[\xa1-\xbf][{TAIL}]|[áâãä][{TAIL}][{TAIL}]|[\ufffd\x80-\x9f]"
)
# UTF-16 in the wrong order of bytes: ASCII becomes characters whose lower byte is zero; all but 0,
# which becomes the space of Chinese and Japanese, as it stands in front of their lines
ASCII = sorted({*range(0x20, 0x7F)} - {ord("0")})
SWAPPED = re.compile("[" + "".join(chr(byte << 8) for byte in ASCII) + "]{3,}")
OPEN_ENDS = ",;-"
ITEM = re.compile(r"(?:[-*•]|(?:\d{1,3}|[A-Za-z]|[ivxIVX]{1,4})[.)])\s")
CODE = re.compile(r"[{}=<>_|]|https?:")
INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff]")
ESCAPE = re.compile(r"%[0-9A-Fa-f]{2}")
SPACELESS = re.compile(rf"[{NO_SPACES}]")


@dataclass(frozen=True)
class Rule:
    """A value of a text, and on which side of the bound it is bad.

    Attributes:
        measure: gives the value; None where it cannot be told.
        bad: above or below the bound.
        shares: it says little of a short text.
    """

    measure: Callable[[Text], float | None]
    bad: Literal["above", "below"]
    shares: bool = True

    def breaks(self, value: float, bound: float) -> bool:
        """Return whether a value is beyond the bound."""
        return value > bound if self.bad == "above" else value < bound


def characters(text: Text) -> float:
    """Return how many characters are more than white space and can be seen."""
    return len("".join(INVISIBLE.sub("", text.text).split()))


def mojibake(text: Text) -> float:
    """Return the share of characters that only a wrong decoding makes."""
    found = [*MISREAD.finditer(text.text), *SWAPPED.finditer(text.text)]
    return share(sum(len(match[0]) for match in found), len(text.text))


def percent_escapes(text: Text) -> float:
    """Return the share of characters in percent escapes of addresses; 0 of a single one."""
    found = len(ESCAPE.findall(text.text))
    return share(3 * found, len(text.text)) if found > 1 else 0.0


def mixed_characters(text: Text) -> float | None:
    """Return how often neighbours go from a small to a capital letter, or from letter to digit.

    Letters are those of scripts that have small and capital ones: a digit stands beside any sign of
    Chinese or Korean in every date. By the different pairs of neighbours; None with fewer than
    `FEWEST_NEIGHBOURS` of them.
    """
    pairs = {pair for word in text.text.split() for pair in pairwise(word)}
    if len(pairs) < FEWEST_NEIGHBOURS:
        return None
    return sum(_mixed(*pair) for pair in pairs) / len(pairs)


@lru_cache(maxsize=1 << 16)
def _mixed(a: str, b: str) -> bool:
    return (
        (a.islower() and b.isupper())
        or (a.isdecimal() and _has_case(b))
        or (_has_case(a) and b.isdecimal())
    )


def _has_case(letter: str) -> bool:
    return letter.islower() or letter.isupper()


def mean_word(text: Text) -> float | None:
    """Return the mean length of words in characters; None of scripts without spaces."""
    lengths = [len(word) for word in text.real_words if not SPACELESS.match(word)]
    return sum(lengths) / len(lengths) if lengths else None


def alphabetic_words(text: Text) -> float:
    """Return the share of words and signs that hold a letter."""
    return share(sum(any(map(str.isalpha, word)) for word in text.words), len(text.words))


def bullet_lines(text: Text) -> float:
    """Return the share of lines that begin with a bullet or a dash."""
    lines = text.split_lines
    return share(sum(line.lstrip().startswith(BULLETS) for line in lines), len(lines))


def ellipsis_lines(text: Text) -> float:
    """Return the share of lines that end with an ellipsis."""
    lines = text.split_lines
    return share(sum(line.rstrip().endswith(ELLIPSES) for line in lines), len(lines))


def punctuated_lines(text: Text) -> float:
    """Return the share of lines that end a sentence."""
    lines = text.filled_lines
    return share(sum(line.endswith(ENDS) for line in lines), len(lines))


def short_lines(text: Text) -> float:
    """Return the share of lines of up to `SHORT_LINE` characters."""
    lines = text.filled_lines
    return share(sum(len(line) <= SHORT_LINE for line in lines), len(lines))


def repeated_line_chars(text: Text) -> float:
    """Return the characters of lines that stood there before, by those of the text."""
    return share(text.repeated_line_chars, len(text.text.replace("\n", "")))


def unfinished(text: Text) -> float:
    """Return how many words the last line has, if it is prose that does not end; otherwise 0.

    No prose are items of lists, tags, addresses, and text with signs of code.
    """
    line = text.filled_lines[-1].strip()
    words = line.split()
    ends = not (line[-1].isalnum() or line[-1] in OPEN_ENDS)
    if ends or ITEM.match(line) or words[-1].startswith("#") or CODE.search(text.text):
        return 0
    return len(words)


def sentences(text: Text) -> float:
    """Return how many sentences there are in the lines that C4 keeps."""
    return sum(max(1, len(SENTENCE.findall(line))) for line in text.split_lines if c4_keeps(line))


def c4_keeps(line: str) -> bool:
    """Return whether C4 keeps a line: it ends a sentence, and is neither short nor boilerplate."""
    words, line = line.split(), C4_CITATION.sub("", line.strip())
    return (
        line.endswith(C4_ENDS)
        and not line.endswith(ELLIPSES[0])
        and len(words) >= C4_LINE_WORDS
        and all(len(word) <= C4_LONGEST_WORD for word in words)
        and not any(phrase in line.lower() for phrase in C4_PHRASES)
    )


def _per_word(*signs: str) -> Callable[[Text], float]:
    return lambda text: share(sum(map(text.text.count, signs)), len(text.words))


def _top(n: int) -> Rule:
    return Rule(lambda text: text.top_n_gram(n), "above")


def _repeated(n: int) -> Rule:
    return Rule(lambda text: text.duplicate_n_grams(n), "above")


RULES = {
    # broken text
    "min_characters": Rule(characters, "below", shares=False),
    "mojibake": Rule(mojibake, "above", shares=False),
    "percent_escapes": Rule(percent_escapes, "above", shares=False),
    "mixed_characters": Rule(mixed_characters, "above", shares=False),
    "letter_pairs": Rule(lambda text: surprise(text.text), "above", shares=False),
    "unfinished": Rule(unfinished, "above", shares=False),
    # Gopher, repetition
    "duplicate_paragraphs": Rule(lambda text: text.duplicate_paragraphs[0], "above"),
    "duplicate_paragraph_chars": Rule(lambda text: text.duplicate_paragraphs[1], "above"),
    "duplicate_lines": Rule(lambda text: text.duplicate_lines[0], "above"),
    "duplicate_line_chars": Rule(lambda text: text.duplicate_lines[1], "above"),
    "top_2_gram": _top(2),
    "top_3_gram": _top(3),
    "top_4_gram": _top(4),
    **{f"duplicate_{n}_grams": _repeated(n) for n in range(5, 11)},
    # Gopher, quality
    "min_words": Rule(lambda text: len(text.real_words), "below", shares=False),
    "max_words": Rule(lambda text: len(text.real_words), "above", shares=False),
    "min_mean_word": Rule(mean_word, "below"),
    "max_mean_word": Rule(mean_word, "above"),
    "hashes": Rule(_per_word("#"), "above"),
    "ellipses": Rule(_per_word(*ELLIPSES), "above"),
    "bullet_lines": Rule(bullet_lines, "above"),
    "ellipsis_lines": Rule(ellipsis_lines, "above"),
    "alphabetic_words": Rule(alphabetic_words, "below"),
    "stop_words": Rule(lambda text: len(STOP_WORDS.intersection(text.words)), "below"),
    # FineWeb
    "punctuated_lines": Rule(punctuated_lines, "below"),
    "short_lines": Rule(short_lines, "above"),
    "repeated_line_chars": Rule(repeated_line_chars, "above"),
    "line_breaks": Rule(_per_word("\n"), "above"),
    # C4
    "lorem_ipsum": Rule(lambda text: text.text.lower().count("lorem ipsum"), "above", shares=False),
    "curly_brackets": Rule(lambda text: text.text.count("{"), "above", shares=False),
    "sentences": Rule(sentences, "below"),
}
"""In the order in which they are tried."""

REPEATS = "its text repeats itself"
WORDS = {
    "min_characters": "its text is empty",
    "mojibake": "its text was decoded wrongly",
    "percent_escapes": "its text is written in percent escapes",
    "mixed_characters": "its letters and digits are mixed as in keys or at random",
    "letter_pairs": "its letters do not look like words of any language",
    "unfinished": "its last line breaks off",
    **dict.fromkeys((name for name in RULES if name.startswith(("duplicate", "top"))), REPEATS),
    "min_words": "it has too few words",
    "max_words": "it has too many words",
    "min_mean_word": "its words are too short",
    "max_mean_word": "its words are too long",
    "hashes": "it has too many #",
    "ellipses": "it has too many ellipses",
    "bullet_lines": "too many of its lines are items of a list",
    "ellipsis_lines": "too many of its lines end with an ellipsis",
    "alphabetic_words": "too few of its words have a letter",
    "stop_words": "it has too few of the most frequent words of English",
    "punctuated_lines": "too few of its lines end a sentence",
    "short_lines": "too many of its lines are short",
    "repeated_line_chars": REPEATS,
    "line_breaks": "it has too many line breaks",
    "lorem_ipsum": "it holds a filler text",
    "curly_brackets": "it holds a curly bracket",
    "sentences": "it has too few sentences",
}
"""What each broken rule says, as a clause."""
