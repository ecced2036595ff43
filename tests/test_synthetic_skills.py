"""Skills of the synthetic tasks: their scoring rules, questions and aims."""

import pytest

from minigemini_models.evaluation.answer_matching import characters_in_place, exact_match, objects_matched, same_name
from minigemini_models.evaluation.skills import BASIC_SKILLS, DOCUMENT_SKILLS, SKILLS
from minigemini_models.evaluation.synthetic_tasks import Synthetic
from minigemini_models.evaluation.synthetic_tasks import sample_dialogs as sample_skill_dialogs
from minigemini_models.samples.turns import CANNOT_TELL
from minigemini_models.scenes.fonts import HELD_OUT_FONTS
from minigemini_models.scenes.splits import EVALUATION_STREAM

SCENE = "A red house, an orange hat and a blue cup."


@pytest.mark.parametrize(
    ("grade", "right", "answer", "expected"),
    [
        (exact_match, "Two.", "Two.", (1, 1)),
        (exact_match, "Two.", "two.", (0, 1)),
        (characters_in_place, "BEAT", "BOAT", (3, 4)),
        (characters_in_place, "BEAT", "", (0, 4)),
        (characters_in_place, "BEAT", "BEATEN", (4, 4)),
        (same_name, "A red house.", "A blue house.", (1, 1)),
        (same_name, "A red house.", "", (0, 1)),
        (objects_matched, SCENE, "A blue cup, a red house and an orange hat.", (3, 3)),
        (objects_matched, SCENE, "A blue house and an orange hat.", (1, 3)),
        (objects_matched, "A red house.", "A red house and a red hat.", (1, 2)),
        (objects_matched, SCENE, "", (0, 3)),
        (objects_matched, "A fork and knife and a red hat.", "A fork and knife.", (1, 2)),
        (objects_matched, "A fork and knife and a red hat.", "A fork.", (0, 2)),
    ],
)
def test_grade(grade, right, answer, expected):
    assert grade(right, answer) == expected


TABLES = (BASIC_SKILLS, SKILLS, DOCUMENT_SKILLS)


@pytest.mark.parametrize("skill", [skill for table in TABLES for skill in table], ids=lambda skill: skill.name)
def test_every_skill_has_questions_on_evaluation_scenes(skill):
    dialogs = list(sample_skill_dialogs(skill, 5))
    assert [dialog.turns[-1].skill for dialog in dialogs] == [skill.turn_skill] * 5
    assert skill.domain.stream == EVALUATION_STREAM
    assert all(skill.grade(dialog.turns[-1].answer, dialog.turns[-1].answer)[0] > 0 for dialog in dialogs)


def test_skill_names_are_unique():
    for table in TABLES:
        assert len({skill.name for skill in table}) == len(table)


def dialogs_of(name, count):
    (skill,) = [skill for skill in (*SKILLS, *DOCUMENT_SKILLS) if skill.name == name]
    return list(sample_skill_dialogs(skill, count))


def signs_of(name, count):
    return [(dialog.scenes[0].signs[0], dialog.turns[-1].answer) for dialog in dialogs_of(name, count)]


def test_words_of_all_sizes_are_drawn_in_both_cases_and_answered_in_capitals():
    name = "read a word of 8 to 64 pixels, in capitals or not"
    signs = signs_of(name, 80)
    assert {sign.case for sign, _ in signs} == {"upper", "lower", "title"}
    assert min(sign.cap_height_px for sign, _ in signs) < 12
    assert max(sign.cap_height_px for sign, _ in signs) > 40
    assert all(answer == sign.word == sign.drawn_word.upper() for sign, answer in signs)
    assert {sign.font for sign, _ in signs_of(f"{name}, unseen fonts", 60)} == set(HELD_OUT_FONTS)


def test_all_lines_and_extremes_are_asked_for():
    for name, expected in (
        ("read one line of several", {"first", "second", "third", "last"}),
        ("largest or smallest bar", {"largest", "smallest"}),
    ):
        words = {word.rstrip("?") for dialog in dialogs_of(name, 30) for word in dialog.turns[-1].question.split()}
        assert expected <= words


def test_the_right_answers_reach_all_aims_and_one_answer_to_everything_few():
    task = Synthetic()
    asked = task.questions(None, 4)
    assert [question.prompt for question in asked] == [question.prompt for question in task.questions(None, 4)]
    perfect, constant = (
        {measure.name: measure for measure in task.measures([(one, task.grade(one, answer(one))) for one in asked])}
        for answer in (lambda one: one.truth, lambda one: CANNOT_TELL)
    )
    assert all(score.value == 1 for measure in perfect.values() for score in measure.unit_scores)
    right = {name for name, measure in constant.items() if any(score.value for score in measure.unit_scores)}
    assert right == {name for name in constant if name.startswith("says that it cannot tell")}
    assert {skill.name: skill.aim for skill in SKILLS} == {name: measure.aim for name, measure in perfect.items()}
