"""Tiny models and inputs for Transformers' tests: variants of ours, and Llava to compare with."""

from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlavaConfig, PreTrainedConfig, PreTrainedTokenizerFast

from minigemini import MiniGeminiConfig

VOCABULARY, IMAGE_TOKEN, PAD = 99, 0, 1
TEXT: dict[str, Any] = {
    "model_type": "llama",
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 37,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 512,
    "pad_token_id": PAD,
}
MIXTRAL: dict[str, Any] = {
    **TEXT,
    "model_type": "mixtral",
    "intermediate_size": 48,  # grouped products need multiples of 16 bytes
    "num_local_experts": 4,
    "num_experts_per_tok": 2,
}
VISION: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 37,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "image_size": 16,
    "patch_size": 8,
    "projection_dim": 32,
}
CONVNEXT: dict[str, Any] = {
    "model_type": "convnext",
    "hidden_sizes": [4, 8, 8, 16],
    "depths": [1, 1, 1, 1],
    "layer_scale_init_value": 0.1,
}
WORDS = [{"name": "objects", "size": 5, "source": "low_res"}, {"name": "details", "size": 3, "source": "mined"}]
VARIANTS: dict[str, dict[str, Any]] = {
    "base": {},
    "hd": {"grid_size": 2, "use_global_tile": True, "high_res_size": 64},
    "baseline": {"high_res_vision_config": None},
    "mixtral": {"text_config": MIXTRAL},
    "vocabulary": {"projector_type": "visual_vocabulary", "visual_vocabulary": WORDS},
    "native": {"max_tiles": 6, "use_global_tile": True},
}


class ModelTester:
    """What Transformers' mixins expect of a tester: a config, inputs of one image per row, and their sizes."""

    batch_size = 3
    is_training = True
    pad_token_id = PAD
    text_length = 7

    def __init__(self, parent: Any, fields: dict[str, Any]):
        self.parent, self.fields = parent, fields
        self.vision_config = fields.get("vision_config", VISION)
        self.text_config = fields.get("text_config", TEXT)
        self.num_hidden_layers = self.text_config["num_hidden_layers"]
        self.hidden_size, self.vocab_size = self.text_config["hidden_size"], VOCABULARY
        self.num_attention_heads = self.text_config["num_attention_heads"]
        self.num_image_tokens = self.count_image_tokens()
        self.seq_length = self.encoder_seq_length = self.text_length + self.num_image_tokens

    def get_config(self) -> PreTrainedConfig:
        fields = {
            "vision_config": self.vision_config,
            "high_res_vision_config": CONVNEXT,
            "text_config": self.text_config,
            "high_res_size": 32,
            "vision_feature_layer": -1,
            "image_token_id": IMAGE_TOKEN,
        }
        return MiniGeminiConfig(**{**fields, **self.fields})

    def count_image_tokens(self) -> int:
        config = self.get_config()
        tiles = config.num_tiles if config.max_tiles is None else 1
        return tiles * config.patches_per_side**2

    def pixels(self, config: Any) -> dict[str, torch.Tensor]:
        inputs = {"pixel_values": torch.rand(self.batch_size, 3, config.low_res_size, config.low_res_size)}
        if config.high_res_vision_config is not None:
            side = config.high_res_size
            inputs["high_res_pixel_values"] = torch.rand(self.batch_size, 3, side, side)
        if config.max_tiles is not None:  # one tile each, since the mixins take slices of images from all tensors alike
            inputs["image_grid_thw"] = torch.ones(self.batch_size, 3, dtype=torch.long)
        return inputs

    def prepare_config_and_inputs_for_common(self) -> tuple[Any, dict[str, Any]]:
        config = self.get_config()
        input_ids = torch.randint(2, VOCABULARY, (self.batch_size, self.seq_length))
        input_ids[:, : self.num_image_tokens] = IMAGE_TOKEN
        return config, {
            **self.pixels(config),
            "input_ids": input_ids,
            "attention_mask": torch.ones_like(input_ids),
        }


class LlavaTester(ModelTester):
    """The same for Llava."""

    def get_config(self) -> PreTrainedConfig:
        return LlavaConfig(
            text_config=self.text_config,
            vision_config={**self.vision_config, "model_type": "clip_vision_model"},
            vision_feature_layer=-1,
            image_token_index=IMAGE_TOKEN,
            image_seq_length=4,
        )

    def count_image_tokens(self) -> int:
        return 4

    def pixels(self, config: Any) -> dict[str, torch.Tensor]:
        return {"pixel_values": torch.rand(self.batch_size, 3, 16, 16)}


def byte_tokenizer() -> PreTrainedTokenizerFast:
    """A tokenizer of bytes and the image token."""
    names = ["<pad>", "<bos>", "<eos>", "<image>", *sorted(pre_tokenizers.ByteLevel.alphabet())]
    tokenizer = Tokenizer(models.BPE({name: number for number, name in enumerate(names)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = {"pad_token": "<pad>", "bos_token": "<bos>", "eos_token": "<eos>"}
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, extra_special_tokens={"image_token": "<image>"}, padding_side="left", **special
    )
