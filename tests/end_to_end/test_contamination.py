"""50 items of GSM8K's test set planted into real data: all are found, and what else is named."""

import pytest
from tamis.benchmarks.contamination import FORMS, in_other_form, measured, planted

pytestmark = pytest.mark.shared


def test_forms():
    assert in_other_form("Janet's ducks, 16 eggs.") == "JANET  S  DUCKS  16  EGGS !"
    items = [{"question": f"q {i}", "answer": f"a {i}"} for i in range(60)]
    rows, drawn, forms = planted(items, 0)
    assert len(rows) == len(set(drawn)) == 50
    assert rows[0] == items[drawn[0]] and forms[0] == "verbatim"
    assert rows[-1]["answer"] == items[drawn[-1]]["answer"] and forms[-1] == "answer"


@pytest.mark.parametrize("seed", [0, 1])
def test_all_planted_items_are_found(shared, tmp_path, capsys, seed):
    data = shared / "data"
    pool = [str(data / name) for name in ("alpaca-9k.json", "gsm8k-train.jsonl")]
    found = measured(pool, str(data / "gsm8k-test.jsonl"), tmp_path, seed=seed)
    with capsys.disabled():
        for name in ("held_out", "fuzzy"):
            print(f"\n{name}: {found[name]['planted']}")
            for other in found[name]["others"]:
                print(f"  also {other}")
    assert found["held_out"]["planted"] == {form: f"{n} of {n}" for form, n in FORMS.items()}
    others = [(one["source"], one["item"]) for one in found["held_out"]["others"]]
    assert others == [("pool-1", 602), ("pool-1", 602), ("pool-1", 632)]  # of gsm8k-train
