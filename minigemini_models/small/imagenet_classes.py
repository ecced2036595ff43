"""The thousand classes of ImageNet-1k in plain words, in the order of the classifier's rows, and their kinds."""

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from ..scenes.concepts import with_article

CLASSES_FILE = Path(__file__).with_name("imagenet_classes.txt")

Number = Literal["countable", "plural", "uncountable"]
"""How a noun counts: "a cat, two cats"; "sunglasses"; "broccoli"."""

VAGUE_KINDS = frozenset({"object"})
"""Kinds that say nothing to a person, and so are neither asked about nor given as answers."""

_UNCOUNTABLE_KINDS = {
    "armor": "a piece of armor",
    "bread": "bread",
    "clothing": "a piece of clothing",
    "cookware": "a piece of cookware",
    "cosmetics": "a cosmetic product",
    "food": "food",
    "furniture": "a piece of furniture",
    "jewelry": "a piece of jewelry",
    "sports equipment": "a piece of sports equipment",
    "swimwear": "a piece of swimwear",
    "trousers": "a pair of trousers",
}
"""Kinds without plural, and how they stand after "it is"."""

_IRREGULAR_KINDS = {
    "aircraft": "aircraft",
    "bird of prey": "birds of prey",
    "fish": "fish",
    "fungus": "fungi",
    "person": "people",
    "sheep": "sheep",
    "spacecraft": "spacecraft",
}


def plural_of(noun: str) -> str:
    """Return the regular plural of an English noun."""
    if re.search(r"(s|x|z|ch|sh)$", noun):
        return f"{noun}es"
    if re.search(r"[^aeiou]y$", noun):
        return f"{noun[:-1]}ies"
    if re.search(r"(wol|scar|shel)f$", noun):
        return f"{noun[:-1]}ves"
    if noun.endswith("knife"):
        return f"{noun[:-2]}ves"
    return f"{noun}s"


@dataclass(frozen=True)
class ImageNetClass:
    """One class.

    Attributes:
        index: row of the classifier, 0 to 999.
        name: plain name without article, e.g. "tabby cat"; unique.
        plural: its plural; the name itself where it has none.
        number: how the name counts.
        synonyms: other names, without article.
        kinds: what it is a kind of, from specific to general, e.g. ("cat", "animal").
    """

    index: int
    name: str
    plural: str
    number: Number
    synonyms: tuple[str, ...]
    kinds: tuple[str, ...]

    @property
    def phrase(self) -> str:
        """Return the name as it stands after "it is", e.g. "a tabby cat", "broccoli"."""
        return with_article(self.name) if self.number == "countable" else self.name

    def may_be_called(self, noun: str) -> bool:
        """Whether `noun` is right for every object of this class: its name, a synonym or a kind."""
        return noun == self.name or noun in self.synonyms or noun in self.kinds


@dataclass(frozen=True)
class Noun:
    """Something that a person may ask about: a class's name, a synonym or a kind.

    Attributes:
        name: without article.
        phrase: as it stands after "it is".
        plural: its plural; the name itself where it has none.
        number: how it counts.
        labels: the classes that may be called so.
    """

    name: str
    phrase: str
    plural: str
    number: Number
    labels: tuple[int, ...]


def _parse(line: str) -> ImageNetClass:
    index, written, synonyms, kinds = (field.strip() for field in line.split("|"))
    name, _, irregular = written.lstrip("+~").partition("/")
    number: Number = "uncountable" if written.startswith("~") else "plural" if written.startswith("+") else "countable"
    return ImageNetClass(
        index=int(index),
        name=name,
        plural=irregular or (plural_of(name) if number == "countable" else name),
        number=number,
        synonyms=tuple(synonyms.split(", ")) if synonyms else (),
        kinds=tuple(kinds.split(", ")),
    )


@cache
def imagenet_classes() -> tuple[ImageNetClass, ...]:
    """Return the 1000 classes; position and `index` agree."""
    lines = CLASSES_FILE.read_text(encoding="utf-8").splitlines()
    return tuple(_parse(line) for line in lines if not line.startswith("#"))


@cache
def nouns() -> dict[str, Noun]:
    """Return all names, synonyms and kinds. A kind wins over a class of the same name, as it includes it."""
    labels: dict[str, list[int]] = {}
    for each in imagenet_classes():
        for name in (each.name, *each.synonyms, *each.kinds):
            labels.setdefault(name, []).append(each.index)
    named = {each.name: each for each in imagenet_classes()}
    kinds = {kind for each in imagenet_classes() for kind in each.kinds}
    return {name: _noun(name, tuple(rows), named.get(name), name in kinds) for name, rows in labels.items()}


def _noun(name: str, labels: tuple[int, ...], named: ImageNetClass | None, is_kind: bool) -> Noun:
    if is_kind and name in _UNCOUNTABLE_KINDS:
        return Noun(name, _UNCOUNTABLE_KINDS[name], name, "uncountable", labels)
    if is_kind:
        return Noun(name, with_article(name), _IRREGULAR_KINDS.get(name) or plural_of(name), "countable", labels)
    if named is not None:
        return Noun(name, named.phrase, named.plural, named.number, labels)
    # A synonym counts as its class does.
    number = imagenet_classes()[labels[0]].number
    countable = number == "countable"
    return Noun(name, with_article(name) if countable else name, plural_of(name) if countable else name, number, labels)


def kind_phrase(kind: str) -> str:
    """Return a kind as it stands after "it is", e.g. "a dog", "food", "a piece of clothing"."""
    return nouns()[kind].phrase
