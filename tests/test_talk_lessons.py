"""Lessons of `small` about text: conversation, and captions for drawing."""

import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest

from minigemini.imagegen.captions import read_captions
from minigemini_models.small.lesson import Lesson
from minigemini_models.small.lessons import conversation, drawing, drawing_words
from minigemini_models.small.lessons.drawing_edits import sample_edit
from minigemini_models.small.lessons.drawing_plans import base_of, sample_plan

LESSONS = 1000
DRAW = " <GEN>"
SKILLS = pytest.mark.parametrize("skill", [drawing, conversation], ids=["drawing", "conversation"])


@SKILLS
def test_equal_numbers_give_equal_lessons(skill) -> None:
    for number in range(50):
        first, second = skill.sample(number), skill.sample(number)
        assert first.turns == second.turns
        assert (first.classes is None) == (second.classes is None)
        if first.classes is not None and second.classes is not None:
            np.testing.assert_array_equal(first.classes.indices, second.classes.indices)
            np.testing.assert_array_equal(first.classes.weights, second.classes.weights)
    assert len({skill.sample(number).turns for number in range(200)}) > 120


@SKILLS
def test_lessons_are_short_and_have_no_repeated_spaces(skill) -> None:
    for number in range(LESSONS):
        texts = [text for turn in skill.sample(number).turns for text in (turn.question, turn.answer)]
        assert sum(map(tokens_at_most, texts)) <= 240, texts  # an upper bound; the tokenizer makes fewer
        for text in texts:
            assert text == text.strip() and text, texts
            assert not re.search(r"  | [.,!]|\{|\}|\ba [aeioAEIO][a-z]|\b(\w+) \1\b", text), text


def test_only_requests_get_a_caption_and_exactly_one() -> None:
    captioned = 0
    for number in range(LESSONS):
        for turn in drawing.sample(number).turns:
            text, captions = read_captions(turn.answer)
            assert text
            assert "<" not in text
            if not turn.question.endswith(DRAW) or text == "There is no picture yet. What should I draw?":
                assert not captions
                assert "<" not in turn.answer
            else:
                captioned += 1
                assert len(captions) == 1
                assert turn.answer == f"{text} <h>{captions[0]}</h>"
                assert len(captions[0].split()) <= 60
    assert captioned > LESSONS


def test_conversations_have_no_captions() -> None:
    for number in range(LESSONS):
        for turn in conversation.sample(number).turns:
            assert "<h>" not in turn.answer
            assert DRAW not in turn.question


def test_captions_keep_everything_that_an_edit_does_not_name() -> None:
    changes: set[str] = set()
    for seed in range(LESSONS):
        rng = np.random.default_rng(seed)
        plan = sample_plan(rng)
        edit = sample_edit(rng, plan)
        before, after = dataclasses.asdict(plan), dataclasses.asdict(edit.plan)
        changed = {name for name in before if before[name] != after[name]}
        changes |= changed
        assert changed, edit
        caption = edit.plan.caption()
        if "building" not in changed:
            unchanged = set(before) - changed - {"kind", "pronoun", "subject"}
            kept = [value for name in unchanged for value in values(before[name])]
            assert all(value in caption for value in kept), (plan, edit)
        assert edit.plan.noun in caption
        assert all(value in caption for name in changed - {"pronoun", "subject"} for value in values(after[name])), (
            plan,
            edit,
        )
    assert changes >= {"subject", "count", "qualities", "color", "clothes", "objects", "action", "place", "style"}


def test_a_picture_never_shows_two_opposites() -> None:
    for seed in range(LESSONS):
        rng = np.random.default_rng(seed)
        plan = sample_plan(rng)
        for _ in range(3):
            plan = sample_edit(rng, plan).plan
        bases = {base_of(quality) for quality in plan.qualities}
        assert not any({one, other} <= bases for one, other in drawing_words.OPPOSITES), plan


def test_photographs_show_the_class_that_the_answer_names() -> None:
    names = drawing_words.PHOTOGRAPHED_ANIMALS | drawing_words.PHOTOGRAPHED_THINGS
    photographs = [lesson for number in range(LESSONS) if (lesson := drawing.sample(number)).classes is not None]
    assert len(photographs) > 0.08 * LESSONS
    for lesson in photographs:
        assert names[most_likely(lesson)] in lesson.turns[0].answer


@SKILLS
def test_a_share_of_the_lessons_says_what_cannot_be_known(skill) -> None:
    honest = re.compile("cannot|no picture yet|can be wrong")
    lessons = [skill.sample(number) for number in range(LESSONS)]
    share = sum(any(honest.search(turn.answer) for turn in lesson.turns) for lesson in lessons) / LESSONS
    assert 0.05 < share < 0.5


def test_photographs_are_probabilities_of_classes() -> None:
    words = next(lesson.classes for number in range(LESSONS) if (lesson := conversation.sample(number)).classes)
    assert words.indices.shape == words.weights.shape
    assert words.indices.shape[0] == 64
    assert words.indices.dtype == np.int16
    assert words.weights.dtype == np.float32
    assert words.indices.min() >= 0
    assert words.indices.max() < 1000
    assert np.all(words.weights >= 0)
    assert np.all(words.weights.sum(1) <= 1 + 1e-6)


def test_the_base_models_answers_are_whole_sentences_in_a_small_file() -> None:
    answers = conversation.self_answers()
    assert len(answers) >= 10
    assert all(answer[-1] in ".!?\"')" for _, answer in answers)
    assert Path(conversation.SELF_ANSWERS).stat().st_size < 150_000


def values(value) -> list[str]:
    """The words of a part of a plan in a caption."""
    if isinstance(value, int):
        return [] if value == 1 else [drawing_words.NUMBERS[value]]
    return [one for one in ([value] if isinstance(value, str) else value) if one]


def tokens_at_most(text: str) -> int:
    return len(re.findall(r"\w{1,7}|[^\w\s]", text))


def most_likely(lesson: Lesson) -> int:
    assert lesson.classes is not None
    return int(np.bincount(lesson.classes.indices.ravel(), lesson.classes.weights.ravel()).argmax())
