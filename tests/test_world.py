"""The drawn world: same seed same scene, labels where the drawing is, answers that are right about the scene."""

import numpy as np
import pytest

from minigemini.data.conversation import SPELLING_SKILLS, conversation, describe, possible_turns
from minigemini.data.drawings import NAMES, render
from minigemini.data.fonts import HELD_OUT_FONTS, TRAINING_FONTS, load_font
from minigemini.data.labels import CELL_PX, PATCH_PX, SLOT_COLUMNS, letter_class
from minigemini.data.lettered_crops import CROP_PX, draw_lettered_crop, lettered_crop
from minigemini.data.lettering import CAP_HEIGHTS_PX
from minigemini.data.lexicon import HELD_OUT_WORDS, TRAINING_WORDS
from minigemini.data.samples import label, labelled_scene
from minigemini.data.scene import EVALUATION_STREAM, KINDS, SCENE_PX, sample_scene


@pytest.mark.parametrize("kind", KINDS)
def test_a_seed_gives_one_picture(kind):
    first, again, other = (labelled_scene(seed, kind) for seed in (7, 7, 8))
    assert all(np.array_equal(first[key], again[key]) for key in first)
    assert not np.array_equal(first["image"], other["image"])


def test_evaluation_never_draws_a_training_scene():
    training = {sample_scene(seed).draw()[0].tobytes() for seed in range(200)}
    fresh = {sample_scene(seed, stream=EVALUATION_STREAM).draw()[0].tobytes() for seed in range(200)}
    assert not training & fresh


def test_training_never_shows_held_out_words_or_fonts():
    assert not set(TRAINING_WORDS) & set(HELD_OUT_WORDS)
    assert not set(TRAINING_FONTS) & set(HELD_OUT_FONTS)
    signs = [sign for seed in range(300) for sign in sample_scene(seed, "words").signs]
    assert all(sign.font in TRAINING_FONTS for sign in signs)
    lexical = {sign.word for sign in signs} & set(HELD_OUT_WORDS)
    assert not lexical


def test_unknown_kind_is_named():
    with pytest.raises(ValueError, match=r"unknown kind of scene 'castle': choose from single"):
        sample_scene(0, "castle")


@pytest.mark.parametrize("name", TRAINING_FONTS + HELD_OUT_FONTS)
def test_capitals_have_the_height_asked_for(name):
    for height in CAP_HEIGHTS_PX:
        _, top, _, bottom = load_font(name, height).getbbox("H", anchor="ls")
        assert abs(bottom - top - height) <= 1


def test_letters_lie_where_their_labels_say():
    image, letters = draw_lettered_crop(np.random.default_rng([1, 3]))
    sample = lettered_crop(3)
    assert np.array_equal(sample["image"], np.asarray(image))
    inside = [letter for letter in letters if all(0 <= c < CROP_PX for c in letter.centre)]
    assert len(inside) > 10
    for letter in inside:
        x, y = letter.centre
        slots = sample["slots"][int(y // PATCH_PX), int(x // PATCH_PX)].reshape(-1, SLOT_COLUMNS)
        assert letter_class(letter.character) in slots[:, int(x % PATCH_PX * SLOT_COLUMNS / PATCH_PX)]
    assert (sample["cells"] > 0).sum() * CELL_PX**2 < CROP_PX**2


def test_patch_labels_name_what_covers_the_patch():
    for seed in range(20):
        scene = sample_scene(seed, "single")
        (thing,), labels = scene.things, label(scene)
        named = labels["names"] > 0
        assert set(labels["names"][named]) == {NAMES.index(thing.name) + 1}
        assert np.array_equal(named, labels["colours"] > 0)
        rows, columns = np.nonzero(labels["centres"])
        left, top, right, bottom = thing.box
        assert (rows[0], columns[0]) == ((top + bottom) // 2 // PATCH_PX, (left + right) // 2 // PATCH_PX)


def test_answers_are_right_about_the_scene():
    for seed in range(300):
        scene = sample_scene(seed)
        for turn in possible_turns(scene, np.random.default_rng(seed)):
            match turn.skill:
                case "read":
                    assert turn.answer == scene.signs[0].word
                case "read_all":
                    assert turn.answer.split() == [sign.word for sign in scene.signs]
                case "find":
                    (thing,) = [t for t in scene.things if f" {t.colour_name}" in turn.question]
                    assert thing.name in turn.answer
                case "exists":
                    named = any(turn.question.split("there ")[-1].split("see ")[-1].split()[1].strip("?") == t.name
                                for t in scene.things)  # fmt: skip
                    assert turn.answer == ("Yes." if named else "No.")


def test_a_description_names_everything_once():
    for seed in range(100):
        scene = sample_scene(seed, "few")
        text = describe(scene).lower()
        assert all(f"{thing.colour_name} {thing.name}" in text for thing in scene.things)


def test_a_conversation_spells_a_word_once():
    for seed in range(100):
        scene = sample_scene(seed, "sign")
        turns = conversation(scene, np.random.default_rng(seed))
        assert scene.signs
        assert sum(turn.skill in SPELLING_SKILLS for turn in turns) <= 1


def test_things_are_smooth_edged_and_inside_their_tile():
    for name in NAMES:
        alpha = np.asarray(render(name, (200, 30, 30), 48, tilt_degrees=12))[..., 3]
        assert (alpha == 255).any()
        assert (alpha == 0).any()
        assert ((alpha > 0) & (alpha < 255)).any()


def test_scenes_stay_inside_the_picture():
    for seed in range(100):
        scene = sample_scene(seed)
        boxes = [part.box for part in (*scene.things, *scene.signs)]
        assert all(0 <= box[0] < box[2] <= SCENE_PX and 0 <= box[1] < box[3] <= SCENE_PX for box in boxes)
