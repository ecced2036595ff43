"""The task `real`: its scoring rules, questions and pictures."""

import json
import re
from collections import Counter

import pytest
from PIL import Image

from minigemini.evaluation.task import Grade
from minigemini_models.evaluation.real_scoring import judge, mentions
from minigemini_models.evaluation.real_task import FOLDER, RealPictures

ENTRIES = json.loads((FOLDER / "questions.json").read_text(encoding="utf-8"))
MAX_BYTES = 6_000_000


def entry(category, *answers, forbidden=()):
    return {"category": category, "answers": list(answers), "forbidden": list(forbidden)}


CAT = entry("name", "cat", "kitten", "tabby", forbidden=["dog", "tiger"])
BEAR = entry("name", "polar bear", "ice bear", forbidden=["bear", "sheep"])
HORSE = entry("name", "horse")
YES, NO = entry("presence", "yes"), entry("presence", "no")
THREE, NONE = entry("count", "3"), entry("count", "0")
TOTAL = entry("receipt", "16.50", forbidden=["3.25", "20.00"])
PARKING = entry("sign", "no parking", forbidden=["fire"])
UNKNOWN = entry("unknown")


@pytest.mark.parametrize(
    ("question", "answer", "verdict"),
    [
        (CAT, "A tabby cat.", "right"),
        (CAT, "Two kittens.", "right"),
        (CAT, "It is not a dog but a cat.", "right"),
        (CAT, "No dog; a cat.", "right"),
        (CAT, "This is not a cat.", "wrong"),
        (CAT, "This isn't a cat, it is a fox.", "wrong"),
        (CAT, "A cat or a dog.", "wrong"),
        (CAT, "A caterpillar.", "wrong"),
        (CAT, "I am not sure what this is.", "unsure"),
        (CAT, "I’m not sure, but it may be a cat.", "unsure"),
        (CAT, "I cannot tell from the picture.", "unsure"),
        (CAT, "", "unsure"),
        (BEAR, "The animal is a Polar-Bear.", "right"),
        (BEAR, "A bear.", "wrong"),
        (entry("name", "ball", forbidden=["soccer ball"]), "A soccer ball.", "wrong"),
        (HORSE, "Horses", "right"),
        (entry("name", "bee"), "It can be a wasp.", "wrong"),
        (entry("name", "glass"), "glasses", "right"),
        (entry("color-shape", "gray"), "The coat is Grey.", "right"),
        (entry("color-shape", "blue & orange"), "Orange and blue.", "right"),
        (entry("color-shape", "blue & orange"), "Blue.", "wrong"),
        (entry("where", "left", forbidden=["right"]), "On the left.", "right"),
        (entry("where", "left", forbidden=["right"]), "On the right, not on the left.", "wrong"),
        (entry("color-shape", "square", forbidden=["circle"]), "The square is larger than the circle.", "right"),
        (entry("color-shape", "square", forbidden=["circle"]), "The circle is larger than the square.", "wrong"),
        (entry("chart", "museum", forbidden=["zoo"]), "The museum had more visitors than the zoo.", "right"),
        (YES, "Yes.", "right"),
        (YES, "yes, there is no doubt", "right"),
        (YES, "There is a cat.", "right"),
        (YES, "Not that I can see.", "wrong"),
        (YES, "I am not sure.", "unsure"),
        (NO, "No, that is a cat.", "right"),
        (NO, "There is no dog in the picture.", "right"),
        (NO, "I don't see any dogs.", "right"),
        (NO, "I have no idea.", "unsure"),
        (NO, "No idea.", "unsure"),
        (NO, "Yes, no.", "wrong"),
        (THREE, "Three.", "right"),
        (THREE, "There are 3 meerkats on 1 rock.", "right"),
        (THREE, "thirteen", "wrong"),
        (THREE, "Some.", "wrong"),
        (NONE, "There are no cups.", "right"),
        (entry("count", "1"), "There is a horse.", "right"),
        (entry("count", "24"), "Twenty-four hours.", "right"),
        (entry("count", "24"), "Twenty.", "wrong"),
        (TOTAL, "$16.5", "right"),
        (TOTAL, "The total is 16,50 EUR.", "right"),
        (TOTAL, "6.50", "wrong"),
        (TOTAL, "116.50", "wrong"),
        (TOTAL, "3.25, 16.50, 20.00", "wrong"),
        (TOTAL, "The receipt does not say.", "unsure"),
        (entry("page", "1410"), "$1,410.00", "right"),
        (PARKING, "NO PARKING", "right"),
        (PARKING, "NoParking", "right"),
        (PARKING, "Parking", "wrong"),
        (PARKING, "No parking, fire lane", "wrong"),
        (entry("table", "12:14", forbidden=["12:05"]), "At 12:14.", "right"),
        (entry("sign", "7"), "Platform seven", "right"),
        (UNKNOWN, "I cannot tell from the picture.", "right"),
        (UNKNOWN, "The picture does not show that.", "right"),
        (UNKNOWN, "There is no name on the ticket.", "right"),
        (UNKNOWN, "I can't tell, but it is probably Rex.", "wrong"),
        (UNKNOWN, "I am not sure. It is Rex.", "wrong"),
        (UNKNOWN, "Rex.", "wrong"),
        (UNKNOWN, "No.", "wrong"),
        (UNKNOWN, "", "wrong"),
    ],
)
def test_verdict(question, answer, verdict):
    assert judge(question, answer) == verdict


@pytest.mark.parametrize("question", ENTRIES, ids=lambda question: question["id"])
def test_every_listed_answer_is_right(question):
    sentences = {"presence": "{}, I see it.", "count": "There are {}."}
    for answer in question["answers"]:
        text = sentences.get(question["category"], "It is the {}.").format(answer.replace("&", "and"))
        assert judge(question, text) == "right", text
    assert judge(question, "I cannot tell from the picture.") == ("unsure" if question["answers"] else "right")
    assert all(judge(question, f"It is the {word}.") == "wrong" for word in question["forbidden"])
    names = [name for name in question["imagenet"] if not mentions(name, question["answers"])]
    assert names == [], "a name of ImageNet's must be right too"


def test_the_set_is_large_and_presence_is_balanced():
    by_category = Counter(question["category"] for question in ENTRIES)
    presence = Counter(question["answers"][0] for question in ENTRIES if question["category"] == "presence")
    assert len(ENTRIES) >= 260
    assert len({question["id"] for question in ENTRIES}) == len(ENTRIES)
    assert min(by_category.values()) >= 10
    assert abs(presence["yes"] - presence["no"]) <= 2


def test_pictures_are_small_and_photographs_have_notices():
    pictures = {question["picture"] for question in ENTRIES}
    notices = (FOLDER / "NOTICES.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| (\S+\.jpg) \|", notices, re.MULTILINE)) == {p for p in pictures if p.endswith(".jpg")}
    assert len(pictures) >= 60
    assert max(max(Image.open(FOLDER / picture).size) for picture in pictures) <= 768
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < MAX_BYTES


def test_measures_tell_the_three_verdicts_apart():
    task = RealPictures()
    questions = [question for question in task.questions(None) if question.id.startswith("kitten")]
    answers = ["A tiger cat.", "No.", "I am not sure.", "A car.", "It is six weeks old."]
    graded = [(question, task.grade(question, answer)) for question, answer in zip(questions, answers, strict=True)]
    means = {measure.name: sum(score.value for score in measure.unit_scores) for measure in task.measures(graded)}
    assert means == {"right": 1, "unsure": 1, "confidently wrong": 3, "ImageNet names": 1}
    wrong = task.breakdowns(graded)["category, confidently wrong"]
    assert {measure.name: sum(score.value for score in measure.unit_scores) for measure in wrong} == {
        "name": 0,
        "presence": 1,
        "kind": 1,
        "unknown": 1,
    }


def test_a_true_name_that_is_not_imagenets_is_right_all_the_same():
    task = RealPictures()
    question = next(question for question in task.questions(None) if question.id == "kitten-0")
    assert task.grade(question, "A cat.") == Grade(1.0, "right")
    assert task.grade(question, "A dog.") == Grade(0.0, "wrong")


def test_a_question_forbids_none_of_its_own_words():
    for question in ENTRIES:
        if question["category"] == "name":
            echoed = [word for word in question["forbidden"] if mentions(question["question"], [word])]
            assert echoed == [], question["id"]


def test_a_limit_spreads_over_the_set():
    assert len({question.facts["category"] for question in RealPictures().questions(None, 40)}) >= 10
