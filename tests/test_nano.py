"""Accuracy of the embedded checkpoint on scenes and text held out from training."""

import pytest
import torch

from minigemini.evaluation.local_backend import LocalAnswerer
from minigemini.evaluation.runner import Batch
from minigemini.inference import Engine
from minigemini.modeling import MiniGeminiForConditionalGeneration
from minigemini_models.evaluation.skills import BASIC_SKILLS, SKILLS, Skill
from minigemini_models.evaluation.synthetic_tasks import questions

SAMPLES = 100
# Minimum accuracies: three standard errors of 100 questions below the accuracy on 150 (see the model card), or the
# minimum of an earlier checkpoint if that is higher.
BASIC_MINIMUMS = {
    "read a word never seen in training": 0.68,
    "its letters, each in its place": 0.85,
    "name the thing": 0.96,
    "name its colour": 0.96,
    "count one to five": 0.55,
    "colour of one among several": 0.96,
    "thing of a colour among several": 0.96,
    "is there …? yes or no": 0.76,
    "describe two or three things: each named with its colour": 0.76,
}
SYNTHETIC_MINIMUMS = {
    "read a word of 4 to 8 letters": 0.58,
    "name an object": 0.87,
    "colour of one among several": 0.96,
    "shape of a colour among several": 0.96,
    "is it left of …? yes or no": 0.64,
    "follow-up: and the one beside it, and the other colour": 0.91,
    "two pictures: which has more": 0.69,
    "two pictures: what changed its colour": 0.64,
    "two pictures: which shows it": 0.69,
    "says that it cannot tell, about things": 0.74,
    "says that it cannot tell, about a sign": 0.88,
}
BY_NAME = {skill.name: skill for skill in BASIC_SKILLS}
MINIMUMS = [(BY_NAME[name], threshold) for name, threshold in BASIC_MINIMUMS.items()]
MINIMUMS += [(skill, SYNTHETIC_MINIMUMS[skill.name]) for skill in SKILLS if skill.name in SYNTHETIC_MINIMUMS]
LETTERS = BY_NAME["its letters, each in its place"]


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine.load("nano", device="cpu")


def answers(engine: Engine, skill: Skill, samples: int, batch_size: int = 25) -> dict[str, str]:
    all_questions = questions(skill, samples)
    batches = [Batch("", tuple(all_questions[start : start + batch_size])) for start in range(0, samples, batch_size)]
    return {
        name: said for _, part in LocalAnswerer(engine, workers=0).answers(batches, 48) for name, said in part.items()
    }


def accuracy(engine: Engine, skill: Skill, samples: int) -> float:
    """Return the accuracy of points scored on a skill."""
    said = answers(engine, skill, samples)
    got, of = zip(*(skill.grade(one.truth, said[one.id]) for one in questions(skill, samples)), strict=True)
    return sum(got) / sum(of)


@pytest.mark.parametrize(("skill", "threshold"), MINIMUMS, ids=lambda value: getattr(value, "name", ""))
def test_skill(engine, skill, threshold):
    assert accuracy(engine, skill, SAMPLES) >= threshold


@pytest.mark.parametrize(("skill", "threshold"), MINIMUMS, ids=lambda value: getattr(value, "name", ""))
def test_an_untrained_model_fails(engine, skill, threshold):
    torch.manual_seed(0)
    untrained = MiniGeminiForConditionalGeneration(engine.model.config).eval()
    assert accuracy(Engine(untrained, engine.processor, "untrained"), skill, 25) < threshold / 2


def test_reading_needs_mined_features(engine):
    """The low-resolution image does not contain legible text: without the mined features, reading fails."""
    mining = engine.model.model.patch_info_mining
    with mining.register_forward_hook(lambda module, inputs, mined: torch.zeros_like(mined)):
        assert accuracy(engine, LETTERS, SAMPLES) < 0.10


def test_batched_answers_equal_single_ones(engine):
    skill = BY_NAME["name the thing"]
    assert answers(engine, skill, 20, 20) == answers(engine, skill, 20, 1)
