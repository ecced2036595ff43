"""The embedded painter: its pictures and captions, how it learns, is saved, loaded and drawn with."""

import numpy as np
import pytest
import torch
from fabricate_pipelines import save_pipeline
from PIL import Image

from minigemini.evaluation.things import find_things, judge
from minigemini.inference import Drawing, Painter, RequestError
from minigemini.training import painter as training
from minigemini.training.loop import LoopSettings, run, stack
from minigemini.training.painter import PainterLesson, PainterSize, build_painter, build_tokenizer, export, sample
from minigemini.world.material import EVALUATION_STREAM
from minigemini.world.painting import KINDS, PLACES, Item, Plan, paint, place_of, sample_painting

TINY = PainterSize(width=32, layers=2, heads=2, text_width=32, text_layers=1)


# What it learns from


def test_captions_say_what_is_there():
    assert Plan((Item("star", "red"),)).caption() == "a red star"
    assert Plan((Item("star", "orange"), Item("house")), "left of").caption() == "an orange star left of a house"
    assert Plan((Item("fish", "blue", 3), Item("cross", "red"))).caption() == "three blue fish and a red cross"
    placed = [Item("star", "red", place="at the top"), Item("cup", None, place="on the left"), Item("hat", "white")]
    assert Plan(tuple(placed)).caption() == "a red star at the top, a cup on the left and a white hat"


@pytest.mark.parametrize("kind", KINDS)
def test_a_seed_gives_one_painting_in_words_the_painter_knows(kind):
    painter, captions = build_painter(TINY), set()
    for seed in range(40):
        plan, scene = sample_painting(seed, kind)
        assert (plan, scene) == sample_painting(seed, kind)
        assert painter.unknown_words(plan.caption()) == []
        assert len(build_tokenizer()(plan.caption()).input_ids) <= training.MOST_TOKENS
        assert len(scene.things) == len(plan.units)
        captions.add(plan.caption())
    assert len(captions) > 30
    with pytest.raises(ValueError, match="unknown kind of painting 'castle'"):
        sample_painting(0, "castle")


def test_things_stand_where_the_plan_says():
    for seed in range(120):
        plan, scene = sample_painting(seed, "several")
        places = {place_of((t.box[0] + t.box[2]) / 2, (t.box[1] + t.box[3]) / 2, scene.size_px) for t in scene.things}
        assert places == {item.place for item in plan.items}
        assert places <= set(PLACES)


def test_the_detector_finds_what_was_drawn():
    """Without any network: on true drawings it must be right, or it could measure nothing."""
    right = [
        judge(plan, find_things(Image.fromarray(paint(scene)))).right
        for kind in KINDS
        for plan, scene in (sample_painting(seed, kind, EVALUATION_STREAM) for seed in range(20))
    ]
    assert np.mean(right) >= 0.98  # 417 of 420 measured


def test_the_detector_tells_what_is_wrong():
    plan, scene = sample_painting(3, "several", EVALUATION_STREAM)
    seen = find_things(Image.fromarray(paint(scene)))
    first, *others = plan.items
    other_place = next(place for place in PLACES if place not in {item.place for item in plan.items})

    def verdict(item):
        return judge(Plan((item, *others)), seen)

    assert verdict(first).right
    wrong_name = verdict(Item("ladder" if first.name != "ladder" else "hat", first.colour, 1, first.place))
    assert (wrong_name.objects, wrong_name.colours, wrong_name.position) == (False, True, True)
    wrong_colour = verdict(Item(first.name, "red" if first.colour != "red" else "blue", 1, first.place))
    assert (wrong_colour.objects, wrong_colour.colours) == (True, False)
    assert not verdict(Item(first.name, first.colour, 1, other_place)).position
    assert not judge(Plan((*plan.items, first)), seen).count
    related, drawn = sample_painting(3, "related", EVALUATION_STREAM)
    seen = find_things(Image.fromarray(paint(drawn)))
    opposite = {"left of": "right of", "right of": "left of", "above": "below", "below": "above"}[related.relation]
    assert judge(related, seen).position
    assert not judge(Plan(related.items, opposite), seen).position
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    assert not judge(plan, find_things(Image.fromarray(noise))).right


def test_samples_come_from_their_index():
    first, again, other = (sample(index) for index in (7, 7, 8))
    assert all(np.array_equal(first[name], again[name]) for name in first)
    assert not np.array_equal(first["noise"], other["noise"])
    drawn = [sample(index) for index in range(300)]
    assert 0.02 < np.mean([(one["attention_mask"].sum() == 1) for one in drawn]) < 0.2, "some without a caption"
    shares = np.array([one["sigma"] for one in drawn])
    assert shares.min() > 0
    assert shares.max() < 1
    assert np.median(shares) > 0.6, "towards noise"
    assert all((one["names"] > 0).any() for one in drawn)


# How it learns


class Task:
    """The lesson as the training loop takes it."""

    def __init__(self):
        torch.manual_seed(0)
        self.module = PainterLesson(build_painter(TINY), decay=0.9)

    sample = staticmethod(sample)
    collate = staticmethod(stack)

    def loss(self, batch):
        out = self.module(**batch)
        return out.pop("loss"), out


def test_the_loss_falls_and_every_weight_has_a_gradient():
    task = Task()
    batch = stack([sample(index) for index in range(8)])
    optimiser = torch.optim.AdamW([p for p in task.module.parameters() if p.requires_grad], lr=3e-3)
    losses = []
    for _ in range(12):
        loss, figures = task.loss(batch)
        losses.append(float(loss.detach()))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert losses[-1] < 0.7 * losses[0]
    assert set(figures) == {"picture_loss", "label_loss", "label_accuracy"}
    idle = [n for n, p in task.module.named_parameters() if p.requires_grad and p.grad is None]
    assert not idle


def test_a_run_that_was_stopped_goes_on_exactly(tmp_path, monkeypatch):
    settings = LoopSettings(steps=4, batch_size=2, learning_rate=1e-3, workers=0, checkpoint_every_s=0)
    whole = Task()
    run(whole, settings, tmp_path / "whole", "painter")
    stopped = Task()
    loss, seen = stopped.loss, []

    def stop_at_three(batch):
        seen.append(batch)
        if len(seen) == 3:
            raise KeyboardInterrupt
        return loss(batch)

    monkeypatch.setattr(stopped, "loss", stop_at_three)
    with pytest.raises(KeyboardInterrupt):
        run(stopped, settings, tmp_path / "stopped", "painter")
    resumed = Task()
    run(resumed, settings, tmp_path / "stopped", "painter")
    expected = whole.module.state_dict()
    assert int(expected["steps"]) == 4
    assert all(torch.equal(expected[name], tensor) for name, tensor in resumed.module.state_dict().items())


def test_the_average_follows_the_weights():
    task = Task()
    with torch.no_grad():
        for parameter in task.module.network.parameters():
            parameter.add_(1.0)
    batch = stack([sample(0)])
    task.module.eval()(**batch)
    assert int(task.module.steps) == 0, "it is not touched while it is only looked at"
    task.module.train()
    for _ in range(80):
        task.module._update_average()
    pairs = zip(task.module.average.parameters(), task.module.network.parameters(), strict=True)
    assert all(torch.allclose(average, weight, atol=1e-2) for average, weight in pairs)


# How it draws


@pytest.fixture(scope="module")
def painter(tmp_path_factory) -> Painter:
    return Painter.load(save_pipeline("PainterPipeline", tmp_path_factory.mktemp("painter") / "tiny"), device="cpu")


def test_an_exported_lesson_draws_what_it_drew(tmp_path):
    task = Task()
    with torch.no_grad():
        for parameter in task.module.average.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    export(task.module, tmp_path / "painter")
    assert sum(file.stat().st_size for file in tmp_path.rglob("*.safetensors")) < 2.2 * sum(
        p.numel() for p in task.module.average.parameters()
    ), "two bytes a weight"
    drawn = Painter.load(tmp_path / "painter", device="cpu").draw("a red star", Drawing(seed=1))[0].image
    straight = task.module.painter()("a red star", generator=torch.Generator().manual_seed(1)).images[0]
    assert np.abs(np.asarray(drawn, dtype=int) - np.asarray(straight, dtype=int)).max() <= 3


def test_it_draws_one_size_from_its_own_words(painter, picture):
    (drawn,) = painter.draw("A red star.", Drawing(seed=1, steps=2))
    assert (drawn.image.size, drawn.steps, drawn.guidance) == ((64, 64), 2, 3.0)
    with pytest.raises(RequestError, match="no word for dragon, castle; a caption is like"):
        painter.draw("a red dragon above a castle", Drawing(steps=1))
    with pytest.raises(RequestError, match=r"draws 64 x 64 pixels; leave size out"):
        painter.draw("a red star", Drawing(size_px=128))
    with pytest.raises(RequestError, match="no negative prompt"):
        painter.draw("a red star", Drawing(negative_prompt="a star"))
    (changed,) = painter.draw("a red star", Drawing(seed=1, steps=10, strength=0.3), picture=picture(0))
    kept = np.asarray(picture(0).resize((64, 64), Image.Resampling.LANCZOS), dtype=int)
    assert changed.image.size == (64, 64)
    assert np.abs(np.asarray(changed.image, dtype=int) - kept).mean() < np.abs(128 - kept).mean() * 2


def test_captions_are_drawn_together_as_one_by_one(painter):
    captions = ["a red star", "two blue fish and a hat"]
    generators = [torch.Generator().manual_seed(seed) for seed in (1, 2)]
    together = painter.pipeline(captions, 3, generator=generators, output_type="np").images
    for number, caption in enumerate(captions):
        generator = torch.Generator().manual_seed(number + 1)
        alone = painter.pipeline(caption, 3, generator=generator, output_type="np").images
        assert np.abs(together[number] - alone[0]).max() < 1e-4
