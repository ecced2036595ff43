"""Cycle accuracy, measured on images whose contents are known."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from scripted_engine import script

from minigemini.inference import Engine, GeneratedImage
from minigemini_models.evaluation.drawing_cycle import (
    NO_MATCH,
    CycleResult,
    draw_captions,
    draw_requests,
    results_table,
)
from minigemini_models.samples.image_plans import (
    KINDS,
    ImagePlan,
    PlanItem,
    compose_plan,
    image_array,
    sample_planned_image,
)
from minigemini_models.samples.image_requests import generation_answer, sample_plain_request
from minigemini_models.scenes.splits import EVALUATION_STREAM, evaluation


class ExactGenerator:
    """Renders the plan of each caption exactly, or always the same gray image."""

    def __init__(self, gray=False):
        self.gray, self.truths = gray, {}
        for kind in KINDS:
            for seed in range(2):
                plan, scene = sample_planned_image(seed, kind, EVALUATION_STREAM)
                self.truths[plan.caption()] = scene
                requested, _ = sample_plain_request(seed, kind, evaluation())
                self.truths[requested.caption()] = compose_plan(np.random.default_rng(seed), requested)

    def draw(self, caption, settings=None, image=None, progress=None):
        image = Image.new("RGB", (64, 64), "grey") if self.gray else Image.fromarray(image_array(self.truths[caption]))
        return [GeneratedImage(image, caption, "exact", 0, 1, 1.0)]


def test_exact_images_are_right_and_gray_ones_wrong():
    true, gray = draw_captions(ExactGenerator(), 14), draw_captions(ExactGenerator(gray=True), 14)
    assert sum(result.verdict.right for result in true) >= 13
    assert not any(result.verdict.right for result in gray)
    assert [result.kind for result in true] == list(KINDS) * 2
    rows = results_table(true).splitlines()
    assert rows[0] == "| kind | objects | colors | count | position | all of it |"
    assert len(rows) == 2 + len(KINDS) + 1
    assert rows[-1].startswith("| all, n=14 | ")


@pytest.mark.parametrize("recognizes", [True, False])
def test_cycle_from_request_to_description(recognizes, tiny_checkpoint, monkeypatch):
    plans = [sample_plain_request(0, kind, evaluation()) for kind in KINDS]
    answers = []
    for plan, _ in plans:
        answer = " and ".join(replace(item, color=item.color or "red", place=None).phrase() for item in plan.items)
        answers += [generation_answer(plan), f"{answer.capitalize()}." if recognizes else "Nothing."]
    engine = Engine.load(tiny_checkpoint, device="cpu")
    prompts = script(engine, answers, monkeypatch)
    results = draw_requests(engine, ExactGenerator(), len(KINDS))
    assert sum(result.verdict.right for result in results) >= len(KINDS) - 1
    assert all(result.recognized == recognizes for result in results)
    assert all(asked in prompt for (_, asked), prompt in zip(plans, prompts[::2], strict=True))
    assert all(prompt.count("<image>") == engine.processor.num_image_tokens for prompt in prompts[1::2])
    assert results_table(results).splitlines()[0].endswith("| all of it | and recognized |")


def test_a_request_without_an_image_is_wrong(tiny_checkpoint, monkeypatch):
    engine = Engine.load(tiny_checkpoint, device="cpu")
    script(engine, ["I cannot draw a dragon."], monkeypatch)
    (result,) = draw_requests(engine, ExactGenerator(), 1)
    assert (result.caption, result.image, result.verdict.right, result.recognized) == (None, None, False, False)


@pytest.mark.parametrize(
    ("answer", "recognized"),
    [
        ("Two green stars and a red cup.", True),
        ("A green star, a blue star and a red cup.", True),  # any color will do
        ("Two stars and a cup.", False),  # but the cup is to be red
        ("Two stars and a blue cup.", False),
        ("A green star and a red cup.", False),
        ("Three green stars and a red cup.", False),
        ("", False),
        (None, False),
    ],
)
def test_what_counts_as_recognized(answer, recognized):
    plan = ImagePlan((PlanItem("star", None, 2, "at the top"), PlanItem("cup", "red")))
    assert CycleResult(plan, "mixed", None, None, NO_MATCH, answer).recognized == recognized
