"""The embedded painter: its pictures and captions, how it learns, is saved, loaded and drawn with."""

import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from fabricate_pipelines import TINY_PAINTER as TINY
from fabricate_pipelines import save_pipeline
from PIL import Image

from minigemini.inference import Drawing, Painter, RequestError
from minigemini.training.run import train
from minigemini.training.settings import RecipeError
from minigemini_models.evaluation.shape_detector import find_things, judge
from minigemini_models.image_generator import PAINTER_DIR, network
from minigemini_models.image_generator.network import (
    CELL_TOKENS,
    MOST_TOKENS,
    build_painter,
    build_tokenizer,
    cell_labels,
    sample,
)
from minigemini_models.image_generator.spectrum import CHANNELS, to_pictures, to_spectrum
from minigemini_models.image_generator.training import PainterLesson, export, scaled
from minigemini_models.nano.nano_recipes import painter as recipe
from minigemini_models.pretraining import TASKS
from minigemini_models.pretraining.pretraining_task import stack
from minigemini_models.samples.image_plans import KINDS, PLACES, Item, Plan, paint, place_of, sample_painting
from minigemini_models.scenes.colors import COLOURS
from minigemini_models.scenes.concepts import TINTED_NAMES
from minigemini_models.scenes.splits import EVALUATION_STREAM

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
        assert len(build_tokenizer()(plan.caption()).input_ids) <= MOST_TOKENS
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


def test_what_a_caption_leaves_open_is_settled_alike():
    """Cells column by row: a relation through the middle, other things as dots on dice."""
    star, cup = Item("star", "red"), Item("cup", "blue")
    assert Plan((star, cup), "left of").cells == ((0, 1), (2, 1))
    assert Plan((star, cup), "below").cells == ((1, 2), (1, 0))
    assert Plan((replace(star, count=3), cup)).cells == ((0, 0), (2, 0), (0, 2), (2, 2))
    assert Plan((star, replace(cup, place="on the left"))).cells == ((1, 1), (0, 1))
    assert Plan((star, replace(cup, place="in the middle"))).cells == ((0, 0), (1, 1))
    for kind in KINDS:
        for seed in range(40):
            plan, scene = sample_painting(seed, kind)
            assert len(set(plan.cells)) == len(plan.units)
            middles = [((t.box[0] + t.box[2]) / 2, (t.box[1] + t.box[3]) / 2) for t in scene.things]
            assert {PLACES[place_of(*middle, scene.size_px)] for middle in middles} == set(plan.cells)


def test_cells_are_labelled_with_what_they_show():
    names, colours = cell_labels(Plan((Item("star", "red"), Item("cup")), "above"))
    assert [TINTED_NAMES[name - 1] for name in names[[1, 7]]] == ["star", "cup"]
    assert (names[[0, 2, 3, 4, 5, 6, 8]] == 0).all()
    assert tuple(COLOURS)[colours[1] - 1] == "red"
    assert colours[7] < 0, "left open"
    names, _ = cell_labels(Plan((Item("hat"),)))
    assert {TINTED_NAMES[name - 1] for name in names} == {"hat"}, "it has the picture for itself"
    assert (cell_labels(None)[0] < 0).all()


def test_the_detector_finds_what_was_drawn():
    """Without any network: on true drawings it must be right, or it could measure nothing."""
    right = [
        judge(plan, find_things(Image.fromarray(paint(scene)))).right
        for kind in KINDS
        for plan, scene in (sample_painting(seed, kind, EVALUATION_STREAM) for seed in range(20))
    ]
    assert np.mean(right) >= 0.98  # 414 of 420 measured


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
    alone = np.mean([one["attention_mask"][0].sum() == len(CELL_TOKENS) for one in drawn])
    assert 0.02 < alone < 0.2, "some without a caption"
    shares = np.array([one["sigma"] for one in drawn])
    assert shares.min() > 0
    assert shares.max() < 1
    assert np.median(shares) > 0.6, "towards noise"
    assert all((one["names"] > 0).any() for one in drawn)


# How it learns


@pytest.fixture
def lesson() -> PainterLesson:
    torch.manual_seed(0)
    return PainterLesson(build_painter(TINY))


def steps(lesson, batch, count):
    """So many steps on one batch; gives what came out at the first and at the last."""
    optimiser = torch.optim.AdamW([p for p in lesson.parameters() if p.requires_grad], lr=3e-3)
    outs = []
    for _ in range(count):
        outs.append(lesson(**batch))
        optimiser.zero_grad()
        outs[-1]["loss"].backward()
        optimiser.step()
    assert all(parameter.grad is not None for parameter in lesson.parameters() if parameter.requires_grad)
    return outs[0], outs[-1]


def test_the_loss_falls_and_every_weight_has_a_gradient(lesson):
    first, last = steps(lesson, stack([sample(index) for index in range(8)]), 12)
    assert last["loss"] < 0.7 * first["loss"]
    assert set(last) == {"loss", "picture_loss", "label_loss", "label_accuracy"}


def test_frequencies_are_the_pictures_but_for_the_finest():
    paintings = [sample_painting(seed, kind, EVALUATION_STREAM) for kind in KINDS for seed in range(10)]
    pictures = scaled(torch.stack([torch.tensor(paint(scene)) for _, scene in paintings]))
    spectrum = to_spectrum(pictures)
    assert spectrum.shape == (len(paintings), CHANNELS, 8, 8)
    assert 0.7 < spectrum.std() < 1.1  # 0.86 over two hundred
    again = to_pictures(spectrum)
    assert (to_spectrum(again) - spectrum).abs().max() < 1e-4  # a projection: nothing more is lost the second time
    assert (again - pictures).square().mean() < 0.01 * pictures.var()
    drawn = ((again.clamp(-1, 1) + 1) * 127.5).byte().permute(0, 2, 3, 1).numpy()
    pairs = zip(paintings, drawn, strict=True)
    right = [judge(plan, find_things(Image.fromarray(one))).right for (plan, _), one in pairs]
    assert np.mean(right) >= 0.9  # 406 of 420 measured


def test_its_recipe_leaves_a_painter(tmp_path, monkeypatch):
    monkeypatch.setattr(network, "PainterSize", lambda: TINY)
    short = replace(recipe(), steps=2, global_batch=2, micro_batch=2, workers=0, watch="none")
    left = train(short, tmp_path / "run")
    (drawn,) = Painter.load(left, device="cpu").draw("a red star", Drawing(seed=1, steps=2))
    assert drawn.image.size == (64, 64)
    assert "label_accuracy" in (tmp_path / "run" / "log.jsonl").read_text()


def test_it_goes_on_from_a_painter(tmp_path, monkeypatch):
    there = save_pipeline("PainterPipeline", tmp_path / "there")
    learnt = Painter.load(there, device="cpu").pipeline
    monkeypatch.setattr(network, "PainterSize", lambda: TINY)
    task = TASKS["painter"](replace(recipe(), begin_with=str(there)))
    task.start()
    for name in ("text_encoder", "unet"):
        began, theirs = task.lesson.network[name].state_dict(), learnt.components[name].state_dict()
        assert all(torch.equal(began[key], theirs[key]) for key in theirs)
    monkeypatch.undo()
    for begin_with, reason in (("nowhere", "painter 'nowhere' is unknown"), (str(there), "no painter of this size")):
        with pytest.raises(RecipeError, match=reason):
            TASKS["painter"](replace(recipe(), begin_with=begin_with)).start()


def test_without_diffusers_it_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "diffusers", None)
    for module in ("painter", "painter_parts"):
        monkeypatch.delitem(sys.modules, f"minigemini_models.pretraining.{module}", raising=False)
    with pytest.raises(RecipeError, match=r"nano-painter needs diffusers: pip install 'minigemini\[draw\]'"):
        train(recipe(), tmp_path / "run")


# How it draws


@pytest.fixture(scope="module")
def painter(tmp_path_factory) -> Painter:
    return Painter.load(save_pipeline("PainterPipeline", tmp_path_factory.mktemp("painter") / "tiny"), device="cpu")


def test_an_exported_lesson_draws_what_it_drew(lesson, tmp_path):
    with torch.no_grad():
        for parameter in lesson.network.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    export(dict(lesson.named_parameters()), tmp_path / "painter", TINY)
    numbers = sum(p.numel() for p in lesson.network.parameters())
    assert sum(file.stat().st_size for file in tmp_path.rglob("*.safetensors")) < 2.2 * numbers, "two bytes a weight"
    drawn = Painter.load(tmp_path / "painter", device="cpu").draw("a red star", Drawing(seed=1))[0].image
    straight = lesson.painter("a red star", generator=torch.Generator().manual_seed(1)).images[0]
    assert np.abs(np.asarray(drawn, dtype=int) - np.asarray(straight, dtype=int)).max() <= 3


def test_it_draws_one_size_from_its_own_words(painter, picture):
    (drawn,) = painter.draw("A red star.", Drawing(seed=1, steps=2))
    assert (drawn.image.size, drawn.steps, drawn.guidance) == ((64, 64), 2, 1.5)
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


# The embedded one


@pytest.mark.parametrize("token", ["<pad>", "<unknown>", "<cell 1>"])
def test_the_painters_own_tokens_are_no_words(token):
    painter = Painter.load("nano", device="cpu")
    with pytest.raises(RequestError, match="no word for <, "):
        painter.draw(f"a red {token} star")


def test_the_embedded_painter_draws_what_it_is_told():
    """Captions of all kinds, all of it right: 443 of 500 measured; the mark is three standard errors below."""
    painter = Painter.load("nano", device="cpu")
    plans = [sample_painting(seed, kind, EVALUATION_STREAM)[0] for seed in range(5) for kind in KINDS]
    generators = [torch.Generator().manual_seed(seed) for seed in range(len(plans))]
    drawn = painter.pipeline([plan.caption() for plan in plans], generator=generators, guidance_scale=1.5).images
    assert sum(judge(plan, find_things(image)).right for plan, image in zip(plans, drawn, strict=True)) >= 26


def test_the_embedded_painter_is_small_and_has_a_card():
    assert sum(file.stat().st_size for file in PAINTER_DIR.rglob("*") if file.is_file()) <= 40e6
    assert "What it cannot do" in (PAINTER_DIR / "README.md").read_text()
