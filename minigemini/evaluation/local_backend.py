"""A model of this machine answers in batches, while workers open and prepare the pictures of the next ones."""

import hashlib
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import torch
from torch.utils.data import DataLoader

from ..inference.engine import Engine
from ..io.adapters import find_model_source
from ..modeling.outputs import MiniGeminiImageFeatures
from .batched_decoding import can_share, greedy
from .input_preparation import Inputs, Preparation, Prepared
from .runner import Batch, Failure

FILES = (".safetensors", ".json", ".jinja", ".model", ".txt")
"""What of a checkpoint's folder decides its answers."""
READ_AT_ONCE = 2**22
SEEN_AT_ONCE = 8
"""Pictures that go through the towers together: more gain nothing there, and the maps of a large one fill memory."""


class LocalAnswerer:
    """An engine that answers batches greedily.

    Args:
        engine: the loaded model.
        workers: processes that prepare pictures; 0 prepares them in between.
        quantize: as it was loaded; it is part of what answers depend on.
        base: of an adapter, as it was loaded.
    """

    def __init__(self, engine: Engine, workers: int = 1, quantize: str | None = None, base: str | None = None) -> None:
        self.engine, self.workers = engine, workers
        self.name = engine.name
        self._base, self._quantize = base, quantize

    @cached_property
    def identity(self) -> Mapping[str, Any]:
        """The weights by their hash, and how they are used."""
        return {
            "weights": fingerprint(self.engine.name, self._base),
            "dtype": str(next(self.engine.model.parameters()).dtype).removeprefix("torch."),
            "quantize": self._quantize or "no",
            "decoding": "greedy",
        }

    def answers(
        self, batches: Iterable[Batch], max_new_tokens: int
    ) -> Iterator[tuple[Batch, dict[str, str | Failure]]]:
        """Prepare ahead, generate, decode; in the order of the batches."""
        under_way: deque[Batch] = deque()

        def drawn() -> Iterator[Batch]:
            for batch in batches:
                under_way.append(batch)
                yield batch

        as_it_is: Any = _as_it_is
        prepared: Any = DataLoader(
            Preparation(self.engine.processor, self.context_tokens, can_share(self.engine.model)),
            sampler=drawn(),
            batch_size=None,
            num_workers=self.workers,
            collate_fn=as_it_is,
        )
        for inputs, issues in prepared:
            batch = under_way.popleft()
            said: dict[str, str | Failure] = dict(issues)
            if inputs is not None:
                asked = [question.id for question in batch.questions if question.id not in said]
                said |= dict(zip(asked, self.generate(inputs, max_new_tokens), strict=True))
            yield batch, said

    def generate(self, inputs: Inputs, max_new_tokens: int) -> list[str]:
        """The answers to inputs of one batch; each picture is seen once."""
        seen, room = self.seen(inputs), self.context_tokens - max(inputs.text.lengths)
        tokens = greedy(
            self.engine.model,
            inputs.text,
            lambda rows: features(seen, [inputs.shown[row] for row in rows]),
            min(max_new_tokens, room),
            self.engine.device,
        )
        said = [self.engine.processor.decode(new, skip_special_tokens=True) for new in tokens]
        return [str(answer).strip() for answer in said]

    @torch.inference_mode()
    def seen(self, inputs: Inputs) -> torch.Tensor | None:
        """The visual tokens (pictures, t·N, D) of a batch, None without pictures."""
        if not inputs.pixels:
            return None
        parts = []
        for start in range(0, len(next(iter(inputs.pixels.values()))), SEEN_AT_ONCE):
            pixels = {
                name: tensor[start : start + SEEN_AT_ONCE].to(self.engine.device)
                for name, tensor in inputs.pixels.items()
            }
            parts.append(cast(Any, self.engine.model).get_image_features(**pixels, return_dict=True).pooler_output)
        return torch.cat(parts)

    @property
    def context_tokens(self) -> int:
        """The longest text that the language model was made for; one that does not say so has no bound."""
        return getattr(self.engine.model.config.text_config, "max_position_embeddings", None) or 2**31


def features(seen: torch.Tensor | None, shown: Sequence[Sequence[int]]) -> dict[str, Any]:
    """The pictures that prompts show, in the order of the text, as the model's forward takes them."""
    rows = [row for images in shown for row in images]
    if seen is None or not rows:
        return {}
    return {"mm_encoder_outputs": {"image": MiniGeminiImageFeatures(pooler_output=seen[rows])}}


def fingerprint(model: str, base: str | None = None) -> str:
    """A hash of every byte that decides what a model says: it reads the weights once more, at the disk's speed."""
    found = find_model_source(model, base)
    files = [file for file in sorted(Path(found.folder).iterdir()) if file.suffix in FILES and file.is_file()]
    if found.adapter is not None:
        files.append(found.adapter.file)
    total = hashlib.sha256()
    for file in files:
        total.update(f"{file.name}\0{file.stat().st_size}\0".encode())
        with file.open("rb") as opened:
            while data := opened.read(READ_AT_ONCE):
                total.update(data)
    return total.hexdigest()[:16]


def _as_it_is(prepared: Prepared) -> Prepared:
    return prepared
