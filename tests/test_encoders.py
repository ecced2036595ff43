"""Every kind of encoder in the model: its features, mining by the formula, gradients, files and answers."""

import re
from typing import Any

import pytest
import torch
from reference_mining import mine_by_formula
from tiny_encoders import BACKBONES, VITS, encoder, high_res, low_res
from transformers import AutoConfig, AutoModelForImageTextToText

from minigemini import MiniGeminiConfig
from minigemini.modeling import encoders
from minigemini.modeling.encoder_mixture import EncoderMixtureConfig
from minigemini.modeling.encoders import EncoderKind, FeatureMap, kind_of

MIXTURES = [("convnext", "dinov3_vit"), ("convnextv2", "swin", "resnet")]
CASES = {
    **{f"low {kind}": low_res(kind) for kind in (*VITS, *BACKBONES)},
    **{f"high {kind}": high_res(kind) for kind in (*VITS, *BACKBONES)},
    **{f"high {' + '.join(kinds)}": high_res(*kinds) for kinds in MIXTURES},
}
IMAGE_TOKEN = 3


def images(config: MiniGeminiConfig, count: int = 2) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    sides = {"pixel_values": config.low_res_size, "high_res_pixel_values": config.high_res_size}
    return {name: torch.randn(count, 3, side, side, generator=generator) for name, side in sides.items()}


def question(config: MiniGeminiConfig, count: int = 2) -> torch.Tensor:
    return torch.tensor([[1, *[IMAGE_TOKEN] * config.num_image_tokens, 20, 30]] * count)


@pytest.mark.parametrize("fields", CASES.values(), ids=CASES)
def test_every_kind(make_model, tmp_path, fields):
    model = make_model(**fields)
    config, pixels = model.config, images(model.config)

    # 1. The features are what the config says.
    queries = model.model.get_low_res_features(pixels["pixel_values"])
    assert queries.shape == (2, 1, 4, config.token_map.channels)
    maps = model.model.get_high_res_stage_maps(pixels["high_res_pixel_values"])
    described = [(m.channels, config.high_res_size // m.stride) for m in config.high_res_maps]
    assert [(m.shape[1], m.shape[2]) for m in maps] == described
    assert described == sorted(described, key=lambda m: -m[1])

    # 2. Mining them is the formula.
    mining = model.model.patch_info_mining.double()
    doubled = queries[:, 0].detach().double(), [m.detach().double() for m in maps]
    expected, _ = mine_by_formula(mining, *doubled)
    error = (mining(*doubled) - expected).abs().max().item()
    assert error <= 1e-12 * max(1, expected.abs().max().item())
    model.float()

    # 3. Every parameter has a gradient.
    ids = question(config)
    model.zero_grad()
    model(input_ids=ids, **pixels, labels=ids).loss.backward()
    assert [name for name, parameter in model.named_parameters() if parameter.grad is None] == []
    model.zero_grad()

    # 4. Loading gives what was saved, and it answers, alone as in a batch.
    model.save_pretrained(tmp_path)
    loaded, report = AutoModelForImageTextToText.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(report.values()), report
    assert (loaded.config.token_map, loaded.config.high_res_maps) == (config.token_map, config.high_res_maps)
    with torch.no_grad():
        expected = model(input_ids=ids, **pixels).logits
        # Swin V2 computes its tables again after loading.
        torch.testing.assert_close(loaded(input_ids=ids, **pixels).logits, expected, rtol=0, atol=4e-5)
        answers = loaded.generate(input_ids=ids, **pixels, max_new_tokens=3, min_new_tokens=3, do_sample=False)
        alone = {name: values[1:] for name, values in pixels.items()}
        answer = loaded.generate(input_ids=ids[1:], **alone, max_new_tokens=3, min_new_tokens=3, do_sample=False)
        assert answers.shape == (2, ids.shape[1] + 3)
        assert torch.equal(answers[1:], answer)

    # 5. The attention implementation can be chosen, and tuning names parameters of both encoders.
    with torch.no_grad():
        loaded.set_attn_implementation("eager")
        torch.testing.assert_close(loaded(input_ids=ids, **pixels).logits, expected, rtol=1e-4, atol=1e-3)
    names = [name for name, _ in model.named_parameters()]
    low, high = config.vision_config, config.high_res_vision_config
    for prefix, pattern in (
        ("model.vision_tower.", kind_of(low).tunable(low, config.vision_depth)),
        ("model.high_res_vision_tower.", kind_of(high).tunable(high)),
    ):
        assert any(re.match(re.escape(prefix) + f"(?:{pattern})", name) for name in names)


@torch.no_grad()
@pytest.mark.parametrize("layer", [-1, -2, 1])
@pytest.mark.parametrize("kind", VITS)
def test_tokens_of_a_vit_are_the_patches_of_the_layer(make_model, kind, layer):
    model = make_model(**low_res(kind), vision_feature_layer=layer)
    pixels = images(model.config)["pixel_values"]
    found = model.model.get_low_res_features(pixels)[:, 0]

    whole = make_model(**low_res(kind), vision_feature_layer=3).model.vision_tower
    missing = whole.load_state_dict(model.model.vision_tower.state_dict(), strict=False).unexpected_keys
    assert missing == []
    inputs: dict[str, Any] = {"pixel_values": pixels}
    if kind == "siglip2_vision_model":  # takes patches, channels last, and the shape of each image
        unfolded = pixels.unfold(2, 8, 8).unfold(3, 8, 8)
        inputs = {
            "pixel_values": unfolded.permute(0, 2, 3, 4, 5, 1).reshape(2, 4, 192),
            "pixel_attention_mask": torch.ones(2, 4, dtype=torch.long),
            "spatial_shapes": torch.tensor([[2, 2], [2, 2]]),
        }
    outputs = whole(**inputs, output_hidden_states=True, return_dict=True)
    # The last layer includes the final norm; CLIP's belongs to pooling.
    expected = outputs.last_hidden_state if layer == -1 else outputs.hidden_states[layer]
    torch.testing.assert_close(found, expected[:, -4:], rtol=0, atol=2e-6)


@torch.no_grad()
@pytest.mark.parametrize("kind", VITS)
def test_a_vit_takes_other_sizes(make_model, kind):
    model = make_model(**low_res(kind), vision_image_size=32, high_res_size=64)
    pixels = images(model.config)
    assert model.config.num_image_tokens == 16
    assert model.get_image_features(**pixels).pooler_output.shape == (2, 16, 32)


@torch.no_grad()
def test_each_encoder_of_a_mixture_gets_its_own_statistics(make_model):
    mean, std, other_mean, other_std = [0.5, 0.4, 0.3], [0.5, 0.5, 0.5], [0.1, 0.2, 0.3], [1.0, 0.5, 0.25]
    configs = [AutoConfig.for_model(**fields) for fields in high_res("convnext", "resnet")["high_res_vision_config"]]
    mixture = EncoderMixtureConfig.of(configs, image_means=[mean, other_mean], image_stds=[std, other_std])
    model = make_model(high_res_vision_config=mixture, high_res_size=64)
    tower = model.model.high_res_vision_tower
    pixels = torch.rand(2, 3, 64, 64)
    first, second = (
        (pixels - torch.tensor(m)[:, None, None]) / torch.tensor(s)[:, None, None]
        for m, s in ((mean, std), (other_mean, other_std))
    )
    expected = [*kind_of(tower.config.encoder_0).encode(tower.encoders[0], first)]
    expected += kind_of(tower.config.encoder_1).encode(tower.encoders[1], second)
    found = model.model.get_high_res_stage_maps(first)
    for stage_map in found:
        assert any(stage_map.shape == e.shape and torch.allclose(stage_map, e, atol=1e-5) for e in expected)
    assert len(found) == 8


REFUSED = [
    ({"high_res_vision_config": []}, "lists 0 encoders: list 1 to 4"),
    ({"high_res_vision_config": [encoder("convnext")] * 5}, "lists 5 encoders"),
    ({"high_res_vision_config": encoder("dinov3_vit"), "high_res_size": 72}, "Nearest valid: 64 or 80"),
    ({"vision_config": encoder("resnet")}, "image_size is None and patch_size 32.*or vision_image_size"),
]


@pytest.mark.parametrize(("fields", "message"), REFUSED)
def test_what_does_not_fit_is_refused(make_config, fields, message):
    with pytest.raises(ValueError, match=message):
        make_config(**fields)


class PooledPixels(EncoderKind):
    """An encoder of a plugin: means of 4 x 4 and of 8 x 8 pixels."""

    def maps(self, config):
        return FeatureMap(3, 4), FeatureMap(3, 8)

    def build(self, config):
        from transformers import ViTModel

        tower = ViTModel(config)
        tower.pool = torch.nn.AvgPool2d(4)
        return tower

    def encode(self, tower, pixels):
        return [tower.pool(pixels), torch.nn.functional.avg_pool2d(pixels, 8)]


@torch.no_grad()
def test_a_plugin_adds_a_kind(make_model, monkeypatch):
    class Entry:
        def load(self):
            return PooledPixels

    monkeypatch.setattr(encoders, "_plugin_kinds", lambda: {"vit": Entry()})
    vit = {"model_type": "vit", **VITS["clip_vision_model"]}
    model = make_model(vision_config=vit, high_res_vision_config=vit, high_res_size=32)
    pixels = images(model.config)
    tokens = model.model.get_low_res_features(pixels["pixel_values"])
    torch.testing.assert_close(tokens[0, 0, 1], pixels["pixel_values"][0, :, :8, 8:].mean((1, 2)))
    assert model.get_image_features(**pixels).pooler_output.shape == (2, 4, 32)
