"""Tasks about the form of text: order, edits, data formats, dates and small programs."""

import json
from random import Random

from example import Example, another, off_by_little, swapped
from lexicon import CITIES, COLOURS, JOBS, MONTHS, NAMES, WEEKDAYS, WORDS


def word_sorting(rng: Random) -> Example:
    """Returns a list of words to be put in the order of the alphabet."""
    words = rng.sample(WORDS, rng.randint(3, 5))
    back = rng.random() < 0.25
    right = sorted(words, reverse=back)
    prompt = (
        rng.choice(("Sort these words backwards, from Z to A.", "List the words from Z to A."))
        if back
        else rng.choice(
            (
                "Sort these words in alphabetical order.",
                "Put the words in the order of the alphabet.",
                "List the words from A to Z.",
            )
        )
    )
    return Example(prompt, ", ".join(words), ", ".join(right), ", ".join(swapped(rng, right)))


def string_edit(rng: Random) -> Example:
    """Returns a word of which the letters are to be changed in a simple way."""
    word = rng.choice(WORDS + JOBS + COLOURS)
    other = another(rng, [each for each in WORDS if abs(len(each) - len(word)) < 2], word)
    kind = rng.choice(("spell", "reverse", "upper", "double"))
    prompt = rng.choice(
        {
            "spell": ('Spell the word "{}".', 'Write "{}" letter by letter.'),
            "reverse": ('Write the word "{}" backwards.', 'Reverse the letters of "{}".'),
            "upper": ('Write "{}" in capital letters.', 'Put "{}" in upper case.'),
            "double": (
                'Write "{}" twice with a dash in between.',
                'Join "{}" to itself by a dash.',
            ),
        }[kind]
    ).format(word)

    def answer(text: str) -> str:
        letters = "-".join(text)
        return {
            "spell": letters,
            "reverse": f"The letters are {letters}. Backwards: {letters[::-1]}.",
            "upper": f"The letters are {letters}. In capitals: {letters.upper()}.",
            "double": f"{text}-{text}",
        }[kind]

    slips = {"spell": other, "double": other}
    if kind in slips:
        return Example(prompt, "", answer(word), answer(slips[kind]))
    head, tail = answer(word).rstrip(".").rsplit(": ", 1)
    return Example(prompt, "", answer(word), f"{head}: {'-'.join(swapped(rng, tail.split('-')))}.")


def list_edit(rng: Random) -> Example:
    """Returns a list of words and a change to be made to it."""
    words = rng.sample(WORDS, rng.randint(4, 6))
    spot = rng.randint(0, len(words) - 1)
    extra = another(rng, WORDS, words[spot])
    changes = (
        ("Remove the first item from the list.", words[1:]),
        ("Remove the last item from the list.", words[:-1]),
        ("Reverse the order of the list.", words[::-1]),
        (f'Remove "{words[spot]}" from the list.', words[:spot] + words[spot + 1 :]),
        (f'Add "{extra}" to the end of the list.', [*words, extra]),
        (f'Replace "{words[spot]}" by "{extra}".', [*words[:spot], extra, *words[spot + 1 :]]),
        ("Swap the first and the last item.", [words[-1], *words[1:-1], words[0]]),
        ("Return only the first two items.", words[:2]),
    )
    prompt, right = rng.choice(changes)
    wrong = rng.choice((swapped(rng, right), words))
    return Example(prompt, ", ".join(words), ", ".join(right), ", ".join(wrong))


def json_format(rng: Random) -> Example:
    """Returns fields of a person to be written as JSON, or a list as a JSON array."""
    if rng.random() < 0.3:
        words = rng.sample(WORDS, rng.randint(3, 6))
        prompt = rng.choice(
            ("Turn this list into a JSON array.", "Write the words as a JSON list.")
        )
        texts = json.dumps(words), json.dumps(swapped(rng, words))
        return Example(prompt, ", ".join(words), *texts)
    person: dict[str, str | int] = {
        "name": rng.choice(NAMES),
        "age": rng.randint(18, 79),
        "city": rng.choice(CITIES),
        "job": rng.choice(JOBS),
    }
    for key in rng.sample(("age", "city", "job"), rng.randint(0, 2)):
        del person[key]
    prompt = rng.choice(
        ("Turn these fields into JSON.", "Write the data as a JSON object.", "Format this as JSON.")
    )
    lines = "\n".join(f"{key}: {value}" for key, value in person.items())
    wrong = person | {"name": another(rng, NAMES, str(person["name"]))}
    return Example(prompt, lines, json.dumps(person), json.dumps(wrong))


def csv_format(rng: Random) -> Example:
    """Returns sentences about people to be written as CSV with a header, or as a bullet list."""
    names = rng.sample(NAMES, rng.randint(2, 4))
    people = [(name, rng.randint(18, 79), rng.choice(CITIES)) for name in names]
    text = " ".join(f"{name} is {age} and lives in {city}." for name, age, city in people)
    bullets = rng.random() < 0.4
    prompt = rng.choice(
        ("Write the names and ages as a bullet list.", "Make a list with one dash per person.")
        if bullets
        else ("Write the data as CSV.", "Turn the text into CSV with a header line.")
    )

    def answer(rows: list[tuple[str, int, str]]) -> str:
        if bullets:
            return "\n".join(f"- {name}, {age}" for name, age, _ in rows)
        return "\n".join(["name,age,city", *(f"{name},{age},{city}" for name, age, city in rows)])

    spot = rng.randrange(len(people))
    name, age, city = people[spot]
    wrong = [*people[:spot], (name, off_by_little(rng, age), city), *people[spot + 1 :]]
    return Example(prompt, text, answer(people), answer(wrong))


def code_reading(rng: Random) -> Example:
    """Returns a few lines of Python and asks what they print."""
    a, b, c = rng.randint(2, 20), rng.randint(2, 9), rng.randint(2, 5)
    words = rng.sample(WORDS, 4)
    limit = another(rng, range(2, 21), a)
    size = "large" if a > limit else "small"
    quoted = ", ".join(f'"{word}"' for word in words)
    spot = rng.randrange(4)
    numbers = [a, b, c]
    code, reason, right, wrong = rng.choice(
        (
            (f"x = {a}\ny = x + {b}\nprint(y)", f"y is {a} + {b} = {a + b}",
             str(a + b), str(off_by_little(rng, a + b))),
            (f"x = {b}\nx = x * {c}\nprint(x + 1)", f"x is {b} * {c} = {b * c}, and 1 is added",
             str(b * c + 1), str(off_by_little(rng, b * c + 1))),
            (f"total = 0\nfor n in {numbers}:\n    total += n\nprint(total)",
             f"{a} + {b} = {a + b}, and {a + b} + {c} = {a + b + c}",
             str(a + b + c), str(off_by_little(rng, a + b + c))),
            (f"words = [{quoted}]\nprint(words[{spot}])",
             f"index {spot} is item number {spot + 1}", words[spot],
             another(rng, words, words[spot])),
            (f'x = {a}\nif x > {limit}:\n    print("large")\nelse:\n    print("small")',
             f"{a} is {'' if a > limit else 'not '}greater than {limit}", size,
             "small" if size == "large" else "large"),
            (f'for i in range({c}):\n    print("{words[0]}")', f"the loop runs {c} times",
             " ".join([words[0]] * c), " ".join([words[0]] * (c + rng.choice((-1, 1))))),
        )
    )  # fmt: skip
    if rng.random() < 0.3:
        prompt = rng.choice(
            ("Give only the output of this program.", "Output of the code, no text:")
        )
        return Example(prompt, code, right, wrong)
    prompt = rng.choice(
        (
            "What does this program print?",
            "Read the code and explain its output.",
            "Trace the code.",
        )
    )
    form = f"Here {reason}. The program prints {{}}."
    return Example(prompt, code, form.format(right), form.format(wrong))


def weekday(rng: Random) -> Example:
    """Returns a question about the day some days after or before a given one."""
    day, count = rng.randrange(7), rng.randint(2, 6)
    word, step = rng.choice((("after", 1), ("before", -1)))
    passed = [WEEKDAYS[(day + step * i) % 7] for i in range(1, count + 1)]
    thing = rng.choice(
        ("the party", "the exam", "the match", "the visit", "the meeting", "the trip")
    )
    start = WEEKDAYS[day]
    prompt = rng.choice(
        (
            "Which day of the week is {n} days {w} {d}?",
            "Today is {d}. {t} is {n} days {w} today. On which day is it?",
            "{t} is {n} days {w} {d}. Name the day.",
        )
    ).format(n=count, w=word, d=start, t=thing.capitalize())
    form = f"Counting from {start}: {', '.join(passed)}. So it is {{}}."
    wrong = another(rng, WEEKDAYS, passed[-1])
    return Example(prompt, "", form.format(passed[-1]), form.format(wrong))


def date_format(rng: Random) -> Example:
    """Returns a date to be written in another way."""
    year, month, day = rng.randint(1990, 2029), rng.randint(1, 12), rng.randint(1, 28)
    other = another(rng, range(1, 13), month)
    forms = {
        "ISO form (year-month-day)": "{y}-{m:02}-{d:02}",
        "words": "{d} {n} {y}",
        "the American way": "{n} {d}, {y}",
        "dots (day.month.year)": "{d:02}.{m:02}.{y}",
    }
    source, target = rng.sample(sorted(forms), 2)
    prompt = rng.choice(("Write this date in {}.", "Rewrite the date in {}.", "Change to {}."))

    def written(form: str, number: int) -> str:
        return forms[form].format(y=year, m=number, d=day, n=MONTHS[number - 1])

    prompt = prompt.format(target).replace("in the American", "the American")
    texts = written(source, month), written(target, month), written(target, other)
    return Example(prompt, *texts)


def clock(rng: Random) -> Example:
    """Returns a start and a length in minutes and asks for the end."""
    hour, minute, length = rng.randint(6, 21), 5 * rng.randint(0, 11), 5 * rng.randint(2, 11)
    thing = rng.choice(("film", "lesson", "train ride", "meeting", "match", "concert", "walk"))
    prompt = rng.choice(
        (
            "A {t} starts at {s} and takes {n} minutes. When does it end?",
            "The {t} begins at {s} and is {n} minutes long. At what time is it over?",
        )
    ).format(t=thing, s=f"{hour}:{minute:02}", n=length)
    total = minute + length
    late = total >= 60
    carry = f", which is 1 hour and {total - 60} minutes" if late else ""
    end = (hour + late, total % 60)

    def answer(hours: int, minutes: int) -> str:
        return (
            f"{minute} + {length} = {total} minutes after {hour} o'clock{carry}. "
            f"The {thing} ends at {hours}:{minutes:02}."
        )

    wrong = rng.choice(((end[0] + 1, end[1]), (end[0], (end[1] + 5) % 60)))
    return Example(prompt, "", answer(*end), answer(*wrong))
