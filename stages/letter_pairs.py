"""How little letters look like words of any language in Latin script, without a model.

    surprise = mean of -log2 p(letter | letter before it) - 2 / sqrt(pairs)

over the distinct words of a text, in bits per pair of neighbouring letters; the edges of a word
count as letters, accents are taken off. The second term is the standard error of the mean (the
deviation of a pair is about 2 bits), so that a short text must look odder than a long one.

Words of fewer than three letters say little, and addresses, markup and code have letters of another
kind: what holds a sign such as `/` or `=` is left out. A text with fewer than `FEWEST` pairs left
has no surprise: one of other scripts, of numbers, or too short.

The table is the mean over 35 languages of their pairs in the words of Django's translations; made
by `benchmarks/letter_pairs.py`.
"""

import math
import re
import unicodedata
from itertools import pairwise

FEWEST = 16  # pairs
SHORTEST = 3  # letters of a word
SPREAD = 2.0  # bits, deviation of a pair in good text
LETTERS = " abcdefghijklmnopqrstuvwxyz"
DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
SIGNS = re.compile(r"[/<>=@_{}\\]")
WORD = re.compile(rf"[a-z]{{{SHORTEST},}}")

# A row for each letter that comes first, a sign for each that follows, in the order of LETTERS; the
# sign is the number of half bits, from 0 to 9 and then a (10) to z (35).
TABLE = """
t799899ab9c9a89a8ha78a9cjgc 5cb99hgbd9ca7a6fbk787ccgkec a5djj5lhb6ag8gd7jn6ag7ijjbj
86ibn7mo55fbchf6nobd99ooodd 65jje4hja6dgebb6jpabf9gipec 5acbacebebda896edj678edhfhc
96ilh6dgb4fg9ik5jl8dc7llkhl 56gif5kba6dfbgc8jo8ad7hiodj 55mhc5gje7eebdd6hkbf88gjnfm
69d998caffca8a69cha68dciilc 74jfd4jgl9hfega7gmi9b7hmkkf 65hdk7mkd7gcace6moa988gkoai
75fha5ibi5ed8ed7fmja89goqdj 649kh4jkc6fidbe7aogdf8kmofm 56ic87e7e7ccehb9kmj97aelnbh
5dab9dicfbca885cbm68abaankc 85mfl6jgd9gg8if5ao6ab9eoock defff8fffbdf6fdffffff1fffff
65deb5fch6eccac8gkba99egmde 48h9h6ghb7e8bfd9bhea5aggrfd 65jjl5igb6jfffd7fr7ba8ghjcd
69cca9haf9ca887cap777aghgfb 84jgi4mik5igeha7imccgbjmmbi 74jhf5igg7bfkka6gkfbd8kkk8i
67g9g5ggc4ggfgg99fgg6agggfg 38cac9ecdcecaa9b9ld88eddlad 75ceb5lde6ebea88emfca9demad
"""
BITS = {
    before + letter: DIGITS.index(sign) / 2
    for before, row in zip(LETTERS, TABLE.split(), strict=True)
    for letter, sign in zip(LETTERS, row, strict=True)
}


def surprise(text: str) -> float | None:
    """Return how little the letters of a text look like words, in bits per pair; None if unknown.

    Good text of any of the languages lies between 3 and 4.2, random letters from 5 upwards.
    """
    prose = " ".join(word for word in text.split() if not SIGNS.search(word))
    # sorted: the sum must not depend on the order of a set
    words = sorted(set(WORD.findall(plain_letters(prose))))
    pairs = [a + b for word in words for a, b in pairwise(f" {word} ")]
    if len(pairs) < FEWEST:
        return None
    return sum(map(BITS.__getitem__, pairs)) / len(pairs) - SPREAD / math.sqrt(len(pairs))


def plain_letters(text: str) -> str:
    """Return a text in small letters without accents."""
    text = text.lower()
    if text.isascii():
        return text
    apart = unicodedata.normalize("NFD", text)
    return "".join(sign for sign in apart if not unicodedata.combining(sign))
