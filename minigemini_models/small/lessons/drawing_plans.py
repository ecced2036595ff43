"""What a requested picture shows, its caption for the image generator, and the ways in which users ask for it."""

from dataclasses import dataclass, fields

import numpy as np

from ...scenes.colors import pick
from ...scenes.concepts import plural, with_article
from . import drawing_words as words

MAX_QUALITIES, MAX_CLOTHES, MAX_OBJECTS = 2, 2, 3
"""What one caption lists at most, so that image generators still draw all of it."""
LANDSCAPE_KIND = "landscape"
PRONOUNS = {
    "it": ("it", "it", "its", "is", "has"),
    "he": ("he", "him", "his", "is", "has"),
    "she": ("she", "her", "her", "is", "has"),
    "they": ("they", "them", "their", "are", "have"),
}
"""Subject, object and possessive pronoun, and the forms of "be" and "have"."""
_FEMALE = frozenset(
    ["nurse", "witch", "queen", "princess", "grandmother", "young woman", "little girl", "fairy", "mermaid"]
)


@dataclass(frozen=True)
class CaptionPlan:
    """The contents of a picture, in the order of its caption; empty parts are left out.

    Attributes:
        kind: animal, person, thing or landscape.
        subject: the noun in the singular.
        building: the subject's shop, house …, which the picture shows in its place, such as "bread shop".
        pronoun: of a single subject; a key of `PRONOUNS`.
    """

    kind: str
    subject: str
    count: int = 1
    qualities: tuple[str, ...] = ()
    color: str = ""
    clothes: tuple[str, ...] = ()
    objects: tuple[str, ...] = ()
    action: str = ""
    place: str = ""
    time: str = ""
    season: str = ""
    weather: str = ""
    style: str = ""
    building: str = ""
    pronoun: str = "it"

    @property
    def is_alive(self) -> bool:
        return self.kind in ("animal", "person")

    @property
    def pronouns(self) -> tuple[str, str, str, str, str]:
        return PRONOUNS["they" if self.count > 1 else self.pronoun]

    @property
    def noun(self) -> str:
        return self.subject if self.count == 1 else plural_of(self.subject)

    @property
    def head(self) -> str:
        """ "a very rich blue cat", "two lazy dogs"."""
        described = " ".join(filter(None, [*self.qualities, self.color, self.noun]))
        return with_article(described) if self.count == 1 else f"{words.NUMBERS[self.count]} {described}"

    @property
    def headline(self) -> str:
        """The head, or the building in its place."""
        return f"the {self.building} of {self.head}" if self.building else self.head

    @property
    def parts(self) -> tuple[str, ...]:
        """The caption after its head."""
        clothes = f"wearing {listed(self.clothes)}" if self.clothes else ""
        objects = f"with {listed(self.objects)}" if self.objects else ""
        around = (self.action, self.place, self.time, self.season, self.weather, self.style)
        return tuple(filter(None, (clothes, objects, *around)))

    def caption(self) -> str:
        """Return the caption: the head and everything else that was asked for, separated by commas."""
        return ", ".join((self.headline, *self.parts))


def listed(names: tuple[str, ...]) -> str:
    """ "a, b and c"."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def plural_of(name: str) -> str:
    """Return the plural, also of people's names."""
    for one, many in (("man", "men"), ("woman", "women"), ("thief", "thieves"), ("goldfish", "goldfish")):
        if name == one or name.endswith(f" {one}"):
            return name.removesuffix(one) + many
    return plural(name)


def sample_plan(rng: np.random.Generator, kind: str | None = None, details: int | None = None) -> CaptionPlan:
    """Sample a plan.

    Args:
        rng: samples everything.
        kind: kind of the subject; by default sampled.
        details: number of parts beside the subject; by default 0 to 4.
    """
    kind = kind or pick(rng, ("animal", "animal", "animal", "person", "person", "thing", "thing", LANDSCAPE_KIND))
    subject = pick(rng, _SUBJECTS[kind])
    pronoun = "it" if kind != "person" else "she" if subject in _FEMALE else pick(rng, ("he", "he", "she"))
    if any(male in subject for male in ("king", "prince", "boy", "man", "grandfather")) and pronoun == "she":
        pronoun = "she" if subject in _FEMALE else "he"
    plan = CaptionPlan(kind, subject, pronoun=pronoun)
    for name in sample_slots(rng, plan, int(rng.integers(5)) if details is None else details):
        plan = filled(rng, plan, name)
    return plan


def sample_slots(rng: np.random.Generator, plan: CaptionPlan, number: int) -> list[str]:
    """Sample the names of parts that suit the subject."""
    slots = _SLOTS[plan.kind]
    return [slots[i] for i in rng.permutation(len(slots))[:number]]


def filled(rng: np.random.Generator, plan: CaptionPlan, name: str) -> CaptionPlan:
    """Return a plan with one more part."""
    match name:
        case "qualities":
            return with_quality(plan, sample_quality(rng, plan))
        case "clothes" | "objects":
            present = getattr(plan, name)
            return changed(plan, **{name: (*present, sample_item(rng, plan, name))})
        case "count":
            return changed(plan, count=int(rng.integers(2, 5)))
        case _:
            return changed(plan, **{name: sample_value(rng, plan, name)})


def sample_value(rng: np.random.Generator, plan: CaptionPlan, name: str) -> str:
    """Sample a value of a part with a single one, different from the present value."""
    return pick(rng, [value for value in _VALUES[name] if value != getattr(plan, name)])


def sample_item(rng: np.random.Generator, plan: CaptionPlan, name: str) -> str:
    """Sample something to wear or to have that is not there."""
    choices = words.CLOTHES if name == "clothes" else words.SCENERY if not plan.is_alive else words.OBJECTS
    present = {bare(item).split()[-1] for item in (*plan.clothes, *plan.objects)} | {plan.subject.split()[-1]}
    return pick(rng, [item for item in choices if bare(item).split()[-1] not in present])


def sample_quality(rng: np.random.Generator, plan: CaptionPlan) -> str:
    """Sample a quality that is not there."""
    choices = words.QUALITIES
    if not plan.is_alive:
        choices = words.LANDSCAPE_QUALITIES if plan.kind == LANDSCAPE_KIND else words.THING_QUALITIES
    present = {base_of(quality) for quality in plan.qualities}
    return pick(rng, [quality for quality in choices if quality not in present and quality not in plan.subject])


def with_quality(plan: CaptionPlan, quality: str) -> CaptionPlan:
    """Add a quality; it replaces its opposites, and the oldest one where there are too many."""
    opposites = {a if b == base_of(quality) else b for a, b in words.OPPOSITES if base_of(quality) in (a, b)}
    kept = [old for old in plan.qualities if base_of(old) not in opposites and base_of(old) != base_of(quality)]
    return changed(plan, qualities=(*kept, quality)[-MAX_QUALITIES:])


def base_of(quality: str) -> str:
    """ "very rich" -> "rich"."""
    return quality.split()[-1]


def bare(item: str) -> str:
    """Return an item without its article: "a red hat" -> "red hat"."""
    first, _, rest = item.partition(" ")
    return rest if first in ("a", "an", "two") else item


def changed(plan: CaptionPlan, **values: object) -> CaptionPlan:
    """`dataclasses.replace`, with names checked at run time only."""
    current = {field.name: getattr(plan, field.name) for field in fields(plan)}
    unknown = values.keys() - current.keys()
    if unknown:
        raise ValueError(f"a plan has no {', '.join(sorted(unknown))}")
    return CaptionPlan(**(current | values))


def request_text(rng: np.random.Generator, plan: CaptionPlan) -> str:
    """Sample the words in which a user asks for a plan."""
    text = _requested(rng, plan)
    return text.lower().rstrip(".?") if rng.random() < 0.12 else text


def _requested(rng: np.random.Generator, plan: CaptionPlan) -> str:
    way = rng.random()
    if way < 0.15 and plan.count == 1 and not plan.building:
        return _in_sentences(rng, plan)
    if way < 0.35:
        return _indirectly(rng, plan)
    return pick(rng, _DIRECT).format(what=wording(rng, plan))


def wording(rng: np.random.Generator, plan: CaptionPlan) -> str:
    """Sample a noun phrase with all of the plan."""
    style, parts = plan.style, [part for part in plan.parts if part != plan.style]
    head = plan.headline
    if rng.random() < 0.3:
        parts = [parts[i] for i in rng.permutation(len(parts))]
    text = (", " if len(parts) > 2 else " ").join([head, *parts]) if rng.random() < 0.7 else ", ".join([head, *parts])
    if not style:
        return text
    return pick(rng, ("{text}, {style}", "{text} as {a_style}", "{text}, in the style of {a_style}")).format(
        text=text, style=style, a_style=styled(style)
    )


def styled(style: str) -> str:
    """ "an oil painting", but "pixel art"."""
    is_mass = style.endswith((" art", "graffiti", "embroidery", "stained glass"))
    return style if is_mass else with_article(style)


def _in_sentences(rng: np.random.Generator, plan: CaptionPlan) -> str:
    subject, _, _, be, have = plan.pronouns
    he = subject.capitalize()
    told = [f"{he} {be} {quality}." for quality in plan.qualities]
    told += [pick(rng, (f"{he} {be} {plan.color}.", f"Color: {plan.color}."))] if plan.color else []
    told += [f"{he} {pick(rng, ('wears', 'should wear'))} {listed(plan.clothes)}."] if plan.clothes else []
    told += [f"{he} {have} {listed(plan.objects)}."] if plan.objects and plan.is_alive else []
    told += [f"There should be {listed(plan.objects)}."] if plan.objects and not plan.is_alive else []
    told += [f"{he} {be} {plan.action}."] if plan.action else []
    where = " ".join(filter(None, (plan.place, plan.time, plan.season, plan.weather)))
    told += [pick(rng, (f"{he} {be} {where}.", f"The scene is {where}."))] if where else []
    told += [pick(rng, (f"Style: {plan.style}.", f"Make it {styled(plan.style)}."))] if plan.style else []
    bare_subject = with_article(plan.subject)
    return " ".join([pick(rng, _DIRECT[:12]).format(what=bare_subject), *told])


def _indirectly(rng: np.random.Generator, plan: CaptionPlan) -> str:
    many = plural_of(plan.subject)
    template = pick(rng, _INDIRECT if plan.kind != LANDSCAPE_KIND else _INDIRECT_PLAIN)
    return template.format(what=wording(rng, plan), many=many, who=pick(rng, _WHO))


_SUBJECTS = {
    "animal": words.ANIMALS, "person": words.PEOPLE, "thing": words.THINGS, LANDSCAPE_KIND: words.LANDSCAPES,
}  # fmt: skip
_EVERYWHERE = ("qualities", "objects", "time", "season", "weather", "style", "style")
_SLOTS = {
    "animal": (*_EVERYWHERE, "qualities", "color", "clothes", "action", "place", "count"),
    "person": (*_EVERYWHERE, "qualities", "clothes", "objects", "action", "place", "count"),
    "thing": (*_EVERYWHERE, "color", "place", "count"),
    LANDSCAPE_KIND: _EVERYWHERE,
}
"""Parts by kind of subject; those that stand twice are twice as frequent."""
_VALUES = {
    "color": words.COLORS, "action": words.ACTIONS, "place": words.PLACES, "time": words.TIMES,
    "season": words.SEASONS, "weather": words.WEATHERS, "style": words.STYLES,
}  # fmt: skip
_DIRECT = (
    "Draw {what}.", "Please draw {what}.", "Can you draw {what}?", "Could you draw {what} for me?", "draw {what}",
    "Paint {what}, please.", "Sketch {what}.", "Show me {what}.", "Make a picture of {what}.",
    "Create an image of {what}.", "Generate a picture of {what}.", "I would like a picture of {what}.",
    "I want to see {what}.", "Give me {what}.", "A picture of {what}, please.", "I need an image of {what}.",
    "Illustrate this: {what}.", "Let us see {what}.", "How about {what}?", "{what}", "An illustration of {what}.",
    "Design a poster with {what}.", "Would you paint {what}?", "Imagine {what} and draw it.",
)  # fmt: skip
_WHO = ("daughter", "son", "mother", "father", "best friend", "sister", "brother", "neighbor", "grandson", "boss")
_INDIRECT_PLAIN = (
    "I wish I could see {what}.", "Last night I dreamed of {what}. Show me.", "What would {what} look like?",
    "I need a birthday card with {what}.", "My {who} would love {what} on the wall.",
    "I am writing a story about {what}.",
    "For the cover of my book: {what}.", "Close your eyes and think of {what}. What do you see?",
    "Our living room lacks {what}.", "My blog post needs {what} at the top.", "We want {what} for the invitation.",
    "Something with {what}, please.", "I cannot stop thinking of {what}.", "Could my {who} have {what}?",
)  # fmt: skip
_INDIRECT = (*_INDIRECT_PLAIN, "My {who} loves {many}. Make {what}.", "I am fond of {many}, so I want {what}.",
             "{many} are great. How about {what}?")  # fmt: skip
