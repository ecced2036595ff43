"""From messages to inputs: templates, placeholders, label masks, and the methods that servers call."""

import pytest
import torch
from PIL import Image
from tiny_published import TOKENIZERS
from transformers import AutoProcessor, AutoTokenizer

from minigemini import MiniGeminiConfig, MiniGeminiProcessor
from minigemini.modeling.chat_templates import CHAT_TEMPLATES
from minigemini.modeling.image_token import add_image_token

IMAGE = {"type": "image"}


def text(words: str) -> dict:
    return {"type": "text", "text": words}


def turn(role: str, *content) -> dict:
    return {"role": role, "content": content[0] if isinstance(content[0], str) else list(content)}


@pytest.fixture(params=[1, 2])
def processor(request, make_config, make_processor) -> MiniGeminiProcessor:
    grid = request.param
    return make_processor(make_config(grid_size=grid, use_global_tile=grid > 1, high_res_size=32 * grid))


PROMPTS = [
    ([turn("user", "Hi")], "<bos><|user|>Hi<|assistant|>"),
    ([turn("user", IMAGE, text("Hi"))], "<bos><|user|><image>\nHi<|assistant|>"),
    ([turn("user", text("Hi"), IMAGE)], "<bos><|user|><image>\nHi<|assistant|>"),  # pictures stand first
    ([turn("user", IMAGE, IMAGE, text("Hi"))], "<bos><|user|>Image 1:<image>\nImage 2:<image>\nHi<|assistant|>"),
    (
        [turn("user", IMAGE, text("Hi")), turn("assistant", "Ho."), turn("user", text("And"), IMAGE)],
        "<bos><|user|>Image 1:<image>\nHi<|assistant|>Ho.<eos><|user|>Image 2:<image>\nAnd<|assistant|>",
    ),
    (
        [turn("user", IMAGE, text("Hi")), turn("assistant", text("Ho.")), turn("user", "And?")],
        "<bos><|user|><image>\nHi<|assistant|>Ho.<eos><|user|>And?<|assistant|>",
    ),
]


@pytest.mark.parametrize(("messages", "expected"), PROMPTS)
def test_nano_prompts(processor, messages, expected):
    assert processor.apply_chat_template(messages, add_generation_prompt=True) == expected


def test_finished_conversation(processor):
    messages = [turn("user", "Hi"), turn("assistant", "Ho.")]
    assert processor.apply_chat_template(messages) == "<bos><|user|>Hi<|assistant|>Ho.<eos>"


def test_content_unknown_to_the_template_is_refused(processor):
    with pytest.raises(Exception, match='roles are "user" and "assistant", but got "tool"'):
        processor.apply_chat_template([turn("tool", "4")])
    with pytest.raises(Exception, match='"image" or "text", but got "audio"'):
        processor.apply_chat_template([turn("user", {"type": "audio"})])


def encode(processor, messages, **kwargs):
    return processor.apply_chat_template(messages, tokenize=True, return_dict=True, return_tensors="pt", **kwargs)


def test_label_mask_covers_answers_and_their_end(processor, image):
    part = {"type": "image", "image": image(0)}
    messages = [
        turn("user", part, text("Hi")),
        turn("assistant", "Ho."),
        turn("user", part, text("And?")),
        turn("assistant", "Yes."),
    ]
    inputs = encode(processor, messages, return_assistant_tokens_mask=True)
    spoken = inputs["input_ids"][0][inputs["assistant_masks"][0].bool()]
    assert processor.decode(spoken) == "Ho.<eos>Yes.<eos>"


def test_bos_occurs_once_at_the_start(processor, image):
    inputs = encode(processor, [turn("user", {"type": "image", "image": image(0)}, text("Hi"))])
    ids = inputs["input_ids"][0]
    assert ids[0] == processor.tokenizer.bos_token_id
    assert (ids == processor.tokenizer.bos_token_id).sum() == 1


def test_one_row_of_pixels_per_image_and_one_token_per_visual_token(processor, image):
    prompts = ["<image>\nWhat?", "No picture.", "<image><image> Both?"]
    images = [image(seed) for seed in range(3)]
    for given in (images, [[images[0]], [], images[1:]]):
        inputs = processor(text=list(prompts), images=given, padding=True, return_tensors="pt")
        tokens = processor.num_image_tokens
        assert tokens == (4 if processor.grid_size == 1 else 20)
        assert (inputs["input_ids"] == processor.image_token_id).sum(-1).tolist() == [tokens, 0, 2 * tokens]
        size = processor.image_processor.size["height"]
        assert inputs["pixel_values"].shape == (3, 3, size, size)
        assert inputs["high_res_pixel_values"].shape == (3, 3, 2 * size, 2 * size)


def test_no_images_give_no_pixels(processor):
    assert set(processor(text="Hi", return_tensors="pt")) == {"input_ids", "attention_mask"}


def test_placeholders_and_images_must_agree(processor, image):
    with pytest.raises(ValueError, match="2 tokens and 1 images"):
        processor(text="<image><image>", images=[image(0)])
    with pytest.raises(ValueError, match="1 tokens and 0 images"):
        processor(text="<image>")
    with pytest.raises(ValueError, match=r"Mismatch in `image` token count"):
        processor(text="<image>", images=image(0), truncation=True, max_length=2)


def test_methods_that_servers_call(processor, image):
    counts = processor._get_num_multimodal_tokens(image_sizes=[(30, 40), (500, 20)])
    assert counts["num_image_tokens"] == [processor.num_image_tokens] * 2
    assert counts["num_image_patches"] == [1, 1]
    assert processor.image_token == "<image>"
    pixels = processor.image_processor([image(0)], return_tensors="pt")
    assert processor.replace_image_token(pixels, image_idx=0) == "<image>" * processor.num_image_tokens
    assert {"input_ids", "pixel_values", "high_res_pixel_values"} <= set(processor.model_input_names)


def test_saved_equals_loaded(processor, image, tmp_path):
    processor.save_pretrained(tmp_path)
    loaded = AutoProcessor.from_pretrained(tmp_path)
    assert type(loaded) is MiniGeminiProcessor
    assert loaded.to_dict() == processor.to_dict()
    messages = [turn("user", {"type": "image", "image": image(0)}, text("Hi"))]
    ours, theirs = encode(processor, messages), encode(loaded, messages)
    assert set(ours) == set(theirs)
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_mismatched_processor_is_refused(make_config, tokenizer):
    template = CHAT_TEMPLATES["nano"]
    with pytest.raises(ValueError, match=r"'<image>' has id 3, .* image_token_id is 7"):
        MiniGeminiProcessor.from_config(make_config(image_token_id=7), tokenizer, chat_template=template)
    config: MiniGeminiConfig = make_config()
    image_processor = MiniGeminiProcessor.from_config(config, tokenizer, chat_template=template).image_processor
    with pytest.raises(ValueError, match=r"images of 16 pixels .* a multiple of 24"):
        MiniGeminiProcessor(image_processor, tokenizer, patch_size=8, grid_size=3, use_global_tile=False)
    with pytest.raises(ValueError, match="splits the image token '<picture>' into 9 tokens"):
        MiniGeminiProcessor(
            image_processor, tokenizer, patch_size=8, grid_size=1, use_global_tile=False, image_token="<picture>"
        )


def test_space_after_an_image_may_belong_to_its_replacement(monkeypatch, make_config, tmp_path):
    """For servers that put tokens in a placeholder's place: the prompt is the same either way."""
    tokenizer = AutoTokenizer.from_pretrained(TOKENIZERS / "tok_llama_fast")
    config = make_config(image_token_id=add_image_token(tokenizer))
    MiniGeminiProcessor.from_config(config, tokenizer, chat_template=CHAT_TEMPLATES["vicuna"]).save_pretrained(tmp_path)
    processor = MiniGeminiProcessor.from_pretrained(
        tmp_path
    )  # loaded, Llama's tokenizer opens no text behind a picture
    images = [Image.new("RGB", (20, 30)), Image.new("RGB", (30, 20))]
    content = [*({"type": "image", "image": image} for image in images), {"type": "text", "text": "Which?"}]

    def tokens() -> list[int]:
        return processor.apply_chat_template(
            [{"role": "user", "content": content}], tokenize=True, return_dict=True, add_generation_prompt=True
        )["input_ids"][0]

    assert processor.replace_image_token({}, 0) == "<image>" * processor.num_image_tokens
    before = tokens()
    monkeypatch.setattr(MiniGeminiProcessor, "spaces_in_replacements", True)
    assert processor.replace_image_token({}, 0) == "<image>" * processor.num_image_tokens + " "
    assert tokens() == before
