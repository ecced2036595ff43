"""Synthetic scenes: they depend on the seed only, labels match the image, and training and evaluation share nothing."""

import hashlib
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from minigemini_models.scenes.colors import COLORS
from minigemini_models.scenes.composition import CROWDED_KINDS, KINDS, sample_scene
from minigemini_models.scenes.concepts import (  # fmt: skip
    BY_NAME,
    COLORED_NAMES,
    CONCEPTS,
    CONFUSABLE,
    ICON_NAMES,
    NAMES,
    SHAPE_NAMES,
    confusable,
    plural,
    with_article,
)
from minigemini_models.scenes.dense_labels import CELL_PX, PATCH_PX, SLOT_COLUMNS, letter_class
from minigemini_models.scenes.documents import ONE_LINE, PAGE_KINDS
from minigemini_models.scenes.fonts import HELD_OUT_FONTS, TRAINING_FONTS, load_font
from minigemini_models.scenes.icons import FOLDER, HELD_OUT_STYLES, STYLES, TRAINING_STYLES
from minigemini_models.scenes.icons import render as render_icon
from minigemini_models.scenes.labeled_scenes import label_scene
from minigemini_models.scenes.layouts import center, is_clear, overlap
from minigemini_models.scenes.lettering import CAP_HEIGHTS_PX
from minigemini_models.scenes.lexicon import CHARACTERS, DIGITS, HELD_OUT_WORDS, TRAINING_WORDS, is_held_out
from minigemini_models.scenes.scene import PAGE_PX, SCENE_PX
from minigemini_models.scenes.shapes import render
from minigemini_models.scenes.splits import AXES, BASIC_DOMAIN, SMALL_DOMAIN, TRAINING, evaluation
from minigemini_models.scenes.text_images import draw_text_image, text_image

EVERY_KIND = (*KINDS, *CROWDED_KINDS, ONE_LINE, *PAGE_KINDS)
EVERY_AXIS = evaluation(*AXES)


@pytest.mark.parametrize("kind", EVERY_KIND)
def test_a_seed_always_gives_the_same_image(kind):
    first, again, other = (label_scene(sample_scene(seed, kind)) for seed in (7, 7, 8))
    assert all(np.array_equal(first[key], again[key]) for key in first)
    assert not np.array_equal(first["image"], other["image"])


FINGERPRINT = """
import hashlib
from minigemini_models.scenes.composition import KINDS, sample_scene
from minigemini_models.samples.dialogs import sample_dialog
from minigemini_models.scenes.documents import PAGE_KINDS
digest = hashlib.sha256()
for kind in KINDS + PAGE_KINDS:
    dialog = sample_dialog(5, kind)
    digest.update(dialog.scenes[0].draw()[0].tobytes() + repr(dialog.turns).encode())
print(digest.hexdigest())
"""


def test_processes_agree_on_pixels_and_words(monkeypatch):
    """Independently of Python's hash seed."""
    digests = set()
    for hash_seed in ("0", "1"):
        monkeypatch.setenv("PYTHONHASHSEED", hash_seed)
        done = subprocess.run([sys.executable, "-c", FINGERPRINT], capture_output=True, text=True, check=True)
        digests.add(done.stdout)
    assert len(digests) == 1


def fingerprints(domain, seeds):
    return {
        hashlib.sha256(sample_scene(seed, kind, domain).draw()[0].tobytes()).digest()
        for seed in range(seeds)
        for kind in KINDS
    }


def test_evaluation_never_draws_a_training_scene():
    assert not fingerprints(TRAINING, 60) & fingerprints(evaluation(), 60)


def scenes(domain, seeds=40):
    return [sample_scene(seed, kind, domain) for kind in EVERY_KIND for seed in range(seeds)]


def test_every_axis_can_be_held_out_alone_and_with_all_others():
    def seen(domain):
        drawn = scenes(domain)
        signs = [sign for scene in drawn for sign in scene.written]
        return {
            "texts": {word for sign in signs for word in sign.word.split()},
            "fonts": {sign.font for sign in signs},
            "styles": {obj.style for scene in drawn for obj in scene.objects if obj.style},
        }

    training, unseen = seen(TRAINING), seen(EVERY_AXIS)
    assert all(not training[axis] & unseen[axis] for axis in training)
    assert not set(unseen["texts"]) & set(TRAINING_WORDS)
    for axis in AXES:
        one = evaluation(axis)
        same = [field for field in AXES if getattr(one, field) == getattr(TRAINING, field)]
        assert {*same, axis} == set(AXES)
    layouts = (TRAINING.layouts, EVERY_AXIS.layouts)
    for part in ("objects", "signs", "charts", "tables"):
        assert not set(getattr(layouts[0], part)) & set(getattr(layouts[1], part))


def test_held_out_assets_are_disjoint_from_training_assets():
    assert not set(TRAINING_WORDS) & set(HELD_OUT_WORDS)
    assert not set(TRAINING_FONTS) & set(HELD_OUT_FONTS)
    assert not {name.split("-")[0] for name in TRAINING_FONTS} & {name.split("-")[0] for name in HELD_OUT_FONTS}
    assert not set(TRAINING_STYLES) & set(HELD_OUT_STYLES)
    words = [word for scene in scenes(TRAINING) for sign in scene.written for word in sign.word.split()]
    assert not [word for word in words if is_held_out(word)]
    assert set("".join(words)) == set(CHARACTERS)


def test_unknown_kinds_and_axes_raise_an_error():
    with pytest.raises(ValueError, match=r"unknown kind of scene 'castle': choose from single"):
        sample_scene(0, "castle")
    with pytest.raises(ValueError, match=r"unknown axis weather: choose from texts"):
        evaluation("weather")


def test_the_basic_domain_has_capitals_and_colored_objects_only():
    for scene in (sample_scene(seed, kind, BASIC_DOMAIN) for kind in KINDS for seed in range(40)):
        assert len(scene.objects) <= 5
        assert all(obj.style is None and obj.name in COLORED_NAMES for obj in scene.objects)
        assert all(sign.word.isalpha() and 3 <= len(sign.word) <= 6 for sign in scene.signs)


def test_concepts_are_many_and_have_one_name_each():
    assert len(ICON_NAMES) == len(set(ICON_NAMES)) == len({concept.label for concept in CONCEPTS}) >= 400
    assert len(NAMES) == len(set(NAMES))
    assert set(SHAPE_NAMES).isdisjoint(ICON_NAMES)
    plurals = [plural(name) for name in NAMES]
    assert len(set(plurals)) == len(plurals)


def test_confusable_names_are_concepts():
    named = {name for names in CONFUSABLE.values() for name in names.split("|")}
    assert {*named, *CONFUSABLE} <= set(NAMES)


def test_articles_plurals_and_confusable_names():
    assert [with_article(name) for name in ("owl", "unicorn", "hourglass", "cat")] == [
        "an owl", "a unicorn", "an hourglass", "a cat",
    ]  # fmt: skip
    assert [plural(name) for name in ("slice of cake", "cherry", "fox", "box of fries", "key", "knife", "fish")] == [
        "slices of cake", "cherries", "foxes", "boxes of fries", "keys", "knives", "fish",
    ]  # fmt: skip
    assert confusable("cat", "tiger")
    assert confusable("coin", "circle")
    assert not confusable("cat", "dog")


def test_icons_fill_their_tile_differ_by_style_and_are_small_to_ship():
    for style in STYLES:
        for name in ICON_NAMES:
            alpha = np.asarray(render_icon(name, style, 48))[..., 3]
            assert (alpha > 128).mean() > 0.1, (name, style)
    assert len({render_icon("cat", style, 64).tobytes() for style in STYLES}) == len(STYLES)
    assert sum(path.stat().st_size for path in FOLDER.iterdir() if path.is_file()) < 6e6


def test_scenes_have_no_confusable_objects():
    for scene in scenes(TRAINING, 60):
        names = sorted({obj.name for obj in scene.objects})
        assert not [(a, b) for a in names for b in names if a < b and confusable(a, b)]


@pytest.mark.parametrize("domain", [TRAINING, EVERY_AXIS], ids=["training", "unseen"])
def test_objects_and_text_stay_inside_the_image_without_overlap(domain):
    for scene in scenes(domain):
        boxes = [obj.box for obj in scene.objects]
        boxes += [text.box for text in scene.written] if scene.kind != "words" and scene.kind != "sign" else [
            sign.extent(scene.size_px) for sign in scene.signs
        ]  # fmt: skip
        for number, box in enumerate(boxes):
            assert 0 <= box[0] < box[2] <= scene.size_px, (scene.kind, box)
            assert 0 <= box[1] < box[3] <= scene.size_px, (scene.kind, box)
            assert not any(overlap(box, other, 0) for other in boxes[:number])
        if scene.kind in ("few", "sign"):
            assert is_clear([obj.box for obj in scene.objects])


@pytest.mark.parametrize("name", TRAINING_FONTS + HELD_OUT_FONTS)
def test_capitals_have_the_requested_height(name):
    for height in CAP_HEIGHTS_PX:
        _, top, _, bottom = load_font(name, height).getbbox("H", anchor="ls")
        assert abs(bottom - top - height) <= 1


def test_letter_labels_match_the_image():
    _, letters = draw_text_image(np.random.default_rng([TRAINING.stream, 3, 7]), TRAINING)
    sample = text_image(3, TRAINING)
    inside = [letter for letter in letters if all(0 <= c < SCENE_PX for c in letter.center)]
    assert len(inside) > 10
    for letter in inside:
        x, y = letter.center
        slots = sample["slots"][int(y // PATCH_PX), int(x // PATCH_PX)].reshape(-1, SLOT_COLUMNS)
        assert letter_class(letter.character) in slots[:, int(x % PATCH_PX * SLOT_COLUMNS / PATCH_PX)]
    for (row, column), found in np.ndenumerate(sample["cells"]):
        x, y = (column + 0.5) * CELL_PX, (row + 0.5) * CELL_PX
        over = [letter for letter in letters if letter.left <= x < letter.right and letter.top <= y < letter.bottom]
        assert found in ([letter_class(letter.character) for letter in over] or [0])
    assert (sample["cells"] > 0).sum() > 100


def test_letters_of_documents_have_slots():
    for kind in (*CROWDED_KINDS, *PAGE_KINDS):
        scene = sample_scene(2, kind)
        slots = label_scene(scene)["slots"]
        assert slots.shape[:2] == (scene.size_px // PATCH_PX,) * 2
        letters = sum(len(text.word.replace(" ", "")) for text in scene.written)
        assert letters * 0.9 <= (slots > 0).sum() <= letters  # two narrow letters may share a slot


def test_a_page_of_one_line_has_two_words():
    scenes = [sample_scene(seed, ONE_LINE) for seed in range(60)]
    assert {(scene.kind, scene.size_px, len(scene.lines)) for scene in scenes} == {("lines", PAGE_PX, 1)}
    assert {len(scene.lines[0].word.split()) for scene in scenes} == {2}


def test_patch_labels_name_what_covers_the_patch():
    for seed in range(40):
        scene = sample_scene(seed, "single")
        (obj,), labels = scene.objects, label_scene(scene)
        named = labels["names"] > 0
        assert set(labels["names"][named]) == {NAMES.index(obj.name) + 1}
        color = list(COLORS).index(obj.color_name) + 1 if obj.color_name else 0
        assert set(labels["colours"][named]) == {color}
        rows, columns = np.nonzero(labels["centres"])
        x, y = center(obj.box)
        assert (rows[0], columns[0]) == (int(y) // PATCH_PX, int(x) // PATCH_PX)


def test_shapes_are_anti_aliased_and_inside_their_tile():
    for name in COLORED_NAMES:
        alpha = np.asarray(render(name, (200, 30, 30), 48, tilt_degrees=12))[..., 3]
        assert (alpha == 255).any()
        assert (alpha == 0).any()
        assert ((alpha > 0) & (alpha < 255)).any()


def test_every_concept_has_a_theme_and_every_kin_two_members():
    kin = [concept.kin for concept in CONCEPTS if concept.kin]
    assert all(concept.theme for concept in CONCEPTS)
    assert not [name for name in set(kin) if kin.count(name) == 1 and name not in COLORED_NAMES]
    assert all(name in BY_NAME for name in ("tree", "house", "car")), "colored objects and icons share names"


def test_the_row_layout_places_objects_in_a_row():
    row = replace(TRAINING, layouts=replace(TRAINING.layouts, objects=("row",)))
    for seed in range(30):
        middles = [center(obj.box) for obj in sample_scene(seed, "few", row).objects]
        assert max(y for _, y in middles) - min(y for _, y in middles) <= 8


@pytest.mark.parametrize("domain", [SMALL_DOMAIN, evaluation("texts", base=SMALL_DOMAIN)])
def test_the_small_domain_has_short_numbers_black_on_white(domain):
    for seed in range(20):
        for sign in sample_scene(seed, "words", domain).signs:
            assert 2 <= len(sign.word) <= 3
            assert set(sign.word) <= set(DIGITS)
            assert (sign.ink, sign.panel, sign.font) == ((0, 0, 0), (255, 255, 255), TRAINING_FONTS[0])
            assert 12 <= sign.cap_height_px <= 16
        image, letters = draw_text_image(np.random.default_rng(seed), domain)
        assert {letter.character for letter in letters} <= set(DIGITS)
        assert np.median(np.asarray(image)) > 200


def test_text_scenes_are_full_of_words_inside_the_image():
    letters = []
    for seed in range(60):
        scene = sample_scene(seed, "text")
        assert 3 <= len(scene.lines) <= 6
        assert scene.size_px == SCENE_PX
        for line in scene.lines:
            left, top, right, bottom = line.box
            assert 0 <= left < right <= SCENE_PX
            assert 0 <= top < bottom <= SCENE_PX
        letters.append(sum(len(line.word.replace(" ", "")) for line in scene.lines))
    assert np.mean(letters) > 30
