"""Packed models compute what the models do that they are made from; engines decode as `generate` does."""

from pathlib import Path

import pytest
import torch
from tiny_encoders import BACKBONES, VITS, low_res
from transformers import DynamicCache

from minigemini.inference import Engine, Sampling
from minigemini.inference.packed_decoder import PackedDecoder
from minigemini.inference.packed_linear import Int8Linear, PackedLinear, can_pack
from minigemini.inference.packed_model import pack_model
from minigemini.inference.slot_cache import SlotCache
from minigemini.io.loading import load_config, load_model
from minigemini.io.placement import choose_placement
from minigemini.modeling.outputs import CACHE

pytestmark = pytest.mark.skipif(not can_pack(torch.float32), reason="torch has no oneDNN on this processor")
QUESTION = "What does the sign say?"


@pytest.fixture(scope="module")
def plain() -> Engine:
    return Engine.load("nano", device="cpu")


@pytest.fixture(scope="module")
def packed() -> Engine:
    return Engine.load("nano", device="cpu", packed=True)


def inputs_of(engine, image, question=QUESTION):
    content = [{"type": "image", "image": image}, {"type": "text", "text": question}]
    return engine.prompts.inputs([{"role": "user", "content": content}])


def test_the_decoder_and_all_linears_but_those_of_mining_are_packed(packed):
    model = packed.model.model
    assert isinstance(model.language_model, PackedDecoder)
    assert isinstance(packed.model.lm_head, PackedLinear)
    kinds = {type(module) for tower in (model.vision_tower, model.high_res_vision_tower) for module in tower.modules()}
    assert PackedLinear in kinds
    assert torch.nn.Linear not in kinds


@torch.inference_mode()
def test_logits_are_those_of_the_plain_model(plain, packed, image):
    inputs = inputs_of(plain, image(0))
    expected, found = plain.model(**inputs).logits, packed.model(**inputs).logits
    # measured: 2e-5 of logits up to 20
    torch.testing.assert_close(found, expected, atol=2e-4, rtol=0)


@torch.inference_mode()
def test_padded_rows_equal_their_prompts_alone(packed):
    prompts = [list(range(5, 25)), list(range(30, 37))]
    ids = torch.tensor([prompts[0], [0] * 13 + prompts[1]])
    mask = torch.tensor([[1] * 20, [0] * 13 + [1] * 7])
    positions = (mask.cumsum(1) - 1).clamp(min=0)
    cache = DynamicCache(config=packed.model.config)
    whole = packed.model(input_ids=ids, attention_mask=mask, position_ids=positions).logits
    packed.model(input_ids=ids[:, :15], attention_mask=mask[:, :15], position_ids=positions[:, :15], **{CACHE: cache})
    steps = [(15, 18), (18, 19), (19, 20)]  # several tokens after others, then one at a time
    parts = [
        packed.model(
            input_ids=ids[:, start:end],
            attention_mask=mask[:, :end],
            position_ids=positions[:, start:end],
            **{CACHE: cache},
        ).logits
        for start, end in steps
    ]
    torch.testing.assert_close(torch.cat(parts, 1), whole[:, 15:], atol=2e-4, rtol=0)
    for row, prompt in enumerate(prompts):
        alone = packed.model(input_ids=torch.tensor([prompt])).logits[0, -1]
        torch.testing.assert_close(whole[row, -1], alone, atol=2e-4, rtol=0)


@torch.inference_mode()
def test_rows_of_other_lengths_decode_as_alone(plain, packed):
    """What a longer row has left in the cache must not be seen by those that stay."""
    prompts = [torch.arange(5, 5 + length)[None] for length in (20, 9, 14)]
    rows, tokens = SlotCache(), [7, 8, 9]
    for ids in prompts:
        cache = DynamicCache(config=packed.model.config)
        packed.model(input_ids=ids, use_cache=True, **{CACHE: cache})
        rows.join(cache, [[slice(0, ids.shape[1])]], 64)
    for step in range(3):
        logits = packed.model(**rows.step(tokens, 64, torch.device("cpu"))).logits[:, -1]
        prompts = [torch.cat((ids, torch.tensor([[token]])), 1) for ids, token in zip(prompts, tokens, strict=True)]
        for row, ids in enumerate(prompts):
            expected = plain.model(input_ids=ids, use_cache=False).logits[0, -1]
            torch.testing.assert_close(logits[row], expected, atol=1e-4, rtol=1e-4)
        if step == 0:
            rows.leave(0)  # the last row takes its place
            prompts, tokens = [prompts[2], prompts[1]], [9, 8]


@pytest.mark.parametrize("sampling", [Sampling(max_new_tokens=24), Sampling(24, temperature=1.0, seed=5)])
def test_answers_are_those_of_generate(plain, packed, image, sampling):
    inputs = inputs_of(plain, image(0), "Describe the picture.")
    settings = {"do_sample": True, "temperature": 1.0, "top_k": None} if sampling.seed else {"do_sample": False}
    torch.manual_seed(5)
    ids = plain.model.generate(**inputs, max_new_tokens=24, num_beams=1, **settings)[0, inputs["input_ids"].shape[1] :]
    expected = plain.processor.tokenizer.decode(ids, skip_special_tokens=True).strip()
    for engine in (plain, packed):
        answer = engine.ask(image(0), "Describe the picture.", sampling)
        assert (answer.text, answer.new_tokens) == (expected, len(ids))


def test_answers_of_one_engine_at_the_same_time_are_those_alone(packed, image):
    questions = [QUESTION, "Describe the picture.", "How many things are there?"]
    prompts = [
        [{"role": "user", "content": [{"type": "image", "image": image(0)}, {"type": "text", "text": one}]}]
        for one in questions
    ]
    alone = [packed.stream(prompt).answer.text for prompt in prompts]
    streams = [packed.stream(prompt) for prompt in prompts]
    assert [stream.answer.text for stream in streams] == alone


@pytest.mark.skipif(not can_pack(torch.bfloat16), reason="oneDNN has no bfloat16 on this processor")
@torch.inference_mode()
def test_bfloat16_is_as_exact_as_the_plain_model(plain, image):
    inputs = inputs_of(plain, image(0))
    exact = plain.model(**inputs).logits

    def error(**options):
        logits = Engine.load("nano", "cpu", "bfloat16", **options).model(**inputs).logits.float()
        return float((logits - exact).square().mean().sqrt() / exact.square().mean().sqrt())

    assert error(packed=True) < 1.2 * error()


@torch.inference_mode()
def test_eight_bits_round_weights_alone(plain, image):
    pytest.importorskip("bitsandbytes")
    inputs = inputs_of(plain, image(0))
    exact = plain.model(**inputs).logits
    rounded = Engine.load("nano", "cpu", quantize="8bit", packed=True)
    assert isinstance(rounded.model.model.language_model.layers[0].qkv, Int8Linear)
    # measured: 0.0037 of the logits' root mean square
    assert (rounded.model(**inputs).logits - exact).square().mean().sqrt() < 0.01 * exact.square().mean().sqrt()
    ids = inputs["input_ids"]
    cache = DynamicCache(config=rounded.model.config)
    whole = rounded.model(**inputs).logits[:, -1]
    rounded.model(**{**inputs, "input_ids": ids[:, :-1], "attention_mask": None}, **{CACHE: cache})
    step = rounded.model(input_ids=ids[:, -1:], **{CACHE: cache}).logits[:, -1]  # another product than for many rows
    assert (step - whole).square().mean().sqrt() < 0.01 * whole.square().mean().sqrt()


@torch.inference_mode()
def test_encoders_in_another_dtype(plain, image):
    inputs = inputs_of(plain, image(0))
    engine = Engine.load("nano", "cpu", encoder_dtype="bfloat16", packed=True)
    model = engine.model.model
    assert {model.vision_tower.dtype, model.high_res_vision_tower.dtype} == {torch.bfloat16}
    assert engine.dtype == torch.float32
    exact, found = (one.model(**inputs).logits for one in (plain, engine))
    assert found.dtype == torch.float32
    # measured: 0.003
    assert (found - exact).square().mean().sqrt() < 0.01 * exact.square().mean().sqrt()


@pytest.mark.parametrize("model_type", ["llama", "mistral", "qwen2", "qwen3", "gemma2", "falcon_h1"])
@torch.inference_mode()
def test_language_models_compute_the_same(make_model, model_type):
    text = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
    text |= {"model_type": model_type, "vocab_size": 260, "num_key_value_heads": 2}
    if model_type == "mistral":
        text["sliding_window"] = None
    model = make_model(text_config=text).eval()
    ids = torch.arange(5, 25)[None]
    expected = model(input_ids=ids).logits
    pack_model(model)
    assert isinstance(model.model.language_model, PackedDecoder) == (model_type in ("llama", "mistral", "qwen2"))
    torch.testing.assert_close(model(input_ids=ids).logits, expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("model_type", [*VITS, *BACKBONES])
@torch.inference_mode()
def test_encoders_compute_the_same(make_model, model_type):
    model = make_model(**low_res(model_type)).eval()
    pixels = torch.randn(1, 3, *[model.config.low_res_size] * 2)
    expected = model.model.get_low_res_features(pixels)
    pack_model(model)
    torch.testing.assert_close(model.model.get_low_res_features(pixels), expected, atol=1e-5, rtol=1e-4)


def test_a_model_that_is_mostly_language_is_quantized(make_model, tmp_path):
    """While it is loaded, each of its Linears is registered three times."""
    pytest.importorskip("bitsandbytes")
    wide = {"hidden_size": 256, "intermediate_size": 768, "num_hidden_layers": 4, "tie_word_embeddings": True}
    model = make_model(text_config={"num_attention_heads": 4, "vocab_size": 4096, **wide}, tie_word_embeddings=True)
    model.save_pretrained(tmp_path)
    loaded = load_model(tmp_path, load_config(tmp_path), choose_placement("cpu", "float32", "8bit"))
    assert loaded.model.language_model.layers[0].mlp.up_proj.weight.dtype == torch.int8


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="the system does not say what is mapped")
@pytest.mark.parametrize(("dtype", "packed"), [("float32", False), ("float32", True), ("bfloat16", True)])
def test_converted_weights_do_not_keep_the_file_in_memory(make_model, tmp_path, dtype, packed):
    """Batch norms count batches in integers, which are not converted."""
    if not can_pack(getattr(torch, dtype)):
        pytest.skip("torch cannot pack this dtype here")
    make_model(**low_res("efficientnet_lite")).to(torch.bfloat16).save_pretrained(tmp_path)
    model = load_model(tmp_path, load_config(tmp_path), choose_placement("cpu", dtype))
    if packed:
        pack_model(model)
    assert str(tmp_path) not in Path("/proc/self/maps").read_text()
