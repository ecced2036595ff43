"""Training and evaluation domains: the assets that scenes use, and which of them are held out from training."""

from dataclasses import dataclass, replace

from .fonts import ALL_TRAINING_FONTS, HELD_OUT_FONTS, TRAINING_FONTS
from .icons import HELD_OUT_STYLES, TRAINING_STYLES
from .lettering import CAP_HEIGHTS_PX, LETTER_CASES, LetterCase
from .lexicon import LETTERS, TextSampler

TRAINING_STREAM, EVALUATION_STREAM = 2, 3
"""Seeds of the two random streams never give the same scene."""


@dataclass(frozen=True)
class Layouts:
    """Names of object layouts, sign frames, chart orientations and table styles."""

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
    """The assets and limits that scenes are sampled from.

    Attributes:
        stream: `TRAINING_STREAM` or `EVALUATION_STREAM`.
        texts: sampler of texts.
        fonts: names of fonts.
        styles: icon styles; empty if all objects are shapes in named colors.
        layouts: names of layouts.
        max_objects: maximum number of objects in scenes of kind `few`.
        max_copies: maximum number of copies in scenes of kind `count`.
        cap_heights_px: minimum and maximum height of capitals on signs; lower where the text would not fit.
        cases: cases of letters on signs.
        black_on_white: draw signs black on white instead of in random contrasting colors.
    """

    stream: int = TRAINING_STREAM
    texts: TextSampler = TRAINING_TEXTS
    fonts: tuple[str, ...] = TRAINING_FONTS
    styles: tuple[str, ...] = TRAINING_STYLES
    layouts: Layouts = TRAINING_LAYOUTS
    max_objects: int = 4
    max_copies: int = 8
    cap_heights_px: tuple[int, int] = CAP_HEIGHTS_PX
    cases: tuple[LetterCase, ...] = ("upper",)
    black_on_white: bool = False


TRAINING = SceneDomain()
AXES = ("texts", "fonts", "styles", "layouts")


def evaluation(*held_out: str, base: SceneDomain = TRAINING, texts: TextSampler | None = None) -> SceneDomain:
    """Return a domain for evaluation scenes in which only the named axes are held out from training.

    Args:
        held_out: some of `AXES`; without any, scenes are new but use training assets only.
        base: domain for all other fields.
        texts: sampler to use instead of the base's; `held_out` decides its split.

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
"""The domain of the basic skills: capital letters, colored shapes and objects, up to five copies."""

COLORED_DOMAIN = SceneDomain(styles=(), max_objects=5)
"""Colored shapes and objects only, no icons."""

ANY_LETTERS_DOMAIN = SceneDomain(cap_heights_px=(8, 64), cases=("upper", *LETTER_CASES))
"""Letters of all sizes that fit, and in all cases; half of them capitals alone."""

ENCODER_DOMAIN = replace(ANY_LETTERS_DOMAIN, fonts=ALL_TRAINING_FONTS)
"""The same in more fonts, which encoders are trained on."""

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
"""A domain that small models learn in minutes: numbers of two or three digits in one font, black on white, and colored
shapes and objects, up to five copies."""
