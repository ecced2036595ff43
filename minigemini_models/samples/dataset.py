"""Synthetic scenes as a dataset: row i is generated from seed i on access."""

import sys
from collections.abc import Callable
from functools import lru_cache

import numpy as np

from minigemini.data.schema import Sample
from minigemini.training.settings import RecipeError

from .dialogs import Dialog, sample_caption, sample_dialog
from .image_requests import TRAINING_KINDS, sample_request
from .lessons.skills import PICTURE_SKILLS, SKILLS, SMALL_SKILLS


def _lesson_dialog(number: int, skill: str) -> Dialog:
    """Return a lesson as one conversation."""
    return LESSONS[skill](FIRST_LESSON + number).dialog()


SMALL = "small-"
"""Prefix of the datasets of the small domain."""
FIRST_LESSON = 10**8
"""Number of the first lesson with pictures, beyond those that the language model has had with perfect eyes."""
LESSONS = {name: sampler for name, sampler in (SKILLS | PICTURE_SKILLS).items() if name != "drawing"} | {
    f"{SMALL}{name}": sampler for name, sampler in SMALL_SKILLS.items()
}
"""Lessons of nano and of the ablation. `drawing` is left out because its number of images varies; `requests` has those
dialogs by kind."""
SYNTHETIC: dict[str, tuple[Callable[[int, str], Dialog], tuple[str, ...]]] = {
    "captions": (sample_caption, ("single", "few", "count", "sign", "words")),
    "lessons": (
        sample_dialog,
        (
            *("single", "few", "sign", "count", "few", "words", "sign", "more"),
            *("single", "few", "sign", "count", "few", "words", "changed", "which"),
        ),
    ),
    "requests": (sample_request, TRAINING_KINDS),
    **{skill: (_lesson_dialog, (skill,)) for skill in LESSONS},
}
"""Datasets by name: the function that builds a dialog from row number and kind, and the kinds, which alternate."""
PREFIX = "synthetic:"
_PROBES = 8


class SyntheticReader:
    """A `Reader` of generated samples.

    Args:
        what: a key of `SYNTHETIC`.
        rows: number of samples.
    """

    def __init__(self, what: str, rows: int) -> None:
        self.name, self.what, self.rows = PREFIX + what, what, rows
        kinds = SYNTHETIC[what][1]
        kind_of_row = np.arange(rows) % len(kinds)
        self.text_bytes = np.array([_mean_bytes(what, kind) for kind in kinds], dtype=np.int32)[kind_of_row]
        self.images = np.array([len(SYNTHETIC[what][0](0, kind).scenes) for kind in kinds], dtype=np.int32)[kind_of_row]

    @classmethod
    def open(cls, source: str) -> "SyntheticReader":
        """Open the dataset that a recipe names, e.g. `synthetic:lessons#1000`.

        Raises:
            RecipeError: The name is unknown, or the number of samples is missing.
        """
        what, _, count = source.partition(":")[2].partition("#")
        if what not in SYNTHETIC:
            raise RecipeError(f"data {source}: unknown synthetic data; choose from {', '.join(SYNTHETIC)}")
        if not count.isdecimal() or not int(count):
            raise RecipeError(f"data {source}: give the number of samples, e.g. {PREFIX}{what}#1000")
        return cls(what, int(count))

    def __len__(self) -> int:
        return self.rows

    def __getitem__(self, row: int) -> Sample:
        """Generate one sample with its images."""
        dialog = synthetic_dialog(self.what, row)
        return Sample(str(row), self.name, tuple(dialog.messages()), tuple(scene.draw()[0] for scene in dialog.scenes))


def open_renamed(source: str) -> SyntheticReader:
    """Open a dataset by its name in 0.1, e.g. `drawn:lessons#1000`, with a warning; this works for one release.

    Raises:
        RecipeError: As in `SyntheticReader.open`.
    """
    current = PREFIX + source.partition(":")[2]
    print(f"minigemini: data {source} is now called {current}; the old name works in 0.2 only", file=sys.stderr)
    return SyntheticReader.open(current)


def synthetic_dialog(what: str, row: int) -> Dialog:
    """Return the dialog and scenes of a row, without rendering the scenes."""
    sample, kinds = SYNTHETIC[what]
    return sample(row, kinds[row % len(kinds)])


@lru_cache
def _mean_bytes(what: str, kind: str) -> int:
    """Mean size of the text of a kind's rows in bytes, estimated from the first few."""
    sample, _ = SYNTHETIC[what]
    dialogs = [sample(row, kind) for row in range(_PROBES)]
    return sum(len(turn.question) + len(turn.answer) for dialog in dialogs for turn in dialog.turns) // _PROBES
