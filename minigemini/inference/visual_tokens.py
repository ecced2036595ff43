"""Visual tokens of images that were encoded lately, so that each turn of a conversation encodes new images alone."""

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from ..modeling.native_shape import num_images, select_images
from ..modeling.outputs import MiniGeminiImageFeatures

MAX_TOKENS = 2**14
"""Visual tokens that are kept, 134 MB for a 7B model in 16 bits; fewer if the context is shorter."""
POOLING = "image_token_pooling"
IMAGE_INPUTS = ("pixel_values", "high_res_pixel_values", "image_grid_thw", POOLING)
"""Inputs of `forward` that describe images."""


class VisualTokenCache:
    """Encodes the images among the inputs of `forward`, unless their visual tokens are known.

    As many are kept as a prompt can hold; the least recently used are dropped.

    Args:
        model: the model.
    """

    def __init__(self, model: Any) -> None:
        self._model = model
        context = getattr(model.config.text_config, "max_position_embeddings", None) or MAX_TOKENS
        self._max_tokens = min(context, MAX_TOKENS)
        self._tokens: OrderedDict[bytes, Tensor] = OrderedDict()
        self._lock = threading.Lock()

    def encoded(self, inputs: Mapping[str, Any], hashes: Sequence[bytes] | None = None) -> dict[str, Any]:
        """Return inputs with the features of images in place of their pixels.

        Args:
            inputs: inputs of `forward`.
            hashes: what `image_hashes` returns for them, if that is known.
        """
        images = {name: inputs[name] for name in IMAGE_INPUTS if name in inputs}
        if not images:
            return dict(inputs)
        with self._lock:
            tokens: Any = self._tokens_of(images, image_hashes(inputs) if hashes is None else hashes)
        others = {name: value for name, value in inputs.items() if name not in images}
        return {**others, "mm_encoder_outputs": {"image": MiniGeminiImageFeatures(pooler_output=tokens)}}

    def _tokens_of(self, images: Mapping[str, Tensor], keys: Sequence[bytes]) -> list[Tensor]:
        """Visual tokens (tokens, D) of each image."""
        known = {key: self._tokens.pop(key) for key in keys if key in self._tokens}
        missing = [number for number, key in enumerate(keys) if key not in known]
        if missing:  # together, as without a cache, for the same rounding
            with torch.no_grad():
                encoded = self._model.get_image_features(**_select(images, missing), return_dict=True).pooler_output
            known |= {keys[number]: tokens for number, tokens in zip(missing, encoded, strict=True)}
        self._tokens |= known
        while len(self._tokens) > 1 and sum(map(len, self._tokens.values())) > self._max_tokens:
            self._tokens.popitem(last=False)
        return [known[key] for key in keys]


def image_hashes(inputs: Mapping[str, Any]) -> list[bytes]:
    """Return a hash of each image among the inputs of `forward`."""
    images = {name: inputs[name] for name in IMAGE_INPUTS if name in inputs}
    return [_hash(_select(images, [number])) for number in range(num_images(images))] if images else []


def _select(images: Mapping[str, Tensor], numbers: list[int]) -> dict[str, Tensor]:
    pooling = {POOLING: images[POOLING][numbers]} if POOLING in images else {}
    return {**select_images(images, numbers), **pooling}


def _hash(image: Mapping[str, Tensor]) -> bytes:
    digest = hashlib.sha256()
    for name in sorted(image):
        digest.update(f"{name} {image[name].dtype} {tuple(image[name].shape)} ".encode())
        digest.update(image[name].cpu().contiguous().view(torch.uint8).numpy().data)
    return digest.digest()
