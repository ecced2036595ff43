"""What Transformers expects of a vision-language model beyond its outputs; its own tests are in `tests/contract`."""

import pickle
from copy import deepcopy

import numpy as np
import pytest
import torch
from transformers import AutoModelForMultimodalLM, pipeline
from transformers.utils import is_torchvision_available

from minigemini import MiniGeminiForConditionalGeneration, MiniGeminiImageProcessor, MiniGeminiProcessor
from minigemini.modeling.chat_templates import CHAT_TEMPLATES

GREEDY = {"max_new_tokens": 8, "min_new_tokens": 8, "do_sample": False}


@pytest.fixture(scope="module")
def inputs(tiny_model, make_processor, image):
    return make_processor(tiny_model.config)(text="<image>What is it?", images=image(0), return_tensors="pt")


def text_with_image_tokens(config):
    """Ids of which some are the image token, as a model may generate them."""
    return torch.tensor([[5, 6, config.image_token_id, 7, config.image_token_id, 8]])


@torch.no_grad()
@pytest.mark.parametrize("draft", ["same", "random"])
def test_assisted_decoding_gives_the_greedy_answer(tiny_model, make_config, inputs, draft):
    torch.manual_seed(1)
    assistant = tiny_model if draft == "same" else MiniGeminiForConditionalGeneration(make_config()).eval()
    expected = tiny_model.generate(**inputs, **GREEDY)
    assert torch.equal(tiny_model.generate(**inputs, **GREEDY, assistant_model=assistant), expected)


@torch.no_grad()
def test_image_tokens_without_images(tiny_model):
    ids = text_with_image_tokens(tiny_model.config)
    assert tiny_model(input_ids=ids).logits.isfinite().all()
    with pytest.raises(ValueError, match="the prompt has 2 image tokens, but 0 images"):
        tiny_model.generate(input_ids=ids, max_new_tokens=1)


@torch.no_grad()
def test_generated_image_tokens_may_be_continued(tiny_model):
    ids = text_with_image_tokens(tiny_model.config)
    cache = tiny_model(input_ids=ids[:, :2], use_cache=True).past_key_values
    whole = tiny_model(input_ids=ids).logits[:, 2:]
    assert torch.allclose(tiny_model(input_ids=ids[:, 2:], past_key_values=cache).logits, whole, atol=1e-5)
    assert tiny_model.generate(input_ids=ids, past_key_values=cache, max_new_tokens=2).shape == (1, 8)


def test_a_processor_needs_only_its_parts(tokenizer, image):
    processor = MiniGeminiProcessor(MiniGeminiImageProcessor(), tokenizer)
    ids = processor(text="<image>", images=image(0))["input_ids"][0]
    assert ids.count(processor.image_token_id) == processor.num_image_tokens == 576


@torch.no_grad()
def test_hidden_states_and_attentions_of_the_low_resolution_encoder(hd_model):
    pixels, high_res = torch.rand(2, 3, 32, 32), torch.rand(2, 3, 64, 64)
    plain = hd_model.get_image_features(pixels, high_res)
    assert plain.hidden_states is None
    assert plain.attentions is None
    eager = MiniGeminiForConditionalGeneration(deepcopy(hd_model.config))
    eager.load_state_dict(hd_model.state_dict())
    eager.eval().set_attn_implementation("eager")
    found = eager.get_image_features(pixels, high_res, output_hidden_states=True, output_attentions=True)
    assert torch.allclose(found.pooler_output, plain.pooler_output, atol=1e-5)
    layers = hd_model.config.vision_depth
    assert [tuple(states.shape) for states in found.hidden_states] == [(10, 5, 16)] * (layers + 1)
    assert [tuple(weights.shape) for weights in found.attentions] == [(10, 2, 5, 5)] * layers
    assert not eager.model.vision_tower._forward_hooks


@torch.no_grad()
def test_generate_returns_attentions_of_the_language_model(make_model, inputs):
    model = make_model()
    model.set_attn_implementation("eager")
    answer = model.generate(**inputs, **GREEDY, return_dict_in_generate=True, output_attentions=True)
    assert [len(step) for step in answer.attentions] == [model.config.text_config.num_hidden_layers] * 8


def test_auto_class_for_multimodal_models(tiny_checkpoint):
    model = AutoModelForMultimodalLM.from_pretrained(tiny_checkpoint)
    assert isinstance(model, MiniGeminiForConditionalGeneration)


@pytest.mark.parametrize("task", ["image-text-to-text", "any-to-any"])
def test_pipelines(tiny_checkpoint, image, task, caplog):
    if task == "any-to-any" and not is_torchvision_available():
        pytest.skip("Transformers' pipeline needs torchvision")
    ask = pipeline(task, model=str(tiny_checkpoint))
    messages = [{"role": "user", "content": [{"type": "image", "image": image(0)}, {"type": "text", "text": "Hi"}]}]
    (answer,) = ask(text=messages, max_new_tokens=2, return_full_text=False)
    assert isinstance(answer["generated_text"], str)
    assert "not supported" not in caplog.text


def test_the_head_has_a_tensor_parallel_plan(tiny_model):
    assert tiny_model.tp_plan["lm_head"] == "colwise_gather_output"


def test_features_may_be_flat(tiny_model, inputs):
    ids = inputs["input_ids"]
    embeds = tiny_model.model.embed(ids)
    mask = tiny_model.model.get_placeholder_mask(ids, embeds, torch.empty(4, 32))
    assert int(mask.sum()) == 4
    with pytest.raises(ValueError, match="the text has 4 image tokens, but the images have 5"):
        tiny_model.model.get_placeholder_mask(ids, embeds, torch.empty(5, 32))


def test_an_empty_conversation_is_refused(tiny_model, make_processor):
    with pytest.raises(ValueError, match="the conversation is empty: pass at least one message"):
        make_processor(tiny_model.config).apply_chat_template([])


@pytest.mark.parametrize("kind", ["convnext", "convnextv2", "dinov3_convnext"])
def test_convnexts_are_checkpointed(make_model, kind):
    stages = {"model_type": kind, "hidden_sizes": [4, 8, 8, 16], "depths": [1, 1, 2, 1], "drop_path_rate": 0.0}
    model = make_model(high_res_vision_config=stages).train()
    pixels, high_res = torch.rand(1, 3, 16, 16), torch.rand(1, 3, 32, 32)
    block = next(m for m in model.model.high_res_vision_tower.modules() if hasattr(m, "gradient_checkpointing"))
    parameter = next(block.parameters())
    runs = []
    next(block.children()).register_forward_hook(lambda *_: runs.append(1))

    def gradient():
        runs.clear()
        parameter.grad = None
        model.get_image_features(pixels, high_res).pooler_output.square().sum().backward()
        return parameter.grad.clone()

    expected = gradient()
    assert len(runs) == 1
    enable = getattr(model, "activation_checkpointing_enable", None) or model.gradient_checkpointing_enable
    enable({"use_reentrant": False})
    assert torch.allclose(gradient(), expected, rtol=1e-4)
    assert len(runs) == 2, "the block was not computed again"


def test_models_with_checkpointed_blocks_are_picklable(tiny_model):
    copied = pickle.loads(pickle.dumps(tiny_model))
    blocks = [next(m for m in model.modules() if type(m).__name__ == "ConvNextLayer") for model in (tiny_model, copied)]
    assert type(blocks[0]) is type(blocks[1])
    assert all(map(torch.equal, tiny_model.state_dict().values(), copied.state_dict().values()))


@pytest.mark.parametrize("chat_format", CHAT_TEMPLATES)
def test_every_chat_format_takes_system_turns(tiny_model, make_processor, image, chat_format):
    processor = make_processor(tiny_model.config)
    question = {"role": "user", "content": [{"type": "image", "image": image(0)}, {"type": "text", "text": "Hi"}]}
    messages = [{"role": "system", "content": "Be brief."}, question]
    prompt = processor.apply_chat_template(messages, chat_template=CHAT_TEMPLATES[chat_format])
    if "system" in CHAT_TEMPLATES[chat_format]:
        assert "Be brief." in prompt.split("<image>")[0]
    else:
        folded = [{"role": "user", "content": [question["content"][0], {"type": "text", "text": "Be brief.\n\nHi"}]}]
        assert prompt == processor.apply_chat_template(folded, chat_template=CHAT_TEMPLATES[chat_format])


def test_a_system_turn_needs_a_user_turn(tiny_model, make_processor):
    messages = [{"role": "user", "content": "Hi"}, {"role": "system", "content": "Be brief."}]
    with pytest.raises(ValueError, match="a system message has no user message after it"):
        make_processor(tiny_model.config).apply_chat_template(messages)


def test_arrays_may_keep_their_channels():
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 4), dtype=np.uint8)
    statistics = {"image_mean": [0.0] * 4, "image_std": [1.0] * 4}
    processor = MiniGeminiImageProcessor(size=16, high_res_size=32)
    found = processor(pixels, do_convert_rgb=False, input_data_format="channels_last", **statistics)
    assert found["pixel_values"].shape == (1, 4, 16, 16)
    assert processor(pixels)["pixel_values"].shape == (1, 3, 16, 16)
