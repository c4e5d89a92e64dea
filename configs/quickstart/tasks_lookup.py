"""Tasks of which the answer stands in the input: tables, passages and profiles."""

from collections.abc import Sequence
from random import Random
from typing import NamedTuple

from example import Example, another
from lexicon import CITIES, COLOURS, HOBBIES, JOBS, NAMES, PETS, SEASONS, WOMEN, article


class Person(NamedTuple):
    """What a profile, a table row or a passage says about one person."""

    name: str
    city: str
    job: str
    hobby: str
    pet: str
    age: str


def person(rng: Random, name: str) -> Person:
    """Returns a person of that name with everything else drawn."""
    pet = f"{rng.choice(COLOURS)} {rng.choice(PETS)}"
    places = rng.choice(CITIES), rng.choice(JOBS), rng.choice(HOBBIES)
    return Person(name, *places, pet, str(rng.randint(18, 79)))


STATEMENTS = {
    "city": "{name} lives in {city}.",
    "job": "{name} works as {a_job}.",
    "hobby": "In the free time {name} likes {hobby}.",
    "pet": "{name} has {a_pet}.",
    "age": "{name} is {age} years old.",
}
QUESTIONS = {
    "city": ("Where does {name} live?", "In which city is {name} at home?"),
    "job": ("What does {name} do for a living?", "What is the job of {name}?"),
    "hobby": ("What does {name} like to do?", "Which hobby does {name} have?"),
    "pet": ("Which pet does {name} have?", "What animal does {name} keep?"),
    "age": ("How old is {name}?", "What is the age of {name}?"),
}


def stated(field: str, one: Person) -> str:
    """Returns the sentence that states the field of the person."""
    slots = {**one._asdict(), "a_job": article(one.job), "a_pet": article(one.pet)}
    return STATEMENTS[field].format(**slots)


def mixed_up(rng: Random, one: Person, field: str, others: Sequence[Person] = ()) -> Person:
    """Returns the person with the field taken from one of the others, or drawn if all agree."""
    values = sorted({getattr(other, field) for other in others} - {getattr(one, field)})
    while not values:
        values = sorted({getattr(person(rng, one.name), field)} - {getattr(one, field)})
    return one._replace(**{field: rng.choice(values)})


def table_lookup(rng: Random) -> Example:
    """Returns a small table and a question about one of its cells."""
    people = [person(rng, name) for name in rng.sample(NAMES, rng.randint(2, 4))]
    fields = ["name", *rng.sample(("city", "job", "hobby", "age"), rng.randint(2, 3))]
    lines = [" | ".join(fields)]
    lines += [" | ".join(getattr(one, field) for field in fields) for one in people]
    row = rng.choice(people)
    field = rng.choice(fields[1:])
    wrong = mixed_up(rng, row, field, people)
    if rng.random() < 0.4:
        form = rng.choice(
            ("Look up in the table: {f} of {n}", "From the table, only the {f} of {n}:")
        )
        prompt = form.format(f=field, n=row.name)
        return Example(prompt, "\n".join(lines), getattr(row, field), getattr(wrong, field))
    prompt = f"{rng.choice(QUESTIONS[field])} Answer in a sentence.".format(name=row.name)
    return Example(prompt, "\n".join(lines), stated(field, row), stated(field, wrong))


def passage_lookup(rng: Random) -> Example:
    """Returns a passage about two people and a question that one of its sentences answers."""
    people = [person(rng, name) for name in rng.sample(NAMES, 2)]
    known = [rng.sample(sorted(STATEMENTS), rng.randint(2, 3)) for _ in people]
    told = [
        stated(field, one) for one, fields in zip(people, known, strict=True) for field in fields
    ]
    rng.shuffle(told)
    which = rng.randrange(2)
    field = rng.choice(known[which])
    row = people[which]
    wrong = mixed_up(rng, row, field, people)
    question = rng.choice(QUESTIONS[field]).format(name=row.name)
    text = " ".join(told)
    if rng.random() < 0.35:
        return Example(
            f"{question} Only a few words.", text, getattr(row, field), getattr(wrong, field)
        )
    prompt = rng.choice(("{}", "Read the text. {}", "{} Use the text below.")).format(question)
    return Example(prompt, text, stated(field, row), stated(field, wrong))


def profile(rng: Random) -> Example:
    """Returns the fields of one or two people to be written out as a short text."""
    people = [person(rng, name) for name in rng.sample(NAMES, rng.choice((1, 1, 2)))]
    fields = rng.sample(sorted(STATEMENTS), rng.randint(3, 5))
    blocks = [["name", *fields]] + [
        [one.name, *(getattr(one, f) for f in fields)] for one in people
    ]
    lines = [f"{cells[0]}: {' / '.join(cells[1:])}" for cells in zip(*blocks, strict=True)]
    prompt = rng.choice(
        (
            "Write a short text about the profile.",
            "Introduce everyone here in full sentences.",
            "Turn the profile into sentences.",
        )
    )
    wrong = [mixed_up(rng, people[0], rng.choice(fields), people[1:]), *people[1:]]

    def answer(group: list[Person]) -> str:
        return " ".join(stated(field, one) for one in group for field in fields)

    return Example(prompt, "\n".join(lines), answer(people), answer(wrong))


def extraction(rng: Random) -> Example:
    """Returns a text about one person of which some fields are to be listed."""
    one = person(rng, rng.choice(NAMES))
    fields = rng.sample(sorted(STATEMENTS), rng.randint(3, 4))
    wanted = rng.sample(fields, 2)
    prompt = rng.choice(("List the {} and the {}.", "Extract the {} and the {} from the text."))
    text = " ".join(stated(field, one) for field in fields)

    def answer(who: Person) -> str:
        return "\n".join(f"{field}: {getattr(who, field)}" for field in wanted)

    wrong = mixed_up(rng, one, wanted[0])
    return Example(prompt.format(*wanted), text, answer(one), answer(wrong))


def summary(rng: Random) -> Example:
    """Returns a passage about a move from one city to another, to be told in one sentence."""
    name, job = rng.choice(NAMES), rng.choice(JOBS)
    start, end = rng.sample(CITIES, 2)
    season, year = rng.choice(SEASONS), rng.randint(1990, 2029)
    pronoun = "She" if name in WOMEN else "He"
    sentences = [
        f"For many years {name} lived in {start}.",
        f"{pronoun} worked there as {article(job)}.",
        rng.choice(
            (
                f"In the {season} of {year} a friend wrote from {end}.",
                f"In the {season} of {year} a job was offered in {end}.",
                f"In the {season} of {year} a flat was found in {end}.",
            )
        ),
        rng.choice(
            (f"So {name} packed a bag and went there.", f"A week later {name} took the train.")
        ),
    ]
    prompt = rng.choice(
        (
            "Summarise the text in one sentence.",
            "What is this text about? One sentence.",
            "Give the main point of the text.",
        )
    )
    form = f"In {{y}} {name}, {article(job)}, moved from {{a}} to {{b}}."
    right = form.format(y=year, a=start, b=end)
    slip = another(rng, CITIES, end)
    wrong = rng.choice((form.format(y=year, a=end, b=start), form.format(y=year, a=start, b=slip)))
    return Example(prompt, " ".join(sentences), right, wrong)
