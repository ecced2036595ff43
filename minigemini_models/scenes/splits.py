"""What scenes are made of, and what of it training never sees. Evaluation holds out one axis, or all of them."""

from dataclasses import dataclass, replace

from .fonts import HELD_OUT_FONTS, TRAINING_FONTS
from .icons import HELD_OUT_STYLES, TRAINING_STYLES
from .lettering import CAP_HEIGHTS_PX
from .lexicon import LETTERS, TextSampler

TRAINING_STREAM, EVALUATION_STREAM = 2, 3
"""Scenes of the two streams have nothing in common but what they are made of."""


@dataclass(frozen=True)
class Layouts:
    """How things stand, how signs and charts and tables are drawn: names that `layouts` and `scene` know."""

    objects: tuple[str, ...] = ("scatter", "row", "column", "corners")
    signs: tuple[str, ...] = ("panel", "bare", "framed")
    charts: tuple[str, ...] = ("upright",)
    tables: tuple[str, ...] = ("ruled", "plain")


TRAINING_LAYOUTS = Layouts()
HELD_OUT_LAYOUTS = Layouts(
    objects=("diagonal", "circle"), signs=("rounded", "strip"), charts=("lying",), tables=("striped",)
)


TRAINING_TEXTS = TextSampler()


@dataclass(frozen=True)
class SceneDomain:
    """What a scene may be made of.

    Attributes:
        stream: `TRAINING_STREAM` or `EVALUATION_STREAM`.
        texts, fonts: what is written, in which fonts.
        styles: of icons; none where everything is drawn in a named colour.
        layouts: how it stands.
        most_things, most_alike: how many things stand in scenes of a few, and of many alike.
        cap_heights_px: least and greatest height of capitals on signs.
        black_on_white: whether signs are that, and not of any two colours that stand off from each other.
    """

    stream: int = TRAINING_STREAM
    texts: TextSampler = TRAINING_TEXTS
    fonts: tuple[str, ...] = TRAINING_FONTS
    styles: tuple[str, ...] = TRAINING_STYLES
    layouts: Layouts = TRAINING_LAYOUTS
    max_objects: int = 4
    max_copies: int = 8
    cap_heights_px: tuple[int, int] = CAP_HEIGHTS_PX
    black_on_white: bool = False


TRAINING = SceneDomain()
AXES = ("texts", "fonts", "styles", "layouts")


def evaluation(*held_out: str, base: SceneDomain = TRAINING, texts: TextSampler | None = None) -> SceneDomain:
    """Material for fresh scenes in which only the axes named are ones that training never sees.

    Args:
        held_out: some of `AXES`; none of them gives fresh scenes of what training knows.
        base: what the rest is taken from.
        texts: what is written, instead of the base's; on the side of the line that `held_out` says.

    Raises:
        ValueError: an axis is unknown.
    """
    if unknown := set(held_out) - set(AXES):
        raise ValueError(f"unknown axis {', '.join(sorted(unknown))}: choose from {', '.join(AXES)}")
    return replace(
        base,
        stream=EVALUATION_STREAM,
        texts=replace(texts or base.texts, held_out="texts" in held_out),
        fonts=HELD_OUT_FONTS if "fonts" in held_out else base.fonts,
        styles=HELD_OUT_STYLES if "styles" in held_out else base.styles,
        layouts=HELD_OUT_LAYOUTS if "layouts" in held_out else base.layouts,
    )


BASIC_DOMAIN = SceneDomain(
    texts=TextSampler(words=1.0, numbers=0.0, strings=1.0, characters=LETTERS, lengths=(3, 6)),
    styles=(),
    layouts=Layouts(objects=("scatter",), signs=("panel",)),
    max_objects=3,
    max_copies=5,
)
"""The smaller world of the first nano: capitals, coloured drawings, up to five alike."""

COLORED_DOMAIN = SceneDomain(styles=(), max_objects=5)
"""Nothing but drawings in named colours."""

SMALL_DOMAIN = SceneDomain(
    texts=TextSampler(words=0.0, numbers=1.0, strings=0.0, lengths=(2, 3)),
    fonts=TRAINING_FONTS[:1],
    styles=(),
    layouts=Layouts(objects=("scatter",), signs=("panel",)),
    max_objects=3,
    max_copies=5,
    cap_heights_px=(12, 16),
    black_on_white=True,
)
"""A world that small models learn in minutes: numbers of two or three digits in one font, black on white, coloured
drawings, up to five alike."""
