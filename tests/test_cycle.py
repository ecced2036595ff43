"""Cycle accuracy, measured on pictures of which it is known what is in them."""

import numpy as np
import pytest
from PIL import Image
from scripted_engine import script

from minigemini.inference import Engine, GeneratedImage
from minigemini_models.evaluation.drawing_cycle import draw_captions, draw_requests, table
from minigemini_models.samples.image_plans import KINDS, compose, draw_plan, sample_planned_image
from minigemini_models.samples.image_requests import answered, sample_plain_request
from minigemini_models.scenes.splits import EVALUATION_STREAM, evaluation


class TruePainter:
    """Draws each caption as the world does, or always the same grey."""

    def __init__(self, gray=False):
        self.gray, self.truths = gray, {}
        for kind in KINDS:
            for seed in range(2):
                plan, scene = sample_planned_image(seed, kind, EVALUATION_STREAM)
                self.truths[plan.caption()] = scene
                wished, _ = sample_plain_request(seed, kind, evaluation())
                self.truths[wished.caption()] = compose(np.random.default_rng(seed), wished)

    def draw(self, caption, drawing=None, image=None, progress=None):
        image = Image.new("RGB", (64, 64), "grey") if self.gray else Image.fromarray(draw_plan(self.truths[caption]))
        return [GeneratedImage(image, caption, "true", 0, 1, 1.0)]


def test_a_true_painter_is_right_and_a_grey_one_wrong():
    true, gray = draw_captions(TruePainter(), 14), draw_captions(TruePainter(gray=True), 14)
    assert sum(one.verdict.right for one in true) >= 13
    assert not any(one.verdict.right for one in gray)
    assert [one.kind for one in true] == list(KINDS) * 2
    rows = table(true).splitlines()
    assert rows[0] == "| kind | objects | colours | count | position | all of it |"
    assert len(rows) == 2 + len(KINDS) + 1
    assert rows[-1].startswith("| all, n=14 | ")


@pytest.mark.parametrize("tells", [True, False])
def test_the_whole_way_from_a_request_and_back(tells, tiny_checkpoint, monkeypatch):
    plans = [sample_plain_request(0, kind, evaluation()) for kind in KINDS]
    answers = []
    for plan, _ in plans:
        said = " and ".join(item.phrase().removesuffix(item.place or "").strip() for item in plan.items)
        answers += [answered(plan), f"{said.capitalize()}." if tells else "Nothing."]
    engine = Engine.load(tiny_checkpoint, device="cpu")
    prompts = script(engine, answers, monkeypatch)
    drawn = draw_requests(engine, TruePainter(), len(KINDS))
    assert sum(one.verdict.right for one in drawn) >= len(KINDS) - 1
    assert all(one.told == tells for one in drawn)
    assert all(asked in prompt for (_, asked), prompt in zip(plans, prompts[::2], strict=True))
    assert all(prompt.count("<image>") == engine.processor.num_image_tokens for prompt in prompts[1::2])
    assert table(drawn).splitlines()[0].endswith("| all of it | and told |")


def test_a_request_that_is_not_drawn_is_wrong(tiny_checkpoint, monkeypatch):
    engine = Engine.load(tiny_checkpoint, device="cpu")
    script(engine, ["I cannot draw a dragon."], monkeypatch)
    (drawn,) = draw_requests(engine, TruePainter(), 1)
    assert (drawn.caption, drawn.image, drawn.verdict.right, drawn.told) == (None, None, False, False)
