"""Concepts that scenes can contain: their names, plurals and articles, and which of them can be confused."""

import re
from dataclasses import dataclass
from pathlib import Path

from .shapes import OBJECTS, SHAPES

_LIST = Path(__file__).parent / "icons" / "concepts.txt"
_IRREGULAR = {
    "mouse": "mice", "computer mouse": "computer mice", "sheep": "sheep", "deer": "deer", "bison": "bison",
    "moose": "moose", "wolf": "wolves", "fish": "fish", "pufferfish": "pufferfish", "jellyfish": "jellyfish",
    "squid": "squid", "shrimp": "shrimp", "knife": "knives", "scarf": "scarves", "snowman": "snowmen", "die": "dice",
    "foot": "feet", "tooth": "teeth", "tomato": "tomatoes", "potato": "potatoes", "volcano": "volcanoes",
    "fork and knife": "forks and knives", "bow and arrow": "bows and arrows", "maple leaf": "maple leaves",
}  # fmt: skip


CONFUSABLE = {
    "circle": "apple|baseball|basketball|bomb|clock|coin|compact disc|compass|cookie|crystal ball|ball of yarn|"
    "disco ball|donut|globe|gear|ladybug|life ring|lime|melon|moon|peach|planet|pie|soccer ball|sun|tangerine|target|"
    "tomato|volleyball|wheel|alarm clock|stopwatch|petri dish|olive|kiwi|onion|blueberry|yo-yo|pufferfish|"
    "curling stone|fried egg|pancake|diving mask|lollipop|medal|watch|pretzel|panda|bear|koala|polar bear|hamster|frog",
    "square": "box|brick wall|die|envelope|floppy disk|gift|ice cube|window|waffle|juice box|puzzle piece|"
    "padlock|book|loaf of bread|television|painting|battery|chocolate bar|piano",
    "triangle": "island|mountain|piece of cheese|pine tree|christmas tree|rice ball|set square|slice of cake|tent|"
    "slice of pizza|volcano|hand fan|watermelon|circus tent|sandwich|party popper",
    "star": "medal|magic wand|christmas tree|snowflake|maple leaf|sun|crab",
    "heart": "strawberry|peach|clover|cherry",
    "diamond": "gem|kite|diamond ring|traffic light",
    "cross": "ambulance|bandage|church|hospital|helmet|pair of swords|tombstone|plug|toolbox",
    "ring": "donut|life ring|wheel|tangerine|compact disc|gear|target|diamond ring|roll of toilet paper|pretzel|"
    "slice of bacon|chain|compass",
    "bottle": "champagne bottle|baby bottle|lotion bottle|wine glass|salt shaker|jar",
}  # fmt: skip
"""Icons by the name of the shape that they may be mistaken for."""


@dataclass(frozen=True)
class Concept:
    """A concept with an icon.

    Attributes:
        name: unique name.
        label: the emojibase label of its icon.
        theme: section of `concepts.txt`, such as "animals"; questions about absent objects sample from one theme.
        kin: concepts with the same kin can be mistaken for each other; empty if there are none.
    """

    name: str
    label: str
    theme: str
    kin: str


def _read() -> tuple[Concept, ...]:
    concepts, theme = [], ""
    for line in _LIST.read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            theme = line.strip("[]")
        elif line and not line.startswith("#"):
            rest, _, kin = line.partition(" ~ ")
            name, _, label = rest.partition(" = ")
            concepts.append(Concept(name, label or name, theme, kin))
    return tuple(concepts)


CONCEPTS: tuple[Concept, ...] = _read()
BY_NAME: dict[str, Concept] = {concept.name: concept for concept in CONCEPTS}
ICON_NAMES: tuple[str, ...] = tuple(BY_NAME)
SHAPE_NAMES: tuple[str, ...] = tuple(SHAPES)
COLORED_NAMES: tuple[str, ...] = (*SHAPES, *OBJECTS)
"""Objects that are drawn in a named color."""
NAMES: tuple[str, ...] = (*COLORED_NAMES, *(name for name in ICON_NAMES if name not in COLORED_NAMES))
"""All concepts, in the order of class labels."""


def kin_of(name: str) -> str:
    """Return the kin of a concept, or its own name if it has none."""
    return (BY_NAME[name].kin if name in BY_NAME else "") or name


def confusable(a: str, b: str) -> bool:
    """Return whether an object of one name may be mistaken for the other.

    Scenes never contain both, and questions about absent objects never name one when the other is present.
    """
    return kin_of(a) == kin_of(b) or b in _look_alikes(a) or a in _look_alikes(b)


def _look_alikes(name: str) -> list[str]:
    return CONFUSABLE.get(name, "").split("|")


def theme_of(name: str) -> str:
    """Return the theme of a concept; "shapes" for those without an icon."""
    return BY_NAME[name].theme if name in BY_NAME else "shapes"


# Vowel letters that begin with a consonant's sound, and consonant letters that begin with a vowel's.
_SAID_WITH_A = re.compile(r"uni[^mn]|eur|one-|us[ae]|ut[ei]", re.IGNORECASE)
_SAID_WITH_AN = re.compile(r"hour|honest|heir|MP3|ATM|RV|SLR|LP")


def with_article(words: str) -> str:
    """ "a cat", "an owl", "a unicorn", "an hourglass", "an Egyptian cat": the article by how the words are said."""
    said_with_an = _SAID_WITH_AN.match(words) or (words[0].lower() in "aeiou" and not _SAID_WITH_A.match(words))
    return f"{'an' if said_with_an else 'a'} {words}"


def plural(name: str) -> str:
    """ "cats", "foxes", "cherries", "slices of cake"."""
    if name in _IRREGULAR:
        return _IRREGULAR[name]
    head, of, rest = name.partition(" of ")
    if head.endswith(("s", "x", "ch", "sh")):
        head += "es"
    elif head.endswith("y") and head[-2] not in "aeiou":
        head = head[:-1] + "ies"
    else:
        head += "s"
    return head + of + rest
