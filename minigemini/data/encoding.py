"""A sample to tensors, by the processor alone: tokens, labels, pixels. One by one, so that one can fail alone."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from jinja2.exceptions import TemplateError
from PIL import Image
from torch import Tensor

from ..images.decoders import open_isolated
from ..images.safe_images import LIMITS, ImageError, ImageLimits
from ..modeling import MiniGeminiProcessor
from ..modeling.generation import IGNORED as IGNORED
from .schema import ImageInput, Sample, SampleError, SampleIssue, text_of


@dataclass(frozen=True)
class Encoded:
    """What the model is given of one sample.

    Attributes:
        input_ids: (n,) int64, the image token once per visual token.
        labels: (n,) int64, `input_ids` where they are learnt, `IGNORED` elsewhere and at the front.
        pixels: by the names that the model takes them by, (pictures, 3, px, px) each; empty without a picture.
    """

    input_ids: Tensor
    labels: Tensor
    pixels: dict[str, Tensor] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.input_ids)


@dataclass(frozen=True)
class SampleEncoder:
    """Encode samples for training.

    Attributes:
        processor: the model's own, with the chat template to train in.
        plain: for stage 1: of each sample one picture and its caption, without the question, as the `plain` template
            was trained. A sample of another form is a fault.
        max_length: most tokens of a sample.
        too_long: what becomes of a longer one: it is a fault, or its text is cut off at the end; never a picture.
        limits: which pictures are read.
        scaled: decode JPEGs that are at least twice as large as the high-resolution picture to a half, a quarter or an
            eighth, and resize from there: some three times as fast, and not quite the same pixels.
    """

    processor: MiniGeminiProcessor
    plain: bool = False
    max_length: int | None = None
    too_long: Literal["fault", "truncate"] = "fault"
    limits: ImageLimits = LIMITS
    scaled: bool = False

    def __call__(self, sample: Sample) -> Encoded:
        """Encode a sample.

        Raises:
            SampleError: A picture is missing or broken, it is too long, or nothing of it is to be learnt.
        """
        try:
            return self._encode(_as_caption(sample) if self.plain else sample)
        except SampleError as error:
            raise error.of(sample.id, sample.source) from None

    def _encode(self, sample: Sample) -> Encoded:
        messages = self._with_images(sample)
        try:
            inputs: Any = self.processor.apply_chat_template(
                messages, tokenize=True, return_dict=True, return_assistant_tokens_mask=True, return_tensors="np"
            )
        except TemplateError as error:
            raise SampleError(SampleIssue.REFUSED, str(error)) from None
        ids, said = torch.from_numpy(inputs["input_ids"][0]), torch.as_tensor(inputs["assistant_masks"][0])
        # The first token has nothing before it that it could be learnt from; in a packed row it would have.
        said[0] = 0
        kept = self._kept(ids)
        labels = torch.where(said == 1, ids, IGNORED)[:kept]
        if not (labels != IGNORED).any():
            raise SampleError(SampleIssue.NOTHING_TO_LEARN, f"no answer begins in the first {kept} tokens")
        names = self.processor.image_processor.model_input_names
        return Encoded(ids[:kept], labels, {name: torch.from_numpy(inputs[name]) for name in names if name in inputs})

    def _with_images(self, sample: Sample) -> list[dict[str, Any]]:
        """Messages as the processor takes them, each picture opened in its place."""
        images = iter(sample.images)
        messages = []
        for message in sample.messages:
            parts = [dict(part) for part in message["content"]]
            for part in parts:
                if part["type"] == "image":
                    part["image"] = self._opened(next(images))
            messages.append({"role": message["role"], "content": parts})
        return messages

    def _opened(self, image: ImageInput) -> Image.Image:
        processor = self.processor.image_processor
        at_least_px = processor.high_res_size["height"] if self.scaled else None
        name = str(image) if isinstance(image, Path) else "a picture"
        try:
            return open_isolated(image, self.limits, name, at_least_px=at_least_px, shorter=not processor.do_pad)
        except ImageError as error:
            raise SampleError(SampleIssue.IMAGE, str(error)) from None

    def _kept(self, ids: Tensor) -> int:
        """How many tokens of a text stay."""
        length = len(ids)
        if self.max_length is None or length <= self.max_length:
            return length
        if self.too_long == "fault":
            raise SampleError(SampleIssue.TOO_LONG, f"{length} tokens, more than {self.max_length}")
        if (ids[self.max_length :] == self.processor.image_token_id).any():
            raise SampleError(
                SampleIssue.TOO_LONG, f"{length} tokens, of which {self.max_length} would cut off a picture"
            )
        return self.max_length


def _as_caption(sample: Sample) -> Sample:
    """A picture and its caption alone."""
    if len(sample.messages) != 2 or len(sample.images) != 1:
        turns, images = len(sample.messages), len(sample.images)
        raise SampleError(SampleIssue.NOT_A_CAPTION, f"{turns} turns and {images} pictures")
    answer = {"role": "assistant", "content": [{"type": "text", "text": text_of(sample.messages[1])}]}
    return Sample(sample.id, sample.source, ({"role": "user", "content": [{"type": "image"}]}, answer), sample.images)
