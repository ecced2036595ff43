"""Identities of the whole model on tiny random weights. Each tolerance states its measured worst case."""

import importlib.util
from typing import Any

import pytest
import torch
from einops import rearrange
from PIL import Image
from torch import Tensor
from transformers import AutoModel, AutoModelForCausalLM, AutoModelForImageTextToText
from transformers.generation import utils as generation_utils

from minigemini import MiniGeminiForConditionalGeneration
from minigemini.modeling.outputs import CACHE

TOLERANCE = 4e-5  # of logits of the order of 10; worst measured 6.6e-6, padded against alone


def user(*images: Image.Image, text: str = "What?") -> list[dict[str, Any]]:
    return [
        {"role": "user", "content": [*({"type": "image", "image": i} for i in images), {"type": "text", "text": text}]}
    ]


@pytest.fixture(params=["normal", "hd", "baseline"])
def model(request, tiny_model, hd_model, baseline_model) -> MiniGeminiForConditionalGeneration:
    return {"normal": tiny_model, "hd": hd_model, "baseline": baseline_model}[request.param]


@pytest.fixture(scope="session")
def baseline_model(make_model) -> MiniGeminiForConditionalGeneration:
    return make_model(high_res_vision_config=None)


@pytest.fixture
def encode(make_processor, image):
    """Conversations to a model's inputs: no picture, one, or two, by their seeds."""

    def encode(model, *seeds: tuple[int, ...], padding_side: str = "left", answers: bool = False) -> dict[str, Tensor]:
        processor = make_processor(model.config)
        conversations = [user(*(image(s) for s in row), text="abc" * (2 + i)) for i, row in enumerate(seeds)]
        if answers:
            conversations = [[*c, {"role": "assistant", "content": "Yes."}] for c in conversations]
        return processor.apply_chat_template(
            conversations,
            add_generation_prompt=not answers,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
            processor_kwargs={"padding": True, "padding_side": padding_side},
        )

    return encode


MIXED: list[tuple[int, ...]] = [(1,), (), (2, 3)]


def assert_close(ours: Tensor, theirs: Tensor, tolerance: float = TOLERANCE) -> None:
    assert ours.shape == theirs.shape
    worst = (ours - theirs).abs().max().item()
    assert worst <= tolerance, f"off by {worst:.2e}"


# Loading and saving


def test_saved_equals_loaded(model, encode, tmp_path):
    model.save_pretrained(tmp_path, max_shard_size="40KB")
    assert len(list(tmp_path.glob("*.safetensors"))) > 1
    loaded, report = AutoModelForImageTextToText.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(report.values()), report
    assert type(loaded) is MiniGeminiForConditionalGeneration
    inputs = encode(model, *MIXED)
    assert torch.equal(loaded(**inputs).logits, model(**inputs).logits)
    base = AutoModel.from_pretrained(tmp_path)
    assert torch.equal(base(**inputs).last_hidden_state, model.model(**inputs).last_hidden_state)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_dtype(model, encode, tmp_path, dtype):
    model.save_pretrained(tmp_path)
    loaded = AutoModelForImageTextToText.from_pretrained(tmp_path, dtype=dtype)
    assert {parameter.dtype for parameter in loaded.parameters()} == {dtype}
    inputs = encode(model, *MIXED)
    logits = loaded(**inputs).logits
    assert logits.dtype == dtype
    real = inputs["attention_mask"].bool()
    # worst measured 0.28 (bf16)
    assert_close(logits[real].float(), model(**inputs).logits[real], 0.6)


def test_device_map(model, encode, tmp_path):
    pytest.importorskip("accelerate")
    model.save_pretrained(tmp_path)
    device_map = {
        "model.vision_tower": "disk",
        "model.high_res_vision_tower": "disk",
        "model.patch_info_mining": "disk",
        "model.multi_modal_projector": "disk",
        "model.language_model.embed_tokens": "cpu",
        "model.language_model.layers.0": "cpu",
        "model.language_model.layers.1": "disk",
        "model.language_model.norm": "cpu",
        "model.language_model.rotary_emb": "cpu",
        "lm_head": "cpu",
    }
    if model.config.high_res_vision_config is None:
        del device_map["model.high_res_vision_tower"], device_map["model.patch_info_mining"]
    loaded = AutoModelForImageTextToText.from_pretrained(
        tmp_path, device_map=device_map, offload_folder=tmp_path / "offload"
    )
    inputs = encode(model, *MIXED)
    assert torch.equal(loaded(**inputs).logits, model(**inputs).logits)


def test_unused_layers_are_not_built(model):
    names = set(model.state_dict())
    assert "model.vision_tower.encoder.layers.1.layer_norm1.weight" in names
    assert not any(
        name.startswith("model.vision_tower.encoder.layers.2.") for name in names
    )  # of three, layer -2 is used
    assert not any("post_layernorm" in name for name in names)
    assert not any(name.startswith("model.high_res_vision_tower.layernorm") for name in names)
    if model.config.high_res_vision_config is None:
        assert not any("high_res" in name or "mining" in name for name in names)


def test_every_parameter_gets_a_gradient(model, encode):
    inputs = encode(model, *MIXED, answers=True)
    model.zero_grad()
    model(**inputs, labels=inputs["input_ids"]).loss.backward()
    assert [name for name, parameter in model.named_parameters() if parameter.grad is None] == []
    model.zero_grad()


# One sample and many


@torch.no_grad()
@pytest.mark.parametrize("padding_side", ["left", "right"])
def test_padded_equals_unpadded_in_mixed_batches(model, encode, padding_side):
    batch = encode(model, *MIXED, padding_side=padding_side)
    logits = model(**batch).logits
    # Texts differ by position in the batch, so that each is repeated alone from the batch's own ids.
    first = 0
    for row, images in enumerate(MIXED):
        real = batch["attention_mask"][row].bool()
        pixels = {}
        if images:
            rows = slice(first, first + len(images))
            pixels = {name: batch[name][rows] for name in ("pixel_values", "high_res_pixel_values")}
            first += len(images)
        alone = model(input_ids=batch["input_ids"][row : row + 1, real], **pixels).logits[0]
        assert_close(logits[row, real], alone)


@torch.no_grad()
def test_batched_generation_equals_single(model, encode):
    batch = encode(model, *MIXED)
    together = model.generate(**batch, max_new_tokens=6, do_sample=False)[:, -6:]
    first = 0
    for row, images in enumerate(MIXED):
        real = batch["attention_mask"][row].bool()
        pixels = {}
        if images:
            pixels = {k: batch[k][first : first + len(images)] for k in ("pixel_values", "high_res_pixel_values")}
            first += len(images)
        alone = model.generate(
            input_ids=batch["input_ids"][row : row + 1, real], **pixels, max_new_tokens=6, do_sample=False
        )
        assert together[row].tolist() == alone[0, -6:].tolist()


# Generation


@torch.no_grad()
def test_cached_equals_uncached_logits(model, encode):
    inputs = encode(model, (1,), (2,))
    whole = model(**inputs, use_cache=False).logits
    split = inputs["input_ids"].shape[1] - 4
    cut = {name: inputs[name][:, :split] for name in ("input_ids", "attention_mask")}
    pixels = {name: inputs[name] for name in ("pixel_values", "high_res_pixel_values")}
    past = model(**cut, **pixels, use_cache=True)[CACHE]
    for position in range(split, split + 4):
        step = model(
            input_ids=inputs["input_ids"][:, position : position + 1],
            attention_mask=inputs["attention_mask"][:, : position + 1],
            use_cache=True,
            **{CACHE: past},
        )
        assert_close(step.logits[:, 0], whole[:, position])


@torch.no_grad()
@pytest.mark.parametrize("cache", ["none", "dynamic", "static", "offloaded", "quantized"])
def test_every_cache_gives_the_same_answer(model, encode, cache):
    if cache == "quantized" and not any(importlib.util.find_spec(name) for name in ("optimum", "hqq")):
        pytest.skip("quantised caches want optimum-quanto or hqq")
    if cache == "offloaded" and not torch.cuda.is_available():
        pytest.skip("offloading wants an accelerator to offload from")
    inputs = encode(model, *MIXED)
    expected = model.generate(**inputs, max_new_tokens=6, do_sample=False)
    chosen = {"use_cache": False} if cache == "none" else {"cache_implementation": cache}
    assert torch.equal(model.generate(**inputs, max_new_tokens=6, do_sample=False, **chosen), expected)


@torch.no_grad()
def test_chunked_prefill(model, encode):
    inputs = encode(model, *MIXED)
    chunks = {"max_new_tokens": 6, "do_sample": False, "prefill_chunk_size": 7}
    if not hasattr(
        generation_utils, "_slice_mm_encoder_output"
    ):  # Transformers 5.19 forgets the pictures: no answer then
        with pytest.raises(ValueError, match="image tokens, but 0 images"):
            model.generate(**inputs, **chunks)
        return
    expected = model.generate(**inputs, max_new_tokens=6, do_sample=False)
    assert torch.equal(model.generate(**inputs, **chunks), expected)


@torch.no_grad()
@pytest.mark.parametrize("strategy", [{"num_beams": 3}, {"num_beams": 2, "num_return_sequences": 2}])
def test_batched_beams_equal_single(model, encode, strategy):
    batch = encode(model, *MIXED)
    beams = strategy.get("num_return_sequences", 1)
    together = model.generate(**batch, max_new_tokens=5, do_sample=False, **strategy)
    alone = encode(model, *MIXED)
    pixels = {name: alone[name][:1] for name in ("pixel_values", "high_res_pixel_values")}
    real = alone["attention_mask"][0].bool()
    single = model.generate(alone["input_ids"][:1, real], **pixels, max_new_tokens=5, do_sample=False, **strategy)
    assert together.shape[0] == 3 * beams
    assert torch.equal(together[:beams, -5:], single[:, -5:])


def test_pixels_are_dropped_after_the_first_step(model, encode):
    inputs = encode(model, (1,))
    for first in (True, False):
        prepared = model.prepare_inputs_for_generation(**inputs, is_first_iteration=first, use_cache=True)
        assert ("pixel_values" in prepared) == first
        assert ("high_res_pixel_values" in prepared) == first


@torch.no_grad()
def test_logits_to_keep(model, encode):
    inputs = encode(model, (1,), (2,))
    whole = model(**inputs).logits
    for keep, kept in ((3, whole[:, -3:]), (torch.tensor([0, 5]), whole[:, [0, 5]])):
        torch.testing.assert_close(model(**inputs, logits_to_keep=keep).logits, kept, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_attention_implementations_agree(model, encode, tmp_path):
    model.save_pretrained(tmp_path)
    inputs = encode(model, *MIXED)
    real = inputs["attention_mask"].bool()
    for choice in ("eager", "sdpa", {"text_config": "eager", "vision_config": "sdpa"}):
        loaded = AutoModelForImageTextToText.from_pretrained(tmp_path, attn_implementation=choice)
        if choice == "eager":
            assert loaded.model.vision_tower.config._attn_implementation == "eager"
            assert loaded.model.language_model.config._attn_implementation == "eager"
        assert_close(loaded(**inputs).logits[real], model(**inputs).logits[real])
    for chosen in ("eager", "sdpa"):
        loaded.set_attn_implementation(chosen)
        assert loaded.model.vision_tower.config._attn_implementation == chosen
        assert loaded.model.language_model.config._attn_implementation == chosen
    assert loaded._supports_flash_attn
    assert loaded._supports_attention_backend


# Training


def test_gradient_checkpointing(make_model, encode):
    model = make_model(
        high_res_vision_config={**make_model().config.high_res_vision_config.to_dict(), "drop_path_rate": 0}
    )
    model.train()
    inputs = encode(model, *MIXED, answers=True)
    results = []
    for checkpointing in (False, True):
        if checkpointing:
            model.gradient_checkpointing_enable()
            assert model.is_gradient_checkpointing
        model.zero_grad()
        loss = model(**inputs, labels=inputs["input_ids"], use_cache=False).loss
        loss.backward()
        results.append((loss.detach(), [p.grad.clone() for p in model.parameters()]))
    (loss, gradients), (loss_again, gradients_again) = results
    assert torch.equal(loss, loss_again)
    for ours, theirs in zip(gradients, gradients_again, strict=True):
        assert_close(ours, theirs, 1e-6)  # worst measured 0


@torch.no_grad()
def test_loss_is_the_mean_over_labeled_tokens(model, encode):
    inputs = encode(model, *MIXED, answers=True, padding_side="right")
    labels = inputs["input_ids"].masked_fill(inputs["input_ids"] < 4, -100)
    output = model(**inputs, labels=labels)
    rows = rearrange(output.logits[:, :-1], "b n v -> (b n) v")
    expected = torch.nn.functional.cross_entropy(rows, rearrange(labels[:, 1:], "b n -> (b n)"))
    assert_close(output.loss, expected, 5e-6)  # worst measured 9.5e-7
    split = model(**inputs, labels=labels, num_items_in_batch=torch.tensor(10.0)).loss
    assert_close(split, expected * (labels[:, 1:] != -100).sum() / 10, 1e-4)  # worst measured 1.5e-5


def test_resize_embeddings(make_model, encode):
    for tied in (False, True):
        model = make_model(text_config={"tie_word_embeddings": tied})
        inputs = encode(model, *MIXED)
        before = model(**inputs).logits
        size = model.config.text_config.vocab_size
        model.resize_token_embeddings(size + 8)
        assert model.get_input_embeddings().num_embeddings == model.config.text_config.vocab_size == size + 8
        assert model.get_output_embeddings().out_features == size + 8
        assert (model.get_input_embeddings().weight is model.lm_head.weight) == tied
        assert_close(model(**inputs).logits[..., :size], before)


# What goes in


@torch.no_grad()
def test_features_and_embeddings_replace_pixels_and_ids(model, encode):
    inputs = encode(model, *MIXED)
    expected = model(**inputs)
    text = {name: inputs[name] for name in ("input_ids", "attention_mask")}
    pixels = {name: inputs[name] for name in ("pixel_values", "high_res_pixel_values")}
    features = model.get_image_features(**pixels)
    assert torch.equal(model(**text, mm_encoder_outputs={"image": features}).logits, expected.logits)
    assert torch.equal(expected.image_hidden_states, features.pooler_output)
    embeds = model.get_input_embeddings()(text["input_ids"])
    output = model(inputs_embeds=embeds, attention_mask=text["attention_mask"], **pixels)
    assert torch.equal(output.logits, expected.logits)
    as_tuple = model.get_image_features(**pixels, return_dict=False)
    assert isinstance(as_tuple, tuple)


def test_image_token_beyond_the_vocabulary(make_model, encode):
    inside = make_model()
    outside = make_model(image_token_id=inside.config.text_config.vocab_size)
    inputs = encode(inside, *MIXED)
    expected = inside(**inputs).logits
    ids = inputs["input_ids"]
    inputs["input_ids"] = ids.masked_fill(ids == inside.config.image_token_id, outside.config.image_token_id)
    assert torch.equal(outside(**inputs).logits, expected)
    assert outside.generate(**inputs, max_new_tokens=3).shape[1] == ids.shape[1] + 3


def test_mismatches_are_refused(tiny_model, hd_model, encode):
    inputs = encode(tiny_model, (1,))
    doubled = {name: inputs[name].repeat(2, 1, 1, 1) for name in ("pixel_values", "high_res_pixel_values")}
    with pytest.raises(ValueError, match=r"4 image tokens, but 2 images of 4 visual tokens each require 8"):
        tiny_model(input_ids=inputs["input_ids"], **doubled)
    with pytest.raises(ValueError, match="the prompt has 4 image tokens, but 0 images"):
        tiny_model.generate(input_ids=inputs["input_ids"])
    with pytest.raises(ValueError, match="pixel_values hold 1 images, but high_res_pixel_values hold 0"):
        tiny_model(input_ids=inputs["input_ids"], pixel_values=inputs["pixel_values"])
    with pytest.raises(ValueError, match=r"pixel_values have shape \(1, 3, 16, 16\).* requires \(images, 3, 32, 32\)"):
        hd_model.get_image_features(inputs["pixel_values"], inputs["high_res_pixel_values"])
    with pytest.raises(ValueError, match=r"high_res_pixel_values have shape \(1, 3, 16, 16\)"):
        tiny_model.get_image_features(inputs["pixel_values"], inputs["pixel_values"])
    with pytest.raises(ValueError, match="exactly one of input_ids and inputs_embeds"):
        tiny_model()


# Tiles


@torch.no_grad()
@pytest.mark.parametrize("grid_size", [1, 2, 3])
@pytest.mark.parametrize("use_global_tile", [False, True])
def test_any_grid(make_model, encode, grid_size, use_global_tile):
    model = make_model(grid_size=grid_size, use_global_tile=use_global_tile, high_res_size=48 * grid_size)
    inputs = encode(model, *MIXED)
    tokens = (grid_size**2 + use_global_tile) * 4
    assert model.config.num_image_tokens == tokens
    assert (inputs["input_ids"] == model.config.image_token_id).sum(-1).tolist() == [tokens, 0, 2 * tokens]
    features = model.get_image_features(inputs["pixel_values"], inputs["high_res_pixel_values"])
    assert features.pooler_output.shape == (3, tokens, 32)
    assert model(**inputs).logits.isfinite().all()


@torch.no_grad()
def test_order_is_global_then_tiles_row_by_row(hd_model, encode):
    inputs = encode(hd_model, (1,))
    before = hd_model.model.get_low_res_features(inputs["pixel_values"])
    for tile in range(4):
        pixels = inputs["pixel_values"].clone()
        row, column = divmod(tile, 2)
        pixels[:, :, 16 * row : 16 * row + 16, 16 * column : 16 * column + 16] += 1
        after = hd_model.model.get_low_res_features(pixels)
        changed = [i for i in range(5) if not torch.equal(before[:, i], after[:, i])]
        assert changed == [0, 1 + tile]


@torch.no_grad()
def test_each_tile_mines_its_part_of_the_map(hd_model, encode):
    inputs = encode(hd_model, (1,), (2,))
    model = hd_model.model
    low_res = model.get_low_res_features(inputs["pixel_values"])
    maps = model.get_high_res_stage_maps(inputs["high_res_pixel_values"])
    mined = model.mine(low_res, maps)
    full = [torch.nn.functional.interpolate(m, size=16, mode="bilinear", align_corners=False) for m in maps]
    for tile in range(4):
        row, column = divmod(tile, 2)
        part = [m[:, :, 8 * row : 8 * row + 8, 8 * column : 8 * column + 8] for m in full]
        assert_close(mined[:, 1 + tile], model.patch_info_mining(low_res[:, 1 + tile], part), 4e-6)  # worst 7.2e-7
    small = [torch.nn.functional.interpolate(m, size=8, mode="bilinear", align_corners=False) for m in full]
    assert_close(mined[:, 0], model.patch_info_mining(low_res[:, 0], small), 4e-6)  # worst measured 7.2e-7


# Any language model

FAMILIES = [
    "llama",
    "mistral",
    "mixtral",
    "qwen2",
    "qwen3",
    "gemma",
    "gemma2",
    "phi3",
    "gpt2",
    "cohere",
    "granite",
    "olmo2",
]


@torch.no_grad()
@pytest.mark.parametrize("family", FAMILIES)
def test_without_images_it_equals_the_language_model(make_model, encode, family):
    model = make_model(
        text_config={"model_type": family, "head_dim": 8} if "gemma" in family else {"model_type": family}
    )
    language_model = AutoModelForCausalLM.from_config(model.config.text_config).eval()
    language_model.base_model.load_state_dict(model.model.language_model.state_dict())
    language_model.lm_head.load_state_dict(model.lm_head.state_dict())
    inputs = encode(model, (), ())
    assert_close(model(**inputs).logits, language_model(**inputs).logits)
    images = encode(model, *MIXED)
    features = model.get_image_features(images["pixel_values"], images["high_res_pixel_values"])
    if "gemma" in family:
        assert model.model.embed_scale == 32**0.5
        assert features.pooler_output.abs().mean() > 2
    assert model.generate(**images, max_new_tokens=3, min_new_tokens=3).shape[0] == 3
