"""Compares an exported model with the one that it was made from."""

from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image

from ..inference import Engine
from ..modeling.outputs import CACHE

QUESTION = "What is in the picture?"


@dataclass(frozen=True)
class Parity:
    """How far the logits of an exported model are from PyTorch's, on the same tokens."""

    largest_error: float
    """Largest difference of a logit."""
    largest_logit: float
    """Largest PyTorch logit, for scale."""
    tokens: int
    """Greedy tokens that were compared."""
    equal_tokens: int
    """Those for which both models choose the same."""

    def __str__(self) -> str:
        return (
            f"logits differ by at most {self.largest_error:.2g} (the largest is {self.largest_logit:.3g}); "
            f"{self.equal_tokens} of {self.tokens} greedy tokens are equal"
        )


def example_image() -> Image.Image:
    """Return an image with edges and gradients, wider than high."""
    red, green = Image.linear_gradient("L"), Image.radial_gradient("L")
    return Image.merge("RGB", (red, green, green.rotate(90))).resize((320, 240))


@torch.no_grad()
def compare(
    original: Engine, exported: Engine, image: Image.Image, question: str = QUESTION, new_tokens: int = 24
) -> Parity:
    """Answer a question about an image with the original, and compare the logits for every token of prompt and answer.

    The exported model reads the prompt, then the original's answer token by token. End tokens do not end it.
    """
    content = [{"type": "image", "image": image}, {"type": "text", "text": question}]
    inputs = original.prompts.inputs([{"role": "user", "content": content}])
    answer: list[int] = []
    differences, sizes, equal = [], [], 0
    steps: list[dict[str, Any]] = [dict(inputs), dict(inputs)]
    for _ in range(new_tokens):
        expected, found = (engine.model(**step) for engine, step in zip((original, exported), steps, strict=True))
        differences.append(float((found.logits - expected.logits).abs().max()))
        sizes.append(float(expected.logits.abs().max()))
        answer.append(int(expected.logits[0, -1].argmax()))
        equal += answer[-1] == int(found.logits[0, -1].argmax())
        ids = torch.tensor([answer[-1:]])
        steps = [{"input_ids": ids, CACHE: outputs[CACHE]} for outputs in (expected, found)]
    return Parity(max(differences), max(sizes), new_tokens, equal)
