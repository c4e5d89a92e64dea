"""Tasks with a longer answer: letters and stories with given names and things."""

from random import Random

from example import Example, another
from lexicon import CITIES, GOODS, NAMES, PETS, WEEKDAYS, article


def letter(rng: Random) -> Example:
    """Returns the order to write a short letter with given names, thing and day."""
    to, sender = rng.sample(NAMES, 2)
    goods, day = rng.choice(GOODS), rng.choice(WEEKDAYS)
    order, body = rng.choice(
        (
            ("thanks {to} for the {g}", "thank you very much for the {g}. They arrived on {d}, and "
             "I was so glad to see them. I hope that we can meet again soon."),
            ("invites {to} to a party", "I am giving a small party on {d}, and I would be happy if "
             "you could come. There will be music and a cake. You could bring some {g}."),
            ("says sorry to {to} for the lost {g}", "I am sorry that I lost your {g}. I will buy "
             "new ones and bring them to you on {d}. Please do not be angry with me."),
            ("asks {to} for some {g}", "could you lend me some {g}? I need them for school, and I "
             "will give them back on {d}. That would help me a lot."),
        )
    )  # fmt: skip
    prompt = rng.choice(("Write a short letter that {}.", "Write a note that {}.")).format(order)
    prompt += rng.choice(
        (" Mention {g} and {d}. Sign as {s}.", " It mentions {d} and {g}, from {s}.")
    )
    form = f"Dear {{to}},\n{body}\nBest wishes,\n{{s}}"
    slots = {"to": to, "s": sender, "g": goods, "d": day}
    slip = {"g": another(rng, GOODS, goods), "d": another(rng, WEEKDAYS, day)}
    return Example(
        prompt.format(**slots), "", form.format(**slots), form.format(**{**slots, **slip})
    )


STORIES = {
    "a lost pet": (
        "One {d} {n} came home and saw that the door was open. The {p} was gone. {n} asked the "
        "neighbours and looked in every street of {c}. In the evening there was a sound behind the "
        "shed. There sat the {p}, wet and hungry. {n} carried it home and gave it something to eat."
    ),
    "a gift": (
        "On {d} {n} found a box in front of the door. It had small holes in it, and a thing moved "
        "inside. It was {ap}! A friend from {c} had sent it. {n} laughed, wrote a letter of thanks "
        "and built a bed of straw. From then on the {p} slept there every night."
    ),
    "a journey": (
        "{n} had always wanted to see {c}. On {d} the bags were packed, and the {p} had to come "
        "along. The train was full, and the {p} slept on a coat. When they arrived, the sun was "
        "shining on the roofs. {n} bought some bread, gave half of it to the {p} and was happy."
    ),
}


def story(rng: Random) -> Example:
    """Returns the order to tell a story of five or six sentences with given people and things."""
    theme = rng.choice(sorted(STORIES))
    name, city, day = rng.choice(NAMES), rng.choice(CITIES), rng.choice(WEEKDAYS)
    pet = rng.choice(PETS)
    slots = {"n": name, "c": city, "d": day, "p": pet, "ap": article(pet), "t": theme}
    prompt = rng.choice(
        (
            "Write a short story about {t}. It should be about {n} and {ap}, in {c}, on {d}.",
            "Tell a story of {t} with {n}, {ap}, {c} and {d} in it.",
            "Make up a story. Theme: {t}. Name: {n}. Animal: {p}. City: {c}. Day: {d}.",
        )
    ).format(**slots)
    slip = {"c": another(rng, CITIES, city), "n": another(rng, NAMES, name)}
    right, wrong = STORIES[theme].format(**slots), STORIES[theme].format(**{**slots, **slip})
    return Example(prompt, "", right, wrong)
