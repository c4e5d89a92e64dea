import numpy as np
import pyarrow as pa
import pytest
from datasketch import MinHash, MinHashLSH
from tamis.stages.checks import check_stage
from tamis.stages.grouping import linked
from tamis.stages.signals.minhash import Minhash
from tamis.stages.signals.near_duplicates import NearDuplicates
from tamis.tests.conversations import pairs

WORDS = [f"w{i}" for i in range(400)]


def with_minhash(rows, **fields):
    made = Minhash(**fields)(rows, ["bands", "signature", "status"])
    for name in made.column_names:
        rows = rows.append_column(f"minhash.{name}", made[name])
    return rows


def texts(n=30, copies=3, seed=0):
    """Texts of 200 words, and of each some copies with a few other words."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(n):
        own = rng.choice(WORDS, 200)
        for copy in range(copies):
            changed = own.copy()
            changed[rng.integers(0, 200, copy)] = "other"
            found.append(" ".join(changed))
    return found


ROWS = with_minhash(pairs(*((text, "the answer") for text in texts())))


def grouped(rows, **fields):
    stage = NearDuplicates(**fields)
    return stage.fitted_with(stage.fit([rows.slice(0, 20), rows.slice(20)]))(rows, stage.adds.names)


def test_copies_with_other_words_are_found():
    found = grouped(ROWS)
    assert found["size"].to_pylist() == [3] * 90
    names = found["group"].to_pylist()
    ids = ROWS["sample_id"].to_pylist()
    assert names == [min(ids[i - i % 3 : i - i % 3 + 3]) for i in range(90)]


def test_groups_are_those_of_datasketch():
    """Rows that `MinHashLSH` finds for each other, with the same signatures: hold together."""
    rows = with_minhash(pairs(*((text, "") for text in texts(copies=6, seed=1))))
    index, sketches = MinHashLSH(num_perm=112, params=(14, 8)), []
    for number, signature in enumerate(rows["minhash.signature"].to_pylist()):
        values = np.array(signature, np.uint32)
        sketches.append(MinHash(112, hashvalues=values, scheme="affine32"))
        index.insert(number, sketches[-1])
    edges = np.array([(i, j) for i, own in enumerate(sketches) for j in index.query(own)])
    theirs = linked(len(sketches), edges[:, 0], edges[:, 1])
    ours = grouped(rows)["group"].to_pylist()
    same = set(zip(theirs.tolist(), ours, strict=True))
    assert len(same) == len(set(ours)) == len(set(theirs.tolist())) < len(ours)


def test_a_threshold_leaves_candidates_out():
    """Only estimated similarities of .96 and more: copies with other words are mostly out."""
    loose, strict = grouped(ROWS, threshold=0.5), grouped(ROWS, threshold=0.96)
    assert loose["group"].equals(grouped(ROWS)["group"])
    assert len(set(strict["group"].to_pylist())) > len(set(loose["group"].to_pylist()))
    signature = {i: np.array(s) for i, s in zip(*id_and(ROWS, "minhash.signature"), strict=True)}
    lines = zip(
        *id_and(ROWS, "sample_id"), loose["group"].to_pylist(), loose["jaccard"], strict=True
    )
    for own, _, group, jaccard in lines:
        expected = np.mean(signature[own] == signature[group])
        assert jaccard.as_py() == pytest.approx(expected, abs=1e-6)
    assert strict["jaccard"].null_count == strict["size"].to_pylist().count(1)


def id_and(rows, name):
    return rows["sample_id"].to_pylist(), rows[name].to_pylist()


def test_a_chain_is_one_group():
    """Each text shares most words with the next alone; the ends have nothing in common."""
    words = [str(i) for i in range(300)]
    chain = [" ".join(words[start : start + 150]) for start in range(0, 150, 10)]
    found = grouped(with_minhash(pairs(*((text, "") for text in chain))))
    assert set(found["size"].to_pylist()) == {15}


def test_short_rows():
    rows = with_minhash(pairs(("Hi", "Hello"), ("hi", "hello"), ("Hi!", "Hello"), ("Yo", "Hello")))
    assert grouped(rows)["size"].to_pylist() == [2, 2, 1, 1]
    assert grouped(rows, threshold=0.9)["jaccard"].to_pylist() == [1.0, 1.0, None, None]


def test_the_order_of_the_pool_does_not_matter():
    turned = ROWS.take(np.random.default_rng(0).permutation(90))
    for threshold in (None, 0.9):
        stage = NearDuplicates(threshold=threshold)
        assert stage.fit([turned]) == stage.fit([ROWS])


def test_promises():
    twice = pa.concat_tables([ROWS, ROWS.slice(0, 5)])
    for threshold in (None, 0.9):
        check_stage(NearDuplicates(threshold=threshold), twice)
    assert grouped(twice)["size"].to_pylist()[:6] == [6, 6, 6, 5, 5, 5]
    assert "signature" not in "".join(NearDuplicates().reads.names)
    with pytest.raises(ValueError, match="needs the groups"):
        NearDuplicates()(ROWS, ["group"])
    stage = NearDuplicates(threshold=0.5)
    assert len(stage.fitted_with(stage.fit([]))(ROWS.slice(0, 0), ["jaccard"])) == 0
