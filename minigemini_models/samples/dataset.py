"""The drawn world as a source of samples: row i is drawn from seed i, when it is asked for."""

import sys
from collections.abc import Callable
from functools import lru_cache, partial

import numpy as np

from minigemini.data.schema import Sample
from minigemini.training.settings import RecipeError

from ..scenes.composition import CROWDED_KINDS
from ..scenes.documents import ONE_LINE, PAGE_KINDS
from ..scenes.splits import COLORED_DOMAIN, SMALL_DOMAIN
from .attribute_lookup import LOOKUP_KINDS
from .dialogs import (
    PAIR_KINDS,
    Dialog,
    sample_caption,
    sample_colors,
    sample_dialog,
    sample_document,
    sample_lookup,
    sample_object_list,
    sample_quiz,
)
from .image_pairs import PAIR_LOOKUP_KINDS
from .image_requests import sample_request
from .spatial_relations import RELATION_KINDS

_in_short = partial(sample_dialog, domain=SMALL_DOMAIN, max_turns=3)
SYNTHETIC: dict[str, tuple[Callable[[int, str], Dialog], tuple[str, ...]]] = {
    "captions": (sample_caption, ("single", "few", "count", "sign", "words")),
    "lessons": (
        sample_dialog,
        (
            *("single", "few", "sign", "count", "few", "words", "sign", "more"),
            *("single", "few", "sign", "count", "few", "words", "changed", "which"),
        ),
    ),
    "signs": (partial(sample_dialog, max_turns=1), ("sign",)),
    "crowded": (sample_dialog, CROWDED_KINDS),
    "pages": (sample_dialog, PAGE_KINDS),
    "lines": (partial(sample_dialog, max_turns=1), (ONE_LINE,)),
    "pages-told": (sample_document, PAGE_KINDS),
    "pages-asked": (partial(sample_document, qa=True), PAGE_KINDS),
    "quizzes": (sample_quiz, ("few", "count", "many", "few", "count")),
    "inventories": (sample_object_list, ("few", "many", "few", "many", *PAIR_KINDS)),
    "colours": (sample_colors, ("few",)),
    **{kind: (sample_lookup, (kind,)) for kind in (*LOOKUP_KINDS, *RELATION_KINDS, *PAIR_LOOKUP_KINDS)},
    "colours-told": (sample_lookup, ("colours-told", "colours-repeated")),
    "tinted-inventories": (partial(sample_object_list, domain=COLORED_DOMAIN), ("few",)),
    "tinted-quizzes": (partial(sample_quiz, domain=COLORED_DOMAIN), ("few",)),
    "pairs": (sample_dialog, PAIR_KINDS),
    "requests": (
        sample_request,
        ("request", "refine", "request", "mention", "request", "seen", "painted", "unknown", "drawn", "drawn"),
    ),
    "wishes": (sample_request, ("request", "refine", "request", "mention", "request", "refine", "unknown")),
    "small-captions": (partial(sample_caption, domain=SMALL_DOMAIN), ("single", "few", "count", "sign", "words")),
    "small-lessons": (_in_short, ("sign", "single", "few", "count")),
    "small-reading": (partial(sample_dialog, domain=SMALL_DOMAIN, max_turns=1), ("sign",)),
    "small-questions": (_in_short, ("single", "few", "count")),
}
"""What can be drawn: how a row's lesson comes from its number and kind, and the kinds of rows in turn."""
PREFIX = "synthetic:"
_PROBES = 8


class SyntheticReader:
    """A `Reader` of so many drawn samples.

    Args:
        what: one of `DRAWN`.
        rows: how many.
    """

    def __init__(self, what: str, rows: int) -> None:
        self.name, self.what, self.rows = PREFIX + what, what, rows
        kinds = SYNTHETIC[what][1]
        kind_of_row = np.arange(rows) % len(kinds)
        self.text_bytes = np.array([_usual_bytes(what, kind) for kind in kinds], dtype=np.int32)[kind_of_row]
        self.images = np.array([len(SYNTHETIC[what][0](0, kind).scenes) for kind in kinds], dtype=np.int32)[kind_of_row]

    @classmethod
    def open(cls, source: str) -> "SyntheticReader":
        """Read a recipe's form, as `synthetic:lessons#1000`.

        Raises:
            RecipeError: It is none.
        """
        what, _, count = source.partition(":")[2].partition("#")
        if what not in SYNTHETIC:
            raise RecipeError(f"data {source}: nothing is drawn by that name; use {', '.join(SYNTHETIC)}")
        if not count.isdecimal() or not int(count):
            raise RecipeError(f"data {source}: say how many, e.g. {PREFIX}{what}#1000")
        return cls(what, int(count))

    def __len__(self) -> int:
        return self.rows

    def __getitem__(self, row: int) -> Sample:
        """Draw one sample, its pictures included."""
        dialog = synthetic_dialog(self.what, row)
        messages = []
        for number, turn in enumerate(dialog.turns):
            shown = [{"type": "image"} for _ in range(dialog.shows(number))]
            messages += [
                {"role": "user", "content": [*shown, {"type": "text", "text": turn.question}]},
                {"role": "assistant", "content": [{"type": "text", "text": turn.answer}]},
            ]
        return Sample(str(row), self.name, tuple(messages), tuple(scene.draw()[0] for scene in dialog.scenes))


def open_renamed(source: str) -> SyntheticReader:
    """Read the form of 0.1, as `drawn:lessons#1000`, with a warning; it works for one release.

    Raises:
        RecipeError: It is none.
    """
    current = PREFIX + source.partition(":")[2]
    print(f"minigemini: data {source} is now called {current}; the old name works in 0.2 only", file=sys.stderr)
    return SyntheticReader.open(current)


def synthetic_dialog(what: str, row: int) -> Dialog:
    """What is drawn, and what is said about it; nothing is drawn yet."""
    sample, kinds = SYNTHETIC[what]
    return sample(row, kinds[row % len(kinds)])


@lru_cache
def _usual_bytes(what: str, kind: str) -> int:
    """Mean size of the text of rows of a kind, from the first few of them."""
    sample, _ = SYNTHETIC[what]
    lessons = [sample(row, kind) for row in range(_PROBES)]
    return sum(len(turn.question) + len(turn.answer) for dialog in lessons for turn in dialog.turns) // _PROBES
