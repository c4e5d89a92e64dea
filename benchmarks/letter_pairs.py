"""Makes the table of `stages/letter_pairs.py` from the translations that come with Django.

    pip install django                       # BSD; into an environment of its own
    python benchmarks/letter_pairs.py SITE_PACKAGES/django

Every distinct word of a language counts once, every language the same; languages with few words, in
other scripts, and the variants of one that is there already are left out. Prints a row for each
letter that comes first.
"""

import gettext
import math
import re
import sys
from collections import Counter, defaultdict
from itertools import pairwise
from pathlib import Path

from tamis.stages.letter_pairs import DIGITS, LETTERS, plain_letters

NOT_TEXT = re.compile(r"%\(?\w*\)?[sd]|\{\w*\}|<[^>]+>|&\w+;|https?:\S+")
PLAIN = re.compile(r"[a-z]+")
LEFT_OUT = {
    "en_GB", "en_AU", "de_CH", "es_AR", "es_CO", "es_MX", "es_NI", "es_VE", "pt_BR", "sr_Latn",
    "ig", "io", "ia",
}  # fmt: skip
FEWEST_WORDS = 2_000
LATIN = 0.8  # share of the words that are in Latin script
SMOOTHING = 2.0  # pairs, of 10,000 for each language


def texts(folder: Path) -> dict[str, set[str]]:
    """Return the texts of each language."""
    found = defaultdict(set)
    for path in sorted(folder.rglob("LC_MESSAGES/django.mo")):
        with path.open("rb") as file:
            catalog = gettext.GNUTranslations(file)._catalog  # type: ignore[attr-defined]
        for said, translated in catalog.items():
            if isinstance(said, str) and said and isinstance(translated, str):
                found["en"].add(NOT_TEXT.sub(" ", said))
                if said != translated:
                    found[path.parents[1].name].add(NOT_TEXT.sub(" ", translated))
    return found


def pairs(said: set[str]) -> Counter[str] | None:
    """Return the pairs of a language's distinct words, or None where it is left out."""
    every = [word for text in said for word in re.findall(r"[^\W\d_]+", text)]
    latin = sum(bool(PLAIN.fullmatch(plain_letters(word))) for word in every)
    if len(every) < FEWEST_WORDS or latin < LATIN * len(every):
        return None
    words = {word for text in said for word in PLAIN.findall(plain_letters(text))}
    return Counter(a + b for word in words for a, b in pairwise(f" {word} "))


def main() -> None:
    """Count, and print the table."""
    mean: Counter[str] = Counter()
    used = []
    for language, said in sorted(texts(Path(sys.argv[1])).items()):
        found = None if language in LEFT_OUT else pairs(said)
        if found is not None:
            used.append(language)
            for pair, n in found.items():
                mean[pair] += n / found.total() * 10_000  # type: ignore[assignment]
    print(f"{len(used)} languages: {' '.join(used)}")
    for before in LETTERS:
        total = sum(mean[before + letter] + SMOOTHING for letter in LETTERS)
        bits = [-math.log2((mean[before + letter] + SMOOTHING) / total) for letter in LETTERS]
        print("".join(DIGITS[round(2 * value)] for value in bits))


if __name__ == "__main__":
    main()
