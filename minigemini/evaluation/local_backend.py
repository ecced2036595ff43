"""Answers batches with a model on this machine; worker processes open and prepare the images of the next batches."""

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

from ..images.safe_images import ImageError
from ..inference.engine import Engine
from ..inference.ocr import RapidOcrEngine, choose_reader, is_read, read_user_turns
from ..inference.slot_cache import can_share
from ..io.adapters import find_model_source
from ..modeling import MiniGeminiProcessor
from ..modeling.native_shape import num_images, select_images
from ..modeling.outputs import MiniGeminiImageFeatures
from .batched_decoding import PromptBatch, decode_greedily, split_prompts
from .runner import Batch, Failure
from .task import ImageInput, Question, open_image_input

FINGERPRINT_SUFFIXES = (".safetensors", ".json", ".jinja", ".model", ".txt")
"""Files of a checkpoint that determine its answers."""
HASH_CHUNK_BYTES = 2**22
IMAGES_PER_ENCODING = 8
"""Images that go through the encoders together: more is no faster, and the feature maps of large ones fill memory."""


@dataclass(frozen=True)
class BatchInputs:
    """The tensors of one batch.

    Attributes:
        text: the prompts.
        pixels: tensors of the distinct images; empty without images.
        shown: for each prompt, the numbers of its images in `pixels`.
    """

    text: PromptBatch
    pixels: dict[str, torch.Tensor]
    shown: list[tuple[int, ...]]


PreparedBatch = tuple[BatchInputs | None, dict[str, Failure]]


class _InvalidPromptError(ValueError):
    """A question whose text cannot become a prompt."""


class InputPreparer(Dataset[PreparedBatch]):
    """Converts batches to tensors in worker processes, and reports the questions that cannot be asked.

    Args:
        processor: the checkpoint's processor.
        context_tokens: context length; prompts must be shorter.
        share: whether equal prefixes are computed once, see `batched_decoding`.
        ocr: whether OCR reads the images, see `inference.ocr.choose_reader`.
    """

    def __init__(
        self, processor: MiniGeminiProcessor, context_tokens: int, share: bool, ocr: bool | None = None
    ) -> None:
        self.processor, self.context_tokens, self.share, self.ocr = processor, context_tokens, share, ocr

    @cached_property
    def reader(self) -> RapidOcrEngine | None:
        """The OCR engine, loaded in the process that first uses it."""
        return choose_reader(self.ocr, self.processor.ocr_format)

    def __getitem__(self, batch: Batch) -> PreparedBatch:
        issues: dict[str, Failure] = {}
        valid, opened = [], cast(dict[ImageInput, Image.Image], {})
        for question in batch.questions:
            try:
                self._check_text(question)
                opened |= {image: open_image_input(image) for image in question.images if image not in opened}
                valid.append(question)
            except (ImageError, _InvalidPromptError) as error:
                issues[question.id] = Failure(str(error))
        inputs = self._inputs(valid, opened)
        lengths = inputs.text.lengths if inputs else []
        fitting = [q for q, length in zip(valid, lengths, strict=True) if length < self.context_tokens]
        for question, length in zip(valid, lengths, strict=True):
            if question not in fitting:
                issues[question.id] = Failure(f"{length} tokens, but the context holds {self.context_tokens}")
        return (inputs if len(fitting) == len(valid) else self._inputs(fitting, opened)), issues

    def _check_text(self, question: Question) -> None:
        token = self.processor.image_token
        if question.prompt.count(token) > (len(question.images) if token == "<image>" else 0):
            raise _InvalidPromptError(f"the text holds {token}, which stands for an image")

    def _inputs(self, questions: Sequence[Question], opened: Mapping[ImageInput, Image.Image]) -> BatchInputs | None:
        if not questions:
            return None
        encoded: Any = self.processor.apply_chat_template(
            [self._with_ocr(question.messages_with(opened)) for question in questions],
            tokenize=True,
            return_dict=True,
            add_generation_prompt=True,
            return_tensors="pt",
            processor_kwargs={"padding": True},
        )
        rows = zip(encoded["input_ids"], encoded["attention_mask"], strict=True)
        prompts = [ids[mask.bool()].tolist() for ids, mask in rows]
        images = [image for question in questions for image in question.images]
        order = {image: number for number, image in enumerate(dict.fromkeys(images))}
        pixels = select_images(encoded, [images.index(image) for image in order]) if images else {}
        shown = [tuple(order[image] for image in question.images) for question in questions]
        tokenizer = self.processor.tokenizer
        text = split_prompts(prompts, shown, self.processor.image_token_id, int(tokenizer.pad_token_id), self.share)
        return BatchInputs(text, pixels, shown)

    def _with_ocr(self, messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
        if self.reader is None:
            return messages
        return self.processor.with_requests(messages, ocr=read_user_turns(messages, self.reader))


class LocalAnswerer:
    """Answers batches greedily with an engine.

    Args:
        engine: the loaded model.
        workers: processes that prepare images; 0 prepares them in this process.
        quantize: quantization that the engine was loaded with; part of `identity`.
        base: base checkpoint that an adapter was loaded with.
        ocr: whether OCR reads the images, see `inference.ocr.choose_reader`.
    """

    def __init__(
        self,
        engine: Engine,
        workers: int = 1,
        quantize: str | None = None,
        base: str | None = None,
        ocr: bool | None = None,
    ) -> None:
        engine.check_modules("evaluation")
        self.engine, self.workers, self.ocr = engine, workers, ocr
        self.name = engine.name
        self._base, self._quantize = base, quantize

    @cached_property
    def identity(self) -> Mapping[str, Any]:
        """Hash of the weights, dtype, quantization and decoding method; dtype of the encoders and form of OCR text.

        The last two are there only if the encoders have a dtype of their own, and if OCR reads images.
        """
        ocr_format = self.engine.processor.ocr_format
        dtype, encoders = self.engine.dtype, next(self.engine.model.model.vision_tower.parameters()).dtype
        return {
            "weights": fingerprint(self.engine.name, self._base),
            "dtype": str(dtype).removeprefix("torch."),
            "quantize": self._quantize or "no",
            "decoding": "greedy",
            **({"encoders": str(encoders).removeprefix("torch.")} if encoders != dtype else {}),
            **({"ocr": ocr_format} if is_read(self.ocr, ocr_format) else {}),
        }

    def answers(
        self, batches: Iterable[Batch], max_new_tokens: int
    ) -> Iterator[tuple[Batch, dict[str, str | Failure]]]:
        """Prepare batches ahead, generate, decode; results keep the order of the batches."""
        in_flight: deque[Batch] = deque()

        def tracked() -> Iterator[Batch]:
            for batch in batches:
                in_flight.append(batch)
                yield batch

        identity: Any = _identity
        prepared: Any = DataLoader(
            InputPreparer(self.engine.processor, self.context_tokens, can_share(self.engine.model), self.ocr),
            sampler=tracked(),
            batch_size=None,
            num_workers=self.workers,
            collate_fn=identity,
        )
        for inputs, issues in prepared:
            batch = in_flight.popleft()
            answers: dict[str, str | Failure] = dict(issues)
            if inputs is not None:
                asked = [question.id for question in batch.questions if question.id not in answers]
                answers |= dict(zip(asked, self.generate(inputs, max_new_tokens), strict=True))
            yield batch, answers

    def generate(self, inputs: BatchInputs, max_new_tokens: int) -> list[str]:
        """Answer the prompts of one batch; each image is encoded once."""
        visual_tokens, room = self.visual_tokens(inputs), self.context_tokens - max(inputs.text.lengths)
        tokens = decode_greedily(
            self.engine.model,
            inputs.text,
            lambda rows: image_features_of(visual_tokens, [inputs.shown[row] for row in rows]),
            min(max_new_tokens, room),
            self.engine.device,
        )
        texts = [self.engine.processor.decode(new, skip_special_tokens=True) for new in tokens]
        return [str(text).strip() for text in texts]

    @torch.inference_mode()
    def visual_tokens(self, inputs: BatchInputs) -> list[torch.Tensor]:
        """Visual tokens (t·N, D) of each image of a batch."""
        tokens: list[torch.Tensor] = []
        numbers = range(num_images(inputs.pixels) if inputs.pixels else 0)
        for start in numbers[::IMAGES_PER_ENCODING]:
            pixels = select_images(inputs.pixels, numbers[start : start + IMAGES_PER_ENCODING])
            pixels = {name: tensor.to(self.engine.device) for name, tensor in pixels.items()}
            tokens += cast(Any, self.engine.model).get_image_features(**pixels, return_dict=True).pooler_output
        return tokens

    @property
    def context_tokens(self) -> int:
        """Context length of the language model; 2**31 if its config has none."""
        return getattr(self.engine.model.config.text_config, "max_position_embeddings", None) or 2**31


def image_features_of(visual_tokens: Sequence[torch.Tensor], shown: Sequence[Sequence[int]]) -> dict[str, Any]:
    """Keyword arguments that pass the images of prompts to `forward`, in the order of the text."""
    rows = [row for images in shown for row in images]
    if not rows:
        return {}
    tokens: Any = [visual_tokens[row] for row in rows]
    return {"mm_encoder_outputs": {"image": MiniGeminiImageFeatures(pooler_output=tokens)}}


def fingerprint(model: str, base: str | None = None) -> str:
    """Hash every file that determines a model's answers; this reads the weights once more, at disk speed."""
    source = find_model_source(model, base)
    files = [
        file for file in sorted(Path(source.folder).iterdir()) if file.suffix in FINGERPRINT_SUFFIXES and file.is_file()
    ]
    if source.adapter is not None:
        files.append(source.adapter.file)
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{file.name}\0{file.stat().st_size}\0".encode())
        with file.open("rb") as opened:
            while data := opened.read(HASH_CHUNK_BYTES):
                digest.update(data)
    return digest.hexdigest()[:16]


def _identity(batch: PreparedBatch) -> PreparedBatch:
    return batch
