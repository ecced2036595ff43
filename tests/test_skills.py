"""How answers about the drawn world are graded, and what is asked."""

import pytest

from minigemini_models.evaluation.answer_matching import letters_in_place, objects_named, the_name, the_same
from minigemini_models.evaluation.skills import FIRST_SKILLS, PAGE_SKILLS, SKILLS
from minigemini_models.evaluation.synthetic_tasks import lessons as asked_in
from minigemini_models.scenes.splits import EVALUATION_STREAM

SCENE = "A red house, an orange hat and a blue cup."


@pytest.mark.parametrize(
    ("grade", "right", "said", "expected"),
    [
        (the_same, "Two.", "Two.", (1, 1)),
        (the_same, "Two.", "two.", (0, 1)),
        (letters_in_place, "BEAT", "BOAT", (3, 4)),
        (letters_in_place, "BEAT", "", (0, 4)),
        (letters_in_place, "BEAT", "BEATEN", (4, 4)),
        (the_name, "A red house.", "A blue house.", (1, 1)),
        (the_name, "A red house.", "", (0, 1)),
        (objects_named, SCENE, "A blue cup, a red house and an orange hat.", (3, 3)),
        (objects_named, SCENE, "A blue house and an orange hat.", (1, 3)),
        (objects_named, "A red house.", "A red house and a red hat.", (1, 2)),
        (objects_named, SCENE, "", (0, 3)),
    ],
)
def test_grade(grade, right, said, expected):
    assert grade(right, said) == expected


TABLES = (FIRST_SKILLS, SKILLS, PAGE_SKILLS)


@pytest.mark.parametrize("skill", [skill for table in TABLES for skill in table], ids=lambda skill: skill.name)
def test_every_skill_can_be_asked_on_scenes_of_its_own(skill):
    lessons = list(asked_in(skill, 5))
    assert [dialog.turns[-1].skill for dialog in lessons] == [skill.asks] * 5
    assert skill.domain.stream == EVALUATION_STREAM
    assert all(skill.grade(dialog.turns[-1].answer, dialog.turns[-1].answer)[0] > 0 for dialog in lessons)


def test_rows_of_a_table_have_names_of_their_own():
    for table in TABLES:
        assert len({skill.name for skill in table}) == len(table)
