"""Sample scenes of 256 pixels from a seed: which objects and words they contain, and where."""

from collections.abc import Sequence
from dataclasses import replace
from zlib import crc32

import numpy as np

from . import documents
from .colors import BLACK, COLORS, WHITE, background, contrasting, pick, shade
from .concepts import COLORED_NAMES, ICON_NAMES, SHAPE_NAMES, confusable
from .layouts import Box, arrange, free_box, reading_order
from .lettering import Color, in_case, text_width
from .scene import SCENE_PX, Scene, SceneObject, Sign, reference_color
from .splits import TRAINING, SceneDomain

KINDS = ("single", "few", "count", "sign", "words")
"""One object · two to four distinct objects · one to eight copies · a sign, maybe with objects · several words."""
CROWDED_KINDS = ("text", "many")
"""Three to six lines of text · five to eight distinct objects."""

_SIZES_PX = {"many": (44, 60), "single": (70, 150), "few": (56, 96), "count": (36, 64), "sign": (48, 80)}
_COLORED_SHARE = {"many": 0.2, "single": 0.25, "few": 0.5, "count": 0.4, "sign": 0.5}
"""Probability that an object is a shape in a named color rather than an icon, in domains with icons."""
_WORDS_APART_PX = 14


def sample_scene(seed: int, kind: str | None = None, domain: SceneDomain = TRAINING) -> Scene:
    """Sample the scene of a seed; the same seed, kind and domain always give the same scene.

    Args:
        seed: any non-negative integer.
        kind: one of `KINDS`, `CROWDED_KINDS` or `documents.PAGE_KINDS`, or `documents.ONE_LINE`; by default sampled
            from `KINDS`.
        domain: the assets and layouts to sample from.

    Raises:
        ValueError: `kind` is unknown.
    """
    kind = kind or pick(np.random.default_rng([domain.stream, seed]), KINDS)
    if kind not in (known := (*KINDS, *CROWDED_KINDS, documents.ONE_LINE, *documents.PAGE_KINDS)):
        raise ValueError(f"unknown kind of scene {kind!r}: choose from {', '.join(known)}")
    rng = np.random.default_rng([domain.stream, seed, crc32(kind.encode())])
    if kind in (documents.ONE_LINE, *documents.PAGE_KINDS, "text"):
        return documents.compose_document(rng, kind, domain, seed)
    return compose_scene(rng, kind, _sample_objects(rng, kind, domain), domain, seed)


def compose_scene(
    rng: np.random.Generator, kind: str, unplaced: Sequence[SceneObject], domain: SceneDomain, seed: int
) -> Scene:
    """Place these objects, and the signs that the kind has, in a scene; objects that do not fit are left out."""
    ground = background(rng, [reference_color(obj) for obj in unplaced])
    signs = _sample_signs(rng, kind, ground, domain)
    objects = _place_objects(rng, unplaced, kind, domain, [sign.extent(SCENE_PX) for sign in signs])
    return Scene(kind, ground, objects, signs, noise=max(0.0, float(rng.uniform(-6, 6))), seed=seed)


def _sample_objects(rng: np.random.Generator, kind: str, domain: SceneDomain) -> list[SceneObject]:
    """Sample the objects of a kind, not yet placed."""
    match kind:
        case "single":
            return sample_distinct(rng, 1, kind, domain)
        case "few":
            return sample_distinct(rng, int(rng.integers(2, domain.max_objects + 1)), kind, domain)
        case "many":
            return sample_distinct(rng, int(rng.integers(5, 9)), kind, domain)
        case "count":
            return _sample_copies(rng, domain)
        case "sign":
            return sample_distinct(rng, int(rng.integers(0, 3)), kind, domain)
        case _:
            return []


def sample_distinct(rng: np.random.Generator, count: int, kind: str, domain: SceneDomain) -> list[SceneObject]:
    """Sample `count` objects with unambiguous names; some shapes occur twice in different colors."""
    colors = [list(COLORS)[i] for i in rng.permutation(len(COLORS))]
    objects: list[SceneObject] = []
    while len(objects) < count:
        if domain.styles and rng.random() >= _COLORED_SHARE[kind]:
            obj = icon_object(rng, pick(rng, ICON_NAMES), domain)
        elif objects and objects[-1].name in SHAPE_NAMES and domain.styles and rng.random() < 0.3:
            objects.append(colored_object(rng, objects[-1].name, colors[len(objects)]))
            continue
        else:
            # In domains with icons half of the colored objects are shapes, because questions about colors use shapes.
            names = SHAPE_NAMES if domain.styles and rng.random() < 0.5 else COLORED_NAMES
            obj = colored_object(rng, pick(rng, names), colors[len(objects)])
        if not any(confusable(obj.name, other.name) for other in objects):
            objects.append(obj)
    return objects


def _sample_copies(rng: np.random.Generator, domain: SceneDomain) -> list[SceneObject]:
    """Sample copies of one concept, in one color or several, and sometimes fewer or more copies of a second one."""
    count = int(rng.integers(1, domain.max_copies + 1))
    first = sample_distinct(rng, 1, "count", domain)[0]
    objects = repeat_object(rng, first, count)
    num_others = int(rng.integers(1, 4))
    if domain.styles and num_others != count and count + num_others <= domain.max_copies and rng.random() < 0.4:
        second = sample_distinct(rng, 1, "count", domain)[0]
        if not confusable(second.name, first.name):
            objects += repeat_object(rng, second, num_others)
    return objects


def repeat_object(rng: np.random.Generator, first: SceneObject, count: int) -> list[SceneObject]:
    """Return `count` copies: identical icons, or colored objects in one color (70 %) or in several."""
    if first.style is not None:
        return [first] * count
    same = rng.random() < 0.7
    names = [first.color_name if same else pick(rng, list(COLORS)[:6]) for _ in range(count)]
    return [colored_object(rng, first.name, name or "") for name in names]


_UNPLACED: Box = (0, 0, 0, 0)


def colored_object(rng: np.random.Generator, name: str, color_name: str) -> SceneObject:
    """Return an object in a shade of the named color, not yet placed."""
    return SceneObject(name, _UNPLACED, color_name, shade(rng, color_name), tilt_degrees=int(rng.integers(-12, 13)))


def icon_object(rng: np.random.Generator, name: str, domain: SceneDomain) -> SceneObject:
    """Return an icon in one of the domain's styles, not yet placed."""
    return SceneObject(name, _UNPLACED, style=pick(rng, domain.styles), mirrored=bool(rng.random() < 0.5))


def _place_objects(
    rng: np.random.Generator, unplaced: Sequence[SceneObject], kind: str, domain: SceneDomain, taken: Sequence[Box] = ()
) -> tuple[SceneObject, ...]:
    """Place objects by one of the domain's layouts, in reading order; those that do not fit are left out."""
    if not unplaced:
        return ()
    low, high = _SIZES_PX[kind]
    largest = rng.integers(low + 1, high + 1)
    sizes = rng.integers(low, largest + 1, len(unplaced)).tolist()
    layouts = domain.layouts.objects if len(unplaced) > 1 else ("scatter",)
    layouts = ("corners",) if kind == "many" else layouts  # the only layout with room for this many
    boxes = arrange(rng, layouts, sizes, SCENE_PX, taken, clear=kind != "count")
    return tuple(replace(unplaced[i], box=boxes[i]) for i in reading_order(boxes))


def _sample_signs(rng: np.random.Generator, kind: str, ground: Color, domain: SceneDomain) -> tuple[Sign, ...]:
    """Sample one sign, or two to five words that are ordered unambiguously from top to bottom."""
    signs: list[Sign] = []
    for _ in range({"sign": 1, "words": int(rng.integers(2, 6))}.get(kind, 0)):
        sign = _sample_sign(rng, ground, domain, [other.extent(SCENE_PX) for other in signs])
        if sign is not None and sign.word not in {other.word for other in signs}:
            signs.append(sign)
    return tuple(sorted(signs, key=lambda sign: sum(sign.box[1::2])))


def _sample_sign(rng: np.random.Generator, ground: Color, domain: SceneDomain, taken: Sequence[Box]) -> Sign | None:
    """Sample a word in a free place; None if there is no room."""
    word, font, frame = domain.texts.draw(rng), pick(rng, domain.fonts), pick(rng, domain.layouts.signs)
    lowest, highest = domain.cap_heights_px
    cap_height, pad = int(rng.integers(lowest, highest + 1)), int(rng.integers(4, 9))
    # Among digits, a small l would be a 1.
    case = pick(rng, domain.cases) if len(domain.cases) > 1 and word.isalpha() else "upper"
    drawn = in_case(word, case)
    while text_width(drawn, font, cap_height) + 2 * pad > SCENE_PX - 8 and cap_height > lowest:
        cap_height -= 1
    width, height = round(text_width(drawn, font, cap_height)) + 2 * pad, cap_height + 2 * pad
    wide = SCENE_PX - 4 if frame == "strip" else width
    box = free_box(rng, wide, height, taken, SCENE_PX, _WORDS_APART_PX)
    if box is None:
        return None
    left = box[0] + int(rng.integers(wide - width + 1))
    place = (left, box[1], left + width, box[3])
    if domain.black_on_white:
        return Sign(word, place, WHITE, BLACK, font, cap_height, frame, case)
    panel = ground if frame == "bare" else background(rng, [])
    return Sign(word, place, panel, contrasting(rng, panel), font, cap_height, frame, case)
