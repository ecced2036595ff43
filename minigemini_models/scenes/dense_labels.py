"""Dense labels for pretraining, per patch of an image: by default of 32 × 32 pixels, as one visual token shows."""

from collections.abc import Iterable

import numpy as np

from .colors import COLORS
from .concepts import NAMES
from .lettering import Letter
from .lexicon import CHARACTERS
from .scene import Scene

PATCH_PX = 32
"""Side of the region of one of 8 × 8 visual tokens, in pixels of a scene."""
CELL_PX = 8
SLOT_ROWS, SLOT_COLUMNS = 2, 8
"""Letters of a patch are labeled by the position of their center: upper or lower half, and one of eight columns."""
NUM_LETTER_CLASSES = len(CHARACTERS) + 1
"""Class 0 is no letter, then A to Z and 0 to 9."""
NUM_NAME_CLASSES, NUM_COLOR_CLASSES = len(NAMES) + 1, len(COLORS) + 1
"""Class 0 is background, then the order of `concepts.NAMES` and `colors.COLORS`. The color class of icons is 0."""

_LETTER_CLASSES = {character: number for number, character in enumerate(CHARACTERS, start=1)}
_NAME_CLASSES = {name: number for number, name in enumerate(NAMES, start=1)}
_COLOR_CLASSES = {None: 0} | {name: number for number, name in enumerate(COLORS, start=1)}


def letter_class(character: str) -> int:
    """Return the class of a letter or digit; both cases of a letter have the same."""
    return _LETTER_CLASSES[character.upper()]


def slot_labels(letters: Iterable[Letter], size_px: int, patch_px: int = PATCH_PX) -> np.ndarray:
    """Return the ordered letters of every patch: (patches, patches, SLOT_ROWS · SLOT_COLUMNS) int64.

    A letter whose slot is taken moves to the next free column of its row, so that narrow letters keep their order; if
    there is none in its patch, it has no slot.
    """
    n = size_px // patch_px
    labels = np.zeros((n, n, SLOT_ROWS, SLOT_COLUMNS), dtype=np.int64)
    for letter in letters:
        x, y = letter.center
        if 0 <= x < size_px and 0 <= y < size_px:
            row, column = int(y // patch_px), int(x // patch_px)
            slot_row = int(y % patch_px * SLOT_ROWS / patch_px)
            slot_column = int(x % patch_px * SLOT_COLUMNS / patch_px)
            slots = labels[row, column, slot_row]
            while slot_column < SLOT_COLUMNS and slots[slot_column]:
                slot_column += 1
            if slot_column < SLOT_COLUMNS:
                slots[slot_column] = letter_class(letter.character)
    return labels.reshape(n, n, -1)


def cell_labels(letters: Iterable[Letter], size_px: int, cell_px: int = CELL_PX) -> np.ndarray:
    """Return the letter at the center of every cell: (cells, cells) int64."""
    cells = size_px // cell_px
    labels = np.zeros((cells, cells), dtype=np.int64)
    for letter in letters:
        left, right = _cells_between(letter.left, letter.right, cells, cell_px)
        top, bottom = _cells_between(letter.top, letter.bottom, cells, cell_px)
        labels[top:bottom, left:right] = letter_class(letter.character)
    return labels


def object_labels(scene: Scene, owner: np.ndarray, patch_px: int = PATCH_PX) -> dict[str, np.ndarray]:
    """Return what each patch of a scene shows.

    Args:
        scene: the scene.
        owner: (px, px), the number of the object visible at every pixel, 0 for none.
        patch_px: side of a patch.

    Returns:
        Three (patches, patches) int64 arrays. `names`: class of the object that covers most of the patch if it covers
        at least a tenth, else 0. `colours`: the color class of the same object, 0 for icons. `centres`: 1 where the
        center of an object lies.
    """
    n = owner.shape[0] // patch_px
    names, colors, centers = (np.zeros((n, n), dtype=np.int64) for _ in range(3))
    by_patch = owner.reshape(n, patch_px, n, patch_px)
    cover = np.stack([(by_patch == number).sum(axis=(1, 3)) for number in range(1, len(scene.objects) + 1)] or [names])
    shown, most = cover.max(axis=0) >= patch_px**2 / 10, cover.argmax(axis=0)
    for index, obj in enumerate(scene.objects):
        here = shown & (most == index)
        names[here] = _NAME_CLASSES[obj.name]
        colors[here] = _COLOR_CLASSES[obj.color_name]
        left, top, right, bottom = obj.box
        centers[(top + bottom) // 2 // patch_px, (left + right) // 2 // patch_px] = 1
    return {"names": names, "colours": colors, "centres": centers}


def _cells_between(start_px: float, stop_px: float, cells: int, cell_px: int) -> tuple[int, int]:
    """Index of the first cell whose center lies between two coordinates, and one past the last."""
    first = int(np.ceil((start_px - cell_px / 2) / cell_px))
    last = int(np.floor((stop_px - cell_px / 2) / cell_px))
    return min(max(first, 0), cells), min(max(last + 1, 0), cells)
