"""The texts of rows as they are compared: what differs only in form becomes the same.

Unicode form NFKC, lower case, and all white space as one space; with `punctuation: ignore` also
everything that is neither letter, mark nor number, as white space. Invisible formatting characters
are left out. All of it is done by Arrow, a part at a time.
"""

from functools import partial
from typing import Literal, get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

Side = Literal["both", "instruction", "answer"]
Punctuation = Literal["keep", "ignore"]

SPACE = r"[\s\p{Z}\p{Cc}]+"
NO_WORD = r"[\s\p{Z}\p{Cc}\p{P}\p{S}]+"
INVISIBLE = r"\p{Cf}+"
UNSPACED = (
    r"([\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}])"  # words not spaced
)


def texts(rows: pa.Table, side: Side) -> pa.Array:
    """Return one text per row: its messages in order, a line each.

    Args:
        rows: with `messages`.
        side: `answer` are the messages of the assistant, with its tool calls; `instruction` all
            others.
    """
    column = rows["messages"].combine_chunks()
    offsets = np.asarray(column.offsets)
    said = column.flatten()
    content, calls = (pc.fill_null(said.field(name), "") for name in ("content", "tool_calls"))
    text = pc.binary_join_element_wise(content, calls, "\n")
    starts = offsets - offsets[0]
    if side != "both":
        own = np.asarray(pc.equal(said.field("role"), "assistant")) == (side == "answer")
        text = text.filter(pa.array(own))
        starts = np.concatenate([[0], np.cumsum(own)])[starts]
    lists = pa.ListArray.from_arrays(pa.array(starts, pa.int32()), text)
    return pc.binary_join(lists, "\n")


def plain(texts: pa.Array, punctuation: Punctuation) -> pa.Array:
    """Return texts as they are compared."""
    change = partial(_plain_ascii, gaps=_ASCII[punctuation])
    other = pc.invert(pc.string_is_ascii(texts))
    if not pc.any(other).as_py():
        return change(texts)
    done = change(pc.if_else(other, "", texts))
    return pc.replace_with_mask(done, other, _plain_unicode(texts.filter(other), punctuation))


def words(texts: pa.Array) -> pa.ListArray:
    """Return the words of plain texts; a sign of a script without spaces is one of its own."""
    other = pc.invert(pc.string_is_ascii(texts))
    if pc.any(other).as_py():
        apart = pc.replace_substring_regex(texts.filter(other), UNSPACED, r" \1 ")
        texts = pc.replace_with_mask(texts, other, pc.utf8_trim(apart, " "))
    there = pc.if_else(pc.equal(texts, ""), None, texts)  # or it would be one word, of no letters
    found = pc.ascii_split_whitespace(there)
    return pa.ListArray.from_arrays(found.offsets, found.values)


def _plain_ascii(texts: pa.Array, gaps: np.ndarray) -> pa.Array:
    """What the other makes of texts of ASCII, letter by letter: the same in a fifth of the time."""
    offsets = np.frombuffer(texts.buffers()[1], np.int32)[texts.offset :][: len(texts) + 1]
    buffer = texts.buffers()[2]
    letters = np.frombuffer(buffer or b"", np.uint8)[offsets[0] : offsets[-1]]
    starts = pa.py_buffer(offsets - offsets[0])
    changed = pa.StringArray.from_buffers(len(texts), starts, pa.py_buffer(gaps[letters]))
    return pc.ascii_trim(pc.binary_join(pc.ascii_split_whitespace(changed), " "), " ")


def _plain_unicode(texts: pa.Array, punctuation: Punctuation) -> pa.Array:
    texts = pc.utf8_lower(pc.utf8_normalize(texts, form="NFKC"))
    texts = pc.replace_substring_regex(texts, INVISIBLE, "")
    gap = SPACE if punctuation == "keep" else NO_WORD
    return pc.utf8_trim(pc.replace_substring_regex(texts, gap, " "), " ")


def _table(punctuation: Punctuation) -> np.ndarray:
    """What becomes of each letter of ASCII, (256,) uint8."""
    kept = [
        c.isalnum() or (punctuation == "keep" and c.isprintable()) for c in map(chr, range(128))
    ]
    letters = [chr(i).lower() if keep else " " for i, keep in enumerate(kept)]
    return np.frombuffer("".join(letters).encode().ljust(256), np.uint8)


_ASCII = {punctuation: _table(punctuation) for punctuation in get_args(Punctuation)}


def compared(rows: pa.Table, side: Side, punctuation: Punctuation) -> pa.Array:
    """Return what must be the same in two rows that say the same, one text per row.

    For both sides that is the instruction and the answer, each in a line of its own.
    """
    if side != "both":
        return plain(texts(rows, side), punctuation)
    own: tuple[Side, Side] = ("instruction", "answer")
    return pc.binary_join_element_wise(*(plain(texts(rows, s), punctuation) for s in own), "\n")
