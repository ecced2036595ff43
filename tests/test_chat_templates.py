"""Published chat formats equal the published code: prompts, token ids and label masks."""

import copy
import json
import re
from functools import cache
from itertools import groupby
from pathlib import Path

import pytest
from PIL import Image
from safetensors.torch import load_file
from transformers import AddedToken, AutoProcessor, AutoTokenizer, PreTrainedTokenizerBase

from minigemini import MiniGeminiImageProcessor, MiniGeminiProcessor
from minigemini.modeling.chat_templates import CHAT_TEMPLATES, END_TOKENS
from minigemini.modeling.image_token import add_image_token
from minigemini_models.nano import NANO_DIR

GOLDEN = Path(__file__).parent / "golden" / "prompts"
PROMPTS = json.loads((GOLDEN / "prompts.json").read_text())
REPORT = json.loads((GOLDEN / "labels_report.json").read_text())
LABELS = load_file(GOLDEN / "labels.safetensors")
WORDS = json.loads((GOLDEN / "meta.json").read_text())
FORMATS = {
    "vicuna_v1": "vicuna",
    "gemma": "gemma",
    "mistral_instruct": "mistral",
    "chatml_direct": "chatml",
    "llama_3": "llama-3",
    "plain": "plain",
}
TOKENIZERS = sorted(folder.name.removeprefix("tok_") for folder in GOLDEN.glob("tok_*"))
FITTING = {  # a tokenizer for each format
    "vicuna": "llama_slow_legacyF",
    "gemma": "gemma_fast",
    "mistral": "llama_slow_legacyF",
    "chatml": "yi_slow_legacyF",
    "llama-3": "llama3_fast",
    "plain": "llama_slow_legacyF",
}
IMAGE = {"type": "image", "image": Image.new("RGB", (9, 7), "teal")}


@cache
def load_tokenizer(name: str) -> PreTrainedTokenizerBase:
    tokenizer = AutoTokenizer.from_pretrained(GOLDEN / f"tok_{name}")
    assert add_image_token(tokenizer) == len(tokenizer) - 1
    return tokenizer


def make(chat_format: str, tokenizer: str | None = None) -> MiniGeminiProcessor:
    """A processor of 2 x 2 visual tokens per picture."""
    return MiniGeminiProcessor(
        MiniGeminiImageProcessor(size=16, high_res_size=32),
        load_tokenizer(tokenizer or FITTING[chat_format]),
        patch_size=8,
        grid_size=1,
        use_global_tile=False,
        chat_template=CHAT_TEMPLATES[chat_format],
    )


def turns(*texts: str, images: int = 0) -> list[dict]:
    """User and assistant in turn; the pictures are in the first turn."""
    roles = ["user", "assistant"] * len(texts)
    messages = [
        {"role": role, "content": [{"type": "text", "text": text}]} for role, text in zip(roles, texts, strict=False)
    ]
    messages[0]["content"][:0] = [IMAGE] * images
    return messages


Q1, A1, Q2, A2 = (WORDS[name] for name in ("Q1", "A1", "Q2", "A2"))
ENTRIES = {
    "text_only_round1": (turns(Q1), {}),
    "image_round1": (turns(Q1, images=1), {}),
    "image_round2": (turns(Q1, A1, Q2, images=1), {}),
    "full": (turns(Q1, A1, Q2, A2, images=1), {"add_generation_prompt": False}),
    "gen_round1": (turns(Q1, images=1), {"draw": True}),
    "gen_round2": (turns(Q1, A1, Q2, images=1), {"draw": [True, True]}),
    "gen_text_only": (turns(Q1), {"draw": True}),
    "ocr_round1": (turns(Q1, images=1), {"ocr": ["Text1", "Text2"]}),
    "multi_image_round1": (turns(Q1, images=3), {}),
}
STRINGS = [
    (chat_format, entry)
    for chat_format, prompts in PROMPTS.items()
    for entry, text in prompts.items()
    if entry in ENTRIES and isinstance(text, str)
]


def test_every_recorded_prompt_is_compared():
    assert set(PROMPTS) == set(FORMATS)
    assert len(STRINGS) == len(FORMATS) * len(ENTRIES) - 3  # the original fails on a second round in plain


@pytest.mark.parametrize(("chat_format", "entry"), STRINGS)
def test_prompts(chat_format, entry):
    messages, arguments = ENTRIES[entry]
    prompt = make(FORMATS[chat_format]).apply_chat_template(messages, **{"add_generation_prompt": True, **arguments})
    assert prompt == PROMPTS[chat_format][entry]


def encode(processor: MiniGeminiProcessor, messages: list, **arguments):
    return processor.apply_chat_template(
        messages, tokenize=True, return_dict=True, return_assistant_tokens_mask=True, **arguments
    )


def conversation(chat_format: str, case: str) -> list[dict]:
    """What was said in a row of the labels."""
    if chat_format == "plain":
        return [{"role": "user", "content": [IMAGE]}, {"role": "assistant", "content": A1}]
    second = A2 + " <h>a cat</h>" * (case == "img2gen")
    messages = turns(Q1, A1, Q2, second, images=int(case != "txt2"))
    return messages[:2] if case == "img1" else messages


def recorded(row: str, processor: MiniGeminiProcessor) -> tuple[list[int], list[int]]:
    """Ids and mask of a row, each picture as long as ours."""
    ids, mask = [], []
    for token, label in zip(LABELS[f"{row}/input_ids"].tolist(), LABELS[f"{row}/labels"].tolist(), strict=True):
        repeats = processor.num_image_tokens if token == -200 else 1
        ids += [processor.image_token_id if token == -200 else token] * repeats
        mask += [int(label != -100)] * repeats
    return ids, mask


def spoken(processor: MiniGeminiProcessor, ids: list[int], mask: list[int]) -> list[str]:
    """The text of each stretch of the mask, spaces and all; the tokenizer must be one of SentencePiece."""
    pairs = zip(mask, processor.tokenizer.convert_ids_to_tokens(ids), strict=True)
    stretches = ["".join(piece for _, piece in group) for said, group in groupby(pairs, lambda pair: pair[0]) if said]
    return [re.sub(r"<0x(..)>", lambda byte: chr(int(byte[1], 16)), text.replace("▁", " ")) for text in stretches]


# Where the original loses the labels: a tokenizer with which it keeps those of the same conversation.
KEEPS = {"vicuna_v1": "llama_slow_legacyT", "chatml_direct": "yi_slow_legacyT"}


@pytest.mark.parametrize("row", REPORT)
def test_token_ids_and_labels(row):
    chat_format, tokenizer, case = row.split("/")
    processor = make(FORMATS[chat_format], tokenizer)
    draw = {"draw": [True, False]} if case == "img2gen" else {}
    inputs = encode(processor, conversation(chat_format, case), **draw)
    ids, mask = recorded(row, processor)
    assert inputs["input_ids"] == [ids]
    if not REPORT[row]["warning"]:
        assert inputs["assistant_masks"] == [mask]
        return
    assert not any(mask)
    other = make(FORMATS[chat_format], KEEPS[chat_format])
    kept = recorded(f"{chat_format}/{KEEPS[chat_format]}/{case}", other)
    said = spoken(processor, ids, inputs["assistant_masks"][0])
    assert said == spoken(other, *kept)
    assert len(said) == 1 + (case != "img1")


@pytest.mark.parametrize("name", TOKENIZERS)
@pytest.mark.parametrize("prompt", ["<image>\nHi", "Hi\n<image>\n<image>Ho", "<image><image>Hi", "Hi <image>", "Hi"])
def test_text_after_an_image_is_tokenized_separately(name, prompt):
    processor = make("plain", name)
    first, *others = prompt.split("<image>")
    bos = processor.tokenizer("").input_ids
    expected = processor.tokenizer(first).input_ids
    for piece in others:
        expected += [processor.image_token_id] * processor.num_image_tokens
        expected += processor.tokenizer(piece).input_ids[len(bos) :]
    images = [IMAGE["image"]] * len(others)
    assert processor(text=prompt, images=images or None)["input_ids"] == [expected]


@pytest.mark.parametrize("name", [name for name in TOKENIZERS if "llama3" not in name])
def test_labels_after_many_images(name):
    processor = make("vicuna", name)
    messages = [*turns("Hi", "Ho.", images=2), *turns("And?", "Yes.", images=1)]
    inputs = encode(processor, messages)
    assert spoken(processor, inputs["input_ids"][0], inputs["assistant_masks"][0]) == [" Ho.</s>", " Yes.</s>"]


@pytest.mark.parametrize("chat_format", FITTING)
def test_saved_equals_loaded(chat_format, tmp_path):
    processor = make(chat_format)
    processor.save_pretrained(tmp_path)
    assert (tmp_path / "chat_template.jinja").read_text() == CHAT_TEMPLATES[chat_format]
    messages = conversation(chat_format, "img2")
    ours, theirs = (encode(each, messages) for each in (processor, AutoProcessor.from_pretrained(tmp_path)))
    assert all(ours[name] == theirs[name] for name in ("input_ids", "attention_mask", "assistant_masks"))


@pytest.mark.parametrize(("chat_format", "before", "after"), [
    ("vicuna", "", " USER: Hi ASSISTANT:"),
    ("chatml", "<|im_start|>system\n", "<|im_end|><|im_start|>user\nHi<|im_end|><|im_start|>assistant\n"),
    (
        "llama-3",
        "<|start_header_id|>system<|end_header_id|>\n\n",
        "<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|><|start_header_id|>system<|end_header_id|>\n\n",
    ),
])  # fmt: skip
def test_system_message_replaces_the_default(chat_format, before, after):
    processor = make(chat_format)
    messages = [{"role": "system", "content": "Be brief."}, *turns("Hi")]
    assert processor.apply_chat_template(messages, add_generation_prompt=True) == f"{before}Be brief.{after}"
    with pytest.raises(Exception, match="a system message stands first, but got one as message 3"):
        processor.apply_chat_template([*messages, messages[0]])


@pytest.mark.parametrize("chat_format", FITTING)
def test_unsupported_content_is_refused(chat_format):
    processor = make(chat_format)
    with pytest.raises(Exception, match='"user" and "assistant", but got "tool"'):
        processor.apply_chat_template([*turns("Hi"), {"role": "tool", "content": "4"}])
    with pytest.raises(Exception, match='"image" or "text", but got "video"'):
        processor.apply_chat_template([{"role": "user", "content": [{"type": "video"}]}])


def test_plain_format_of_captions():
    processor = make("plain")
    image = {"role": "user", "content": [IMAGE]}
    caption = {"role": "assistant", "content": "A cat."}
    assert processor.apply_chat_template([image, caption]) == "<image>A cat.\n"
    two = [image, caption] * 2
    assert processor.apply_chat_template(two) == "Image 1:<image>A cat.\nImage 2:<image>A cat.\n"
    for messages, said in [(two, [" A cat.\n"] * 2), ([image, caption, caption], [" A cat.\nA cat.\n"])]:
        inputs = encode(processor, messages)
        assert spoken(processor, inputs["input_ids"][0], inputs["assistant_masks"][0]) == said


def test_nanos_checkpoint_keeps_its_template():
    kept = NANO_DIR / "chat_template.jinja"
    assert kept.read_text() == CHAT_TEMPLATES["nano"]


def test_end_tokens_are_tokens():
    assert set(END_TOKENS) == set(CHAT_TEMPLATES)
    assert {name: ends for name, ends in END_TOKENS.items() if ends} == {
        "chatml": ("<|im_end|>",),
        "llama-3": ("<|eot_id|>",),
    }
    for chat_format in FITTING:
        tokenizer = load_tokenizer(FITTING[chat_format])
        assert all(len(tokenizer.encode(end, add_special_tokens=False)) == 1 for end in END_TOKENS[chat_format])


@pytest.mark.parametrize("name", TOKENIZERS)
def test_the_image_token_is_added_once(name):
    tokenizer = copy.deepcopy(load_tokenizer(name))
    size, known = len(tokenizer), load_tokenizer(name).convert_tokens_to_ids("<image>")
    assert add_image_token(tokenizer) == known
    assert len(tokenizer) == size
    assert add_image_token(tokenizer, "<picture>") == size


def test_image_token_that_strips_spaces_is_refused():
    tokenizer = AutoTokenizer.from_pretrained(GOLDEN / "tok_llama_slow_legacyF")
    tokenizer.add_tokens([AddedToken("<image>", normalized=False, special=True, rstrip=True)], special_tokens=True)
    with pytest.raises(ValueError, match=r"text after '<image>' is not tokenized like text at the start of a prompt"):
        MiniGeminiProcessor(
            MiniGeminiImageProcessor(size=16, high_res_size=32), tokenizer, 8, grid_size=1, use_global_tile=False
        )
