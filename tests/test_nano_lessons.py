"""Lessons of nano, and how its language model sees them with perfect eyes."""

from collections import Counter

import numpy as np
import pytest
import torch

from minigemini.data.encoding import IGNORED
from minigemini.training.settings import RecipeError
from minigemini_models.nano.curriculum import LANGUAGE_MIXTURE
from minigemini_models.nano.language_task import EncodedLessons, encode_lesson
from minigemini_models.nano.mixture import Mixture
from minigemini_models.nano.nano_recipes import align, language
from minigemini_models.pretraining.branches import BranchCollator
from minigemini_models.pretraining.scene_words import SLOTS, patch_labels, shows_something
from minigemini_models.pretraining.tasks import TASKS
from minigemini_models.samples.lessons import colors, pages, presence, reading, relations, unlike
from minigemini_models.samples.lessons.lesson import SceneLesson
from minigemini_models.samples.lessons.skills import SKILLS, SMALL_SKILLS
from minigemini_models.samples.spatial_relations import has_relation
from minigemini_models.samples.turns import CANNOT_TELL, Turn
from minigemini_models.scenes.composition import KINDS, sample_scene
from minigemini_models.scenes.dense_labels import letter_class
from minigemini_models.scenes.documents import PAGE_KINDS
from minigemini_models.scenes.labeled_scenes import label_scene, scene_labels
from minigemini_models.scenes.lexicon import is_held_out
from minigemini_models.scenes.splits import ENCODER_DOMAIN

SMALL = {"text_width": "64", "text_layers": "2", "low_res_width": "32", "low_res_layers": "1", "high_res_width": "8"}


@pytest.fixture(scope="module")
def task():
    return TASKS["language-with-labels"](language().changed(SMALL))


@pytest.fixture(scope="module")
def processor(task):
    return task.sample.processor


# Lessons


@pytest.mark.parametrize("skill", SKILLS)
def test_a_number_always_gives_the_same_lesson_with_distinct_conversations(skill):
    for number in range(12):
        lesson = SKILLS[skill](number)
        assert lesson == SKILLS[skill](number)
        assert len(set(lesson.conversations)) == len(lesson.conversations) > 0
        assert all(turn.question and turn.answer for turns in lesson.conversations for turn in turns)


@pytest.mark.parametrize("skill", SMALL_SKILLS)
def test_lessons_of_the_small_world_have_its_scenes(skill):
    usual = [SKILLS[skill](number) for number in range(12)]
    lessons = [SMALL_SKILLS[skill](number) for number in range(12)]
    assert lessons == [SMALL_SKILLS[skill](number) for number in range(12)] != usual
    for lesson in lessons:
        assert lesson.conversations
        assert len(lesson.scenes) == (skill != "copying")
        assert all(obj.style is None for scene in lesson.scenes for obj in scene.objects)
        assert all(text.isdecimal() for text in drawn(lesson))


def test_numbers_are_copied_in_the_small_world():
    turns = [turn for number in range(20) for (turn,) in SMALL_SKILLS["copying"](number).conversations]
    assert all(turn.answer.isdecimal() and 2 <= len(turn.answer) <= 3 for turn in turns)


def test_copied_texts_are_in_their_questions_and_come_from_training():
    turns = [turn for number in range(40) for (turn,) in reading.copying(number).conversations]
    assert all(turn.answer in turn.question for turn in turns)
    assert any(turn.question.index(turn.answer) > len("Do not say ") for turn in turns)
    assert not any(is_held_out(turn.answer) for turn in turns)
    assert not any(reading.copying(number).scenes for number in range(3))


def test_signs_are_read_in_capitals_however_they_are_drawn():
    lessons = [reading.sign(number) for number in range(40)]
    assert {text.islower() for lesson in lessons for text in drawn(lesson)} == {True, False}
    for lesson in lessons:
        ((turn,),) = lesson.conversations
        assert [turn.answer] == [text.upper() for text in drawn(lesson)]


def test_half_of_the_signs_are_of_the_size_of_most_text():
    signs = [reading.sign(number).scenes[0].signs[0] for number in range(60)]
    assert all(10 <= sign.cap_height_px <= 18 and sign.drawn_word == sign.word for sign in signs[1::2])
    assert max(sign.cap_height_px for sign in signs) > 40


def test_a_color_is_asked_by_a_name_that_occurs_once():
    for number in range(20):
        lesson = colors.questions(number)
        by_name = {obj.name: obj.color_name for obj in lesson.scenes[0].objects}
        for (turn,) in lesson.conversations:
            (name,) = [name for name in by_name if f"the {name}" in turn.question]
            assert turn.answer.rstrip(".").split()[-1].lower() == by_name[name]


def test_absent_things_have_no_color_that_one_could_tell():
    answers = Counter(turn.answer for number in range(20) for (turn,) in presence.questions(number).conversations)
    assert answers[CANNOT_TELL] > 5
    assert answers["Yes."] > 5
    assert answers["No."] > 5


def test_relations_hold_as_their_answers_say():
    checked = 0
    for number in range(30):
        lesson = relations.questions(number)
        objects = {obj.name: obj for obj in lesson.scenes[0].objects}
        for (turn,) in lesson.conversations:
            words = turn.question.rstrip("?").split(" the ")
            if turn.question.startswith("Is the ") and len(words) == 3 and "," not in turn.question:
                name, _, relation = next(
                    (n, n, words[1].removeprefix(f"{n} ")) for n in objects if words[1].startswith(n)
                )
                assert has_relation(objects[name], relation, objects[words[2]]) is (turn.answer == "Yes.")
                checked += 1
    assert checked > 10


def test_pages_are_asked_for_all_they_have_and_for_what_they_do_not_tell():
    turns = [turn for number in range(120) for turns in pages.questions(number).conversations for turn in turns]
    asked = {turn.question.split(" ")[-1] for turn in turns if turn.skill == "extreme"}
    assert {"smallest?", "largest?"} <= asked
    assert len([turn for turn in turns if turn.skill == "unknown" and turn.answer == CANNOT_TELL]) > 10


def test_pictures_unlike_scenes_are_refused_in_all_wordings_and_never_alike():
    lessons = [unlike.refusals(number) for number in range(40)]
    assert {turn.answer for lesson in lessons for (turn,) in lesson.conversations} == {CANNOT_TELL}
    assert len({lesson.scenes[0].draw()[0].tobytes() for lesson in lessons}) == len(lessons)
    assert {lesson.scenes[0].draw()[0].size for lesson in lessons} == {(256, 256)}


def drawn(lesson: SceneLesson) -> list[str]:
    return [sign.drawn_word for scene in lesson.scenes for sign in scene.signs]


# Mixture


def test_weights_of_skills_move_with_progress():
    mixture = Mixture(LANGUAGE_MIXTURE, 10_000)
    first, last = (Counter(mixture.skill(n + start) for n in range(400)) for start in (0, 9_600))
    assert first["color-lists"] > 4 * last["color-lists"]
    assert not first["relation-questions"]
    assert last["relation-questions"] > 10
    assert last.keys() == SKILLS.keys()


def test_a_run_goes_on_after_its_last_lesson_as_at_its_end():
    mixture = Mixture({"sign": "0:1/1:0", "name": "0:0/1:1"}, 10)
    assert {mixture.skill(number) for number in range(10, 40)} == {"name"}


# Labels without drawing


@pytest.mark.parametrize("kind", [*KINDS, "text", *PAGE_KINDS])
def test_labels_without_drawing_are_those_of_the_drawing(kind):
    for seed in range(4):
        scene = sample_scene(seed, kind, ENCODER_DOMAIN)
        expected = label_scene(scene)
        for name, labels in scene_labels(scene).items():
            np.testing.assert_array_equal(labels, expected[name])


# Perfect eyes


def test_both_cases_of_a_letter_look_alike(task):
    words, tables = task.module.words, task.module.model.get_input_embeddings().weight
    labels = {"names": torch.zeros(2, dtype=torch.int64), "colours": torch.zeros(2, dtype=torch.int64)}
    labels |= {"centres": torch.zeros(2, dtype=torch.int64), "slots": torch.zeros(2, SLOTS, dtype=torch.int64)}
    labels["slots"][0, 3], labels["slots"][1, 3] = letter_class("R"), letter_class("r")
    capital, small = words(labels, tables)
    assert torch.equal(capital, small)
    labels["slots"][1, 3] = letter_class("S")
    assert not torch.equal(*words(labels, tables))


def test_a_name_begins_as_the_words_that_spell_it(task, processor):
    words, tables = task.module.words, task.module.model.get_input_embeddings().weight
    labels = patch_labels(scene_labels(sample_scene(1, "few")))
    tokens = words(labels, tables) - words(labels, torch.zeros_like(tables))
    empty = ~shows_something(labels)
    assert empty.any()
    assert not tokens[empty].any()
    assert (tokens[labels["names"] > 0].norm(dim=-1) > 0).all()


def test_letters_begin_as_their_tokens_in_any_slot(task):
    words, table = task.module.words, task.module.model.get_input_embeddings().weight
    slots = torch.zeros(3, SLOTS, dtype=torch.int64)
    slots[0, 2], slots[1, 9], slots[2, 2] = letter_class("A"), letter_class("A"), letter_class("B")
    labels = {name: torch.zeros(3, dtype=torch.int64) for name in ("names", "colours", "centres")} | {"slots": slots}
    first, other_slot, other_letter = words(labels, table) - words(labels, torch.zeros_like(table))
    assert torch.allclose(first, other_slot)
    token = task.sample.processor.tokenizer.convert_tokens_to_ids("A")
    assert torch.cosine_similarity(first, table[token], dim=0) > 0.99
    assert torch.cosine_similarity(other_letter, table[token], dim=0) < 0.5


def test_empty_patches_are_left_out_and_the_rest_keep_their_positions(processor):
    lesson = colors.questions(3)
    whole, short = (encode_lesson(lesson, processor, all_patches) for all_patches in (True, False))
    shown = shows_something(patch_labels(scene_labels(lesson.scenes[0])))
    is_image = whole.input_ids == processor.image_token_id
    assert int(is_image.sum()) == processor.num_image_tokens == len(shown)
    kept = ~is_image
    kept[is_image] = shown
    for field in ("input_ids", "labels", "branches", "position_ids"):
        assert torch.equal(getattr(whole, field)[kept], getattr(short, field))
    assert len(short.pixels["names"]) == int(shown.sum())


@pytest.mark.parametrize("side", [4, 16])
def test_every_patch_is_a_token_at_any_number_of_tokens(side):
    task = TASKS["language-with-labels"](language().changed(SMALL | {"low_res_size": str(8 * side), "world": "small"}))
    processor, lesson = task.sample.processor, reading.sign(3)
    assert processor.num_image_tokens == side**2
    whole, short = (encode_lesson(lesson, processor, all_patches) for all_patches in (True, False))
    assert len(whole.pixels["names"]) == int((whole.input_ids == processor.image_token_id).sum()) == side**2
    assert 0 < len(short.pixels["names"]) < side**2
    letters = whole.pixels["slots"][whole.pixels["slots"] > 0].tolist()
    ((turn,),) = lesson.conversations
    assert sorted(letters) == sorted(letter_class(letter) for letter in turn.answer)
    assert torch.isfinite(task.module(**task.collate([task.sample(number) for number in range(2)]))["loss"])


@pytest.mark.parametrize("low_res_size", [32, 128])
def test_alignment_has_a_target_for_every_token(low_res_size):
    settings = SMALL | {"low_res_size": str(low_res_size), "world": "small", "high_res_size": "128"}
    task = TASKS["alignment-with-labels"](align("x").changed(settings))
    batch = task.collate([task.sample(number) for number in range(4)])  # both kinds of samples
    assert batch["image"].shape[0] * (low_res_size // 8) ** 2 == len(batch["names"])
    out = task.module(**batch)
    assert all(torch.isfinite(value) for value in out.values())


def test_the_weight_of_the_targets_does_not_depend_on_micro_batches():
    step = align("x").changed(SMALL | {"world": "small", "high_res_size": "128"})
    task = TASKS["alignment-with-labels"](step.changed({"global_batch": "4", "micro_batch": "4"}))
    batch = task.collate([task.sample(number) for number in range(4)])
    labels = int((batch["labels"] != IGNORED).sum())
    whole = task.module(**batch, num_items_in_batch=labels)
    task.module.images = 8  # the same batch twice is one step
    half = task.module(**batch, num_items_in_batch=2 * labels)
    assert 2 * half["loss"].item() == pytest.approx(whole["loss"].item(), rel=1e-5)
    assert half["token_distance"].item() == pytest.approx(whole["token_distance"].item(), rel=1e-5)


def test_two_images_must_fit_into_a_row():
    with pytest.raises(RecipeError, match="256 visual tokens an image are too many"):
        TASKS["language-with-labels"](language().changed(SMALL | {"low_res_size": "128"}))


def test_the_loss_of_packed_questions_is_that_of_each_alone(task, processor):
    lesson = presence.questions(5)
    alone = [SceneLesson(lesson.scenes, (turns,)) for turns in lesson.conversations]
    collate = BranchCollator(512, 0)
    counts, losses = zip(*(loss_of(task, collate, [one], processor) for one in alone), strict=True)
    count, loss = loss_of(task, collate, [lesson], processor)
    assert count == sum(counts)
    assert loss * count == pytest.approx(np.dot(counts, losses), rel=1e-4)


def loss_of(task, collate, lessons, processor) -> tuple[int, float]:
    batch = collate([encode_lesson(lesson, processor, False) for lesson in lessons])
    return int((batch["labels"] != IGNORED).sum()), task.module(**batch)["loss"].item()


def test_a_lesson_without_images_is_text_alone(processor):
    encoded = encode_lesson(SceneLesson((), ((Turn("a", "Draw it.", "Here."),),)), processor, False)
    assert encoded.pixels == {}
    assert not (encoded.input_ids == processor.image_token_id).any()


def test_samples_depend_on_their_number_alone(processor):
    samples = EncodedLessons(processor, Mixture(LANGUAGE_MIXTURE, 1000))
    for number in (0, 500, 999):
        assert torch.equal(samples(number).input_ids, samples(number).input_ids)


def test_training_reaches_all_embeddings(task):
    batch = task.collate([task.sample(number) for number in range(4)])
    task.module(**batch)["loss"].backward()
    trained = {name for name, parameter in task.module.named_parameters() if parameter.grad is not None}
    assert {f"words.{name}" for name, _ in task.module.words.named_parameters()} <= trained
    assert any("layers.1." in name for name in trained)
    assert not any("vision_tower" in name for name in trained)
