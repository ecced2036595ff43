"""Pretraining both encoders in one run: its images of text, its samples and its output."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tiny_training import losses

from minigemini.training.run import train
from minigemini_models.nano.nano_recipes import encoders
from minigemini_models.pretraining.encoder_pair import ENCODERS, EncoderPair
from minigemini_models.pretraining.encoder_samples import text_or_scene
from minigemini_models.pretraining.init_model import init_model
from minigemini_models.pretraining.pretraining_task import load_part, stack
from minigemini_models.scenes.colors import BLACK, WHITE
from minigemini_models.scenes.dense_labels import PATCH_PX, SLOT_COLUMNS, letter_class, slot_labels
from minigemini_models.scenes.fonts import ALL_TRAINING_FONTS, HELD_OUT_FONTS, TRAINING_FONTS, installed_fonts
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


def test_the_small_domain_is_black_on_white():
    for image, letters in drawn(SMALL_DOMAIN, seeds=4):
        assert {letter.character for letter in letters} <= set(DIGITS)
        assert image.getpixel((0, 0)) in (BLACK, WHITE) or np.median(np.asarray(image)) > 200


def test_narrow_letters_keep_their_order():
    letters = [Letter(character, x, 0, x + 1, 8) for character, x in (("I", 1), ("L", 2), ("J", 2.5))]
    slots = slot_labels([*letters, Letter("W", 0, 40, 4, 48)], PATCH_PX * 2)[0, 0]
    assert slots.tolist()[:4] == [letter_class(c) for c in "ILJ"] + [0]
    crowded = [Letter("A", 30, 0, 31, 8), Letter("B", 31, 0, 32, 8)]
    assert np.count_nonzero(slot_labels(crowded, PATCH_PX)) == 1  # there is no column behind the last


def test_half_of_the_samples_have_objects():
    samples = [text_or_scene(number, ENCODER_DOMAIN) for number in range(8)]
    assert [bool((sample["names"] > 0).any()) for sample in samples] == [False, True] * 4
    assert {name: array.shape for name, array in samples[0].items()} == {
        name: array.shape for name, array in samples[1].items()
    }
    assert samples[0]["slots"].shape == (SCENE_PX // PATCH_PX, SCENE_PX // PATCH_PX, 2 * SLOT_COLUMNS)


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
    train(recipe, folder)
    return recipe, folder


def test_a_scaled_run_takes_its_share_of_steps(run):
    recipe, folder = run
    assert recipe.run_length()[1] == 3
    assert [step for step, _ in losses(folder)] == [1, 2, 3]


def test_the_output_has_all_weights_of_both_encoders(run):
    recipe, folder = run
    model = init_model(replace(recipe, text_width=32, text_layers=1))[0].model
    for name in ENCODERS:
        file = recipe.result_path(folder) / f"{name}.safetensors"
        load_part(getattr(model, name), str(file), recipe.name)
        assert all(
            torch.equal(model.get_submodule(name).state_dict()[key], value) for key, value in load_file(file).items()
        )
