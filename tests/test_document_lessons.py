"""Lessons about documents: answers follow from the text that the model is given."""

import re
from collections import Counter

import numpy as np
import pytest

from minigemini.inference.text_boxes import is_number, number_of
from minigemini.inference.text_layout import MAX_CHARS, layout_text
from minigemini_models.small.lesson import CANNOT_TELL, PATCHES_PER_SIDE, WORDS_KEPT
from minigemini_models.small.lessons.documents import KINDS, render, sample
from minigemini_models.small.lessons.documents.document import CANNOT_READ
from minigemini_models.small.lessons.documents.document_classes import OBJECTS

LESSONS = [sample(number) for number in range(1000)]
TURNS = [(lesson, turn) for lesson in LESSONS for turn in lesson.turns]


def letters(text: str) -> str:
    """A text without spaces and punctuation, which OCR and layouts may change."""
    return "".join(char for char in text.lower() if char.isalnum())


def is_derivable(answer: str, text: str) -> bool:
    """Whether every part of an answer stands in the text, or the answer is a count, a yes or no, or a fixed form."""
    if answer in ("Yes.", "No.", CANNOT_TELL, CANNOT_READ) or answer.startswith("It "):
        return True
    parts = [letters(part) for part in answer.split(", ")]
    return all(part in letters(text) for part in parts) or (answer.isdigit() and 0 < int(answer) < 20)


def test_answers_follow_from_the_text():
    for lesson, turn in TURNS:
        assert is_derivable(turn.answer, lesson.image_text), (turn, lesson.image_text)


def test_values_are_looked_up_in_the_line_of_their_label():
    checked = 0
    for lesson, turn in TURNS:
        for start in ("What is the value of ", "How high is ", "How much is ", "What is ", "What does the "):
            label = (
                turn.question.removeprefix(start)
                .removesuffix("?")
                .removesuffix(" cost")
                .removesuffix(" at")
                .removeprefix("the ")
            )
            lines = [line for line in lesson.image_text.split("\n") if line.startswith((f"{label}: ", f"{label} | "))]
            if turn.question.startswith(start) and lines and turn.answer != CANNOT_TELL:
                cells = [cell.rpartition(": ")[2] for line in lines for cell in line.split(" | ")]
                assert turn.answer in cells, (turn, lines)
                checked += 1
    assert checked > 20


def test_the_highest_bar_is_the_highest():
    checked = 0
    for lesson, turn in TURNS:
        if turn.question in ("Which bar is the highest?", "Which bar is the largest?") and turn.answer != CANNOT_TELL:
            pairs = [line.replace(" | ", ": ").split(": ") for line in lesson.image_text.split("\n")]
            values = {one[0]: number_of(one[1]) for one in pairs if len(one) == 2 and is_number(one[1])}
            assert max(values, key=values.__getitem__) == turn.answer, lesson.image_text
            checked += 1
    assert checked > 3


def test_the_same_number_gives_the_same_lesson():
    for number in (0, 7, 99, 10**9 + 3):
        one, other = sample(number), sample(number)
        assert (one.turns, one.image_text) == (other.turns, other.image_text)
        assert np.array_equal(one.classes.indices, other.classes.indices)
    assert len({lesson.image_text for lesson in LESSONS}) > 900


def test_lessons_are_short_and_varied():
    lengths = [len(lesson.image_text) for lesson in LESSONS]
    assert max(lengths) <= MAX_CHARS
    assert np.percentile(lengths, 95) < 450
    assert max(len(turn.answer) for _, turn in TURNS) < 250
    assert len({turn.question for _, turn in TURNS}) > 600


def test_a_good_share_of_the_answers_is_that_they_are_unknown():
    answers = Counter(turn.answer for _, turn in TURNS)
    assert 0.1 < (answers[CANNOT_TELL] + answers[CANNOT_READ]) / len(TURNS) < 0.22
    assert all(lesson.turns[0].answer == CANNOT_READ for lesson in LESSONS if not lesson.image_text)


def test_questions_about_what_is_missing_name_what_the_text_does_not():
    for lesson, turn in TURNS:
        is_list = not re.search(r"\| \w+: ", lesson.image_text)  # a table may lack the column "Price"
        if is_list and turn.answer == CANNOT_TELL and turn.question.startswith("What is the price of "):
            assert turn.question.removeprefix("What is the price of ").removesuffix("?") not in lesson.image_text


def test_visual_words_are_probabilities_of_distinct_classes():
    for lesson in LESSONS[:100]:
        words = lesson.classes
        places, kept = words.indices.shape
        assert words.weights.shape == (places, kept)
        assert places == PATCHES_PER_SIDE**2
        assert kept <= WORDS_KEPT
        assert words.indices.dtype == np.int16
        assert words.weights.dtype == np.float32
        assert words.weights.min() >= 0
        assert words.weights.sum(1).max() <= 1.0001
        assert all(len(set(row)) == kept for row in words.indices.tolist())
    assert len({index for index, _ in OBJECTS}) == len(OBJECTS)


@pytest.fixture(scope="module")
def fonts() -> tuple[str, str]:
    from minigemini_models.scenes.fonts import installed_fonts

    files = installed_fonts()
    return str(files["Roboto-Regular"]), str(files["Roboto-Bold"])


def test_documents_are_drawn_with_their_strings_where_the_boxes_are(fonts):
    kinds = set()
    for number in range(40):
        drawn = render(number, fonts)
        again = render(number, fonts)
        assert drawn.picture.tobytes() == again.picture.tobytes()
        kinds.add(drawn.document.kind)
        lesson = drawn.lesson(layout_text(drawn.boxes))
        assert lesson.picture is drawn.picture
        assert all(is_derivable(turn.answer, lesson.image_text) for turn in lesson.turns)
        gray = np.asarray(drawn.picture.convert("L")).astype(int)
        for box in drawn.boxes:
            rows = slice(max(0, int(box.top * gray.shape[0])), int(box.bottom * gray.shape[0]) + 1)
            columns = slice(max(0, int(box.left * gray.shape[1])), int(box.right * gray.shape[1]) + 1)
            assert np.ptp(gray[rows, columns]) > 50, (drawn.document.kind, box)
    assert len(kinds) > 8
    assert drawn.lesson("").turns[0].answer == CANNOT_READ


def test_every_kind_has_facts_and_gaps():
    for kind in KINDS:
        document = kind(np.random.default_rng(3), True)
        text = layout_text(document.page.boxes)
        known = [fact for fact in document.facts if fact.is_told_by(text)]
        assert len(known) >= 0.8 * len(document.facts) > 0, kind
        assert document.missing, kind
