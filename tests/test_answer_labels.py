"""Labels that are copied from input ids keep the answers alone, and prompts have BOS although trainers ask for none."""

import copy
import pickle

import pytest
import torch
from tokenizers import processors
from transformers import PreTrainedTokenizerFast

from minigemini import MiniGeminiProcessor
from minigemini.modeling.chat_templates import CHAT_TEMPLATES

IGNORED = -100


def conversation(image, *answers: str) -> list[dict]:
    """A question about an image and further ones, with answers."""
    content = [{"type": "image", "image": image}, {"type": "text", "text": "What?"}]
    turns = []
    for answer in answers:
        turns += [{"role": "user", "content": content}, {"role": "assistant", "content": answer}]
        content = [{"type": "text", "text": "And?"}]
    return turns


def encode(processor, conversations, **options):
    """As TRL's collator calls the processor."""
    options = {"padding": True, "padding_side": "right", "add_special_tokens": False, **options}
    return processor.apply_chat_template(
        conversations, tokenize=True, return_dict=True, return_tensors="pt", processor_kwargs=options
    )


def copied(features) -> torch.Tensor:
    """As TRL's collator makes labels."""
    labels = features["input_ids"].clone()
    labels[features["attention_mask"] == 0] = IGNORED
    features["labels"] = labels
    return features["labels"]


@pytest.fixture
def processor(tiny_model, make_processor) -> MiniGeminiProcessor:
    return make_processor(tiny_model.config)


def test_answers_alone_are_learned(processor, image):
    features = encode(processor, [conversation(image(0), "This.", "That."), conversation(image(1), "No")])
    labels = copied(features)
    assert [processor.decode(row[row != IGNORED]) for row in labels] == ["This.<eos>That.<eos>", "No<eos>"]
    assert torch.equal(labels[labels != IGNORED], features["input_ids"][labels != IGNORED])
    assert features.keys() == {"input_ids", "attention_mask", "pixel_values", "high_res_pixel_values", "labels"}


def test_without_markers_all_but_image_tokens_are_learned(processor, image):
    template = CHAT_TEMPLATES["nano"].replace("{%- generation -%}", "").replace("{%- endgeneration -%}", "")
    processor.chat_template = template
    features = encode(processor, [conversation(image(0), "This.")])
    images = features["input_ids"] == processor.image_token_id
    assert images.sum() == 4
    assert torch.equal(copied(features) == IGNORED, images)


def test_an_answer_that_is_cut_off_is_an_error_when_it_is_to_be_learned(processor, image):
    features = encode(processor, [conversation(image(0), "This.")], truncation=True, max_length=20)
    assert features["input_ids"].shape == (1, 20)
    with pytest.raises(ValueError, match=r"conversation 0 has no token to learn, .* raise max_length"):
        copied(features)


def test_labels_survive_what_loaders_do(processor, image):
    features = encode(processor, [conversation(image(0), "This.")])
    labels = copied(features)
    for other in (pickle.loads(pickle.dumps(features)), copy.copy(features), type(features)(dict(features))):
        assert torch.equal(other["labels"], labels)
        other["labels"] = labels
        assert torch.equal(other["labels"], labels)
    assert torch.equal(features.to("cpu", non_blocking=True)["labels"], labels)


@pytest.mark.parametrize(
    "options",
    [{"add_generation_prompt": True}, {"continue_final_message": True}, {"return_assistant_tokens_mask": True}],
)
def test_other_calls_return_what_they_did(processor, image, options):
    turns = conversation(image(0), "This.")
    turns = turns[:1] if "add_generation_prompt" in options else turns
    features = processor.apply_chat_template(turns, tokenize=True, return_dict=True, return_tensors="pt", **options)
    assert torch.equal(copied(features), features["input_ids"])
    assert ("assistant_masks" in features) == ("return_assistant_tokens_mask" in options)


@pytest.fixture
def adds_bos(tokenizer) -> PreTrainedTokenizerFast:
    """A tokenizer that adds BOS, as those of the published models do."""
    tokenizer = copy.deepcopy(tokenizer)
    bos = (tokenizer.bos_token, tokenizer.bos_token_id)
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing("<bos> $A", special_tokens=[bos])
    return tokenizer


@pytest.mark.parametrize("format_name", ["vicuna", "nano"])
def test_prompts_start_with_bos_once(processor, adds_bos, image, format_name):
    """Published formats leave BOS to the tokenizer; nano's own writes it."""
    processor = MiniGeminiProcessor(
        processor.image_processor, adds_bos, patch_size=8, chat_template=CHAT_TEMPLATES[format_name]
    )
    features = encode(processor, [conversation(image(0), "This.")])
    assert (features["input_ids"] == adds_bos.bos_token_id).nonzero().tolist() == [[0, 0]]
    assert copied(features)[0, 0] == IGNORED


def test_a_template_may_write_bos_for_trainers_that_tokenize_its_text(processor, adds_bos, image):
    template = "{{ bos_token }}" + CHAT_TEMPLATES["vicuna"]
    processor = MiniGeminiProcessor(processor.image_processor, adds_bos, patch_size=8, chat_template=template)
    turns = conversation(image(0), "This.")
    text = processor.apply_chat_template(turns)
    tokenized = processor(images=[image(0)], text=text, add_special_tokens=False, return_tensors="pt")
    assert torch.equal(tokenized["input_ids"], encode(processor, [turns])["input_ids"])
    assert (tokenized["input_ids"] == adds_bos.bos_token_id).nonzero().tolist() == [[0, 0]]
