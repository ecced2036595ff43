"""The counts of `benchmarks/against.py`, compared with what models, caches and processors really do."""

import sys
from pathlib import Path

import pytest
import torch
from transformers import AutoTokenizer, LlamaConfig, LlavaNextProcessor

import minigemini

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
import against_systems
from against_counts import Count, LiveBytes, attention_flops, count, count_flops, input_shapes
from against_systems import IMAGES, SYSTEMS, Pool, ours

TEXT = LlamaConfig(
    hidden_size=32,
    intermediate_size=48,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    vocab_size=64,
    tie_word_embeddings=True,
)
NARROW = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
NARROW_CONVNEXT = {"model_type": "convnext", "hidden_sizes": [4, 4, 8, 8], "depths": [1, 1, 1, 1]}


@pytest.fixture(autouse=True)
def narrow_encoders(monkeypatch):
    """The encoders of the systems, with their image and patch sizes, but narrow and shallow."""
    monkeypatch.setattr(against_systems, "CLIP", against_systems.CLIP | NARROW)
    monkeypatch.setattr(against_systems, "SIGLIP_B_16_512", against_systems.SIGLIP_B_16_512 | NARROW)


def counted(system, image: str) -> Count:
    return count(system, TEXT, input_shapes(system, against_systems.open_image(image)))


@pytest.mark.parametrize("image", IMAGES)
def test_llava_next_has_as_many_visual_tokens_as_its_processor_says(image):
    system = SYSTEMS["LLaVA-NeXT"]
    processor = LlavaNextProcessor(
        system.image_processor,
        AutoTokenizer.from_pretrained(minigemini.model_folder("nano")),
        patch_size=14,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
    )
    prompt = processor(images=against_systems.open_image(image), text="<image>", return_tensors="pt")
    assert counted(system, image).visual_tokens == int((prompt["input_ids"] == processor.image_token_id).sum())


@pytest.mark.parametrize("name", ["LLaVA-NeXT", "LLaVA", "nanoVLM-like, tiles", "ours, native"])
def test_an_answer_costs_what_was_counted(name):
    """FLOPs, prompt, keys and values, and weights of a real forward pass."""
    system = ours(NARROW_CONVNEXT, max_tiles=6) if name == "ours, native" else SYSTEMS[name]
    expected = counted(system, "3:1 panorama")
    model = Pool(torch.float32).build(system.build, TEXT)
    inputs = system.inputs(against_systems.open_image("3:1 panorama"), expected.visual_tokens)
    with torch.inference_mode(), count_flops() as flops:
        cache = model(**inputs, use_cache=True, logits_to_keep=1).past_key_values
    assert cache.get_seq_length() == expected.prompt_tokens
    assert sum(layer.keys.nbytes + layer.values.nbytes for layer in cache.layers) == expected.kv_bytes
    assert sum(weight.nbytes for weight in model.parameters()) == expected.weight_bytes
    assert flops.get_total_flops() == expected.flops


def test_tokens_read_tied_embeddings_once():
    of_language_model = sum(
        w.nbytes for w in Pool(torch.float32).build(SYSTEMS["LLaVA"].build, TEXT).model.language_model.parameters()
    )
    expected = counted(SYSTEMS["LLaVA"], "square")
    assert expected.token_bytes == of_language_model + expected.kv_bytes


def test_causal_attention_counts_pairs_below_the_diagonal():
    states = (1, 2, 3, 4)
    assert attention_flops(states, states, states, 0.0, True) == 2 * 2 * 6 * (4 + 4)
    assert attention_flops(states, states, states) == 2 * 2 * 9 * (4 + 4)


def test_peak_memory_is_that_of_tensors_alive_together():
    weight = torch.zeros(10)
    with LiveBytes([weight]) as memory:
        first = torch.zeros(1000)
        del first
        second = weight[:5] + torch.zeros(5)  # two of 20 bytes; the view of the weight is not new
    assert (memory.peak, memory.live) == (4000, 20)
    del second
    assert memory.live == 0


def test_systems_share_what_is_equal():
    pool = Pool(torch.float32)
    llava, next_ = (pool.build(SYSTEMS[name].build, TEXT) for name in ("LLaVA", "LLaVA-NeXT"))
    assert llava.lm_head.weight is llava.get_input_embeddings().weight
    shared = {*map(id, llava.parameters())} & {*map(id, next_.parameters())}
    assert len(shared) == sum(1 for name, _ in llava.named_parameters() if "projector" not in name)
