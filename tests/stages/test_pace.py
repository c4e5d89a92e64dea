import asyncio
import time

import pytest
from tamis.stages.pace import Pace, Purse, about


def seconds_of(pace, tokens):
    async def work():
        began = time.monotonic()
        await asyncio.gather(*(pace.turn(n) for n in tokens))
        return time.monotonic() - began

    return asyncio.run(work())


def test_as_fast_as_it_goes():
    assert seconds_of(Pace(), [1] * 100) < 0.2


def test_requests_and_tokens_per_minute():
    assert 0.09 < seconds_of(Pace(requests=1200), [1] * 3) < 0.5  # 0.05 s between them
    assert 0.19 < seconds_of(Pace(tokens=6000), [10, 10, 500]) < 0.7  # 0.1 s after each ten


def test_a_hold_holds_all():
    pace = Pace()
    pace.hold(0.1)
    assert 0.09 < seconds_of(pace, [1, 1]) < 0.5


def test_purse():
    purse = Purse(2.0, 10.0, most=0.05, spent=0.01)
    assert purse.cost(1000, 500) == pytest.approx(0.007)
    assert purse.reserve(0.03)
    assert not purse.reserve(0.02)  # there may be .06 then
    purse.settle(0.03, 0.001)
    assert purse.spent == pytest.approx(0.011)
    assert purse.reserve(0.02)
    assert Purse().reserve(1e9)


def test_tokens_about():
    assert [about(text) for text in ("", "a", "abcd", "abcde", "\u57ce\u5e02")] == [0, 1, 1, 2, 2]
