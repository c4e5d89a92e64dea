"""The texts of rows as they are compared: what differs only in form becomes the same.

Unicode form NFKC, lower case, and all white space as one space; with `punctuation: ignore` also
everything that is neither letter, mark nor number, as white space. Invisible formatting characters
are left out. All of it is done by Arrow, a part at a time.
"""

from typing import Literal

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
    texts = pc.utf8_lower(pc.utf8_normalize(texts, form="NFKC"))
    texts = pc.replace_substring_regex(texts, INVISIBLE, "")
    gap = SPACE if punctuation == "keep" else NO_WORD
    return pc.utf8_trim(pc.replace_substring_regex(texts, gap, " "), " ")


def words(texts: pa.Array) -> pa.ListArray:
    """Return the words of plain texts; a sign of a script without spaces is one of its own."""
    texts = pc.replace_substring_regex(texts, UNSPACED, r" \1 ")
    found = pc.utf8_split_whitespace(texts)
    flat = found.flatten()
    there = np.asarray(pc.not_equal(flat, ""))
    starts = np.concatenate([[0], np.cumsum(there)])[np.asarray(found.offsets)]
    return pa.ListArray.from_arrays(pa.array(starts, pa.int32()), flat.filter(pa.array(there)))


def compared(rows: pa.Table, side: Side, punctuation: Punctuation) -> pa.Array:
    """Return what must be the same in two rows that say the same, one text per row.

    For both sides that is the instruction and the answer, each in a line of its own.
    """
    if side != "both":
        return plain(texts(rows, side), punctuation)
    own: tuple[Side, Side] = ("instruction", "answer")
    return pc.binary_join_element_wise(*(plain(texts(rows, s), punctuation) for s in own), "\n")
