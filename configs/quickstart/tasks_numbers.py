"""Tasks about numbers. Answers show their working, so that a small model can follow them."""

from random import Random

from example import Example, another, off_by_little, swapped
from lexicon import GOODS, GROUPS, NAMES, WORDS


def arithmetic(rng: Random) -> Example:
    """Returns a sum or a difference of two numbers of two digits."""
    a, b = rng.randint(31, 60), rng.randint(11, 30)
    sign = rng.choice("+-")
    if sign == "+" and rng.random() < 0.5:
        a, b = b, a
    tens, ones = b // 10 * 10, b % 10
    halfway, result = (a + tens, a + b) if sign == "+" else (a - tens, a - b)
    style = rng.choice(("brief", "sentence", "working"))
    prompt = rng.choice(
        {
            "brief": ("What is {}? Answer with the number only.", "{} = ?", "Result of {}:"),
            "sentence": ("Compute {}.", "Calculate {}.", "Write the full equation for {}."),
            "working": (
                "What is {}? Show your working.",
                "Work out {} step by step.",
                "Explain how to compute {}.",
            ),
        }[style]
    ).format(f"{a} {sign} {b}")

    def answer(value: int) -> str:
        if style == "brief":
            return str(value)
        if style == "sentence":
            return f"{a} {sign} {b} = {value}."
        return (
            f"Start with the tens: {a} {sign} {tens} = {halfway}. "
            f"Then the ones: {halfway} {sign} {ones} = {value}. The result is {value}."
        )

    return Example(prompt, "", answer(result), answer(off_by_little(rng, result)))


def multiplication(rng: Random) -> Example:
    """Returns the product of a digit and a number below 30, always with its working."""
    a, b = rng.randint(3, 9), rng.randint(11, 29)
    tens, ones = b // 10 * 10, b % 10
    prompt = rng.choice(
        (
            "Multiply {a} by {b} and show the steps.",
            "What is {a} x {b}? Split it into tens and ones.",
            "Find {a} times {b} step by step.",
            "How do I work out {a} x {b} in my head?",
        )
    ).format(a=a, b=b)

    def answer(value: int) -> str:
        return (
            f"{a} x {tens} = {a * tens} and {a} x {ones} = {a * ones}, "
            f"so {a} x {b} = {a * tens} + {a * ones} = {value}."
        )

    return Example(prompt, "", answer(a * b), answer(off_by_little(rng, a * b)))


def word_problem(rng: Random) -> Example:
    """Returns a short story with one sum, difference or product in it."""
    name, goods = rng.choice(NAMES), rng.choice(GOODS)
    kind = rng.choice(("gain", "loss", "packs"))
    b, a = sorted((rng.randint(2, 30), rng.randint(2, 30)))
    if kind == "packs":
        a, b = rng.randint(2, 9), rng.randint(2, 9)
    verb, past = rng.choice(
        {
            "gain": (("buys", "more"), ("finds", "more"), ("gets", "more")),
            "loss": (("loses", "of them"), ("sells", "of them"), ("gives away", "of them")),
            "packs": (("boxes", "box"), ("bags", "bag"), ("baskets", "basket")),
        }[kind]
    )
    asked = f"How many {goods} does {name} have {rng.choice(('now', 'in the end'))}?"
    if kind == "packs":
        story = f"{name} has {a} {verb} with {b} {goods} in each {past}. "
        asked = f"How many {goods} does {name} have in all?"
    else:
        story = f"{name} has {a} {goods} and {verb} {b} {past}. "
    sign, result = {"gain": ("+", a + b), "loss": ("-", a - b), "packs": ("x", a * b)}[kind]
    brief = rng.random() < 0.3
    if brief:
        asked += " Give just the number."

    def answer(value: int) -> str:
        if brief:
            return str(value)
        return f"{story}{a} {sign} {b} = {value}, so {name} has {value} {goods}."

    apart = rng.random() < 0.4
    instruction = rng.choice(("Solve the problem.", "Answer the question in the text."))
    texts = (instruction, story + asked) if apart else (story + asked, "")
    return Example(*texts, answer(result), answer(off_by_little(rng, result)))


def divisibility(rng: Random) -> Example:
    """Returns a yes-or-no question about divisibility, answered with the reason."""
    divisor, times = rng.randint(2, 9), rng.randint(2, 12)
    rest = 0 if rng.random() < 0.5 else rng.randint(1, divisor - 1)
    number = divisor * times + rest
    prompt = rng.choice(
        (
            "Is {n} divisible by {d}? Give a reason.",
            "Can {n} be divided by {d} without a rest? Say why.",
            "Is {n} a multiple of {d}? Explain.",
        )
    ).format(n=number, d=divisor)
    product = divisor * times
    working = f"{divisor} x {times} = {product}, and {number} - {product} = {rest}."

    def answer(left: int) -> str:
        verdict = f"No, {left} is left over." if left else "Yes, nothing is left over."
        return f"{working} {verdict}"

    wrong = answer(0) if rest else answer(rng.randint(1, divisor - 1))
    return Example(prompt, "", answer(rest), wrong)


def sequence(rng: Random) -> Example:
    """Returns a sequence with a constant step and asks how it goes on."""
    step, shown = rng.randint(2, 10), rng.randint(4, 5)
    start = rng.randint(1, 30)
    falls = rng.random() < 0.35
    terms = [start + step * i for i in range(shown + 1)]
    if falls:
        terms.reverse()
    text = ", ".join(map(str, terms[:-1]))
    brief = rng.random() < 0.3
    prompts = (
        ("Next number only: {}", "Continue with one number: {}")
        if brief
        else (
            "Which number comes next: {}? Explain the rule.",
            "Find the next number and say why: {}",
            "How does this sequence go on, and by which rule? {}",
        )
    )

    def answer(value: int) -> str:
        if brief:
            return str(value)
        word, sign = ("less", "-") if falls else ("more", "+")
        return (
            f"Every number is {step} {word} than the one before. "
            f"{terms[-2]} {sign} {step} = {value}, so the next number is {value}."
        )

    return Example(
        rng.choice(prompts).format(text),
        "",
        answer(terms[-1]),
        answer(off_by_little(rng, terms[-1])),
    )


UNITS = (
    ("hour", "minute", 60), ("minute", "second", 60), ("day", "hour", 24), ("week", "day", 7),
    ("year", "month", 12), ("metre", "centimetre", 100), ("kilometre", "metre", 1000),
    ("centimetre", "millimetre", 10), ("kilogram", "gram", 1000), ("litre", "millilitre", 1000),
    ("euro", "cent", 100), ("tonne", "kilogram", 1000),
)  # fmt: skip


def unit_conversion(rng: Random) -> Example:
    """Returns a conversion from a larger unit to a smaller one."""
    large, small, factor = rng.choice(UNITS)
    count = rng.randint(2, 12 if factor in (7, 12, 24, 60) else 40)
    brief = rng.random() < 0.3
    prompts = (
        ("{n} {a}s in {b}s, number only:", "Just the number: {n} {a}s = ? {b}s")
        if brief
        else (
            "How many {b}s are {n} {a}s?",
            "Convert {n} {a}s to {b}s.",
            "Change {n} {a}s into {b}s and show how.",
            "Express {n} {a}s in {b}s.",
        )
    )
    prompt = rng.choice(prompts).format(n=count, a=large, b=small)

    def answer(value: int) -> str:
        if brief:
            return str(value)
        return (
            f"One {large} is {factor} {small}s, "
            f"so {count} {large}s are {count} x {factor} = {value} {small}s."
        )

    result = count * factor
    slips = [result * 10, result + factor, result - factor]
    return Example(prompt, "", answer(result), answer(rng.choice(slips)))


def number_sorting(rng: Random) -> Example:
    """Returns a list of different numbers to be sorted."""
    numbers = rng.sample(range(1, 100), rng.randint(4, 7))
    falling = rng.random() < 0.4
    order = "from largest to smallest" if falling else "from smallest to largest"
    text = ", ".join(map(str, numbers))
    right = sorted(numbers, reverse=falling)
    wrong = ", ".join(map(str, swapped(rng, right)))
    prompt = rng.choice(("Sort these numbers {}", "Put the numbers in order {}", "Order {}"))
    prompt = prompt.format(order)
    if rng.random() < 0.5:
        return Example(f"{prompt}.", text, ", ".join(map(str, right)), wrong)
    return Example(f"{prompt}: {text}", "", ", ".join(map(str, right)), wrong)


def comparison(rng: Random) -> Example:
    """Returns two numbers below 1000 of which the larger or smaller is wanted, with a reason."""
    a, b = rng.sample(range(100, 1000), 2)
    if rng.random() < 0.5:
        b = a // 100 * 100 + (a + rng.randint(1, 99)) % 100
    word, pick = rng.choice((("larger", max), ("smaller", min)))
    prompt = rng.choice(
        (
            "Which number is {w}, {a} or {b}? Say why.",
            "Compare {a} and {b}: which one is {w}, and why?",
            "Tell me the {w} of {a} and {b} and give the reason.",
        )
    ).format(w=word, a=a, b=b)
    right = pick(a, b)
    other = a + b - right
    place, unit = next(
        (name, unit)
        for name, unit in (("hundreds", 100), ("tens", 10), ("ones", 1))
        if a // unit != b // unit
    )
    sign = {"larger": "more", "smaller": "fewer"}[word]

    def answer(one: int, two: int) -> str:
        digits = f"{one // unit % 10} against {two // unit % 10}"
        return f"{one} is {word} than {two}, because it has {sign} {place}: {digits}."

    return Example(prompt, "", answer(right, other), answer(other, right))


def counting(rng: Random) -> Example:
    """Returns a list of words in which one word or one group has to be counted."""
    if rng.random() < 0.5:
        target, *others = rng.sample(WORDS, 4)
        pool = [target, target, *others]
        listed = [target, *(rng.choice(pool) for _ in range(rng.randint(4, 8)))]
        members: tuple[str, ...] = (target,)
        thing = f'the word "{target}"'
        prompt = rng.choice(("How often does {} occur in this list?", "Count {} in the list."))
    else:
        thing, other = rng.sample(sorted(GROUPS), 2)
        listed = rng.sample(GROUPS[thing], rng.randint(1, 5))
        listed += rng.sample(GROUPS[other], rng.randint(1, 4))
        members = GROUPS[thing]
        prompt = rng.choice(
            ("How many {} are in this list? Name them.", "Count the {} listed here.")
        )
    rng.shuffle(listed)
    hits = [word for word in listed if word in members]
    found = ", ".join(f"{i} {word}" for i, word in enumerate(hits, 1))

    def answer(value: int) -> str:
        return f"Counted one by one: {found}. The answer is {value}."

    wrong = another(rng, [n for n in range(1, 8) if abs(n - len(hits)) < 3], len(hits))
    return Example(prompt.format(thing), ", ".join(listed), answer(len(hits)), answer(wrong))
