"""What the class words of a photograph settle: which things it surely shows, which perhaps, and where.

A lesson's answer follows from its words by these rules alone, so that it is right by construction.
"""

from dataclasses import dataclass, replace
from enum import Enum

import numpy as np

from ..imagenet_classes import VAGUE_KINDS, ImageNetClass, Noun, imagenet_classes, nouns
from ..lesson import PATCHES_PER_SIDE, VisualWords
from ..similar_classes import similar_classes

CLASSES = 1000
PLACES = PATCHES_PER_SIDE**2

SURE_MASS = 0.33
"""Share of the picture's words that the main thing needs for its class to be sure.

Of 53 photographs (20 of ImageNet, 33 of animals, some of them not among the thousand) 29 are above it with a class in
the lead, and it is right in 25.
"""
KIND_MASS = 0.25
"""Share that it needs for its kind to be sure; right in 12 of 16 of the same photographs."""
FURTHER_MASS, FURTHER_PLACES, TOGETHER = 0.18, 8, 0.55
"""Share, and places with more than half of their words, that a further thing needs beside a main one in the lead, and
the share of both. In pictures of one thing, further words are mostly wrong, and mostly stay below these."""
SURE_LEAD = 0.6
"""Share of a thing's words that its class needs; below, only the kind that its words agree on is sure."""
KIND_AGREEMENT = 0.9
GUESS_MASS, GUESS_LEAD = 0.15, 0.35
"""Share of the picture's words, and of a thing's, that a class needs to be a guess."""
BASIC_KINDS = frozenset(
    (
        *("animal", "bird", "building", "car", "clothing", "dog", "fish", "food", "insect"),
        *("monkey", "musical instrument", "plant", "reptile", "snake", "vehicle"),
    )
)
"""Kinds that mostly hold for things of other classes, too, which the classifier calls by the nearest one it knows."""
AMONG_KIND_MASS, AMONG_KIND_LEAD = 0.1, 0.55
"""Share of the picture's words that a kind needs, and of the kind's that one class needs, for that class to be the
answer to a question that says what kind of thing there is."""
ABSENT_MASS = 0.02
"""A thing with less than this share of the words is not there; between this and `SURE_MASS` nobody knows."""
FILLING_PLACES = 40
FILLS = "fills most of the picture"
NEAR = 2.0
"""Distance in places within which similar classes belong to one thing."""


class Presence(Enum):
    """Whether a picture shows something."""

    YES = "yes"
    NO = "no"
    UNSURE = "unsure"


@dataclass(frozen=True)
class Sighting:
    """Similar class words about one place of the picture.

    Attributes:
        label: the class that leads.
        kind: the most specific kind that is sure; None if none.
        lead: share of the class in the sighting's words.
        mass: share of the sighting in all words of the picture.
        places: (64,) weight of the sighting's words at every place.
        members: all its classes.
        class_is_sure: whether it is surely of the class `label`, not only of `kind`.
    """

    label: ImageNetClass
    kind: str | None
    lead: float
    mass: float
    places: np.ndarray
    members: frozenset[int]
    class_is_sure: bool = False

    @property
    def may_be_guessed(self) -> bool:
        """Whether its class is a fair guess."""
        return self.mass >= GUESS_MASS and self.lead >= GUESS_LEAD

    @property
    def kinds(self) -> tuple[str, ...]:
        """Return the kinds that hold for it, from specific to general."""
        if self.class_is_sure:
            return tuple(kind for kind in self.label.kinds if kind not in VAGUE_KINDS)
        return self.label.kinds[self.label.kinds.index(self.kind) :] if self.kind else ()

    @property
    def center(self) -> tuple[float, float]:
        """Return the weighted mean (column, row), 0 to 7."""
        grid = self.places.reshape(PATCHES_PER_SIDE, PATCHES_PER_SIDE)
        along = np.arange(PATCHES_PER_SIDE)
        return float(grid.sum(0) @ along / grid.sum()), float(grid.sum(1) @ along / grid.sum())

    def may_be_called(self, noun: str) -> bool:
        return noun in self.kinds or (self.class_is_sure and self.label.may_be_called(noun))


def class_masses(words: VisualWords) -> np.ndarray:
    """Return every class's share of the picture's words, (1000,)."""
    masses = np.bincount(words.indices.ravel(), weights=words.weights.ravel(), minlength=CLASSES)
    return masses / PLACES


def _place_maps(words: VisualWords, labels: np.ndarray) -> np.ndarray:
    """Return the weight of some classes at every place, (labels, 64)."""
    return np.stack([np.where(words.indices == label, words.weights, 0).sum(axis=1) for label in labels])


def are_similar(first: int, second: int) -> bool:
    """Whether the classifier confuses two classes, or they are of one specific kind."""
    nearest = similar_classes().indices
    kind, other = imagenet_classes()[first].kinds[0], imagenet_classes()[second].kinds[0]
    same_kind = kind == other and kind not in VAGUE_KINDS and kind != "animal"
    return same_kind or second in nearest[first] or first in nearest[second]


def _agreed_kind(labels: list[int], masses: np.ndarray, lead: float) -> str | None:
    """Return the most specific kind that nearly all words share; if one class leads, a basic kind."""
    for kind in imagenet_classes()[labels[0]].kinds:
        agreeing = sum(masses[label] for label in labels if kind in imagenet_classes()[label].kinds)
        specific = kind not in VAGUE_KINDS if lead < SURE_LEAD else kind in BASIC_KINDS
        if specific and agreeing >= KIND_AGREEMENT * masses[labels].sum():
            return kind
    return None


def sightings(words: VisualWords) -> tuple[Sighting, ...]:
    """Group the words by likeness and place, most words first."""
    masses = class_masses(words)
    labels = np.argsort(-masses, kind="stable")[:16]
    maps = _place_maps(words, labels)
    along = np.arange(PLACES)
    spots = np.stack([maps @ (along % PATCHES_PER_SIDE), maps @ (along // PATCHES_PER_SIDE)], axis=1)
    spots = spots / np.maximum(maps.sum(axis=1, keepdims=True), 1e-9)
    groups: list[list[int]] = []
    for position, label in enumerate(labels):
        if masses[label] < 0.005:
            break
        for group in groups:
            near = np.hypot(*(spots[position] - spots[group[0]])) < NEAR
            if near and are_similar(int(label), int(labels[group[0]])):
                group.append(position)
                break
        else:
            groups.append([position])
    found = []
    for group in groups:
        members = [int(labels[position]) for position in group]
        mass = float(masses[members].sum())
        lead = float(masses[members[0]]) / mass
        kind = _agreed_kind(members, masses, lead)
        label_class = imagenet_classes()[members[0]]
        found.append(Sighting(label_class, kind, lead, mass, maps[group].sum(axis=0), frozenset(members)))
    return tuple(sorted(found, key=lambda each: -each.mass))


@dataclass(frozen=True)
class Reading:
    """What the words of a photograph settle.

    Attributes:
        named: what it surely shows, the main thing first; empty if nothing is sure.
        guess: without `named`, what the main thing may be; None if the words are flat or contradict each other.
        masses: (1000,) share of every class in the words.
    """

    named: tuple[Sighting, ...]
    guess: Sighting | None
    masses: np.ndarray

    def presence(self, noun: Noun) -> Presence:
        """Return whether the picture shows what a noun names."""
        if any(each.may_be_called(noun.name) for each in self.named):
            return Presence.YES
        labels = list(noun.labels)
        if any(each.members & set(labels) for each in self.named) or self.masses[labels].sum() >= ABSENT_MASS:
            return Presence.UNSURE
        return Presence.NO


def among(kind: Noun, reading: Reading) -> ImageNetClass | None:
    """Return the class that a thing of this kind is, if there is one; None if the words do not settle it.

    Someone who asks "which bird is this?" has seen a bird, so only the words for birds count.
    """
    masses = reading.masses[list(kind.labels)]
    best, mass = int(masses.argmax()), float(masses.sum())
    if mass < AMONG_KIND_MASS or masses[best] < AMONG_KIND_LEAD * mass:
        return None
    return imagenet_classes()[kind.labels[best]]


def likely_kind(masses: np.ndarray) -> str | None:
    """Return the general kind that has most of an unclear picture's words, if it has `KIND_MASS` of them."""
    general = ("animal", "vehicle", "food", "clothing", "building", "furniture", "musical instrument", "plant")
    shares = {kind: float(masses[list(nouns()[kind].labels)].sum()) for kind in general}
    best = max(shares, key=lambda kind: shares[kind])
    return best if shares[best] >= KIND_MASS else None


def _further(sighting: Sighting, main: Sighting) -> bool:
    """Whether a sighting is surely a second thing beside the main one."""
    return (
        sighting.mass >= FURTHER_MASS
        and sighting.mass + main.mass >= TOGETHER
        and (sighting.places > 0.5).sum() >= FURTHER_PLACES
        and min(sighting.lead, main.lead) >= SURE_LEAD
        and not sighting.label.may_be_called(main.label.name)
        and not main.label.may_be_called(sighting.label.name)
    )


def read_photograph(words: VisualWords) -> Reading:
    """Apply the rules of this module to the words of a photograph."""
    found = sightings(words)
    masses = class_masses(words)
    if not found:
        return Reading((), None, masses)
    further = [replace(each, class_is_sure=True) for each in found[1:3] if _further(each, found[0])]
    enough = found[0].mass >= SURE_MASS or (further and found[0].mass >= KIND_MASS)
    main = replace(found[0], class_is_sure=bool(enough) and found[0].lead >= SURE_LEAD)
    if main.class_is_sure or (main.mass >= KIND_MASS and main.kind is not None):
        return Reading((main, *further), None, masses)
    return Reading((), main if main.may_be_guessed else None, masses)


def position_of(sighting: Sighting) -> str | None:
    """Return where a thing is, as it stands after "it is"; None if it is near a border between two answers."""
    if (sighting.places > 0.3).sum() >= FILLING_PLACES:
        return FILLS
    column, row = sighting.center
    if any(abs(abs(at - 3.5) - 0.9) < 0.1 for at in (column, row)):
        return None
    across = "left" if column < 2.6 else "right" if column > 4.4 else ""
    down = "top" if row < 2.6 else "bottom" if row > 4.4 else ""
    if across and down:
        return f"at the {down} {across}"
    return f"on the {across}" if across else f"at the {down}" if down else "in the middle"
