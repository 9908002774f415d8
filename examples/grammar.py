"""Sentences of a small grammar, for language models without data."""

import random

# What sentences are about: the nouns, verbs and adjectives of each topic.
TOPICS = [
    [words.split() for words in topic]
    for topic in (
        (
            "cow farmer horse field barn tractor goat fence hen lamb",
            "plough feed follow milk chase graze call lead",
            "muddy old gentle brown wide",
        ),
        (
            "sailor ship harbour gull wave captain rope storm crab lantern",
            "steer pull observe sink drift load greet fear",
            "grey distant salty brave wooden",
        ),
        (
            "teacher pupil book lesson desk letter song pencil clock poem",
            "read explain answer learn forget write count recite",
            "quiet clever long difficult new",
        ),
        (
            "cook kettle spoon guest apple oven pot recipe cake table",
            "boil taste serve stir burn slice praise cool",
            "hot sweet empty round fresh",
        ),
    )
]
PREPOSITIONS = "near behind under above beside".split()
ADVERBS = "slowly often never soon again gladly".split()
CONJUNCTIONS = "and but because while".split()
SENTENCES = {"train": 1600, "valid": 400, "test": 400}


def write_text(folder):
    """Writes sentences of the grammar, the same on every call."""
    folder.mkdir(parents=True, exist_ok=True)
    generator = random.Random(0)
    for part, count in SENTENCES.items():
        lines = [" ".join(draw_sentence(generator)) for _ in range(count)]
        text = "\n".join(lines) + "\n"
        (folder / f"{part}.txt").write_text(text, encoding="utf-8")


def draw_sentence(generator):
    """One or two clauses about one topic."""
    topic = generator.choice(TOPICS)
    words = draw_clause(generator, topic)
    if generator.random() < 0.4:
        conjunction = generator.choice(CONJUNCTIONS)
        words += [conjunction, *draw_clause(generator, topic)]
    return words


def draw_clause(generator, topic):
    """A subject and its verb, which agree in number, and perhaps an object."""
    is_plural = generator.random() < 0.5
    words = draw_noun_phrase(generator, topic, is_plural)
    verb = generator.choice(topic[1])
    words.append(verb if is_plural else f"{verb}s")
    if generator.random() < 0.6:
        is_plural = generator.random() < 0.5
        words += draw_noun_phrase(generator, topic, is_plural)
    if generator.random() < 0.3:
        words.append(generator.choice(ADVERBS))
    return words


def draw_noun_phrase(generator, topic, is_plural):
    """Article, adjective, noun; and perhaps where it is."""
    nouns, _, adjectives = topic
    words = [
        "the" if generator.random() < 0.5 else "some" if is_plural else "a"
    ]
    if generator.random() < 0.4:
        words.append(generator.choice(adjectives))
    noun = generator.choice(nouns)
    words.append(f"{noun}s" if is_plural else noun)
    if generator.random() < 0.25:
        words.append(generator.choice(PREPOSITIONS))
        is_plural = generator.random() < 0.5
        words += draw_noun_phrase(generator, topic, is_plural)
    return words
