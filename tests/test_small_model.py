"""The model small, as `minigemini pull` builds it, answers about real pictures."""

import os
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from minigemini.inference import Conversation, Engine
from minigemini.io.pulled_models import pull
from minigemini_models.evaluation.real_scoring import judge
from minigemini_models.evaluation.real_task import RealPictures
from minigemini_models.small.pulled import SMALL

ROOT = Path(__file__).parent.parent
USER_CACHE = os.environ.get("MINIGEMINI_CACHE")
"""Where the user keeps models: pulled once, small serves all later runs of the tests."""

DEMO_ANSWERS = {
    ("photos/cat.jpg", "What is this?"): "The picture shows a cat. It may be an Egyptian cat.",
    ("photos/coffee.jpg", "What is this?"): "The picture shows an espresso.",
    ("photos/macaw.jpg", "What bird is this?"): "It is a macaw.",
    ("photos/neuschwanstein.jpg", "What kind of building is this?"): "It is a castle.",
    ("photos/shop_sign.png", "What is the name of the shop?"): "Rosie's Flowers",
    ("photos/receipt.png", "How much is the lemonade?"): "2.75",
    ("photos/chart.png", "Who read the most books?"): "Leo",
    ("things.png", "What color is the cross?"): "White.",
    ("photos/cat.jpg", "What is the name of the cat?"): "I cannot tell from the picture.",
}


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as patch:
        if USER_CACHE is None:
            patch.delenv("MINIGEMINI_CACHE")
        else:
            patch.setenv("MINIGEMINI_CACHE", USER_CACHE)
        yield pull(SMALL)


@pytest.fixture(scope="module")
def engine(folder) -> Engine:
    return Engine.load(folder)


def test_every_answer_of_the_demo_is_right(engine):
    script = (ROOT / "examples" / "demo.sh").read_text()
    questions = re.findall(r'^ask (\S+) "([^"]+)"$', script, re.MULTILINE)
    assert questions == list(DEMO_ANSWERS)
    answers = {pair: engine.ask(ROOT / "examples" / pair[0], pair[1]).text for pair in questions}
    assert answers == DEMO_ANSWERS


def test_half_of_the_answers_about_real_pictures_are_right(engine):
    """A sample of the task `real`, whose whole is in benchmarks/results/real.md."""
    task = RealPictures()
    asked = [question.facts for question in task.questions(None, limit=48)]
    answers = [engine.ask(task.folder / facts["picture"], facts["question"]).text for facts in asked]
    verdicts = Counter(map(judge, asked, answers))
    assert verdicts["right"] >= 26
    assert verdicts["wrong"] <= 17


def test_text_is_read_by_default_and_not_without_ocr(engine):
    receipt = ROOT / "examples" / "photos" / "receipt.png"
    assert engine.ask(receipt, "What is the total?").text == "11.25"
    assert engine.ask(receipt, "What is the total?", ocr=False).text != "11.25"


def test_small_talks_without_a_picture(engine):
    with Conversation(engine).stream("hi") as stream:
        assert stream.answer.text


def test_encoders_share_their_weights_with_the_published_ones(engine):
    """Mining cannot change what photographs are called: `classes` reads low-resolution features alone."""
    inner = engine.model.model
    low, high = inner.vision_tower.state_dict(), inner.high_res_vision_tower.state_dict()
    assert all(torch.equal(low[name], tensor) for name, tensor in high.items())
    assert inner.multi_modal_projector.groups["classes"].source == "low_res"
