"""What training and evaluation ask for: pictures with a conversation about them, or with a caption."""

from collections.abc import Callable
from dataclasses import dataclass
from zlib import crc32

import numpy as np

from ..scenes.colors import COLORS, pick
from ..scenes.composition import colored, compose, copies, different, sample_scene
from ..scenes.concepts import SHAPE_NAMES, confusable, plural, with_article
from ..scenes.scene import Scene
from ..scenes.splits import TINTED_DOMAIN, TRAINING, SceneDomain
from .attribute_lookup import LOOKUP_KINDS, sample_colored
from .conversations import conversation
from .descriptions import describe, full_name, sentence
from .image_pairs import PAIR_KINDS_BY_NAME
from .object_lists import object_list, object_list_of_two
from .object_qa import about_objects
from .ocr_qa import page_asked, page_told
from .spatial_relations import RELATION_KINDS
from .turns import Exchange, Turn, ask

PAIR_KINDS = ("more", "changed", "which")
"""Two pictures: of which one has more of something, in which one colour differs, of which one shows something."""
_SEED_AFTER = 7_000_000
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
        scenes, exchanges = sample_pair(seed, kind, domain)
        return Dialog(scenes, tuple(turn for exchange in exchanges for turn in exchange)[:max_turns])
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
    exchanges = [exchange for _ in range(2) for exchange in about_objects(scene, rng)]
    turns: dict[str, Turn] = {}
    for exchange in (exchanges[i] for i in rng.permutation(len(exchanges))):
        if len(turns) + len(exchange) <= max_turns and not any(turn.question in turns for turn in exchange):
            turns |= {turn.question: turn for turn in exchange}
    return Dialog((scene,), tuple(turns.values()))


def sample_object_list(seed: int, kind: str | None = None, domain: SceneDomain = TRAINING) -> Dialog:
    """The scene of a seed, or two, whose things the rounds go through by name.

    Args:
        kind: of scene with things in it, as in `composing.sample_scene`, or one of `PAIR_KINDS`.
    """
    rng = np.random.default_rng([domain.stream, seed, 9])
    if kind in PAIR_KINDS:
        one, other = sample_pair(seed, kind, domain)[0]
        return Dialog((one, other), tuple(object_list_of_two(one, other, rng)))
    scene = sample_scene(seed, kind, domain)
    return Dialog((scene,), tuple(object_list(scene, rng)))


def sample_colors(seed: int, kind: str | None = None, domain: SceneDomain = TINTED_DOMAIN) -> Dialog:
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
    if kind in PAIR_KINDS_BY_NAME:
        scenes, turns = PAIR_KINDS_BY_NAME[kind](seed, domain)
        dialog = Dialog(scenes, tuple(turns))
    else:
        rng, scene = sample_colored(seed, domain)
        dialog = Dialog((scene,), tuple((LOOKUP_KINDS | RELATION_KINDS)[kind](scene, rng)))
    return dialog if dialog.turns else sample_lookup(seed + _SEED_AFTER, kind, domain)


def sample_page(seed: int, kind: str, domain: SceneDomain = TRAINING, asked: bool = False) -> Dialog:
    """The page of a seed, all of which is read: told in lists by name, or `asked` for in short rounds.

    Args:
        kind: one of `pages.PAGE_KINDS`.
    """
    scene = sample_scene(seed, kind, domain)
    rng = np.random.default_rng([domain.stream, seed, 10])
    return Dialog((scene,), tuple((page_asked if asked else page_told)(scene, rng)))


def sample_caption(seed: int, kind: str | None = None, domain: SceneDomain = TRAINING) -> Dialog:
    """The scene of a seed with one round, which says what is in it."""
    scene = sample_scene(seed, kind, domain)
    rng = np.random.default_rng([domain.stream, seed, 7])
    return Dialog((scene,), (ask(rng, "describe", describe(scene)),))


def sample_pair(seed: int, kind: str, domain: SceneDomain = TRAINING) -> tuple[tuple[Scene, Scene], list[Exchange]]:
    """Two scenes that are to be compared, and every question about them.

    Raises:
        ValueError: `kind` is none of `PAIR_KINDS`.
    """
    if kind not in PAIR_KINDS:
        raise ValueError(f"unknown kind of pair {kind!r}: choose from {', '.join(PAIR_KINDS)}")
    return _PAIRS[kind](np.random.default_rng([domain.stream, seed, crc32(kind.encode())]), domain, seed)


def _more(rng: np.random.Generator, domain: SceneDomain, seed: int) -> tuple[tuple[Scene, Scene], list[Exchange]]:
    """One to eight of the same in each picture; half the time as many."""
    first = different(rng, 1, "count", domain)[0]
    counts = (1 + rng.permutation(domain.most_alike)[:2]).tolist()
    if rng.random() < 0.5:
        counts[1] = counts[0]
    looks = [copies(rng, first, count) for count in counts]
    one, other = (compose(rng, "count", look, domain, seed + i) for i, look in enumerate(looks))
    there = len(one.objects), len(other.objects)
    name = plural(first.name)
    exchanges: list[Exchange] = [(ask(rng, "as_many", "Yes." if there[0] == there[1] else "No.", plural=name),)]
    if there[0] != there[1]:
        exchanges.append((ask(rng, "more", _which(there[0] > there[1]), plural=name),))
    return (one, other), exchanges


def _changed(rng: np.random.Generator, domain: SceneDomain, seed: int) -> tuple[tuple[Scene, Scene], list[Exchange]]:
    """Two or three shapes and the same again elsewhere; half the time one of them in another colour."""
    shapes = [SHAPE_NAMES[i] for i in rng.permutation(len(SHAPE_NAMES))[: int(rng.integers(2, 4))]]
    colors = [list(COLORS)[i] for i in rng.permutation(len(COLORS))]
    looks = [colored(rng, shape, color) for shape, color in zip(shapes, colors, strict=False)]
    again = list(looks)
    which = int(rng.integers(len(looks)))
    changed = bool(rng.random() < 0.5)
    if changed:
        again[which] = colored(rng, shapes[which], colors[-1])
    one, other = (compose(rng, "few", look, domain, seed + i) for i, look in enumerate((looks, again)))
    exchanges: list[Exchange] = []
    if len(one.objects) == len(other.objects) == len(looks):
        exchanges.append((ask(rng, "same", "No." if changed else "Yes."),))
        if changed:
            exchanges.append((ask(rng, "changed", sentence(f"the {shapes[which]}")),))
    return (one, other), exchanges


def _which_shows(
    rng: np.random.Generator, domain: SceneDomain, seed: int
) -> tuple[tuple[Scene, Scene], list[Exchange]]:
    """Different things in two pictures; what is asked after is in one of them."""
    while True:
        one, other = (compose(rng, "few", different(rng, 2, "few", domain), domain, seed + i) for i in range(2))
        mine, shown = (one, other) if rng.random() < 0.5 else (other, one)
        asked = pick(rng, mine.objects)
        if not any(confusable(asked.name, obj.name) for obj in shown.objects):
            a_name = with_article(full_name(asked))
            return (one, other), [(ask(rng, "which_picture", _which(mine is one), a_name=a_name),)]


def _which(first: bool) -> str:
    return "The first." if first else "The second."


_PAIRS: dict[str, Callable[[np.random.Generator, SceneDomain, int], tuple[tuple[Scene, Scene], list[Exchange]]]] = {
    "more": _more,
    "changed": _changed,
    "which": _which_shows,
}
