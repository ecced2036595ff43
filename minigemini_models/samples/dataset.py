"""The drawn world as a source of samples: row i is drawn from seed i, when it is asked for."""

from collections.abc import Callable
from functools import lru_cache, partial

import numpy as np

from minigemini.data.schema import Sample
from minigemini.training.batches import DRAWN_PREFIX
from minigemini.training.settings import RecipeError

from ..scenes.composition import CROWDED_KINDS
from ..scenes.documents import ONE_LINE, PAGE_KINDS
from ..scenes.splits import SMALL_WORLD, TINTED_WORLD
from .attribute_lookup import LOOKING_UP
from .dialogs import (
    PAIR_KINDS,
    Lesson,
    sample_caption,
    sample_colours,
    sample_inventory,
    sample_lesson,
    sample_looking_up,
    sample_page,
    sample_quiz,
)
from .image_pairs import COMPARING
from .image_requests import sample_request
from .spatial_relations import PLACING

_in_short = partial(sample_lesson, material=SMALL_WORLD, max_turns=3)
DRAWN: dict[str, tuple[Callable[[int, str], Lesson], tuple[str, ...]]] = {
    "captions": (sample_caption, ("single", "few", "count", "sign", "words")),
    "lessons": (
        sample_lesson,
        (
            *("single", "few", "sign", "count", "few", "words", "sign", "more"),
            *("single", "few", "sign", "count", "few", "words", "changed", "which"),
        ),
    ),
    "signs": (partial(sample_lesson, max_turns=1), ("sign",)),
    "crowded": (sample_lesson, CROWDED_KINDS),
    "pages": (sample_lesson, PAGE_KINDS),
    "lines": (partial(sample_lesson, max_turns=1), (ONE_LINE,)),
    "pages-told": (sample_page, PAGE_KINDS),
    "pages-asked": (partial(sample_page, asked=True), PAGE_KINDS),
    "quizzes": (sample_quiz, ("few", "count", "many", "few", "count")),
    "inventories": (sample_inventory, ("few", "many", "few", "many", *PAIR_KINDS)),
    "colours": (sample_colours, ("few",)),
    **{kind: (sample_looking_up, (kind,)) for kind in (*LOOKING_UP, *PLACING, *COMPARING)},
    "colours-told": (sample_looking_up, ("colours-told", "colours-repeated")),
    "tinted-inventories": (partial(sample_inventory, material=TINTED_WORLD), ("few",)),
    "tinted-quizzes": (partial(sample_quiz, material=TINTED_WORLD), ("few",)),
    "pairs": (sample_lesson, PAIR_KINDS),
    "requests": (
        sample_request,
        ("request", "refine", "request", "mention", "request", "seen", "painted", "unknown", "drawn", "drawn"),
    ),
    "wishes": (sample_request, ("request", "refine", "request", "mention", "request", "refine", "unknown")),
    "small-captions": (partial(sample_caption, material=SMALL_WORLD), ("single", "few", "count", "sign", "words")),
    "small-lessons": (_in_short, ("sign", "single", "few", "count")),
    "small-reading": (partial(sample_lesson, material=SMALL_WORLD, max_turns=1), ("sign",)),
    "small-questions": (_in_short, ("single", "few", "count")),
}
"""What can be drawn: how a row's lesson comes from its number and kind, and the kinds of rows in turn."""
_PROBES = 8


class DrawnReader:
    """A `Reader` of so many drawn samples.

    Args:
        what: one of `DRAWN`.
        rows: how many.
    """

    def __init__(self, what: str, rows: int) -> None:
        self.name, self.what, self.rows = DRAWN_PREFIX + what, what, rows
        kinds = DRAWN[what][1]
        kind_of_row = np.arange(rows) % len(kinds)
        self.text_bytes = np.array([_usual_bytes(what, kind) for kind in kinds], dtype=np.int32)[kind_of_row]
        self.pictures = np.array([len(DRAWN[what][0](0, kind).scenes) for kind in kinds], dtype=np.int32)[kind_of_row]

    @classmethod
    def open(cls, source: str) -> "DrawnReader":
        """Read a recipe's form, as `drawn:lessons#1000`.

        Raises:
            RecipeError: It is none.
        """
        what, _, count = source.removeprefix(DRAWN_PREFIX).partition("#")
        if what not in DRAWN:
            raise RecipeError(f"data {source}: nothing is drawn by that name; use {', '.join(DRAWN)}")
        if not count.isdecimal() or not int(count):
            raise RecipeError(f"data {source}: say how many, e.g. {DRAWN_PREFIX}{what}#1000")
        return cls(what, int(count))

    def __len__(self) -> int:
        return self.rows

    def __getitem__(self, row: int) -> Sample:
        """Draw one sample, its pictures included."""
        lesson = drawn_lesson(self.what, row)
        messages = []
        for number, turn in enumerate(lesson.turns):
            shown = [{"type": "image"} for _ in range(lesson.shows(number))]
            messages += [
                {"role": "user", "content": [*shown, {"type": "text", "text": turn.question}]},
                {"role": "assistant", "content": [{"type": "text", "text": turn.answer}]},
            ]
        return Sample(str(row), self.name, tuple(messages), tuple(scene.draw()[0] for scene in lesson.scenes))


def drawn_lesson(what: str, row: int) -> Lesson:
    """What is drawn, and what is said about it; nothing is drawn yet."""
    sample, kinds = DRAWN[what]
    return sample(row, kinds[row % len(kinds)])


@lru_cache
def _usual_bytes(what: str, kind: str) -> int:
    """Mean size of the text of rows of a kind, from the first few of them."""
    sample, _ = DRAWN[what]
    lessons = [sample(row, kind) for row in range(_PROBES)]
    return sum(len(turn.question) + len(turn.answer) for lesson in lessons for turn in lesson.turns) // _PROBES
