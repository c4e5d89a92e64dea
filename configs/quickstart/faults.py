"""The faults that are planted in the quickstart pool, one function each.

Every function returns the faulty answer to a row, or None where the row does not lend itself to
that fault.
"""

import string
from collections.abc import Callable, Sequence
from random import Random
from typing import NamedTuple
from urllib.parse import quote

from example import Example

MIN_TRUNCATED = 40
"""Shortest answer in characters that is cut: less would leave nothing to recognise."""
MAX_ENCODED = 120
"""Longest answer in characters whose encoding is broken: its bytes still fit in the window."""


class Drawn(NamedTuple):
    """A clean example and the name of its task."""

    task: str
    example: Example


Plant = Callable[[Random, Drawn, Sequence[Drawn]], str | None]


def wrong_answer(rng: Random, row: Drawn, donors: Sequence[Drawn]) -> str | None:
    """Returns the plausible but wrong answer that the task itself made."""
    return row.example.wrong


def other_question(rng: Random, row: Drawn, donors: Sequence[Drawn]) -> str | None:
    """Returns the right answer of a row of another task."""
    donor = rng.choice(donors)
    own, given = row.example.output.lower(), donor.example.output.lower()
    # "5" or "Yes" from elsewhere could happen to be right here as well.
    if donor.task == row.task or given.strip(".") in own or own.strip(".") in given:
        return None
    return donor.example.output


def truncated(rng: Random, row: Drawn, donors: Sequence[Drawn]) -> str | None:
    """Returns the answer cut anywhere between a third and four fifths of its length."""
    answer = row.example.output
    if len(answer) < MIN_TRUNCATED:
        return None
    cut = answer[: rng.randint(len(answer) // 3, len(answer) * 4 // 5)].rstrip()
    # A cut behind a whole sentence could pass for a short answer.
    return None if cut[-1] in ".!?" else cut


OPENERS = (
    "As an AI language model, ", "I am sorry, but ", "Unfortunately, ", "Thank you for asking! ",
    "I apologize, but ", "As a virtual assistant, ", "That is a great question. Sadly, ", "Hello! ",
    "I understand your request, however ",
)  # fmt: skip
REFUSALS = (
    "I cannot help with this request",
    "I do not have access to that kind of information",
    "I am not able to give an answer at this time",
    "my knowledge is limited and I might be mistaken",
    "I must decline to comment on this topic",
    "it would not be appropriate for me to reply",
    "I have no personal opinions about such matters",
    "this goes beyond what I am programmed to do",
    "I would need further context before I can respond",
    "there are many different aspects that one should consider",
    "it really depends on your individual situation",
)
CLOSERS = (
    ".",
    ". Please consult a qualified professional.",
    ". Is there anything else I can assist you with?",
    ". Feel free to ask me something else!",
    ". Please let me know if you have further questions.",
    ", as my training data ends before that date.",
    ". I hope this helps!",
    ". Have a nice day!",
    ". Your feedback is important to us.",
)
FILLERS = (
    "Sure! Here is the answer you are looking for.",
    "Great question! Let me think about it for a moment.",
    "Certainly! I would be happy to help you with that.",
    "See above.",
    "To be continued in the next section.",
    "Click here to read the full article and subscribe to our newsletter.",
    "Lorem ipsum dolor sit amet, consectetur adipiscing elit.",
    "[insert answer here]",
    "TODO: write this part later.",
    "No comment.",
    "This response has been removed because of our content policy.",
    "Error: the model is currently overloaded. Please try again later.",
    "There is a lot to say about this, and opinions on the subject vary widely.",
    "In conclusion, it is important to note that every case is unique and should be treated so.",
)


def boilerplate(rng: Random, row: Drawn, donors: Sequence[Drawn]) -> str | None:
    """Returns a refusal or a filler that answers nothing."""
    if rng.random() < 0.2:
        return rng.choice(FILLERS)
    opener, refusal = rng.choice(OPENERS), rng.choice(REFUSALS)
    if opener.endswith("! "):
        refusal = refusal[0].upper() + refusal[1:]
    return opener + refusal + rng.choice(CLOSERS)


def misread_accents(text: str) -> str:
    """Returns the text with accents on its vowels, its UTF-8 bytes read as Latin-1."""
    accented = text.translate(str.maketrans("aeiou", "äëïöü"))
    return accented.encode("utf-8").decode("latin-1")


def misread_utf16(text: str) -> str:
    """Returns the UTF-16 bytes of the text read with the wrong byte order."""
    return text.encode("utf-16-le").decode("utf-16-be")


def escaped(text: str) -> str:
    """Returns the text in the percent encoding of web addresses."""
    return quote(text, safe="")


def gibberish(rng: Random, row: Drawn, donors: Sequence[Drawn]) -> str | None:
    """Returns random characters, shuffled words or letters, or a broken encoding of the answer."""
    answer = row.example.output
    kind = rng.choice(("characters", "words", "letters", "accents", "utf16", "percent"))
    if kind == "characters":
        signs = string.ascii_letters + string.digits + string.punctuation + "    "
        return "".join(rng.choice(signs) for _ in range(rng.randint(8, 120))).strip() or None
    if kind in ("words", "letters"):
        parts = answer.split() if kind == "words" else list(answer)
        glue = " " if kind == "words" else ""
        rng.shuffle(parts)
        shuffled = glue.join(parts).strip()
        return shuffled if len(parts) > 5 and shuffled != answer else None
    break_encoding = {"accents": misread_accents, "utf16": misread_utf16, "percent": escaped}[kind]
    broken = break_encoding(answer).strip()
    # Digits alone survive some of these encodings unharmed.
    return None if broken == answer or len(answer) > MAX_ENCODED else broken


def echo(rng: Random, row: Drawn, donors: Sequence[Drawn]) -> str | None:
    """Returns the instruction or the input again."""
    instruction, context = row.example.instruction, row.example.input
    forms = [instruction, f"You asked: {instruction}", f"{instruction} {context}".strip()]
    repeated = rng.choice([*forms, context] if context else forms)
    return None if repeated == row.example.output else repeated


PLANTS: dict[str, Plant] = {
    plant.__name__: plant
    for plant in (wrong_answer, other_question, truncated, boilerplate, gibberish, echo)
}
"""Every fault that replaces an answer; "duplicated", which copies a row, is not among them."""
