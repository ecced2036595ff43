"""Skills of the synthetic tasks: their scoring rules and questions."""

import pytest

from minigemini_models.evaluation.answer_matching import characters_in_place, exact_match, objects_matched, same_name
from minigemini_models.evaluation.skills import BASIC_SKILLS, DOCUMENT_SKILLS, SKILLS
from minigemini_models.evaluation.synthetic_tasks import sample_dialogs as sample_skill_dialogs
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
