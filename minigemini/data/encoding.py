"""Encodes samples for training, with the processor that inference uses: tokens, labels and pixels of one sample."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from jinja2.exceptions import TemplateError
from PIL import Image
from torch import Tensor

from ..images.decoders import open_isolated, open_video
from ..images.safe_images import LIMITS, ImageError, ImageLimits
from ..images.video import Video
from ..modeling import MiniGeminiProcessor
from ..modeling.losses import IGNORED as IGNORED
from .sample_media import messages_with_media
from .schema import ImageInput, Sample, SampleError, SampleIssue, VideoInput, text_of

POOLING = "image_token_pooling"
"""Model input with the factor by which the tokens of each image are pooled; see `modeling.token_pooling`."""


@dataclass(frozen=True)
class Encoded:
    """Model inputs of one sample.

    Attributes:
        input_ids: (n,) int64, with the image token repeated once per visual token.
        labels: (n,) int64, `input_ids` of trained tokens, `IGNORED` elsewhere and for the first token.
        pixels: by model input name, (images, 3, px, px) each; or in native shape (tiles, 3, px, px), and the grid of
            each image, (images, 3). With videos, (images,) for `image_token_pooling`. Empty without an image.
    """

    input_ids: Tensor
    labels: Tensor
    pixels: dict[str, Tensor] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.input_ids)


@dataclass(frozen=True)
class SampleEncoder:
    """Encodes samples for training.

    Attributes:
        processor: the model's processor, with the chat template to train with.
        plain: for stage 1, train on one image and its caption without the question, as the `plain` template was
            trained. A sample of another form is invalid.
        max_length: maximum tokens of a sample.
        too_long: whether a longer sample is invalid (`fault`) or its text is cut off (`truncate`); images never are.
        limits: limits on images.
        scaled: decode JPEGs that are at least twice as large as the high-resolution input at 1/2, 1/4 or 1/8 scale
            before resizing: about three times as fast, with slightly different pixels.
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
            SampleError: An image is missing or unreadable, the sample is too long, or it has no trained tokens.
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
        ids, trained = torch.from_numpy(inputs["input_ids"][0]), torch.as_tensor(inputs["assistant_masks"][0])
        # Nothing predicts the first token; in a packed row, the previous sample would.
        trained[0] = 0
        kept = self._kept_length(ids)
        labels = torch.where(trained == 1, ids, IGNORED)[:kept]
        if not (labels != IGNORED).any():
            raise SampleError(SampleIssue.NOTHING_TO_LEARN, f"no answer starts within the first {kept} tokens")
        names = [*self.processor.image_processor.model_input_names, POOLING]
        return Encoded(ids[:kept], labels, {name: torch.from_numpy(inputs[name]) for name in names if name in inputs})

    def _with_images(self, sample: Sample) -> list[dict[str, Any]]:
        """Convert to the processor's messages, with each image and video opened."""
        return messages_with_media(sample, sample.messages, self._open, self._open_video)

    def _open(self, image: ImageInput) -> Image.Image:
        processor = self.processor.image_processor
        at_least_px = processor.high_res_size["height"] * (processor.max_tiles or 1) if self.scaled else None
        name = str(image) if isinstance(image, Path) else "an image"
        try:
            return open_isolated(image, self.limits, name, at_least_px=at_least_px, shorter=not processor.do_pad)
        except ImageError as error:
            raise SampleError(SampleIssue.IMAGE, str(error)) from None

    def _open_video(self, video: VideoInput) -> Video:
        name = str(video) if isinstance(video, Path) else "a video"
        try:
            return open_video(video, self.processor.video_sampling, name=name)
        except ImageError as error:
            raise SampleError(SampleIssue.VIDEO, str(error)) from None

    def _kept_length(self, ids: Tensor) -> int:
        """Number of tokens to keep."""
        length = len(ids)
        if self.max_length is None or length <= self.max_length:
            return length
        if self.too_long == "fault":
            raise SampleError(SampleIssue.TOO_LONG, f"{length} tokens exceed max_length={self.max_length}")
        if (ids[self.max_length :] == self.processor.image_token_id).any():
            raise SampleError(
                SampleIssue.TOO_LONG, f"{length} tokens: truncating to max_length={self.max_length} would cut an image"
            )
        return self.max_length


def _as_caption(sample: Sample) -> Sample:
    """Reduce a sample to one image and its caption."""
    if len(sample.messages) != 2 or len(sample.images) != 1 or sample.videos:
        turns, images = len(sample.messages), len(sample.images)
        raise SampleError(SampleIssue.NOT_A_CAPTION, f"{turns} messages and {images} images, expected 2 and 1")
    answer = {"role": "assistant", "content": [{"type": "text", "text": text_of(sample.messages[1])}]}
    return Sample(sample.id, sample.source, ({"role": "user", "content": [{"type": "image"}]}, answer), sample.images)
