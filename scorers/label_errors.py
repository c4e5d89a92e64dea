"""Which ratings look wrong beside those of the nearest rows, and what they should be (SimiFeat).

Zhu et al. 2022, arXiv 2110.06283, the variant `rank`, as DS2 runs it. In each of `epochs` rounds
over a random `share` of the rows, a row's `k` - 1 nearest rows of the round and the row itself vote
for their ratings, each with its cosine; the row's own vote, which would be 1, has 1 - (2 d1 - d2),
with d1 and d2 the distances to the two nearest. Votes have length 1, and

    doubt = -log(vote for the row's own rating)

Of the rows rated c the share 1 - P(true = c | rated = c) with the largest doubts is suspect (`.05`
or `.95` where that share is 0 or 1), and the rating with the most votes is suggested in its place.
After all rounds, with a 1 and a rating of each kind counted beforehand,

    suspect    = (rounds in which it was suspect + 1) / (rounds that it was in + 2)
    share_c    = (rounds that suggested c + 1) / (rounds in which it was suspect + classes)
    confidence = suspect x the largest share_c of another rating than its own

Its own rating is no suggestion: where neighbours agree with a suspect row, `confidence` is small.

Rounds draw rows by a hash of (seed, sample_id): the published share is exact, this one on average.
"""

from dataclasses import dataclass

import numpy as np

AT_ONCE = 1 << 16  # rows; bounds memory, no result
SMALL = 1e-8
AT_MOST, AT_LEAST = 0.95, 0.05  # suspect shares in place of 1 and of 0


@dataclass(frozen=True)
class Neighbourhood:
    """Ratings, and which rows lie near which.

    Attributes:
        ratings: (rows,) from 0 on, -1 for a row without one, which neither votes nor is suspect.
        near: (rows, neighbours) places of the nearest rows, the nearest first; -1 where there is
            none.
        cosines: (rows, neighbours) with them, float32.
    """

    ratings: np.ndarray
    near: np.ndarray
    cosines: np.ndarray

    def nearest_rated(self, rows: slice, inside: np.ndarray, most: int) -> np.ndarray:
        """Return which neighbours of some rows are the first `most` that take part, bool."""
        near = self.near[rows]
        there = (near >= 0) & inside[near]
        return np.asarray(there & (np.cumsum(there, axis=1) <= most))


@dataclass(frozen=True)
class Suggestions:
    """What the rounds found.

    Attributes:
        suspect: (rows,) smoothed share of rounds in which the rating looked wrong.
        rating: (rows,) the rating that was suggested most, never the row's own.
        confidence: (rows,) in it.
    """

    suspect: np.ndarray
    rating: np.ndarray
    confidence: np.ndarray


def triples(hood: Neighbourhood) -> np.ndarray:
    """Return the ratings of rated rows and of their two nearest rated rows, (rows, 3)."""
    rated, found = hood.ratings >= 0, [np.empty((0, 3), np.int64)]
    for rows in _blocks(len(rated)):
        taken = hood.nearest_rated(rows, rated, 2)
        both = rated[rows] & (taken.sum(1) == 2)
        pairs = hood.ratings[hood.near[rows][both][taken[both]]].reshape(-1, 2)
        found.append(np.column_stack([hood.ratings[rows][both], pairs]))
    return np.concatenate(found)


def votes(hood: Neighbourhood, inside: np.ndarray, classes: int, k: int) -> np.ndarray:
    """Return the votes for each rating, (rows, classes), of length 1; 0 for rows outside.

    Args:
        hood: all rows.
        inside: (rows,) which take part.
        classes: how many ratings there are.
        k: how many rows vote, the row itself one of them.
    """
    found = np.zeros((len(inside), classes))
    for rows in _blocks(len(inside)):
        taken = hood.nearest_rated(rows, inside, k - 1) & inside[rows, None]
        cosines = hood.cosines[rows].astype(np.float64)
        place, column = np.nonzero(taken)
        voted = place * classes + hood.ratings[hood.near[rows][place, column]]
        n = len(taken)
        counted = np.bincount(voted, cosines[place, column], n * classes).astype(np.float64)
        counted = counted.reshape(n, classes)
        own = np.flatnonzero(inside[rows])
        counted[own, hood.ratings[rows][own]] += _own_vote(taken, cosines)[own]
        length = np.sqrt((counted**2).sum(1, keepdims=True))
        found[rows] = counted / np.maximum(length, SMALL)
    return found


def suspects(doubts: np.ndarray, ratings: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return which rows are suspect, (rows,) bool.

    Args:
        doubts: (rows,).
        ratings: (rows,) from 0 on.
        right: (classes,) P(true = c | rated = c).
    """
    found = np.zeros(len(doubts), dtype=bool)
    for rating, share in enumerate((1 - np.minimum(right, 1)).tolist()):
        own = ratings == rating
        if not own.any():
            continue
        share = AT_MOST if share >= 1 else AT_LEAST if share <= 0 else share
        found |= own & (doubts >= np.percentile(doubts[own], 100 * (1 - share)))
    return found


def detect(
    hood: Neighbourhood, right: np.ndarray, bits: np.ndarray, k: int, epochs: int, share: float
) -> Suggestions:
    """Return what is suspect after all rounds.

    Args:
        hood: all rows.
        right: (classes,) P(true = c | rated = c).
        bits: (rows,) random uint64 by the content of each row.
        k: how many rows vote.
        epochs: rounds.
        share: of the rows in each round.
    """
    classes, n = len(right), len(bits)
    drawn, flagged = np.zeros(n), np.zeros(n)
    suggested = np.zeros((n, classes))
    for epoch in range(epochs):
        inside = (hood.ratings >= 0) & (_uniform(bits, epoch) < share)
        voted = votes(hood, inside, classes, k)
        rows = np.flatnonzero(inside)
        own = np.maximum(voted[rows, hood.ratings[rows]], 0)
        found = rows[suspects(-np.log(own + SMALL), hood.ratings[rows], right)]
        drawn[rows] += 1
        flagged[found] += 1
        suggested[found, voted[found].argmax(1)] += 1
    suspect = (flagged + 1) / (drawn + 2)
    shares = (suggested + 1) / (flagged + classes)[:, None]
    rated = np.flatnonzero(hood.ratings >= 0)
    shares[rated, hood.ratings[rated]] = -1
    best = shares.argmax(1)
    return Suggestions(suspect, best, suspect * shares[np.arange(n), best])


def _own_vote(taken: np.ndarray, cosines: np.ndarray) -> np.ndarray:
    """1 - (2 d1 - d2) of the two nearest that take part; 1 - d1 with one only, 1 with none."""
    n = len(taken)
    if not taken.shape[1]:
        return np.ones(n)
    place = np.cumsum(taken, axis=1)
    nearest = [np.where(taken & (place == rank), 1 - cosines, 0).sum(1) for rank in (1, 2)]
    second = np.where(place[:, -1] > 1, nearest[1], nearest[0])
    return np.asarray(1 - (2 * nearest[0] - second))


def _uniform(bits: np.ndarray, epoch: int) -> np.ndarray:
    """One number in [0, 1) for each row and round, by splitmix64."""
    with np.errstate(over="ignore"):
        mixed = bits + np.uint64(0x9E3779B97F4A7C15) * np.uint64(epoch + 1)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(((mixed ^ (mixed >> np.uint64(31))) >> np.uint64(11)) / float(1 << 53))


def _blocks(n: int) -> list[slice]:
    return [slice(start, min(start + AT_ONCE, n)) for start in range(0, n, AT_ONCE)]
