from typing import ClassVar, final

import pytest
from tamis.stages.filters.held_out import HeldOut, Touch


@final
class Alike(HeldOut):
    measure: ClassVar[str] = "likeness"

    def judge(self, rows, fitted=None):
        touches = [
            *(Touch(0, 0, 3, 0.5, {}), Touch(0, 1, 0, 0.9, {}), Touch(0, 1, 2, 0.9, {})),
            Touch(2, 0, 1, 0.4, {}),
        ]
        return self.judged(len(rows), touches, 0.5)


def test_the_best_item_is_named(pair_rows):
    found = Alike(target=("math", "code"))(pair_rows)
    assert found.to_pylist() == [
        {
            "reason": "contaminated: code item 0",  # of two that are alike the first
            "target": "code",
            "item": 0,
            "likeness": pytest.approx(0.9),
            "items": 3,
        },
        dict.fromkeys(found.column_names),
        {
            "reason": None,
            "target": "math",
            "item": 1,
            "likeness": pytest.approx(0.4),
            "items": 0,
        },
    ]


def test_in_words():
    said = Alike.words["contaminated"].format(detail="math item 3")
    assert said == "a test set holds too much of it: math item 3, counted from 0"


def test_targets():
    assert Alike(target="math").targets == ("math",)
    for wrong in ("", (), ("a", "a")):
        with pytest.raises(ValueError, match="each once"):
            Alike(target=wrong)
