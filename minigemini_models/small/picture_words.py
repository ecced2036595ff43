"""Visual words of pictures, kept on disk: the vision part is frozen while the language model learns."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from minigemini.io.atomic_write import atomic_write
from minigemini.modeling import MiniGeminiForConditionalGeneration, MiniGeminiProcessor
from minigemini.training.feature_cache import tensor_bytes

from .lesson import WORDS_KEPT, VisualWords


class PictureWords:
    """Computes the visual words of pictures, or reads them from a cache.

    Args:
        model: its vision part is frozen and complete when the first picture is given.
        processor: prepares the pixels.
        folder: the cache; one file a picture.
    """

    def __init__(self, model: MiniGeminiForConditionalGeneration, processor: MiniGeminiProcessor, folder: Path) -> None:
        self._model, self._processor, self._folder = model, processor, folder
        self.sizes = {group["name"]: group["size"] for group in model.config.visual_vocabulary}
        self._key: str | None = None

    def __call__(self, picture: Image.Image, number: int) -> Mapping[str, VisualWords]:
        """Return the words of each group for a picture, which belongs to lesson `number`."""
        path = self._folder / self._vision_key() / f"{number // 1000}" / f"{number}.safetensors"
        try:
            stored = load_file(path)
        except (OSError, SafetensorError):
            stored = self._compute(picture)
            path.parent.mkdir(parents=True, exist_ok=True)
            with atomic_write(path) as partial:
                save_file(stored, partial)
        return {
            name: VisualWords(stored[f"{name}.indices"], stored[f"{name}.weights"].astype(np.float32))
            for name in self.sizes
        }

    @torch.no_grad()
    def _compute(self, picture: Image.Image) -> dict[str, np.ndarray]:
        inner: Any = self._model.model
        pixels = self._processor.image_processor([picture], return_tensors="pt")
        low_res = inner.get_low_res_features(pixels["pixel_values"])
        mined = inner.mine(low_res, inner.get_high_res_stage_maps(pixels["high_res_pixel_values"]))
        arrays = {}
        for name, logits in inner.multi_modal_projector.logits(low_res, low_res + mined).items():
            top = logits[0, 0].softmax(dim=-1).topk(min(WORDS_KEPT, logits.shape[-1]), dim=-1)
            arrays[f"{name}.indices"] = top.indices.numpy().astype(np.int16)
            arrays[f"{name}.weights"] = top.values.numpy().astype(np.float16)
        return arrays

    def _vision_key(self) -> str:
        """A digest of all weights that words depend on."""
        if self._key is None:
            digest = hashlib.blake2b(digest_size=8)
            for name, tensor in self._model.model.state_dict().items():
                if not name.startswith("language_model.") and not name.endswith("embeddings"):
                    digest.update(name.encode())
                    digest.update(tensor_bytes(tensor))
            self._key = digest.hexdigest()
        return self._key
