"""Pretraining both encoders in one run: its images of text, its samples and its output."""

import re
from functools import partial

import numpy as np
import pytest
import torch
from einops import rearrange
from safetensors.torch import load_file
from tiny_training import losses
from torch import nn
from torch.nn.functional import one_hot
from torch.utils.flop_counter import FlopCounterMode

from minigemini.modeling import MiniGeminiConfig, MiniGeminiModel
from minigemini.modeling.encoders import kind_of
from minigemini.training.run import train
from minigemini_models.nano import NANO_DIR
from minigemini_models.nano.nano_recipes import encoders
from minigemini_models.pretraining import encoder_pair
from minigemini_models.pretraining.encoder_pair import ENCODERS, EncoderPair
from minigemini_models.pretraining.encoder_samples import SEVERAL, EncoderSamples, Sides, easy_to_read, text_or_scene
from minigemini_models.pretraining.encoder_validation import _letters, validate
from minigemini_models.pretraining.encoders import low_res_config
from minigemini_models.pretraining.high_res_configs import KINDS, high_res_config
from minigemini_models.pretraining.pretraining_task import load_part, stack
from minigemini_models.scenes.composition import sample_scene
from minigemini_models.scenes.dense_labels import NUM_LETTER_CLASSES, PATCH_PX, SLOT_COLUMNS, letter_class, slot_labels
from minigemini_models.scenes.fonts import ALL_TRAINING_FONTS, HELD_OUT_FONTS, TRAINING_FONTS, installed_fonts
from minigemini_models.scenes.labeled_scenes import scene_labels
from minigemini_models.scenes.lettering import Letter
from minigemini_models.scenes.lexicon import DIGITS
from minigemini_models.scenes.scene import SCENE_PX
from minigemini_models.scenes.splits import ENCODER_DOMAIN, SMALL_DOMAIN, evaluation
from minigemini_models.scenes.text_images import draw_text_image, text_image

TINY = {"low_res_width": "32", "low_res_layers": "1", "high_res_width": "8", "global_batch": "2", "micro_batch": "2"}


def drawn(domain, seeds=12):
    return [draw_text_image(np.random.default_rng(seed), domain) for seed in range(seeds)]


def test_text_has_all_sizes_and_cases():
    letters = [letter for _, letters in drawn(ENCODER_DOMAIN) for letter in letters]
    heights = {round(letter.bottom - letter.top) for letter in letters}
    assert {8, 12, 20} < heights
    assert 40 < max(heights) <= 64
    characters = {letter.character for letter in letters}
    assert any(c.islower() for c in characters)
    assert any(c.isupper() for c in characters)
    assert set(DIGITS) < characters
    assert letter_class("q") == letter_class("Q")


def test_lines_never_share_a_row_of_slots():
    for _, letters in drawn(ENCODER_DOMAIN):
        rows = {}
        for letter in letters:
            rows.setdefault(int(letter.center[1] // (PATCH_PX / 2)), set()).add(letter.bottom)
        assert all(len(baselines) == 1 for baselines in rows.values())


def test_letters_differ_from_what_is_behind_them():
    image, letters = draw_text_image(np.random.default_rng(5), ENCODER_DOMAIN)
    gray = np.asarray(image.convert("L"), dtype=int)
    for letter in letters:
        left, right = max(0, int(letter.left)), min(SCENE_PX, int(letter.right) + 1)
        box = gray[max(0, int(letter.top)) : int(letter.bottom), left:right]
        if box.size and right - left > 3:
            assert box.max() - box.min() > 40, letter


def test_a_seed_always_gives_the_same_text():
    first, again, other = (text_image(seed, ENCODER_DOMAIN) for seed in (3, 3, 4))
    assert all(np.array_equal(first[name], again[name]) for name in first)
    assert not np.array_equal(first["image"], other["image"])
    assert not np.array_equal(first["image"], text_image(3, evaluation(base=ENCODER_DOMAIN))["image"])


def test_fonts_are_those_installed_but_held_out_families():
    assert set(TRAINING_FONTS) - set(ALL_TRAINING_FONTS) == set()
    assert set(ALL_TRAINING_FONTS) <= installed_fonts().keys()
    assert not {name.split("-")[0] for name in ALL_TRAINING_FONTS} & {name.split("-")[0] for name in HELD_OUT_FONTS}


def test_narrow_letters_keep_their_order():
    letters = [Letter(character, x, 0, x + 1, 8) for character, x in (("I", 1), ("L", 2), ("J", 2.5))]
    slots = slot_labels([*letters, Letter("W", 0, 40, 4, 48)], PATCH_PX * 2)[0, 0]
    assert slots.tolist()[:4] == [letter_class(c) for c in "ILJ"] + [0]
    crowded = [Letter("A", 30, 0, 31, 8), Letter("B", 31, 0, 32, 8)]
    assert np.count_nonzero(slot_labels(crowded, PATCH_PX)) == 1  # there is no column behind the last


def test_runs_begin_with_text_that_is_easy_to_read():
    sample = EncoderSamples(ENCODER_DOMAIN, samples=1000, first=2**40)
    easy = easy_to_read(ENCODER_DOMAIN)

    def share(start):
        numbers = [2**40 + start + n for n in range(0, 16, 2)]
        as_easy = [np.array_equal(sample(n)["image"], text_or_scene(n, easy)["image"]) for n in numbers]
        usual = [np.array_equal(sample(n)["image"], text_or_scene(n, ENCODER_DOMAIN)["image"]) for n in numbers]
        assert all(one != other for one, other in zip(as_easy, usual, strict=True))
        return np.mean(as_easy)

    assert share(0) == 1
    assert 0 < share(132) < 1
    assert share(500) == 0


@pytest.mark.parametrize(("domain", "heights"), [(ENCODER_DOMAIN, (16, 30)), (SMALL_DOMAIN, (16, 16))])
def test_easy_text_is_within_the_domain(domain, heights):
    assert easy_to_read(domain).cap_heights_px == heights


def test_half_of_the_samples_have_objects():
    samples = [text_or_scene(number, ENCODER_DOMAIN) for number in range(8)]
    assert [bool((sample["names"] > 0).any()) for sample in samples] == [False, True] * 4
    assert {name: array.shape for name, array in samples[0].items()} == {
        name: array.shape for name, array in samples[1].items()
    }
    assert samples[0]["slots"].shape == (SCENE_PX // PATCH_PX, SCENE_PX // PATCH_PX, 2 * SLOT_COLUMNS)


# Other sizes and kinds


@pytest.mark.parametrize("number", [8, 9], ids=["text", "objects"])
def test_each_encoder_has_labels_on_its_own_grid(number):
    sample = text_or_scene(number, ENCODER_DOMAIN, Sides(128, 128))
    assert sample["image"].shape == (SCENE_PX, SCENE_PX, 3)
    assert sample["slots"].shape == (4, 4, 2 * SLOT_COLUMNS)
    assert sample["cells"].shape == (16, 16)
    assert sample["low_res_slots"].shape == (16, 16, 2 * SLOT_COLUMNS)
    assert sample["low_res_names"].shape == (16, 16)
    usual = text_or_scene(number, ENCODER_DOMAIN)
    assert np.array_equal(usual["image"], sample["image"])
    for name in ("names", "colours", "centres"):
        assert np.array_equal(usual[name], usual[f"low_res_{name}"])


def test_labels_of_a_patch_are_those_of_its_parts():
    for number in range(6):
        scene = sample_scene(number, "sign", SMALL_DOMAIN)
        labels = {patch_px: scene_labels(scene, patch_px) for patch_px in (16, 32, 64)}
        letters = [np.sort(found["slots"][found["slots"] > 0]).tolist() for found in labels.values()]
        assert letters[0] == letters[1] == letters[2] != []
        for small, large in ((16, 32), (32, 64)):
            parts = rearrange(labels[small]["centres"], "(y p) (x q) -> y x (p q)", p=2, q=2)
            assert np.array_equal(parts.max(-1), labels[large]["centres"])


def test_sides_change_from_step_to_step():
    sample = EncoderSamples(SMALL_DOMAIN, samples=9, batch=2, sides=SEVERAL)
    shapes = [(sample(n)["names"].shape[0], sample(n)["low_res_names"].shape[0]) for n in range(9)]
    assert shapes == [(8, 8)] * 2 + [(4, 16)] * 2 + [(8, 8)] * 2 + [(2, 4)] * 2 + [(8, 8)]


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_learns_at_every_size(kind):
    recipe = encoders().changed(TINY | {"high_res_kind": kind, "high_res_width": "12", "several_sizes": "true"})
    task = encoder_pair.encoder_pair(recipe)
    for step in (1, 2, 3):
        batch = stack([task.sample(2 * step + number) for number in range(2)])
        task.module.zero_grad()
        out = task.module(**batch)
        assert torch.isfinite(out["loss"])
        out["loss"].backward()
        for encoder in (task.module.high_res.encoder, task.module.low_res.encoder):
            assert all(p.grad is not None and p.grad.isfinite().all() for p in encoder.parameters())
            assert sum(float(p.grad.abs().sum()) for p in encoder.parameters()) > 0


def test_kinds_of_equal_width_take_about_as_many_operations():
    def operations(kind):
        config = high_res_config(24, kind)
        with torch.device("meta"):
            tower = kind_of(config).build(config)
        with FlopCounterMode(display=False) as counter:
            kind_of(config).encode(tower, torch.zeros(1, 3, SCENE_PX, SCENE_PX, device="meta"))
        return counter.get_total_flops()

    usual = operations("convnext")
    assert all(0.5 < operations(kind) / usual < 2 for kind in KINDS)


def test_low_res_encoder_learns_from_objects_only():
    torch.manual_seed(0)
    pair = EncoderPair(encoders().changed(TINY))
    text, objects = (stack([text_or_scene(number, ENCODER_DOMAIN)]) for number in (0, 1))
    both = stack([text_or_scene(number, ENCODER_DOMAIN) for number in (0, 1)])
    only_text, only_objects, mixed = (pair(**batch) for batch in (text, objects, both))
    assert "low_res_loss" not in only_text
    assert torch.allclose(mixed["low_res_loss"], only_objects["low_res_loss"], atol=1e-4)
    assert torch.equal(mixed["loss"], mixed["high_res_loss"] + mixed["low_res_loss"])


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("encoders")
    recipe = encoders().changed(TINY | {"steps": "300", "scale": "0.01", "workers": "0", "report_to": "none"})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(encoder_pair, "validate", partial(validate, images=3))
        train(recipe, folder)
    return recipe, folder


def test_a_scaled_run_takes_its_share_of_steps(run):
    recipe, folder = run
    assert recipe.run_length()[1] == 3
    assert [step for step, _ in losses(folder)] == [1, 2, 3]


def test_the_output_has_all_weights_of_both_encoders(run):
    recipe, folder = run
    config = MiniGeminiConfig.from_pretrained(NANO_DIR)
    config.vision_config, config.high_res_vision_config = low_res_config(32, 1), high_res_config(8)
    pair, model = EncoderPair(recipe), MiniGeminiModel(config)
    for name, module in ENCODERS.items():
        file = recipe.result_path(folder) / f"{name}.safetensors"
        load_part(getattr(model, name), str(file), recipe.name)
        trained, initial = load_file(file), getattr(pair, module).encoder.state_dict()
        assert all(torch.equal(getattr(model, name).state_dict()[key], tensor) for key, tensor in trained.items())
        assert any(not torch.equal(initial[key], tensor) for key, tensor in trained.items())


def test_the_report_tells_what_the_encoders_read(run):
    _, folder = run
    page = (folder / "report.md").read_text()
    for name in (
        "letters in their slot, unseen fonts, %",
        "letters of 8 to 9 px read, %",
        "names by the low-resolution encoder, unseen style, %",
    ):
        assert re.search(rf"\| {name} \| \d+\.\d \|", page)


def test_the_small_domain_has_no_style_to_hold_out():
    pair = EncoderPair(encoders().changed(TINY))
    figures = validate(pair.high_res, pair.low_res, SMALL_DOMAIN, images=8)
    assert list(figures) == [
        "letters in their slot, %",
        "letters of 10 to 18 px read, %",
        "letters in their slot, unseen fonts, %",
        "letters of 10 to 18 px read, unseen fonts, %",
        "names by the high-resolution encoder, %",
        "colours by the high-resolution encoder, %",
        "names by the low-resolution encoder, %",
        "colours by the low-resolution encoder, %",
    ]


def test_perfect_encoders_read_everything():
    """And those that put each letter into the next slot read as much, but have none in its slot."""

    class Labels(nn.Module):
        def __init__(self, shift: int) -> None:
            super().__init__()
            self.shift = shift

        def logits(self, pixels, size_px):
            domain = evaluation("texts", base=ENCODER_DOMAIN)
            drawn = [draw_text_image(np.random.default_rng([domain.stream, n]), domain)[1] for n in range(len(pixels))]
            slots = torch.from_numpy(np.stack([slot_labels(letters, SCENE_PX) for letters in drawn]))
            rows = rearrange(slots, "b y x (r c) -> b y r (x c)", r=2).roll(self.shift, -1)
            return {"slots": one_hot(rearrange(rows, "b y r (x c) -> b y x (r c)", c=SLOT_COLUMNS), NUM_LETTER_CLASSES)}

    for shift, in_slot in ((0, 100), (1, 0)):
        figures = dict(_letters(Labels(shift), evaluation("texts", base=ENCODER_DOMAIN), images=2))
        assert figures["letters of 10 to 18 px read"] > 99
        assert abs(figures["letters in their slot"] - in_slot) < 15
