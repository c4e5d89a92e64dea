"""Tasks about words and sentences: rewriting, classifying and concluding."""

from random import Random

from example import Example, another
from lexicon import (
    BLAME,
    GROUPS,
    NAMES,
    NONCE,
    PEOPLE,
    PLURAL_VERBS,
    PRAISE,
    REVIEWED,
    SCALES,
    THINGS,
    TIMES,
    VERBS,
    article,
    listing,
)


def passive(rng: Random) -> Example:
    """Returns a sentence in the past tense to be turned into the passive, or back."""
    (agent, _), (thing, _), time = rng.choice(PEOPLE), rng.choice(THINGS), rng.choice(TIMES)
    _, past, participle = rng.choice(VERBS)
    active = f"The {agent} {past} the {thing} {time}."
    turned = f"The {thing} was {participle} by the {agent} {time}."
    if rng.random() < 0.3:
        prompt = rng.choice(("Rewrite in the active voice.", "Say this in the active voice."))
        return Example(prompt, turned, active, f"The {thing} {past} the {agent} {time}.")
    prompt = rng.choice(
        ("Rewrite in the passive voice.", "Turn the sentence into the passive.", "Make it passive.")
    )
    return Example(prompt, active, turned, f"The {agent} was {participle} by the {thing} {time}.")


def tense(rng: Random) -> Example:
    """Returns a sentence in the present tense to be put into the past or the future."""
    (agent, _), (thing, _), time = rng.choice(PEOPLE), rng.choice(THINGS), rng.choice(TIMES)
    spot = rng.randrange(len(VERBS))
    third, past, _ = VERBS[spot]
    other = another(rng, range(len(VERBS)), spot)
    forms = {
        "past": (past, VERBS[other][1]),
        "future": (f"will {PLURAL_VERBS[spot]}", f"will {PLURAL_VERBS[other]}"),
    }
    target = rng.choice(sorted(forms))
    prompt = rng.choice(
        ("Rewrite in the {} tense.", "Put the sentence into the {} tense.", "Change to the {}.")
    )
    right, slip = (f"The {agent} {verb} the {thing} {time}." for verb in forms[target])
    return Example(prompt.format(target), f"The {agent} {third} the {thing} {time}.", right, slip)


def plural(rng: Random) -> Example:
    """Returns a sentence of which the nouns and the verb are to be put into the plural."""
    (agent, agents), (thing, things) = rng.choice(PEOPLE), rng.choice(THINGS)
    time, spot = rng.choice(TIMES), rng.randrange(len(VERBS))
    third, verb = VERBS[spot][0], PLURAL_VERBS[spot]
    prompt = rng.choice(
        ("Put the sentence into the plural.", "Rewrite with plural nouns.", "Make it plural.")
    )
    wrong = rng.choice((f"{agents} {third} the {things}", f"{agents} {verb} the {thing}"))
    return Example(
        prompt,
        f"The {agent} {third} the {thing} {time}.",
        f"The {agents} {verb} the {things} {time}.",
        f"The {wrong} {time}.",
    )


def sentiment(rng: Random) -> Example:
    """Returns a short review to be called positive or negative, with the word that shows it."""
    good = rng.random() < 0.5
    word, thing = rng.choice(PRAISE if good else BLAME), rng.choice(REVIEWED)
    time, name = rng.choice(TIMES), rng.choice(NAMES)
    text = rng.choice(
        (
            "The {t} was {w}.",
            "We went there {m}, and the {t} was {w}.",
            "{n} found the {t} {w}.",
            "I must say that the {t} {m} was {w}.",
            "What {a} {t}, said {n}.",
        )
    ).format(t=thing, w=word, m=time, n=name, a=article(word))
    reason = rng.random() < 0.6
    prompts = (
        ("Is this review positive or negative? Explain.", "Name the sentiment and give a reason.")
        if reason
        else ("Positive or negative? One word.", "Classify the sentiment in one word.")
    )

    def answer(positive: bool) -> str:
        label = "Positive" if positive else "Negative"
        verb = "praises" if positive else "criticises"
        return f'{label}, because the word "{word}" {verb} the {thing}.' if reason else label

    return Example(rng.choice(prompts), text, answer(good), answer(not good))


def odd_one_out(rng: Random) -> Example:
    """Returns words of one group and one of another group that does not belong."""
    group, other = rng.sample(sorted(GROUPS), 2)
    members = rng.sample(GROUPS[group], rng.randint(3, 4))
    odd = rng.choice(GROUPS[other])
    listed = [*members, odd]
    rng.shuffle(listed)
    prompt = rng.choice(
        (
            "Which word does not belong: {}? Explain.",
            "Find the odd one out and say why: {}",
            "One of these words does not fit. Which one, and why? {}",
        )
    ).format(", ".join(listed))

    def answer(word: str) -> str:
        rest = [each for each in listed if each != word]
        return f'The word "{word}" does not belong, because {listing(rest)} are {group}.'

    return Example(prompt, "", answer(odd), answer(rng.choice(members)))


def grouping(rng: Random) -> Example:
    """Returns mixed words to be sorted into two groups."""
    kinds = sorted(rng.sample(sorted(GROUPS), 2))
    listed = [word for kind in kinds for word in rng.sample(GROUPS[kind], rng.randint(2, 3))]
    rng.shuffle(listed)
    prompt = rng.choice(
        ("Sort these words into {} and {}.", "Which of the words are {} and which are {}?")
    ).format(*kinds)

    def answer(moved: str) -> str:
        lines = []
        for kind in kinds:
            words = [word for word in listed if (word in GROUPS[kind]) != (word == moved)]
            lines.append(f"{kind}: {', '.join(words)}")
        return "\n".join(lines)

    return Example(prompt, ", ".join(listed), answer(""), answer(rng.choice(listed)))


def syllogism(rng: Random) -> Example:
    """Returns two premises with made-up nouns and a question that they settle."""
    first, second = rng.sample(NONCE, 2)
    name, all_are = rng.choice(NAMES), rng.random() < 0.5
    premise = f"{'All' if all_are else 'No'} {first}s are {second}s"
    texts = [f"{premise}.", f"{name} is {article(first)}."]
    rng.shuffle(texts)
    question = rng.choice((f"Is {name} {article(second)}?", f"Can {name} be {article(second)}?"))
    question += rng.choice((" Give the reason.", " Explain.", " Say why."))
    reason = f"{name} is {article(first)}, and {premise[0].lower()}{premise[1:]}."
    right, wrong = ("Yes", "No") if all_are else ("No", "Yes")
    asked = (
        (question, " ".join(texts)) if rng.random() < 0.5 else (f"{' '.join(texts)} {question}", "")
    )
    return Example(*asked, f"{right}. {reason}", f"{wrong}. {reason}")


def ordering(rng: Random) -> Example:
    """Returns comparisons of three people and asks who stands at one end."""
    top, middle, bottom = rng.sample(NAMES, 3)
    _, more, most, _, least = rng.choice(SCALES)
    facts = [f"{top} is {more} than {middle}", f"{middle} is {more} than {bottom}"]
    if rng.random() < 0.4:
        facts.reverse()
    wanted, right = rng.choice(((most, top), (least, bottom)))
    prompt = f"{facts[0]}. {facts[1]}. " + rng.choice(
        ("Who is the {}? Explain.", "Which of them is the {}, and why?", "Name the {} one.")
    ).format(wanted)
    chain = f"From first to last: {top}, {middle}, {bottom}. So the {wanted} is {{}}."
    wrong = another(rng, (top, middle, bottom), right)
    return Example(prompt, "", chain.format(right), chain.format(wrong))
