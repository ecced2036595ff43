"""Scenes of the drawn world: what is in a picture, and the picture itself."""

from dataclasses import dataclass, field

import numpy as np
from PIL import Image, ImageDraw

from . import drawings
from .colours import COLOURS, background, contrasting, pick, shade
from .fonts import TRAINING_FONTS
from .lettering import CAP_HEIGHTS_PX, Colour, Letter, draw_text, text_width
from .lexicon import LETTERS, TRAINING_WORDS

SCENE_PX = 256
KINDS = ("single", "few", "count", "sign", "words")
"""One thing · two or three different ones · one to five alike · a sign, maybe with things · several words."""
MAX_COUNT = 5
TRAINING_STREAM, EVALUATION_STREAM = 2, 3
"""Scenes of the two streams have nothing in common but what they are made of."""

Box = tuple[int, int, int, int]
"""Left, top, right, bottom in pixels."""


@dataclass(frozen=True)
class Thing:
    name: str
    colour_name: str
    colour: Colour
    box: Box
    tilt_degrees: int = 0


@dataclass(frozen=True)
class Sign:
    """A word on a panel (or straight on the ground, where `panel` is the ground's colour)."""

    word: str
    box: Box
    panel: Colour
    ink: Colour
    font: str
    cap_height_px: int


@dataclass(frozen=True)
class Scene:
    kind: str
    ground: Colour
    things: tuple[Thing, ...] = ()
    signs: tuple[Sign, ...] = ()
    noise: float = 0.0
    seed: int = field(default=0, repr=False)

    def draw(self) -> tuple[Image.Image, list[Letter], np.ndarray]:
        """The picture (RGB, `SCENE_PX` square), its letters, and per pixel the number of the thing shown (0: none)."""
        image = Image.new("RGB", (SCENE_PX, SCENE_PX), self.ground)
        owner = Image.new("L", (SCENE_PX, SCENE_PX))
        for number, thing in enumerate(self.things, start=1):
            left, top, right, _ = thing.box
            tile = drawings.render(thing.name, thing.colour, right - left, thing.tilt_degrees)
            image.paste(tile, (left, top), tile)
            owner.paste(number, (left, top), tile.getchannel("A"))
        letters = [letter for sign in self.signs for letter in _draw_sign(ImageDraw.Draw(image), sign)]
        return _noisy(image, self.noise, self.seed), letters, np.asarray(owner)


def sample_scene(
    seed: int,
    kind: str | None = None,
    *,
    stream: int = TRAINING_STREAM,
    words: tuple[str, ...] | None = None,
    fonts: tuple[str, ...] = TRAINING_FONTS,
) -> Scene:
    """The scene of a seed.

    Args:
        seed: the same seed, kind and stream always give the same scene.
        kind: one of `KINDS`; drawn when not given.
        stream: `TRAINING_STREAM` or `EVALUATION_STREAM`: they share no scene.
        words: what signs may say; by default training words and, half the time, random letters.
        fonts: names of the fonts to letter signs with.

    Raises:
        ValueError: `kind` is none of `KINDS`.
    """
    rng = np.random.default_rng([stream, seed])
    kind = kind or pick(rng, KINDS)
    if kind not in KINDS:
        raise ValueError(f"unknown kind of scene {kind!r}: choose from {', '.join(KINDS)}")
    boxes: list[Box] = []
    colours = _thing_colours(rng, kind)
    ground = background(rng, [COLOURS[name] for name in colours])
    signs = _place_signs(rng, kind, ground, boxes, words, fonts)
    things = _place_things(rng, kind, colours, boxes)
    return Scene(kind, ground, things, signs, noise=max(0.0, float(rng.uniform(-6, 6))), seed=seed)


def _thing_colours(rng: np.random.Generator, kind: str) -> list[str]:
    """Colour name of every thing to come."""
    names = tuple(COLOURS)
    match kind:
        case "single":
            return [pick(rng, names)]
        case "few":
            return [names[i] for i in rng.permutation(len(names))[: int(rng.integers(2, 4))]]
        case "count":
            count, same = int(rng.integers(1, MAX_COUNT + 1)), bool(rng.random() < 0.7)
            return [pick(rng, names)] * count if same else [pick(rng, names[:6]) for _ in range(count)]
        case "sign":
            return [pick(rng, names) for _ in range(int(rng.integers(0, 3)))]
        case _:
            return []


def _place_things(rng: np.random.Generator, kind: str, colours: list[str], taken: list[Box]) -> tuple[Thing, ...]:
    low, high = {"single": (70, 150), "few": (56, 96), "count": (40, 64)}.get(kind, (48, 80))
    different = [drawings.NAMES[i] for i in rng.permutation(len(drawings.NAMES))]
    things = []
    for index, colour_name in enumerate(colours):
        box = _free_box(rng, int(rng.integers(low, high)), None, taken)
        if box is not None:
            name = different[0 if kind == "count" else index]
            things.append(Thing(name, colour_name, shade(rng, colour_name), box, int(rng.integers(-12, 13))))
    return tuple(things)


def _place_signs(
    rng: np.random.Generator,
    kind: str,
    ground: Colour,
    taken: list[Box],
    words: tuple[str, ...] | None,
    fonts: tuple[str, ...],
) -> tuple[Sign, ...]:
    signs = []
    for _ in range({"sign": 1, "words": int(rng.integers(3, 7))}.get(kind, 0)):
        word = pick(rng, words) if words else _training_word(rng)
        font, cap_height = pick(rng, fonts), int(rng.integers(CAP_HEIGHTS_PX[0], CAP_HEIGHTS_PX[1] + 1))
        pad = int(rng.integers(4, 9))
        width, height = round(text_width(word, font, cap_height)) + 2 * pad, cap_height + 2 * pad
        box = _free_box(rng, width, height, taken)
        if box is not None:
            panel = ground if kind == "words" and rng.random() < 0.5 else background(rng, [])
            signs.append(Sign(word, box, panel, contrasting(rng, panel), font, cap_height))
    return tuple(sorted(signs, key=lambda sign: sign.box[1]))


def _training_word(rng: np.random.Generator) -> str:
    if rng.random() < 0.5:
        return pick(rng, TRAINING_WORDS)
    return "".join(LETTERS[i] for i in rng.integers(0, len(LETTERS), int(rng.integers(3, 7))))


def _free_box(rng: np.random.Generator, width: int, height: int | None, taken: list[Box]) -> Box | None:
    """A box of that size inside the picture, clear of `taken`, which it joins; None if forty tries find no room."""
    height = height or width
    for _ in range(40):
        left, top = int(rng.integers(2, SCENE_PX - width - 1)), int(rng.integers(2, SCENE_PX - height - 1))
        box = (left, top, left + width, top + height)
        if not any(_overlap(box, other) for other in taken):
            taken.append(box)
            return box
    return None


def _overlap(a: Box, b: Box, gap: int = 4) -> bool:
    return a[0] < b[2] + gap and b[0] < a[2] + gap and a[1] < b[3] + gap and b[1] < a[3] + gap


def _draw_sign(draw: ImageDraw.ImageDraw, sign: Sign) -> list[Letter]:
    draw.rectangle(sign.box, fill=sign.panel)
    pad = (sign.box[3] - sign.box[1] - sign.cap_height_px) / 2
    baseline = sign.box[3] - pad
    return draw_text(draw, sign.word, sign.box[0] + pad, baseline, sign.font, sign.cap_height_px, sign.ink)


def _noisy(image: Image.Image, noise: float, seed: int) -> Image.Image:
    if noise == 0.0:
        return image
    grain = np.random.default_rng(seed).normal(0, noise, (SCENE_PX, SCENE_PX, 1)).astype(np.float32)
    return Image.fromarray(np.clip(np.asarray(image) + grain, 0, 255).astype(np.uint8))
