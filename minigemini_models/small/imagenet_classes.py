"""The thousand classes of ImageNet-1k in plain words, in the order of the classifier's rows."""

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

CLASSES_FILE = Path(__file__).with_name("imagenet_classes.txt")

KIND_PHRASES: dict[str, str] = {
    "armor": "a piece of armor",
    "bathroom item": "something from a bathroom",
    "bread": "bread",
    "clothing": "a piece of clothing",
    "computer device": "a piece of computer equipment",
    "cookware": "a piece of cookware",
    "cosmetics": "a cosmetic product",
    "drink": "a drink",
    "food": "food",
    "furniture": "a piece of furniture",
    "glass": "a drinking glass",
    "jewelry": "a piece of jewelry",
    "office supply": "an office supply",
    "page": "a page",
    "sports equipment": "a piece of sports equipment",
    "swimwear": "a piece of swimwear",
    "trousers": "a pair of trousers",
}
"""Kinds that no indefinite article goes with; all others take one."""

VAGUE_KINDS = frozenset({"object"})
"""Kinds that say nothing to a person, and so are neither asked about nor given as answers."""

# Vowel letters that begin with a consonant's sound, and a silent h.
_SAID_WITH_A = re.compile(r"(uni[^mn]|eur|one-|us[ae]|ut[ei])", re.IGNORECASE)
_SAID_WITH_AN = re.compile(r"(hour|honest|heir|[FHLMNRSX]\b|[FHLMNRSX][A-Z]|MP3|LP)")


def with_article(noun: str) -> str:
    """Return `noun` with "a" or "an", by how it is said."""
    said_with_an = _SAID_WITH_AN.match(noun) or (noun[0].lower() in "aeiou" and not _SAID_WITH_A.match(noun))
    return f"{'an' if said_with_an else 'a'} {noun}"


def plural_of(noun: str) -> str:
    """Return the regular plural of an English noun."""
    if re.search(r"(s|x|z|ch|sh)$", noun):
        return f"{noun}es"
    if re.search(r"[^aeiou]y$", noun):
        return f"{noun[:-1]}ies"
    if re.search(r"(wol|scar|shel)f$", noun):
        return f"{noun[:-1]}ves"
    return f"{noun}s"


def kind_phrase(kind: str) -> str:
    """Return a kind as it stands after "it is", e.g. "a dog", "food", "a piece of clothing"."""
    return KIND_PHRASES.get(kind) or with_article(kind)


@dataclass(frozen=True)
class ImageNetClass:
    """One class.

    Attributes:
        index: row of the classifier, 0 to 999.
        name: plain name without article, e.g. "tabby cat"; unique.
        plural: its plural; the name itself where it has none.
        phrase: the name as it stands after "it is", e.g. "a tabby cat", "broccoli", "sunglasses".
        takes_plural_verb: whether "there are" goes with `phrase`.
        synonyms: other names, without article.
        kinds: what it is a kind of, from specific to general, e.g. ("cat", "animal").
    """

    index: int
    name: str
    plural: str
    phrase: str
    takes_plural_verb: bool
    synonyms: tuple[str, ...]
    kinds: tuple[str, ...]

    def may_be_called(self, noun: str) -> bool:
        """Whether `noun` is right for every object of this class: a name, the end of one ("husky"), or a kind."""
        names = (self.name, *self.synonyms)
        return noun in self.kinds or any(name == noun or name.endswith(f" {noun}") for name in names)


def _parse(line: str) -> ImageNetClass:
    index, written, synonyms, kinds = (field.strip() for field in line.split("|"))
    name, _, irregular = written.lstrip("+~").partition("/")
    uncountable, plural_noun = written.startswith("~"), written.startswith("+")
    return ImageNetClass(
        index=int(index),
        name=name,
        plural=irregular or (name if uncountable or plural_noun else plural_of(name)),
        phrase=name if uncountable or plural_noun else with_article(name),
        takes_plural_verb=plural_noun,
        synonyms=tuple(synonyms.split(", ")) if synonyms else (),
        kinds=tuple(kinds.split(", ")),
    )


@cache
def imagenet_classes() -> tuple[ImageNetClass, ...]:
    """Return the 1000 classes; position and `index` agree."""
    lines = CLASSES_FILE.read_text(encoding="utf-8").splitlines()
    return tuple(_parse(line) for line in lines if not line.startswith("#"))


@cache
def classes_of_kind(kind: str) -> tuple[int, ...]:
    """Return the rows of all classes of a kind."""
    return tuple(each.index for each in imagenet_classes() if kind in each.kinds)
