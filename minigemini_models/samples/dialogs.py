"""Sample dialogs from seeds: images with a conversation or a caption, for training and evaluation."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from zlib import crc32

import numpy as np

from ..scenes.colors import COLORS, pick
from ..scenes.composition import colored_object, compose_scene, repeat_object, sample_distinct, sample_scene
from ..scenes.concepts import SHAPE_NAMES, confusable, plural, with_article
from ..scenes.scene import Scene
from ..scenes.splits import TRAINING, SceneDomain
from .conversations import conversation
from .descriptions import describe, full_name, sentence
from .turns import Turn, TurnGroup, ask

PAIR_KINDS = ("more", "changed", "which")
"""Pairs of images: one has more of something · one color differs · only one shows something."""


@dataclass(frozen=True)
class Dialog:
    """Images and the turns about them.

    Attributes:
        scenes: the scenes of the images, in order.
        turns: questions and answers, in order.
        shown: for each image the index of the turn that shows it; empty if the first turn shows all.
    """

    scenes: tuple[Scene, ...]
    turns: tuple[Turn, ...]
    shown: tuple[int, ...] = ()

    def messages(self) -> list[dict[str, Any]]:
        """Return chat messages in Transformers' format, with images as placeholders."""
        shown = self.shown or (0,) * len(self.scenes)
        messages: list[dict[str, Any]] = []
        for number, turn in enumerate(self.turns):
            images = [{"type": "image"}] * shown.count(number)
            messages.append({"role": "user", "content": [*images, {"type": "text", "text": turn.question}]})
            messages.append({"role": "assistant", "content": [{"type": "text", "text": turn.answer}]})
        return messages


def sample_dialog(seed: int, kind: str, domain: SceneDomain = TRAINING, max_turns: int = 5) -> Dialog:
    """Sample a conversation about one scene or about a pair.

    Args:
        seed: seed of the scenes and the conversation.
        kind: kind of scene as in `composition.sample_scene`, or one of `PAIR_KINDS`.
        domain: the domain of the scenes.
        max_turns: maximum number of turns.
    """
    if kind in PAIR_KINDS:
        scenes, groups = sample_pair(seed, kind, domain)
        return Dialog(scenes, tuple(turn for group in groups for turn in group)[:max_turns])
    scene = sample_scene(seed, kind, domain)
    rng = np.random.default_rng([domain.stream, seed, 4])
    return Dialog((scene,), tuple(conversation(scene, rng, max_turns)))


def sample_caption(seed: int, kind: str, domain: SceneDomain = TRAINING) -> Dialog:
    """Sample a scene with one turn that describes it."""
    scene = sample_scene(seed, kind, domain)
    rng = np.random.default_rng([domain.stream, seed, 7])
    return Dialog((scene,), (ask(rng, "describe", describe(scene)),))


def sample_pair(seed: int, kind: str, domain: SceneDomain = TRAINING) -> tuple[tuple[Scene, Scene], list[TurnGroup]]:
    """Sample two scenes to compare, and every question about them.

    Raises:
        ValueError: `kind` is not one of `PAIR_KINDS`.
    """
    if kind not in PAIR_KINDS:
        raise ValueError(f"unknown kind of pair {kind!r}: choose from {', '.join(PAIR_KINDS)}")
    return _PAIRS[kind](np.random.default_rng([domain.stream, seed, crc32(kind.encode())]), domain, seed)


def _sample_more(
    rng: np.random.Generator, domain: SceneDomain, seed: int
) -> tuple[tuple[Scene, Scene], list[TurnGroup]]:
    """One to eight copies of an object in each image; the same number half of the time."""
    first = sample_distinct(rng, 1, "count", domain)[0]
    counts = (1 + rng.permutation(domain.max_copies)[:2]).tolist()
    if rng.random() < 0.5:
        counts[1] = counts[0]
    unplaced = [repeat_object(rng, first, count) for count in counts]
    one, other = (compose_scene(rng, "count", look, domain, seed + i) for i, look in enumerate(unplaced))
    there = len(one.objects), len(other.objects)
    name = plural(first.name)
    groups: list[TurnGroup] = [(ask(rng, "as_many", "Yes." if there[0] == there[1] else "No.", plural=name),)]
    if there[0] != there[1]:
        groups.append((ask(rng, "more", _ordinal_answer(there[0] > there[1]), plural=name),))
    return (one, other), groups


def _sample_changed(
    rng: np.random.Generator, domain: SceneDomain, seed: int
) -> tuple[tuple[Scene, Scene], list[TurnGroup]]:
    """Two or three shapes, and the same shapes in other places; half of the time one of them has another color."""
    shapes = [SHAPE_NAMES[i] for i in rng.permutation(len(SHAPE_NAMES))[: int(rng.integers(2, 4))]]
    colors = [list(COLORS)[i] for i in rng.permutation(len(COLORS))]
    unplaced = [colored_object(rng, shape, color) for shape, color in zip(shapes, colors, strict=False)]
    recolored = list(unplaced)
    which = int(rng.integers(len(unplaced)))
    changed = bool(rng.random() < 0.5)
    if changed:
        recolored[which] = colored_object(rng, shapes[which], colors[-1])
    one, other = (compose_scene(rng, "few", look, domain, seed + i) for i, look in enumerate((unplaced, recolored)))
    groups: list[TurnGroup] = []
    if len(one.objects) == len(other.objects) == len(unplaced):
        groups.append((ask(rng, "same", "No." if changed else "Yes."),))
        if changed:
            groups.append((ask(rng, "changed", sentence(f"the {shapes[which]}")),))
    return (one, other), groups


def _sample_which(
    rng: np.random.Generator, domain: SceneDomain, seed: int
) -> tuple[tuple[Scene, Scene], list[TurnGroup]]:
    """Two images of distinct objects, and a question about an object in only one of them."""
    while True:
        one, other = (
            compose_scene(rng, "few", sample_distinct(rng, 2, "few", domain), domain, seed + i) for i in range(2)
        )
        showing, without = (one, other) if rng.random() < 0.5 else (other, one)
        target = pick(rng, showing.objects)
        if not any(confusable(target.name, obj.name) for obj in without.objects):
            a_name = with_article(full_name(target))
            return (one, other), [(ask(rng, "which_picture", _ordinal_answer(showing is one), a_name=a_name),)]


def _ordinal_answer(first: bool) -> str:
    return "The first." if first else "The second."


_PAIRS: dict[str, Callable[[np.random.Generator, SceneDomain, int], tuple[tuple[Scene, Scene], list[TurnGroup]]]] = {
    "more": _sample_more,
    "changed": _sample_changed,
    "which": _sample_which,
}
