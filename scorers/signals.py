"""The vocabulary of signals: the columns that scorers speak of, with types and units.

A column is named `<signal name in the config>.<column>`. Per-token columns are lists over the
scored tokens of a row, in order; a *condition* says what the model has seen:

========== =================================================================
given      the answer, after the instruction (all turns before it)
alone      the answer, after nothing but the template's answer header
instruction everything before the last answer that is not itself an answer
========== =================================================================

Beside each per-token column stand its sum (float64) and its number of tokens.
"""

import pyarrow as pa

CONDITIONS = ("given", "alone", "instruction")

PER_TOKEN = {
    "token_loss": pa.float32(),  # -log p(token), nats
    "entropy": pa.float32(),  # of the next-token distribution, nats
    "rank": pa.int32(),  # number of tokens with a strictly larger logit
    "max_prob": pa.float32(),  # largest probability
    "sum_p2": pa.float32(),  # sum of squared probabilities
}

BETWEEN = {
    "jsd": pa.float32(),  # Jensen-Shannon divergence of two models' predictions, nats
}
"""Statistics of two models, per token; otherwise as `PER_TOKEN`."""

PER_ROW = {
    "given.turns": pa.list_(pa.int32()),  # scored tokens of each answer
    "alone.turns": pa.list_(pa.int32()),
    # neighbours: copies of a row whose token embeddings carry noise. How many is the length of the
    # means; `delta` goes copy after copy, each over the same tokens of all answers.
    "delta": pa.list_(pa.float32()),  # loss alone - loss given, nats; the published pmi is minus it
    "given_mean": pa.list_(pa.float64()),  # per copy: mean loss of the answer, nats per token
    "alone_mean": pa.list_(pa.float64()),
    # gradient: `dim` numbers for the first checkpoint, then for the next, see `vectors`; a signal
    # may keep them as list<int8> or binary instead, so who takes any reads them as null type
    "adam": pa.list_(pa.float16()),  # Adam's direction, of rows to choose from
    "plain": pa.list_(pa.float16()),  # the gradient itself, of targets
    "weights": pa.list_(pa.float32()),  # of the checkpoints, together 1; the same in every row
    "answer_tokens": pa.int32(),  # before any cut at the window
    "instruction_tokens": pa.int32(),
    "answer_chars": pa.int32(),
    "instruction_chars": pa.int32(),
    "answer_words": pa.int32(),  # separated by white space
    "instruction_words": pa.int32(),
    "embedding": pa.list_(pa.float16()),  # unit norm
    "concepts": pa.list_(pa.string()),  # keyword phrases of all messages, best first
    "label": pa.int32(),  # clusters: which, from 0, the largest first
    "distance": pa.float32(),  # of the row's vector to the centroid of its cluster
    "place": pa.int32(),  # knn: among the distinct rows with a vector, by sample_id
    "neighbours": pa.list_(pa.int32()),  # places of the nearest other rows, best first
    "similarity": pa.list_(pa.float32()),  # their cosines
    # ratings: a question is asked turn by turn, and in a turn wording by wording
    "rating": pa.float32(),  # mean over the questions
    "ratings": pa.list_(pa.float32()),  # one per question, null where it has none
    "probabilities": pa.list_(pa.float32()),  # of the scale, question after question; NaN: none
    "scale": pa.list_(pa.float32()),  # the ratings there are, ascending; the same in every row
    "mass": pa.list_(pa.float32()),  # per question: of all rating tokens in the full softmax
    "turns": pa.int32(),  # that were asked about
    "text": pa.list_(pa.string()),  # replies, one per question
    "buckets": pa.list_(pa.int32()),  # ngrams: of the hash table, rising, that a row has n-grams in
    "counts": pa.list_(pa.int32()),  # n-grams of the row in each of these
    "tokens": pa.int32(),  # ngrams: words and runs of other signs
    "bands": pa.list_(pa.uint64()),  # minhash: hashes of which like rows share one
    "signature": pa.list_(pa.uint32()),  # minhash: the share of equal places is the similarity
    "group": pa.string(),  # duplicates: the smallest sample_id of the group; always there
    "size": pa.int32(),  # rows of the group
    "jaccard": pa.float32(),  # estimated, to the row that the group is named after
    "cosine": pa.float32(),  # the largest to another row of the cluster
    "status": pa.string(),  # of the row: ok, truncated, or why there is no number
    "given.status": pa.string(),  # of the pass: ok or why not, as not_finite; null without one
    "alone.status": pa.string(),
}

RATED = ("rating", "ratings", "probabilities", "mass", "turns", "text", "criteria", "labels")
"""Columns of ratings, by the first word of their names; the status of the row says why not."""

STATUS = {"alone": "alone.status"} | dict.fromkeys(
    ("given", "instruction", "embedding", "adam", "plain"), "given.status"
)
"""The pass that a column comes from, by the first word of its name."""


def column_type(column: str) -> pa.DataType:
    """Return the type of a signal column (its name without the signal's).

    Raises:
        KeyError: no such column.
    """
    if column in PER_ROW:
        return PER_ROW[column]
    condition, _, statistic = column.partition(".")
    if condition == "criteria" and statistic:
        return pa.float32()
    if condition == "labels" and statistic:
        return pa.string()
    if condition in CONDITIONS:
        known = PER_TOKEN | BETWEEN
        if statistic in known:
            return pa.list_(known[statistic])
        name, _, kind = statistic.rpartition("_")
        if name in known and kind in ("sum", "count"):
            return pa.float64() if kind == "sum" else pa.int32()
    raise KeyError(column)


def schema(signal: str, *columns: str) -> pa.Schema:
    """Return the schema of some columns of one signal, under their full names.

    The statuses of the passes that they come from are added.

    Raises:
        KeyError: a column that no signal has.
    """
    words = [column.split(".")[0] for column in columns]
    passes = [STATUS[word] for word in words if word in STATUS]
    if passes or set(words) & set(RATED):
        columns = tuple(dict.fromkeys([*columns, *passes, "status"]))
    return pa.schema([(f"{signal}.{column}", column_type(column)) for column in columns])


def token_columns(condition: str, statistics: tuple[str, ...] = tuple(PER_TOKEN)) -> list[str]:
    """Return the per-token columns of a condition, each with its sum and count."""
    return [
        f"{condition}.{statistic}{suffix}"
        for statistic in statistics
        for suffix in ("", "_sum", "_count")
    ]
