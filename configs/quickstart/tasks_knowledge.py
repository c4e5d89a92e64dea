"""Tasks that the embedded fact base answers: terms, claims and capitals."""

from random import Random

from example import Example, another, swapped
from facts import CAPITALS, FACTS, Fact
from lexicon import listing


def lower_first(text: str) -> str:
    """Returns the text with its first letter in lower case."""
    return text[0].lower() + text[1:]


DEFINE = ("What is {}?", "Define the term: {}", "Say in one sentence what {} is.")
DETAIL = ("Tell me one fact about {}.", "Give one detail about {}.", "What is worth knowing of {}?")
EXPLAIN = (
    "Explain {} in two sentences.",
    "Describe {} to a child.",
    "Write two sentences about {}.",
    "I would like to know more about {}.",
)


def definition(rng: Random) -> Example:
    """Returns a question about a term of the fact base, answered in one or two sentences."""
    term, meaning, detail = rng.choice(FACTS)
    other = another(rng, FACTS, Fact(term, meaning, detail))
    prompts, form = rng.choice(
        ((DEFINE, "{t} is {m}."), (DETAIL, "{d}"), (EXPLAIN, "{t} is {m}. {d}"))
    )
    prompt = rng.choice(prompts).format(lower_first(term))
    prompt = rng.choice(("{}", "{}", "Please answer briefly. {}", "For a school book: {}")).format(
        prompt
    )
    right = form.format(t=term, m=meaning, d=detail)
    return Example(prompt, "", right, form.format(t=term, m=other.meaning, d=other.detail))


def claim_check(rng: Random) -> Example:
    """Returns a statement from the fact base, right or mixed up, to be checked."""
    fact, other = rng.sample(FACTS, 2)
    holds = rng.random() < 0.5
    claim = f"{fact.term} is {fact.meaning if holds else other.meaning}."
    prompt = rng.choice(
        ("True or false? Explain.", "Is this statement right? Give a reason.", "Check the claim.")
    )

    def answer(true: bool) -> str:
        if true:
            return f"True. {fact.term} is {fact.meaning if holds else other.meaning}."
        actual = fact.meaning if not holds else other.meaning
        return f"False. {fact.term} is {actual}. The claim describes {lower_first(other.term)}."

    return Example(prompt, claim, answer(holds), answer(not holds))


def capitals(rng: Random) -> Example:
    """Returns one to three countries of which the capitals are wanted."""
    countries = rng.sample(sorted(CAPITALS), rng.randint(2, 3))
    towns = [CAPITALS[country] for country in countries]
    sentence = rng.random() < 0.5
    prompts = (
        ("What are the capitals of {}? Write a sentence.", "Tell me the capitals of {}.")
        if sentence
        else ("List the capitals: {}", "Capitals of {}, as a list:")
    )

    def answer(cities: list[str]) -> str:
        pairs = list(zip(countries, cities, strict=True))
        if sentence:
            return listing([f"{city} is the capital of {land}" for land, city in pairs]) + "."
        return "\n".join(f"{land}: {city}" for land, city in pairs)

    spot = rng.randrange(len(towns))
    slip = another(rng, sorted(set(CAPITALS.values()) - set(towns)), towns[spot])
    wrong = rng.choice((swapped(rng, towns), [*towns[:spot], slip, *towns[spot + 1 :]]))
    return Example(rng.choice(prompts).format(listing(countries)), "", answer(towns), answer(wrong))
