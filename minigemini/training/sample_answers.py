"""Answers of a trained model to some of its training samples, for the report."""

from collections.abc import Iterator
from functools import partial
from itertools import islice
from typing import Any

import torch

from ..data.mixture import Mixture
from ..data.sample_media import messages_with_media
from ..data.schema import Sample, SampleError
from ..images.decoders import open_isolated, open_video
from .build_model import BuiltModel
from .recipe import Recipe

SAMPLES, MAX_NEW_TOKENS = 4, 64


@torch.no_grad()
def some_answers(built: BuiltModel, recipe: Recipe, mixture: Mixture) -> list[tuple[Sample, str]]:
    """Answer the first turn of a few samples, with the prompts of training."""
    model: Any = built.model
    device = next(model.parameters()).device
    model.eval()
    answers = []
    for sample in islice(_readable(mixture), SAMPLES):
        open_clip = partial(open_video, sampling=built.processor.video_sampling)
        opened = messages_with_media(sample, sample.messages[:1], open_isolated, open_clip)
        parts = [part for part in opened[0]["content"] if recipe.chat_format != "plain" or part["type"] == "image"]
        inputs: Any = built.processor.apply_chat_template(
            [{"role": "user", "content": parts}],
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
        ).to(device)
        with torch.autocast(device.type, torch.bfloat16, enabled=recipe.precision == "bf16"):
            tokens = model.generate(**inputs, max_new_tokens=MAX_NEW_TOKENS, do_sample=False, use_cache=True)
        new = tokens[0, inputs["input_ids"].shape[1] :]
        answers.append((sample, built.processor.decode(new, skip_special_tokens=True).strip()))
    return answers


def _readable(mixture: Mixture) -> Iterator[Sample]:
    for number in mixture.epoch(0):
        try:
            sample = mixture[int(number)]
            for image in sample.images:
                open_isolated(image)
            for video in sample.videos:
                open_video(video)
        except (SampleError, ValueError):
            continue
        if sample.messages[0]["role"] == "user":
            yield sample
