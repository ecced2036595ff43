"""Documents: signs, receipts, tables, charts and pages, as strings that OCR has laid out; most are never drawn."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image

from minigemini.inference.text_boxes import TextBox, group_rows
from minigemini.inference.text_layout import layout_text

from ....samples.turns import Turn
from ....scenes.colors import pick
from ....scenes.concepts import with_article
from ...lesson import CANNOT_TELL, Lesson
from ..photographs import words_of
from .charts import bar_chart, line_chart, pie_chart
from .document import CANNOT_READ, Document
from .document_classes import OBJECTS, document_classes
from .document_page import MERGE_RATE
from .document_words import ITEMS_TO_DO, SIGN_LINES, chance, options, pick_some, shop_name
from .forms import form
from .letters import letter
from .menus import menu
from .notes import to_do_list
from .posters import book_cover, poster
from .receipts import invoice, receipt
from .screens import screen
from .signs import sign
from .tables import table
from .timetables import timetable
from .web_pages import web_page

STREAM = 2501
"""First word of the seeds of these lessons. Photographs have the same, but no number is a lesson of both."""
RENDER_STREAM = 2502
"""The same for documents that are drawn."""

KINDS: dict[Callable[[np.random.Generator, bool], Document], float] = {
    sign: 0.16,
    receipt: 0.13,
    invoice: 0.05,
    menu: 0.06,
    poster: 0.05,
    book_cover: 0.04,
    table: 0.12,
    timetable: 0.05,
    form: 0.05,
    bar_chart: 0.1,
    line_chart: 0.03,
    pie_chart: 0.05,
    letter: 0.05,
    web_page: 0.06,
    to_do_list: 0.04,
    screen: 0.04,
}
"""Kinds of documents and their shares."""
MISSING_SHARE, UNREADABLE_SHARE, OBJECT_SHARE = 0.15, 0.03, 0.06
"""Turns that ask what the document does not tell; lessons whose text cannot be read; photographs with some text."""
KIND_QUESTIONS = options(
    "What kind of document is this?|What is this?|What is in the picture?|What do you see?|"
    "What type of document is it?|"
    "What is shown here?"
)
READ_QUESTIONS = options("Read the text.|What does it say?|What is written here?|Which text is in the picture?")


def sample(number: int) -> Lesson:
    """A lesson about a document; see `Lesson`. The same number gives the same lesson."""
    rng = np.random.default_rng([STREAM, number])
    draw = rng.random()
    if draw < UNREADABLE_SHARE:
        return _unreadable(rng)
    if draw < UNREADABLE_SHARE + OBJECT_SHARE:
        return _photograph(rng)
    document = _document(rng, perfect=False)
    text = layout_text(_merge(rng, document.page.boxes))
    turns = _turns(rng, document, text)
    return Lesson(turns, classes=document_classes(rng, document.kind), image_text=text, separate=True)


@dataclass(frozen=True)
class DrawnDocument:
    """A drawn document, whose text is for a real OCR engine to read.

    Attributes:
        picture: RGB.
        boxes: where its strings are, about.
        document: what can be asked about it.
        number: of `render`.
    """

    picture: Image.Image
    boxes: tuple[TextBox, ...]
    document: Document
    number: int

    def lesson(self, image_text: str) -> Lesson:
        """Return the lesson with the text that OCR has read, and only questions that can be answered from it."""
        rng = np.random.default_rng([RENDER_STREAM, self.number, 1])
        turns = _turns(rng, self.document, image_text)
        return Lesson(turns, picture=self.picture, image_text=image_text, separate=True)


def render(number: int, fonts: tuple[str, str]) -> DrawnDocument:
    """Draw a document.

    Args:
        number: the same number gives the same document.
        fonts: files of a regular and a bold font.
    """
    document = _document(np.random.default_rng([RENDER_STREAM, number]), perfect=True)
    return DrawnDocument(document.page.draw(fonts), tuple(document.page.boxes), document, number)


def _document(rng: np.random.Generator, perfect: bool) -> Document:
    shares = np.array(list(KINDS.values()))
    return list(KINDS)[rng.choice(len(KINDS), p=shares / shares.sum())](rng, perfect)


def _turns(rng: np.random.Generator, document: Document, text: str) -> tuple[Turn, ...]:
    """Six to ten turns that can be answered from the text, or fewer if it has fewer facts."""
    if not text:
        return (Turn("documents", pick(rng, READ_QUESTIONS), CANNOT_READ),)
    known = [fact for fact in document.facts if fact.is_told_by(text)]
    count = int(rng.integers(6, 11))
    # Documents have many facts of one skill, such as cells, and few of others: skills are drawn, then facts.
    skills = list(dict.fromkeys(fact.skill for fact in known))
    turns = []
    for skill in [*rng.permutation(skills), *rng.choice(skills, size=count)][:count] if skills else ():
        fact = pick(rng, [fact for fact in known if fact.skill == skill])
        turns.append(Turn("documents", fact.question, fact.answer))
    turns = turns or [_general(rng, document, text)]
    for index in range(len(turns)):
        draw = rng.random()
        if draw < MISSING_SHARE and document.missing:
            turns[index] = Turn("documents", pick(rng, document.missing), CANNOT_TELL)
        elif draw < MISSING_SHARE + 0.1:
            turns[index] = _general(rng, document, text)
    return tuple({turn.question: turn for turn in turns}.values())


def _general(rng: np.random.Generator, document: Document, text: str) -> Turn:
    """A question that any document answers: its kind, a word, its first line, all of its text if it is short."""
    draw = rng.random()
    lines = text.split("\n")
    if draw < 0.4:
        return Turn("documents", pick(rng, KIND_QUESTIONS), f"It is {document.kind}.")
    if draw < 0.6 and len(text) <= 120:
        return Turn("documents", pick(rng, READ_QUESTIONS), ", ".join(lines))
    if draw < 0.7:
        return Turn("documents", pick(rng, ("What does the first line say?", "Read the first line.")), lines[0])
    words = [word for word in text.replace("|", " ").replace(":", " ").split() if word.isalpha() and len(word) > 3]
    is_there = chance(rng, 0.5) and bool(words)
    word = pick(rng, words) if is_there else pick(rng, " ".join(SIGN_LINES).title().split())
    question = pick(rng, ('Does it say "{}"?', 'Is the word "{}" in the picture?', 'Is there the word "{}"?')).format(
        word
    )
    return Turn("documents", question, "Yes." if word.lower() in text.lower() else "No.")


def _merge(rng: np.random.Generator, boxes: list[TextBox]) -> list[TextBox]:
    """Join some neighbors in a row, as OCR does where the gap is small."""
    merged: list[TextBox] = []
    for row in group_rows(boxes):
        for box in row:
            last = merged[-1] if merged and box is not row[0] else None
            if last is not None and box.left - last.right < 0.05 and chance(rng, 5 * MERGE_RATE):
                sides = (last.left, min(last.top, box.top), box.right, max(last.bottom, box.bottom))
                merged[-1] = TextBox(f"{last.text} {box.text}", *sides)
            else:
                merged.append(box)
    return merged


def _unreadable(rng: np.random.Generator) -> Lesson:
    """A document without strings, or with noise: single characters and fragments that mean nothing."""
    characters = list("il1|/-_.,;:~^vxoO0c'`JjLtr")
    fragments = ["".join(rng.choice(characters, int(rng.integers(1, 5)))) for _ in range(int(rng.integers(0, 6)))]
    places = rng.random((len(fragments), 2)) * 0.8
    boxes = [TextBox(text, x, y, x + 0.1, y + 0.05) for text, (x, y) in zip(fragments, places.tolist(), strict=True)]
    questions = (
        *READ_QUESTIONS,
        "What is the total?",
        "What does the sign say?",
        "What is the title?",
        "Which shop is this?",
    )
    turn = Turn("documents", pick(rng, questions), CANNOT_READ)
    return Lesson((turn,), classes=document_classes(rng, "a sign"), image_text=layout_text(boxes))


def _photograph(rng: np.random.Generator) -> Lesson:
    """A photograph of an object with some text: asked about the object, and perhaps about the text."""
    index, name = pick(rng, OBJECTS)
    text = pick(rng, (shop_name(rng), pick(rng, SIGN_LINES), str(rng.integers(1, 99)), pick(rng, ITEMS_TO_DO)))
    thing = with_article(name)
    turns = [
        Turn(
            "documents",
            pick(rng, ("What is in the picture?", "What is this?", "What do you see?", "What is shown here?")),
            f"It is {thing}.",
        ),
        Turn("documents", f"Is there {thing} in the picture?", "Yes."),
        Turn("documents", pick(rng, ("What does it say?", "What is written there?", "Read the text.")), text),
        Turn("documents", pick(rng, ("Who took the picture?", "Where was this taken?", "How old is it?")), CANNOT_TELL),
    ]
    chosen = pick_some(rng, turns[:2], 1) + ([pick(rng, turns[2:])] if chance(rng, 0.4) else [])
    boxes = [TextBox(text, 0.3, 0.4, 0.7, 0.5)]
    return Lesson(tuple(chosen), classes=words_of(rng, index), image_text=layout_text(boxes), separate=True)
