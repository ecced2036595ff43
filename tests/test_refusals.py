"""The task `refusals`: its pictures are none that training shows, and only refusals count."""

import hashlib

import numpy as np
import pytest

from minigemini_models.evaluation.refusals_task import AIM, Refusals
from minigemini_models.evaluation.unlike_pictures import KINDS, HeldOutPicture, papers, photographs
from minigemini_models.samples.lessons import unlike
from minigemini_models.samples.turns import CANNOT_TELL

TASK = Refusals()


def pixels(image):
    return image.mode, image.size, image.tobytes()


@pytest.mark.parametrize("kind", KINDS)
def test_a_number_gives_one_picture_and_each_another_one(kind):
    images = [HeldOutPicture(kind, number)() for number in range(80)]
    assert pixels(images[7]) == pixels(HeldOutPicture(kind, 7)())
    assert len({pixels(image) for image in images}) == len(images)
    assert all(image.mode == "RGB" and min(image.size) >= 64 for image in images)
    assert min(np.asarray(image).std() for image in images) > 4, "a picture shows nothing"


def test_no_picture_is_one_of_trainings():
    shown = {pixels(unlike.refusals(number).scenes[0].draw()[0]) for number in range(60)}
    asked = {pixels(HeldOutPicture(kind, number)().resize((256, 256))) for kind in KINDS for number in range(60)}
    assert not shown & asked
    trained = {digest(path) for path in unlike.PHOTOGRAPHS.iterdir()}
    assert not trained & {digest(path) for path in (*photographs(), *papers())}


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_pictures_of_the_task_real_are_shown_but_signs_and_shapes():
    assert len(photographs()) == 67
    names = {path.stem.partition("_")[0] for path in papers()}
    assert {"receipt", "page", "chart", "table", "ticket", "menu"} <= names
    assert not {"sign", "shapes"} & names


def test_questions_are_those_of_training_and_all_are_to_be_refused():
    asked = TASK.questions(None, 30)
    assert len(asked) == 30 * len(KINDS)
    assert [one.prompt for one in asked] == [one.prompt for one in TASK.questions(None, 30)]
    assert len({one.id for one in asked}) == len(asked)
    assert {one.truth for one in asked} == {CANNOT_TELL}
    kinds = {kind for one in asked for kind in one.categories["question"]}
    assert kinds == {*unlike.ASKED} - {"unknowable"}


@pytest.mark.parametrize(("answer", "score"), [(CANNOT_TELL, 1), ("A red house.", 0), ("Yes.", 0), ("", 0)])
def test_only_refusals_count(answer, score):
    measures = TASK.measures([(one, TASK.grade(one, answer)) for one in TASK.questions(None, 5)])
    assert [len(measure.unit_scores) for measure in measures] == [20, 5, 5, 5, 5]
    assert {unit.value for measure in measures for unit in measure.unit_scores} == {score}
    assert [measure.aim for measure in measures] == [AIM, None, None, None, None]
