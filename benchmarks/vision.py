"""From the pixels of an image to visual tokens, compared with its two encoders alone.

    python benchmarks/vision.py        # one image at 336/768: CLIP ViT-L/14, ConvNeXt-L, projector to 4096
    python benchmarks/vision.py --size hd --dtype bfloat16 --json vision.json

What the model adds (cutting tiles, mining, residual, projector) should cost at most 5 % of the encoders. Both run in
this process, in turns, on the same random weights, after a turn to warm up; the ratio is the median over the turns. The
encoders are run as the model runs them: the ViT without its unused last layer, all four maps of the ConvNeXt.
"""

import statistics
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from einops import rearrange
from harness import run, seconds
from transformers import CLIPVisionConfig, ConvNextConfig, LlamaConfig

from minigemini import MiniGeminiConfig
from minigemini.modeling.model import MiniGeminiModel

SIZES = {
    "normal": {"grid_size": 1, "use_global_tile": False, "high_res_size": 768},
    "hd": {"grid_size": 2, "use_global_tile": True, "high_res_size": 1536},
}


@dataclass
class Result:
    size: str
    dtype: str
    visual_tokens: int
    seconds: dict[str, float]
    whole_path_over_encoders: float


def build(size: str, dtype: torch.dtype) -> MiniGeminiModel:
    """A model of the published shapes, its language model cut down to one thin layer, which is not run."""
    config = MiniGeminiConfig(
        vision_config=CLIPVisionConfig(
            hidden_size=1024,
            intermediate_size=4096,
            num_hidden_layers=24,
            num_attention_heads=16,
            image_size=336,
            patch_size=14,
            projection_dim=768,
        ),
        high_res_vision_config=ConvNextConfig(hidden_sizes=[192, 384, 768, 1536], depths=[3, 3, 27, 3]),
        text_config=LlamaConfig(
            vocab_size=64, hidden_size=4096, intermediate_size=64, num_hidden_layers=1, num_attention_heads=32
        ),
        image_token_id=63,
        **SIZES[size],
    )
    torch.manual_seed(0)
    return MiniGeminiModel(config).to(dtype).eval()


def measure(size: str, dtype: torch.dtype, repetitions: int) -> Result:
    model = build(size, dtype)
    assert model.patch_info_mining is not None
    pixel_values = torch.randn(1, 3, model.config.low_res_size, model.config.low_res_size).to(dtype)
    high_res = torch.randn(1, 3, model.config.high_res_size, model.config.high_res_size).to(dtype)
    tiles = rearrange(model.cut_tiles(pixel_values), "b t c h w -> (b t) c h w")
    low_res, maps = model.get_low_res_features(pixel_values), model.get_high_res_stage_maps(high_res)
    tokens = model.get_image_features(pixel_values, high_res).last_hidden_state

    parts: dict[str, Callable[[], Any]] = {
        "whole path": lambda: model.get_image_features(pixel_values, high_res),
        "ViT": lambda: model.vision_tower(tiles),
        "ConvNeXt": lambda: model.high_res_vision_tower(high_res, output_hidden_states=True),
        "mining": lambda: model.mine(low_res, maps),
        "projector": lambda: model.multi_modal_projector(tokens),
    }
    times: dict[str, list[float]] = {name: [] for name in parts}
    for turn in range(-1, repetitions):
        # To and fro, so that a machine that slows down or speeds up favours neither side.
        for name in list(parts)[:: 1 if turn % 2 else -1]:
            taken = seconds(parts[name])
            if turn >= 0:  # the first turn warms up
                times[name].append(taken)
    turns = zip(times["whole path"], times["ViT"], times["ConvNeXt"], strict=True)
    return Result(
        size=size,
        dtype=str(dtype).removeprefix("torch."),
        visual_tokens=tokens.shape[1],
        seconds={name: statistics.median(values) for name, values in times.items()},
        whole_path_over_encoders=statistics.median(whole / (vit + convnext) for whole, vit, convnext in turns),
    )


def report(result: Result) -> None:
    times = ", ".join(f"{name} {value:.2f} s" for name, value in result.seconds.items())
    print(f"{result.size}, {result.dtype}: {result.whole_path_over_encoders:.3f} of the encoders alone ({times})")


if __name__ == "__main__":
    run(__doc__, measure, report, sizes=["normal"], dtypes=["float32"], repetitions=10)
