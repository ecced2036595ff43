"""One tensor for an image: the processor returns high resolution alone, and the model derives the low resolution."""

import pytest
import torch
from transformers import AutoProcessor

from minigemini.inference import Engine

STATISTICS = {"mean": [0.5, 0.4, 0.3], "std": [0.25, 0.5, 1.0]}
LOW_RES_STATISTICS = {f"low_res_image_{name}": values for name, values in STATISTICS.items()}
CONFIGS = {
    "normal": {},
    "HD": {"grid_size": 2, "use_global_tile": True, "high_res_size": 64},
    "statistics of its own": LOW_RES_STATISTICS,
    "statistics of both": {
        **LOW_RES_STATISTICS,
        "high_res_image_mean": [0.5, 0.5, 0.4],
        "high_res_image_std": [0.2, 0.3, 0.2],
    },
    "native shape": {"max_tiles": 6, "use_global_tile": True},
    "native shape, statistics of its own": {"max_tiles": 6, **LOW_RES_STATISTICS},
    "baseline": {"high_res_vision_config": None},
    "equal sizes": {"vision_image_size": 32},
}
SHAPES = [(30, 20), (48, 16), (9, 9), (16, 48), (64, 64)]  # widths and heights in pixels


def encode(processor, images, **options):
    text = [f"{processor.image_token}What is it?"] * len(images)
    return processor(images=images, text=text, return_tensors="pt", padding=True, **options)


@torch.no_grad()
@pytest.mark.parametrize("case", CONFIGS)
def test_one_tensor_equals_two(make_model, make_processor, image, case):
    model = make_model(**CONFIGS[case])
    processor = make_processor(model.config)
    images = [image(seed, *shape) for seed, shape in enumerate(SHAPES)]
    both = encode(processor, images)
    processor.image_processor.high_res_only = True
    one = encode(processor, images)
    assert one.keys() == both.keys() - {"high_res_pixel_values"}
    assert list(one)[2:] == processor.image_processor.model_input_names
    assert torch.equal(one["pixel_values"], both["high_res_pixel_values"])
    expected = model(**both).logits
    # worst measured 6.0e-6, with statistics of its own; else 0
    torch.testing.assert_close(model(**one).logits, expected, atol=1e-4, rtol=0)
    greedy = {"max_new_tokens": 4, "do_sample": False}
    assert torch.equal(model.generate(**one, **greedy), model.generate(**both, **greedy))


@pytest.mark.parametrize(("low", "high", "grid_size"), [(336, 768, 1), (672, 1536, 2), (224, 768, 1)])
@pytest.mark.parametrize("statistics", [{}, LOW_RES_STATISTICS], ids=["equal", "of its own"])
def test_derived_pixels_at_published_sizes(make_model, make_processor, image, low, high, grid_size, statistics):
    vision = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}
    sizes = {"vision_config": {**vision, "image_size": low // grid_size, "patch_size": 14}, "high_res_size": high}
    model = make_model(**sizes, grid_size=grid_size, vision_feature_layer=-1, **statistics)
    pixels = make_processor(model.config).image_processor(image(0, 900, 700), return_tensors="pt")
    derived = model.model.derive_low_res(pixels["high_res_pixel_values"])
    # worst measured 2.4e-7, with statistics of its own; else 0; of pixels up to 2.1
    torch.testing.assert_close(derived, pixels["pixel_values"], atol=2e-6, rtol=0)
    derived = model.model.derive_low_res(pixels["high_res_pixel_values"].bfloat16())
    assert derived.dtype == torch.bfloat16
    # worst measured 0.013, the rounding of pixels before they are scaled
    torch.testing.assert_close(derived.float(), pixels["pixel_values"], atol=0.03, rtol=0)


def test_saved_for_other_tools_and_ignored_here(tiny_model, make_processor, image, tmp_path):
    processor = make_processor(tiny_model.config)
    assert "high_res_only" not in processor.image_processor.to_dict()
    tiny_model.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    AutoProcessor.from_pretrained(tmp_path, high_res_only=True).save_pretrained(tmp_path)
    assert "high_res_pixel_values" not in encode(AutoProcessor.from_pretrained(tmp_path), [image(0)])
    assert "high_res_pixel_values" in encode(AutoProcessor.from_pretrained(tmp_path, high_res_only=False), [image(0)])
    engine = Engine.load(tmp_path, device="cpu")
    assert "high_res_only" not in engine.processor.image_processor.to_dict()
    assert "high_res_pixel_values" in encode(engine.processor, [image(0)])


def test_low_resolution_alone_names_the_remedy(tiny_model, make_processor, image):
    pixels = encode(make_processor(tiny_model.config), [image(0)])["pixel_values"]
    with pytest.raises(ValueError, match=r"high_res_pixel_values hold 0: .* \(high_res_only=True\)"):
        tiny_model.get_image_features(pixels)
    with pytest.raises(ValueError, match=r"pixel_values have shape \(1, 3, 24, 24\)"):
        tiny_model.get_image_features(pixels.new_zeros(1, 3, 24, 24))
