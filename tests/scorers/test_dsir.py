import json

import numpy as np
import pyarrow as pa
import pytest
from tamis.errors import DataError
from tamis.scorers.checks import check_scorer
from tamis.scorers.dsir import Dsir
from tamis.stages.base import ROWS
from tamis.stages.signals.ngrams import Ngrams
from tamis.tests.tiny import conversation

LISTS = pa.list_(pa.int32())


def counted(*rows, status=None):
    """Rows with the counts of three buckets."""
    buckets = [[b for b, n in enumerate(row) if n] for row in rows]
    counts = [[n for n in row if n] for row in rows]
    return pa.table(
        {
            "ngrams.buckets": pa.array(buckets, LISTS),
            "ngrams.counts": pa.array(counts, LISTS),
            "ngrams.tokens": pa.array([sum(row) for row in rows], pa.int32()),
            "ngrams.status": pa.array(status or ["ok"] * len(rows)),
        }
    )


POOL = counted((2, 0, 0), (0, 1, 1), (1, 1, 1), (1, 2, 0))  # 4, 4, 2 in all
TARGET = counted((1, 3, 6))


def scored(scorer, pool=POOL, optional=(), **targets):
    fitted = scorer.fit_to_targets([pool], targets or {"t": TARGET})
    return scorer(pool, fitted, optional)


def test_golden():
    scorer = Dsir(target="t", buckets=3)
    ratio = scorer.fit_to_targets([POOL], {"t": TARGET})["ratio"].to_pylist()[0]
    assert ratio == pytest.approx([-1.386294, -0.287682, 1.098612], abs=1e-6)
    found = scored(scorer)["score"].to_pylist()
    assert found[:3] == pytest.approx([-2.772589, 0.810930, -0.575364], abs=1e-6)


def test_a_bucket_that_the_target_lacks_does_not_give_infinity():
    found = scored(Dsir(target="t", buckets=3), t=counted((1, 1, 0)))["score"].to_pylist()
    assert found[1] == pytest.approx(np.log(0.5 / 0.4) + np.log(1e-8) - np.log(0.2), rel=1e-6)


def test_pseudo_counts_are_over_the_whole_table():
    found = scored(Dsir(target="t", buckets=5, pseudo_count=1.0))["score"].to_pylist()
    assert found[0] == pytest.approx(2 * (np.log(2 / 15) - np.log(0.4)), rel=1e-6)


def test_short_rows_are_kept_unless_one_wishes_otherwise():
    """The published code drops what has less than 100 tokens without a word."""
    assert scored(Dsir(target="t", buckets=3))["status"].to_pylist() == ["ok"] * 4
    made = scored(Dsir(target="t", buckets=3, min_tokens=3))
    assert made["status"].to_pylist() == ["too_short", "too_short", "ok", "ok"]
    assert made["score"].to_pylist()[0] is None


def test_rows_without_text():
    pool = counted((2, 0, 0), (0, 0, 0), status=["ok", "no_text"])
    assert scored(Dsir(target="t", buckets=3), pool)["status"].to_pylist() == ["ok", "no_text"]


def test_several_targets_together_and_apart():
    targets = {"a": counted((1, 3, 6)), "b": counted((20, 0, 0))}
    whole = scored(Dsir(target=["a", "b"], buckets=3), **targets)
    both = {"t": counted((21, 3, 6))}
    assert whole["score"].equals(scored(Dsir(target="t", buckets=3), **both)["score"])
    assert whole["target"].to_pylist() == [None] * 4
    apart = scored(
        Dsir(target=["a", "b"], buckets=3, separate=True),
        optional=["by_target", "size_by_target"],
        **targets,
    ).to_pylist()
    assert [row["target"] for row in apart] == ["b", "a", "a", "a"]
    assert apart[0]["by_target"][0] == pytest.approx(-2.772589, abs=1e-6)
    assert apart[0]["score"] == apart[0]["by_target"][1]
    assert apart[0]["size_by_target"] == [10.0, 20.0]


def test_the_parts_of_the_pool_do_not_matter():
    scorer = Dsir(target="t", buckets=3)
    cut = scorer.fit_to_targets([POOL.slice(2), POOL.slice(0, 2)], {"t": TARGET})
    assert cut == scorer.fit_to_targets([POOL], {"t": TARGET})
    single = [scorer(POOL.slice(i, 1), cut) for i in range(4)]
    assert pa.concat_tables(single).combine_chunks() == scorer(POOL, cut).combine_chunks()
    assert len(scorer(POOL.slice(0, 0), cut)) == 0


def test_a_target_without_text():
    with pytest.raises(DataError, match=r"targets\.t has no n-grams in ngrams"):
        scored(Dsir(target="t", buckets=3), t=counted((0, 0, 0), status=["no_text"]))


def test_settings():
    with pytest.raises(ValueError, match="each once"):
        Dsir(target=["a", "a"])
    assert Dsir(target="t").misfit({"buckets": 5}) == "needs buckets: 10000, but it is 5"


def test_weights_are_those_of_the_published_package(tmp_path):
    from data_selection import HashedNgramDSIR

    rng = np.random.default_rng(0)
    words = ["sum", "of", "the", "two", "Don't", "3.5", "(x)", "naïve", "a", "why?"]
    texts = [" ".join(rng.choice(words, size=n)) for n in rng.integers(1, 150, size=60)]
    for name, own in (("raw", texts[20:]), ("target", texts[:20])):
        lines = [json.dumps({"text": text}) for text in own]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(lines) + "\n")
    paths = [[str(tmp_path / f"{name}.jsonl")] for name in ("raw", "target")]
    theirs = HashedNgramDSIR(*paths, cache_dir=str(tmp_path / "cache"), num_proc=1)
    theirs.fit_importance_estimator(num_tokens_to_fit="all")
    theirs.compute_importance_weights()
    expected = np.load(tmp_path / "cache" / "log_importance_weights" / "0.npy")
    schema, signal = pa.schema([ROWS.field("messages")]), Ngrams(text="instruction")
    made = []
    for own in (texts[20:], texts[:20]):
        rows = pa.Table.from_pylist([conversation(text, "") for text in own], schema=schema)
        table = signal(rows, signal.adds.names)
        made.append(table.rename_columns([f"ngrams.{name}" for name in table.column_names]))
    scorer = Dsir(target="t")
    fitted = scorer.fit_to_targets([made[0]], {"t": made[1]})
    assert np.allclose(scorer._weights(made[0], fitted)[:, 0], expected, rtol=1e-12, atol=1e-9)
    # of these the package would choose among those of 100 tokens alone
    assert min(made[0]["ngrams.tokens"].to_pylist()) < 100


def test_contract():
    targets = {"t": TARGET, "u": counted((4, 0, 1))}
    check_scorer(Dsir(target="t", buckets=3), POOL, targets)
    check_scorer(Dsir(target=["t", "u"], buckets=3, separate=True), POOL, targets)
