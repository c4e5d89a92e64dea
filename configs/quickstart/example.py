"""One instruction with its right answer and a wrong one, as every task generator returns it."""

from collections.abc import Callable, Sequence
from random import Random
from typing import NamedTuple, TypeVar

T = TypeVar("T")


class Question(NamedTuple):
    """What is asked; `input` is "" for none."""

    instruction: str
    input: str

    @property
    def prompt(self) -> str:
        """The text that the answer directly follows."""
        return "".join(f"{part}\n" for part in self if part)


class Example(NamedTuple):
    """An instruction, its input ("" for none), its answer and a plausible but wrong answer."""

    instruction: str
    input: str
    output: str
    wrong: str

    @property
    def question(self) -> Question:
        """The instruction and the input, by which rows are told apart."""
        return Question(self.instruction, self.input)


Task = Callable[[Random], Example]


def off_by_little(rng: Random, value: int) -> int:
    """Returns a number of at least 0 that lies near the value but is not the value."""
    steps = [step for step in (-10, -2, -1, 1, 2, 10) if value + step >= 0]
    return value + rng.choice(steps)


def another(rng: Random, options: Sequence[T], value: T) -> T:
    """Returns one of the options that is not the value."""
    return rng.choice([option for option in options if option != value])


def swapped(rng: Random, items: Sequence[T]) -> list[T]:
    """Returns the items with two different neighbours exchanged."""
    spot = rng.choice([i for i in range(len(items) - 1) if items[i] != items[i + 1]])
    return [*items[:spot], items[spot + 1], items[spot], *items[spot + 2 :]]
