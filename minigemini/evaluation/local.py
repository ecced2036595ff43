"""A model of this machine answers in batches, while workers open and prepare the pictures of the next ones."""

import hashlib
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from ..inference.adapters import find_source
from ..inference.engine import Engine
from ..model import MiniGeminiProcessor
from ..model.outputs import MiniGeminiImageFeatures
from ..model.pictures import PictureError
from .asking import Batch, Fault
from .task import Picture, Question, open_one

FILES = (".safetensors", ".json", ".jinja", ".model", ".txt")
"""What of a checkpoint's folder decides its answers."""
READ_AT_ONCE = 2**22


@dataclass(frozen=True)
class Inputs:
    """One batch, ready.

    Attributes:
        text: ids and mask, (B, length), padded on the left.
        pixels: of each different picture, one row in each tensor; empty without pictures.
        shown: which row each picture of the text is, in the order of the text.
    """

    text: dict[str, Any]
    pixels: dict[str, torch.Tensor]
    shown: list[int]


Prepared = tuple[Inputs | None, dict[str, Fault]]


class Local:
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

    def answers(self, batches: Iterable[Batch], max_new_tokens: int) -> Iterator[tuple[Batch, dict[str, str | Fault]]]:
        """Prepare ahead, generate, decode; in the order of the batches."""
        under_way: deque[Batch] = deque()

        def drawn() -> Iterator[Batch]:
            for batch in batches:
                under_way.append(batch)
                yield batch

        as_it_is: Any = _as_it_is
        prepared: Any = DataLoader(
            Preparation(self.engine.processor, self.context_tokens),
            sampler=drawn(),
            batch_size=None,
            num_workers=self.workers,
            collate_fn=as_it_is,
        )
        for inputs, faults in prepared:
            batch = under_way.popleft()
            said: dict[str, str | Fault] = dict(faults)
            if inputs is not None:
                asked = [question.id for question in batch.questions if question.id not in said]
                said |= dict(zip(asked, self.generate(inputs, max_new_tokens), strict=True))
            yield batch, said

    @torch.inference_mode()
    def generate(self, inputs: Inputs, max_new_tokens: int) -> list[str]:
        """The answers to inputs of one batch, padded on the left; each picture is seen once."""
        model, length = cast(Any, self.engine.model), inputs.text["input_ids"].shape[1]
        generated = model.generate(
            **{name: tensor.to(self.engine.device) for name, tensor in inputs.text.items()},
            **self.shown(inputs),
            max_new_tokens=min(max_new_tokens, self.context_tokens - length),
            num_beams=1,
            do_sample=False,
            # None: whatever the checkpoint's generation_config says about drawing does not belong here.
            temperature=None,
            top_k=None,
            top_p=None,
        )
        said = self.engine.processor.batch_decode(generated[:, length:], skip_special_tokens=True)
        return [answer.strip() for answer in said]

    def shown(self, inputs: Inputs) -> dict[str, Any]:
        """The pictures of a batch as the model takes them, each run through the towers once."""
        if not inputs.pixels:
            return {}
        pixels = {name: tensor.to(self.engine.device) for name, tensor in inputs.pixels.items()}
        seen = cast(Any, self.engine.model).get_image_features(**pixels, return_dict=True)
        shown = MiniGeminiImageFeatures(pooler_output=seen.pooler_output[inputs.shown])
        return {"mm_encoder_outputs": {"image": shown}}

    @property
    def context_tokens(self) -> int:
        """The longest text that the language model was made for; one that does not say so has no bound."""
        return getattr(self.engine.model.config.text_config, "max_position_embeddings", None) or 2**31


class _UnaskableError(ValueError):
    """A question whose text cannot be put to a model."""


class Preparation(Dataset[Prepared]):
    """What workers do: the tensors of a batch's questions, and the faults of those that cannot be asked."""

    def __init__(self, processor: MiniGeminiProcessor, context_tokens: int) -> None:
        self.processor, self.context_tokens = processor, context_tokens

    def __getitem__(self, batch: Batch) -> Prepared:  # type: ignore[override]
        faults: dict[str, Fault] = {}
        asked, opened = [], cast(dict[Picture, Image.Image], {})
        for question in batch.questions:
            try:
                self._check_text(question)
                opened |= {picture: open_one(picture) for picture in question.pictures if picture not in opened}
                asked.append(question)
            except (PictureError, _UnaskableError) as error:
                faults[question.id] = Fault(str(error))
        inputs = self._inputs(asked, opened)
        lengths = inputs.text["attention_mask"].sum(1).tolist() if inputs else []
        fitting = [q for q, length in zip(asked, lengths, strict=True) if length < self.context_tokens]
        for question, length in zip(asked, lengths, strict=True):
            if question not in fitting:
                faults[question.id] = Fault(f"{length} tokens, but the context holds {self.context_tokens}")
        return (inputs if len(fitting) == len(asked) else self._inputs(fitting, opened)), faults

    def _check_text(self, question: Question) -> None:
        token = self.processor.image_token
        if question.prompt.count(token) > (len(question.pictures) if token == "<image>" else 0):
            raise _UnaskableError(f"the text holds {token}, which stands for a picture")

    def _inputs(self, questions: Sequence[Question], opened: Mapping[Picture, Image.Image]) -> Inputs | None:
        if not questions:
            return None
        made: Any = self.processor.apply_chat_template(
            [question.messages_with(opened) for question in questions],
            tokenize=True,
            return_dict=True,
            add_generation_prompt=True,
            return_tensors="pt",
            processor_kwargs={"padding": True, "padding_side": "left"},
        )
        shown = [picture for question in questions for picture in question.pictures]
        rows = {picture: shown.index(picture) for picture in dict.fromkeys(shown)}
        order = {picture: number for number, picture in enumerate(rows)}
        pixels = {name: made.pop(name)[list(rows.values())] for name in list(made) if name.endswith("pixel_values")}
        return Inputs(dict(made), pixels, [order[picture] for picture in shown])


def fingerprint(model: str, base: str | None = None) -> str:
    """A hash of every byte that decides what a model says: it reads the weights once more, at the disk's speed."""
    found = find_source(model, base)
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
