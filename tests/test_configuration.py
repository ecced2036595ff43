"""The config refuses what does not fit, counts what does, and survives being saved."""

import pytest
from transformers import AutoConfig, CLIPVisionConfig, GemmaConfig, LlamaConfig

from minigemini import MiniGeminiConfig
from minigemini.modeling.configuration import OPTIONS

# The settings of the paper: tile, high-res size, grid, global tile, and the tokens and positions that they give.
SETTINGS = [
    (224, 512, 1, False, 256, 8),
    (336, 768, 1, False, 576, 8),
    (336, 1536, 2, True, 2880, 8),
    (336, 1536, 2, False, 2304, 8),
    (336, 768, 2, True, 2880, 4),
    (336, 2304, 3, True, 5760, 8),
]


@pytest.mark.parametrize(("tile", "high_res", "grid", "with_global", "tokens", "positions"), SETTINGS)
def test_settings_of_the_paper(tile, high_res, grid, with_global, tokens, positions):
    config = MiniGeminiConfig(
        vision_config=CLIPVisionConfig(image_size=tile, patch_size=14),
        high_res_size=high_res,
        grid_size=grid,
        use_global_tile=with_global,
    )
    assert config.num_image_tokens == tokens
    assert config.positions_per_patch == positions
    assert config.low_res_size == tile * grid


def test_defaults_are_the_papers():
    config = MiniGeminiConfig()
    assert (config.vision_config.hidden_size, sum(config.high_res_vision_config.hidden_sizes)) == (1024, 2880)
    assert (config.vision_depth, config.vision_config.num_hidden_layers) == (23, 24)
    assert config.num_image_tokens == 576


VOCABULARY = {"projector_type": "visual_vocabulary", "visual_vocabulary": [{"name": "colors", "size": 9}]}

REFUSED = [
    ({"high_res_size": 700}, r"high_res_size=700 .* a multiple of 96, at least 96. Nearest valid: 672 or 768"),
    ({"high_res_size": 768, "grid_size": 3}, r"3 x 24 patches .* Nearest valid: 576 or 864"),
    ({"high_res_size": 8}, r"high_res_size=8 .* Nearest valid: 96"),
    ({"vision_config": {"image_size": 330, "patch_size": 14}}, r"image_size=330 .* patch_size=14.* 322 or 336"),
    ({"vision_config": {"image_size": 8, "patch_size": 14}}, r"Nearest valid image_size: 14"),
    ({"grid_size": 0}, "grid_size is 0"),
    ({"vision_feature_layer": -14, "vision_config": {}}, r"-14, but a ViT of 12 layers has hidden states -13 to 12"),
    ({"high_res_vision_config": LlamaConfig()}, "model_type 'llama', which is none of .*convnext"),
    ({"vision_config": LlamaConfig()}, "model_type 'llama', which is none of .*clip_vision_model"),
    ({"vision_config": {"model_type": "efficientnet_lite"}, "high_res_size": 500}, "Nearest valid: 476 or 504"),
    ({"vision_image_size": 330}, r"image_size=330 .* 322 or 336"),
    ({"low_res_image_mean": [0.5] * 3}, "low_res_image_std None; set both to three numbers"),
    ({"high_res_image_mean": [0.5] * 3, "high_res_image_std": [0, 1, 1]}, "standard deviations above 0"),
    ({"projector_type": "linear"}, "projector_type is 'linear'; choose one of mlp, visual_vocabulary"),
    ({"projector_type": "visual_vocabulary"}, "visual_vocabulary has 0 groups: set both"),
    (VOCABULARY | {"projector_type": "mlp"}, "'mlp', but visual_vocabulary has 1 groups"),
    ({**VOCABULARY, "visual_vocabulary": [{"name": "a.b", "size": 2}]}, "named 'a.b'"),
    ({**VOCABULARY, "visual_vocabulary": [{"name": "a", "size": 0}]}, "size 0"),
    ({**VOCABULARY, "visual_vocabulary": [{"name": "a", "size": 2}] * 2}, "groups a, a: give each a name of its own"),
    ({**VOCABULARY, "visual_vocabulary": [{"name": "a", "size": 2, "source": "both"}]}, "source 'both'"),
    ({**VOCABULARY, "visual_vocabulary": [{"name": "a", "size": 2, "context_weight": -1}]}, "context_weight -1"),
    ({"projector_depth": -1}, "projector_depth is -1"),
    ({"projector_depth": 0}, "width 1024 and the language model 4096"),
    ({"image_token_id": -200}, "image_token_id is -200"),
    ({"text_config": 3}, "a sub-config is 3"),
]


@pytest.mark.parametrize(("fields", "message"), REFUSED)
def test_what_does_not_fit_is_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        MiniGeminiConfig(**fields)


def test_every_named_size_is_valid():
    for size in (672, 768):  # as named for 700
        assert MiniGeminiConfig(high_res_size=size).high_res_size == size


def test_a_changed_config_is_checked_again(make_config):
    from minigemini import MiniGeminiModel

    config = make_config()
    config.high_res_size = 50
    with pytest.raises(ValueError, match="Nearest valid: 48 or 56"):
        MiniGeminiModel(config)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"high_res_vision_config": None, "high_res_size": 700},
        {"text_config": GemmaConfig(), "grid_size": 2, "use_global_tile": True, "high_res_size": 1536},
        {"text_config": LlamaConfig(rope_parameters={"rope_type": "default", "rope_theta": 5e5}), "projector_depth": 3},
        {**VOCABULARY, "low_res_image_mean": [0.5, 0.5, 0.5], "low_res_image_std": [0.5, 0.5, 0.5]},
        {"vision_config": {"model_type": "efficientnet_lite"}, "vision_image_size": 256, "high_res_size": 512},
    ],
)
def test_saved_equals_loaded(fields, tmp_path):
    config = MiniGeminiConfig(**fields)
    config.save_pretrained(tmp_path)
    loaded = AutoConfig.from_pretrained(tmp_path)
    assert type(loaded) is MiniGeminiConfig
    ours, theirs = config.to_dict(), loaded.to_dict()
    for side in (ours, theirs):
        side.pop("_name_or_path", None)
        side.pop("transformers_version", None)
    assert ours == theirs


def test_files_of_the_papers_settings_have_no_further_options():
    assert not MiniGeminiConfig().to_diff_dict().keys() & OPTIONS.keys()


def test_no_folder_is_saved(tmp_path):
    LlamaConfig().save_pretrained(tmp_path / "private")
    text = LlamaConfig.from_pretrained(tmp_path / "private")
    text._name_or_path = str(tmp_path / "private")
    MiniGeminiConfig(text_config=text).save_pretrained(tmp_path)
    assert "private" not in (tmp_path / "config.json").read_text()


def test_ties_follow_the_language_model():
    assert MiniGeminiConfig(text_config=GemmaConfig()).tie_word_embeddings
    assert not MiniGeminiConfig(text_config=LlamaConfig()).tie_word_embeddings
