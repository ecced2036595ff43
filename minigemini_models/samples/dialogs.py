"""What training and evaluation ask for: pictures with a conversation about them, or with a caption."""

from collections.abc import Callable
from dataclasses import dataclass
from zlib import crc32

import numpy as np

from ..scenes.colors import COLORS, pick
from ..scenes.composition import colored_object, compose_scene, repeat_object, sample_distinct, sample_scene
from ..scenes.concepts import SHAPE_NAMES, confusable, plural, with_article
from ..scenes.scene import Scene
from ..scenes.splits import COLORED_DOMAIN, TRAINING, SceneDomain
from .attribute_lookup import LOOKUP_KINDS, sample_colored
from .conversations import conversation
from .descriptions import describe, full_name, sentence
from .image_pairs import PAIR_LOOKUP_KINDS
from .object_lists import object_list, object_list_for_pair
from .object_qa import object_turn_groups
from .ocr_qa import document_qa, list_document
from .spatial_relations import RELATION_KINDS
from .turns import Turn, TurnGroup, ask

PAIR_KINDS = ("more", "changed", "which")
"""Two pictures: of which one has more of something, in which one colour differs, of which one shows something."""
_RETRY_SEED_OFFSET = 7_000_000
"""How far the seed is that is drawn where nothing can be asked about what this one draws."""


@dataclass(frozen=True)
class Dialog:
    """Pictures, and rounds about them in their order.

    Attributes:
        scenes: in the order in which they are shown.
        turns: the rounds.
        shown: the round that shows each picture; empty where the first shows all.
    """

    scenes: tuple[Scene, ...]
    turns: tuple[Turn, ...]
    shown: tuple[int, ...] = ()

    def shows(self, turn: int) -> int:
        """How many pictures a round shows."""
        return (self.shown or (0,) * len(self.scenes)).count(turn)


def sample_dialog(seed: int, kind: str | None = None, domain: SceneDomain = TRAINING, max_turns: int = 5) -> Dialog:
    """A conversation about the scene of a seed, or about two of them.

    Args:
        kind: of scene, as in `composing.sample_scene`, or one of `PAIR_KINDS`.
    """
    if kind in PAIR_KINDS:
        scenes, groups = sample_pair(seed, kind, domain)
        return Dialog(scenes, tuple(turn for group in groups for turn in group)[:max_turns])
    scene = sample_scene(seed, kind, domain)
    rng = np.random.default_rng([domain.stream, seed, 4])
    return Dialog((scene,), tuple(conversation(scene, rng, max_turns)))


def sample_quiz(seed: int, kind: str | None = None, domain: SceneDomain = TRAINING, max_turns: int = 12) -> Dialog:
    """The scene of a seed with many short rounds, since a picture costs more than they do; none tells all there is.

    Args:
        kind: of scene, as in `composing.sample_scene`.
    """
    scene = sample_scene(seed, kind, domain)
    rng = np.random.default_rng([domain.stream, seed, 8])
    groups = [group for _ in range(2) for group in object_turn_groups(scene, rng)]
    turns: dict[str, Turn] = {}
    for group in (groups[i] for i in rng.permutation(len(groups))):
        if len(turns) + len(group) <= max_turns and not any(turn.question in turns for turn in group):
            turns |= {turn.question: turn for turn in group}
    return Dialog((scene,), tuple(turns.values()))


def sample_object_list(seed: int, kind: str | None = None, domain: SceneDomain = TRAINING) -> Dialog:
    """The scene of a seed, or two, whose things the rounds go through by name.

    Args:
        kind: of scene with things in it, as in `composing.sample_scene`, or one of `PAIR_KINDS`.
    """
    rng = np.random.default_rng([domain.stream, seed, 9])
    if kind in PAIR_KINDS:
        one, other = sample_pair(seed, kind, domain)[0]
        return Dialog((one, other), tuple(object_list_for_pair(one, other, rng)))
    scene = sample_scene(seed, kind, domain)
    return Dialog((scene,), tuple(object_list(scene, rng)))


def sample_colors(seed: int, kind: str | None = None, domain: SceneDomain = COLORED_DOMAIN) -> Dialog:
    """The scene of a seed, whose colours two rounds tell by name, in different orders if there are any."""
    scene = sample_scene(seed, kind, domain)
    rng = np.random.default_rng([domain.stream, seed, 9])
    turns = [turn for _ in range(2) for turn in object_list(scene, rng) if turn.skill == "colours"]
    return Dialog((scene,), tuple({turn.question: turn for turn in turns}.values()))


def sample_lookup(seed: int, kind: str, domain: SceneDomain = TRAINING) -> Dialog:
    """Drawings in named colours, in one picture or two, which the rounds look up by name.

    Args:
        kind: of rounds, one of `looking_up.LOOKING_UP`, `placing.PLACING` or `comparing.COMPARING`.
    """
    if kind in PAIR_LOOKUP_KINDS:
        scenes, turns = PAIR_LOOKUP_KINDS[kind](seed, domain)
        dialog = Dialog(scenes, tuple(turns))
    else:
        rng, scene = sample_colored(seed, domain)
        dialog = Dialog((scene,), tuple((LOOKUP_KINDS | RELATION_KINDS)[kind](scene, rng)))
    return dialog if dialog.turns else sample_lookup(seed + _RETRY_SEED_OFFSET, kind, domain)


def sample_document(seed: int, kind: str, domain: SceneDomain = TRAINING, qa: bool = False) -> Dialog:
    """The page of a seed, all of which is read: told in lists by name, or `asked` for in short rounds.

    Args:
        kind: one of `pages.PAGE_KINDS`.
    """
    scene = sample_scene(seed, kind, domain)
    rng = np.random.default_rng([domain.stream, seed, 10])
    return Dialog((scene,), tuple((document_qa if qa else list_document)(scene, rng)))


def sample_caption(seed: int, kind: str | None = None, domain: SceneDomain = TRAINING) -> Dialog:
    """The scene of a seed with one round, which says what is in it."""
    scene = sample_scene(seed, kind, domain)
    rng = np.random.default_rng([domain.stream, seed, 7])
    return Dialog((scene,), (ask(rng, "describe", describe(scene)),))


def sample_pair(seed: int, kind: str, domain: SceneDomain = TRAINING) -> tuple[tuple[Scene, Scene], list[TurnGroup]]:
    """Two scenes that are to be compared, and every question about them.

    Raises:
        ValueError: `kind` is none of `PAIR_KINDS`.
    """
    if kind not in PAIR_KINDS:
        raise ValueError(f"unknown kind of pair {kind!r}: choose from {', '.join(PAIR_KINDS)}")
    return _PAIRS[kind](np.random.default_rng([domain.stream, seed, crc32(kind.encode())]), domain, seed)


def _sample_more(
    rng: np.random.Generator, domain: SceneDomain, seed: int
) -> tuple[tuple[Scene, Scene], list[TurnGroup]]:
    """One to eight of the same in each picture; half the time as many."""
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
    """Two or three shapes and the same again elsewhere; half the time one of them in another colour."""
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
    """Different things in two pictures; what is asked after is in one of them."""
    while True:
        one, other = (
            compose_scene(rng, "few", sample_distinct(rng, 2, "few", domain), domain, seed + i) for i in range(2)
        )
        showing, shown = (one, other) if rng.random() < 0.5 else (other, one)
        target = pick(rng, showing.objects)
        if not any(confusable(target.name, obj.name) for obj in shown.objects):
            a_name = with_article(full_name(target))
            return (one, other), [(ask(rng, "which_picture", _ordinal_answer(showing is one), a_name=a_name),)]


def _ordinal_answer(first: bool) -> str:
    return "The first." if first else "The second."


_PAIRS: dict[str, Callable[[np.random.Generator, SceneDomain, int], tuple[tuple[Scene, Scene], list[TurnGroup]]]] = {
    "more": _sample_more,
    "changed": _sample_changed,
    "which": _sample_which,
}
