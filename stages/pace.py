"""How fast and for how much a server is asked: limits per minute, pauses, and a cap on the cost."""

import asyncio
import time
from dataclasses import dataclass

BYTES = 4  # of a token, about; used until the server says how many there were


@dataclass
class Pace:
    """When the next request may go out; shared by all that are at work at once.

    Attributes:
        requests: per minute at most; None: as many as it takes.
        tokens: likewise, of prompts and of the longest replies.
    """

    requests: float | None = None
    tokens: float | None = None
    _free: float = 0.0
    _held: float = 0.0

    async def turn(self, tokens: int) -> None:
        """Wait until a request of so many tokens may go out; in the order of asking."""
        steps = [0.0]
        steps += [60.0 / self.requests] if self.requests else []
        steps += [60.0 * tokens / self.tokens] if self.tokens else []
        at = max(time.monotonic(), self._free)
        self._free = at + max(steps)
        await _until(at)
        while self._held > time.monotonic():  # may be made longer while one waits
            await _until(self._held)

    def hold(self, seconds: float) -> None:
        """Let nobody go out for a while: the server has asked for it."""
        self._held = max(self._held, time.monotonic() + seconds)


async def _until(moment: float) -> None:
    await asyncio.sleep(max(moment - time.monotonic(), 0.0))


@dataclass
class Purse:
    """What was spent, and whether there is room for another request.

    Attributes:
        price_in, price_out: per million tokens of prompts and of replies.
        most: that may be spent; None: whatever it takes.
        spent: so far, in all starts.
    """

    price_in: float = 0.0
    price_out: float = 0.0
    most: float | None = None
    spent: float = 0.0
    _reserved: float = 0.0

    def cost(self, tokens_in: int, tokens_out: int) -> float:
        """Return what so many tokens cost."""
        return (tokens_in * self.price_in + tokens_out * self.price_out) / 1e6

    def reserve(self, cost: float) -> bool:
        """Return whether there is room for a request that may cost so much; then it is reserved."""
        if self.most is not None and self.spent + self._reserved + cost > self.most:
            return False
        self._reserved += cost
        return True

    def settle(self, reserved: float, cost: float = 0.0) -> None:
        """Put what a request has cost in the place of what was reserved for it."""
        self._reserved -= reserved
        self.spent += cost


def about(text: str) -> int:
    """Return about how many tokens a text has; by its bytes, as few scripts have four letters each.

    Args:
        text: of a prompt or a reply.
    """
    return -(-len(text.encode("utf-8", "replace")) // BYTES)
