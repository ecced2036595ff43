"""What the words of drawn things say of photographs, sampled for lessons that have no picture.

The words of `things`, `colors` and `centers` were learned on drawn scenes, and raise false alarms on photographs. In
60 photographs that no lesson uses, the words of `things` see something in 8 % of the patches (median; 38 % in one
photograph in twenty), spread over many names, the largest with a weight of 0.18 (median). Those of `colors` see one
or two colors in 9 % (27 %), mostly in coherent areas, and `centers` sees none in half of them, and 8 or more in a
quarter. From such noise the language model must learn that a photograph is not a drawn scene.
"""

from collections.abc import Mapping

import numpy as np
from PIL import Image

from .lesson import PATCHES_PER_SIDE, VisualWords

STREAM = 103
_PATCHES = PATCHES_PER_SIDE**2
_THING_SHARES = (0.02, 0.05, 0.1, 0.25, 0.4)
_COLOR_SHARES = (0.02, 0.05, 0.1, 0.2, 0.3, 0.45)
_CENTER_SHARES = (0.0, 0.0, 0.02, 0.12, 0.25)
"""Shares of patches with a false alarm, each equally likely."""
_NAMES_PER_PATCH = 8


def words_of_photograph(classes: VisualWords, number: int, sizes: Mapping[str, int]) -> Mapping[str, VisualWords]:
    """Return the words of all groups for a photograph that is given by its classes.

    Args:
        classes: words of the group `classes`.
        number: number of the lesson; the same number gives the same words.
        sizes: number of words by group.
    """
    rng = np.random.default_rng([STREAM, number])
    shared = _field(rng)  # alarms of all groups tend to be in the same places
    things, colors, centers = (
        _alarms(0.7 * shared + 0.3 * _field(rng), float(rng.choice(shares)))
        for shares in (_THING_SHARES, _COLOR_SHARES, _CENTER_SHARES)
    )
    return {
        "classes": classes,
        "things": _words(
            rng, things, sizes["things"], palette=int(rng.integers(2, 12)), kept=_NAMES_PER_PATCH, peak=0.6
        ),
        "colors": _words(rng, colors, sizes["colors"], palette=int(rng.integers(1, 4)), kept=2, peak=6.0),
        "centers": _words(rng, centers, sizes["centers"], palette=1, kept=1, peak=1.0),
    }


def _field(rng: np.random.Generator) -> np.ndarray:
    """A smooth random field over the patches, (64,)."""
    coarse = Image.fromarray(rng.normal(size=(4, 4)).astype(np.float32))
    smooth = np.asarray(coarse.resize((PATCHES_PER_SIDE, PATCHES_PER_SIDE), Image.Resampling.BICUBIC))
    return smooth.reshape(-1) + 0.3 * rng.normal(size=_PATCHES)


def _alarms(field: np.ndarray, share: float) -> np.ndarray:
    """The patches where a field is highest, (64,) bool."""
    return field > np.quantile(field, 1 - share) if share else np.zeros(_PATCHES, dtype=bool)


def _words(
    rng: np.random.Generator, alarms: np.ndarray, size: int, palette: int, kept: int, peak: float
) -> VisualWords:
    """Nothing (word 0) where there is no alarm, and `kept` words of a palette elsewhere; high peaks favor the first."""
    names = rng.integers(1, size, palette)
    chosen = names[rng.integers(0, palette, (_PATCHES, kept))]
    chosen[:, 0] = np.where(rng.random(_PATCHES) < 0.7, names[0], chosen[:, 0])
    nothing = np.where(alarms, rng.uniform(0.0, 0.5, _PATCHES), rng.beta(20, 1, _PATCHES))
    shares = rng.dirichlet(np.array([peak, *[0.6] * (kept - 1)]), _PATCHES)
    indices = np.concatenate([np.zeros((_PATCHES, 1), dtype=np.int64), chosen], axis=1)
    weights = np.concatenate([nothing[:, None], (1 - nothing)[:, None] * shares], axis=1)
    return VisualWords(indices.astype(np.int16), weights.astype(np.float32))
