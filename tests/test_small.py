"""The model small: lessons, visual words, and the losses of its two training steps."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoTokenizer, LlamaConfig

import minigemini
from minigemini.data.encoding import IGNORED
from minigemini.modeling import MiniGeminiConfig, MiniGeminiForConditionalGeneration, MiniGeminiProcessor
from minigemini.modeling.efficientnet_lite import IMAGE_MEAN, IMAGE_STD
from minigemini.training.settings import RecipeError
from minigemini_models.pretraining.branches import BranchCollator
from minigemini_models.samples.turns import Turn
from minigemini_models.small import curriculum, labeled_pictures, parts_model
from minigemini_models.small.answers_task import AnswerModule, words_of
from minigemini_models.small.lesson import PATCHES_PER_SIDE, Lesson, VisualWords
from minigemini_models.small.lesson_encoding import encode_lesson
from minigemini_models.small.lessons import scenes
from minigemini_models.small.parts_model import WORD_GROUPS
from minigemini_models.small.photograph_details import words_of_photograph
from minigemini_models.small.picture_words import PictureWords
from minigemini_models.small.small_recipes import STEPS, small_recipes
from minigemini_models.small.visual_words_task import WordReader

GROUP_SIZES = {group["name"]: min(group["size"], 20) for group in WORD_GROUPS}


@pytest.fixture(scope="module")
def processor() -> MiniGeminiProcessor:
    tokenizer = AutoTokenizer.from_pretrained(minigemini.model_folder("nano"))
    template = (minigemini.model_folder("nano") / "chat_template.jinja").read_text()
    return MiniGeminiProcessor.from_config(tiny_config(tokenizer), tokenizer, chat_template=template)


@pytest.fixture(scope="module")
def model(processor) -> MiniGeminiForConditionalGeneration:
    torch.manual_seed(0)
    return MiniGeminiForConditionalGeneration(tiny_config(processor.tokenizer)).eval()


def tiny_config(tokenizer) -> MiniGeminiConfig:
    """small's vision part with random weights and few words, and a tiny language model."""
    return MiniGeminiConfig(
        vision_config={"model_type": "efficientnet_lite", "image_size": 256},
        high_res_vision_config={"model_type": "efficientnet_lite", "image_size": 512},
        text_config=LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=2,
            tie_word_embeddings=True,
        ),
        high_res_size=512,
        high_res_image_mean=list(IMAGE_MEAN),
        high_res_image_std=list(IMAGE_STD),
        projector_type="visual_vocabulary",
        visual_vocabulary=[{**group, "size": GROUP_SIZES[group["name"]]} for group in WORD_GROUPS],
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
    )


def photograph(number: int = 0) -> dict[str, VisualWords]:
    rng = np.random.default_rng(number)
    indices = rng.integers(0, GROUP_SIZES["classes"], (PATCHES_PER_SIDE**2, 4)).astype(np.int16)
    return dict(words_of_photograph(VisualWords(indices, np.full(indices.shape, 0.2, np.float32)), number, GROUP_SIZES))


def test_lessons_of_a_number_are_always_the_same():
    for number in range(44):
        first, second = curriculum.sample(number), curriculum.sample(number)
        assert first.turns == second.turns
        assert first.image_text == second.image_text
        assert (first.picture is None) == (second.picture is None)


def test_every_batch_has_lessons_of_several_skills():
    schedule = [curriculum.skill(number).__module__ for number in range(25 * 8)]
    for start in range(0, len(schedule), 8):
        assert len(set(schedule[start : start + 8])) >= 3
    assert Counter(schedule)["minigemini_models.small.lessons.photographs"] == 10 * 8


def test_scene_lessons_show_what_they_ask_about():
    for number in range(12):
        lesson = scenes.sample(number)
        assert lesson.picture is not None
        assert lesson.picture.size == (512, 512)
        assert lesson.turns


def test_labeled_pictures_have_one_label_per_visual_token():
    for number in range(len(labeled_pictures.KINDS)):
        picture = labeled_pictures.sample(number)
        assert picture["image"].shape == (512, 512, 3)
        assert all(picture[group].shape == (PATCHES_PER_SIDE, PATCHES_PER_SIDE) for group in labeled_pictures.LABELS)
        if labeled_pictures.KINDS[number] == "clutter":
            assert not any(picture[group].any() for group in labeled_pictures.LABELS)
        elif labeled_pictures.KINDS[number] != "sign":  # some signs have no objects beside them
            assert picture["things"].any()
            assert picture["centers"].any()
        assert np.array_equal(picture["image"], labeled_pictures.sample(number)["image"])


def test_only_answers_are_learned(processor):
    lesson = Lesson((Turn("a", "What is this?", "A cat."), Turn("b", "And the color?", "Red.")))
    encoded = encode_lesson(lesson, photograph(), processor, 512)
    learned = processor.tokenizer.decode(encoded.labels[encoded.labels != IGNORED])
    assert "cat" in learned.lower()
    assert "red" in learned.lower()
    assert "what" not in learned.lower()
    assert int((encoded.input_ids == processor.image_token_id).sum()) == processor.num_image_tokens == 64


def test_text_in_the_picture_precedes_the_first_question(processor):
    lesson = Lesson((Turn("a", "WHO", "ME"), Turn("b", "WHEN", "NOW")), image_text="OPEN")
    text = processor.tokenizer.decode(encode_lesson(lesson, photograph(), processor, 512).input_ids)
    without = processor.tokenizer.decode(encode_lesson(lesson, {}, processor, 512).input_ids)
    assert text.index("OPEN") < text.index("WHO")
    assert text.count("OPEN") == 1
    assert "OPEN" not in without  # there is no picture whose text it could be


def test_long_lessons_are_cut(processor):
    lesson = Lesson(tuple(Turn("a", f"QUESTION {n}", f"ANSWER {n}") for n in range(40)))
    assert len(encode_lesson(lesson, photograph(), processor, 128)) == 128


def test_visual_words_give_the_visual_tokens_of_the_model(model, processor, tmp_path):
    """The language model must see in training what it sees in inference."""
    picture = scenes.sample(1).picture
    words = PictureWords(model, processor, tmp_path)(picture, 1)
    encoded = encode_lesson(Lesson((Turn("a", "Q", "A"),)), words, processor, 512)
    tokens = AnswerModule(model).visual_tokens(encoded.pixels)
    with torch.no_grad():
        expected = model.model.get_image_features(
            **processor.image_processor([picture], return_tensors="pt")
        ).pooler_output
    torch.testing.assert_close(tokens, expected, atol=2e-4, rtol=1e-2)  # weights are kept in float16


def test_words_are_kept_until_the_vision_part_changes(model, processor, tmp_path):
    picture = scenes.sample(2).picture
    first = PictureWords(model, processor, tmp_path)(picture, 7)
    (stored,) = tmp_path.rglob("*.safetensors")
    blank = Image.new("RGB", (512, 512))
    again = PictureWords(model, processor, tmp_path)(blank, 7)
    assert all(np.array_equal(first[group].weights, again[group].weights) for group in first)
    stored.write_bytes(b"damaged")
    renewed = PictureWords(model, processor, tmp_path)(picture, 7)
    assert all(np.array_equal(first[group].weights, renewed[group].weights) for group in first)
    head = model.model.multi_modal_projector.groups["things"].head
    with torch.no_grad():
        head.bias.add_(1.0)
    PictureWords(model, processor, tmp_path)(picture, 7)
    with torch.no_grad():
        head.bias.sub_(1.0)
    assert len(list(tmp_path.rglob("*.safetensors"))) == 2


def test_packed_lessons_have_the_loss_of_single_ones(model, processor):
    lessons = [
        encode_lesson(Lesson((Turn("a", f"WHAT {n}", f"A {'CAT' if n else 'DOG'}"),)), photograph(n), processor, 512)
        for n in range(3)
    ]
    module = AnswerModule(model)
    alone = [module(**BranchCollator(512, 0)([lesson]))["loss"].item() for lesson in lessons]
    counts = [int((lesson.labels[1:] != IGNORED).sum()) for lesson in lessons]
    mean = sum(loss * count for loss, count in zip(alone, counts, strict=True)) / sum(counts)
    together = module(**BranchCollator(512, 0)(lessons), num_items_in_batch=sum(counts))
    assert together["loss"].item() == pytest.approx(mean, rel=1e-4)


def test_separate_questions_share_the_picture_and_have_the_loss_of_single_ones(model, processor):
    turns = tuple(Turn("a", f"QUESTION {n}", f"A {name}") for n, name in enumerate(("CAT", "DOG", "BIRD")))
    alone = [encode_lesson(Lesson((turn,), image_text="OPEN"), photograph(), processor, 512) for turn in turns]
    together = encode_lesson(Lesson(turns, image_text="OPEN", separate=True), photograph(), processor, 512)
    assert int((together.input_ids == processor.image_token_id).sum()) == 64
    assert len(together) < sum(map(len, alone)) - 2 * 64
    module, collate = AnswerModule(model), BranchCollator(512, 0)
    single = module(**collate(alone))["loss"].item()
    shared = module(**collate([alone[0], together]), num_items_in_batch=1)["loss"].item()
    alone_again = module(**collate([alone[0], *alone]), num_items_in_batch=1)["loss"].item()
    assert module(**collate([together]))["loss"].item() == pytest.approx(single, rel=1e-4)
    assert shared == pytest.approx(alone_again, rel=1e-4)


def test_separate_questions_that_do_not_fit_are_left_out(processor):
    lesson = Lesson(tuple(Turn("a", f"QUESTION {n}", f"ANSWER {n}") for n in range(40)), separate=True)
    encoded = encode_lesson(lesson, photograph(), processor, 160)
    assert len(encoded) <= 160
    whole = encode_lesson(Lesson(lesson.turns[:1]), photograph(), processor, 160)
    last = encoded.input_ids[encoded.branches == encoded.branches.max()]
    assert last[-1] == whole.input_ids[-1]  # the last question is whole


def test_gradients_reach_the_words_of_the_picture(model, processor):
    encoded = encode_lesson(Lesson((Turn("a", "Q", "A"),)), photograph(), processor, 512)
    embeddings = model.model.multi_modal_projector.groups["classes"].embeddings
    embeddings.grad = None
    AnswerModule(model)(**BranchCollator(512, 0)([encoded]))["loss"].backward()
    assert embeddings.grad is not None
    assert embeddings.grad.abs().sum() > 0


def test_a_lesson_without_picture_has_no_words():
    assert words_of(Lesson((Turn("a", "Q", "A"),)), 0, None) == {}


def test_frozen_encoders_keep_their_statistics(model):
    reader = WordReader(model.model)
    for parameter in model.model.vision_tower.parameters():
        parameter.requires_grad_(False)
    for parameter in model.model.high_res_vision_tower.parameters():
        parameter.requires_grad_(False)
    before = {name: buffer.clone() for name, buffer in model.model.vision_tower.named_buffers()}
    reader.train()
    samples = [labeled_pictures.sample(number) for number in range(2)]
    labels = {name: torch.from_numpy(np.stack([sample[name] for sample in samples])) for name in samples[0]}
    labels["things"] = labels["things"].clamp(max=GROUP_SIZES["things"] - 1)
    out = reader(**labels)
    assert torch.isfinite(out["loss"])
    assert all(torch.equal(before[name], buffer) for name, buffer in model.model.vision_tower.named_buffers())
    reader.eval()


def test_parameters_are_counted_without_downloads(monkeypatch):
    monkeypatch.setattr(parts_model, "smollm2_folder", None)
    monkeypatch.setattr(parts_model, "efficientnet_lite0_weights", None)
    visual_words, answers = small_recipes().values()
    assert dict(visual_words.count_parameters(torch.device("cpu")).trained) == {"mining": 2_916_544, "words": 704_550}
    assert dict(answers.count_parameters(torch.device("cpu")).trained) == {"adapter": 4_884_480, "embeddings": 892_800}


def test_second_step_requires_the_first():
    answers = small_recipes("runs/small")[STEPS[1]]
    assert Path(answers.vision).parent.name == STEPS[0]
    with pytest.raises(RecipeError, match="set vision"):
        answers.changed({"vision": "none"})
