"""Processor: turns messages, images and videos into model inputs, and defines the number of visual tokens of each."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import chain
from typing import Any, ClassVar, Self

from transformers.image_utils import make_flat_list_of_images
from transformers.processing_utils import MultiModalData, ProcessingKwargs, ProcessorMixin
from transformers.tokenization_utils_base import PreTrainedTokenizerBase

from ..images.video import VideoSampling
from .answer_labels import AnswerFeatures, can_find_answers, is_finished
from .auto_class import AutoClass
from .chat_templates import CHAT_TEMPLATES, END_TOKENS
from .chat_templates.template_limits import limit_template
from .configuration import CLIP_VIT_L_14_336, MiniGeminiConfig
from .control_tokens import ControlTokens
from .image_inputs import open_images, with_opened_images
from .image_processing import MiniGeminiImageProcessor
from .image_token import needs_space_after, space_after_images
from .messages import OCR_FORMATS, Message, check_ends, check_labels, fold_system_turns, with_requests
from .token_pooling import pooled_side
from .tokenizer_limits import check_growth
from .video_inputs import VIDEO_TOKEN, VideoExpansion, has_video, open_videos, videos_in, with_placeholders

_CHAT_VIDEOS = "chat_videos"
"""Argument of a call by which `apply_chat_template` passes videos, because Transformers' own sets `videos`."""


class MiniGeminiProcessorKwargs(ProcessingKwargs, total=False):
    """Default arguments of a call. Transformers 5.19 to 5.23 all read `_defaults`."""

    _defaults = {"text_kwargs": {"padding": False}}  # type: ignore[misc]  # noqa: RUF012


class MiniGeminiProcessor(AutoClass, ProcessorMixin):
    """Combines image processor, tokenizer and chat template. All model inputs are prepared here.

    Args:
        image_processor: Computes pixels. Its `size` is that of all tiles together, or with its `max_tiles` of one.
        tokenizer: A tokenizer with `image_token` as a single token.
        patch_size: Side of a low-resolution token's patch in pixels; by default that of the paper's CLIP.
        grid_size: Tiles per side.
        use_global_tile: Whether the whole image, resized to one tile, precedes the tiles, if there are several.
        image_token: Placeholder of an image in a prompt.
        chat_template: Jinja template that renders messages as text; see `chat_templates.CHAT_TEMPLATES`.
        ocr_format: How OCR text stands in prompts, see `messages.OCR_FORMATS`. Checkpoints without it mean "reference".
        video_sampling: Which frames of a video are taken, and how their tokens are pooled; or the fields of it.

    Raises:
        ValueError: The image size does not divide into tiles and patches, the tokenizer lacks the image token,
            `ocr_format` is unknown, or `video_sampling` is invalid.
    """

    valid_processor_kwargs = MiniGeminiProcessorKwargs
    tokenizer: PreTrainedTokenizerBase
    image_processor: MiniGeminiImageProcessor
    spaces_in_replacements: ClassVar[bool] = False
    """Whether the space that some tokenizers need after an image is part of the placeholder's replacement. vLLM, which
    replaces placeholders by tokens instead of text, needs this."""

    def __init__(
        self,
        image_processor: MiniGeminiImageProcessor,
        tokenizer: PreTrainedTokenizerBase,
        patch_size: int = CLIP_VIT_L_14_336["patch_size"],
        grid_size: int = 1,
        use_global_tile: bool = False,
        image_token: str = "<image>",
        chat_template: str | None = None,
        ocr_format: str = "reference",
        video_sampling: VideoSampling | Mapping[str, Any] | None = None,
    ):
        if ocr_format not in OCR_FORMATS:
            raise ValueError(f"ocr_format is {ocr_format!r}: use one of {', '.join(OCR_FORMATS)}.")
        check_growth(tokenizer)
        # `from_pretrained` hands its arguments to the tokenizer too, whose own prevail in calls and are saved.
        tokenizer.init_kwargs.pop("high_res_only", None)
        ids = tokenizer.encode(image_token, add_special_tokens=False)
        if len(ids) != 1:
            raise ValueError(
                f"the tokenizer splits the image token {image_token!r} into {len(ids)} tokens: add it with "
                f"minigemini.modeling.image_token.add_image_token(tokenizer, {image_token!r})."
            )
        size_px = image_processor.size["height"]
        if size_px % (patch_size * grid_size):
            raise ValueError(
                f"images of {size_px} pixels do not divide into {grid_size} tiles per side of whole patches of "
                f"{patch_size} pixels: set the image processor's size to a multiple of {patch_size * grid_size}."
            )
        self.patch_size, self.grid_size, self.use_global_tile = patch_size, grid_size, use_global_tile
        self.image_token, self.image_token_id = image_token, ids[0]
        self.ocr_format = ocr_format
        if not isinstance(video_sampling, VideoSampling):
            try:
                video_sampling = VideoSampling(**(video_sampling or {}))
            except TypeError as error:
                raise ValueError(f"video_sampling is invalid: {error}") from None
        self.video_sampling = video_sampling
        self._needs_space_after_image = needs_space_after(tokenizer, image_token)
        super().__init__(image_processor, tokenizer, chat_template=chat_template)

    @classmethod
    def from_config(
        cls,
        config: MiniGeminiConfig,
        tokenizer: PreTrainedTokenizerBase,
        *,
        chat_template: str,
        do_pad: bool = True,
        ocr_format: str = "reference",
    ) -> Self:
        """Create the processor, including the image processor, for a model config.

        Raises:
            ValueError: The tokenizer's image token has another id than in the config.
        """
        statistics = {
            "image_mean": config.high_res_image_mean,
            "image_std": config.high_res_image_std,
            "low_res_image_mean": config.low_res_image_mean,
            "low_res_image_std": config.low_res_image_std,
        }
        image_processor = MiniGeminiImageProcessor(
            size=config.low_res_size,
            high_res_size=config.high_res_size,
            do_pad=do_pad,
            max_tiles=config.max_tiles,
            **{name: values for name, values in statistics.items() if values is not None},
        )
        processor = cls(
            image_processor,
            tokenizer,
            patch_size=config.patch_size,
            grid_size=config.grid_size,
            use_global_tile=config.use_global_tile,
            chat_template=chat_template,
            ocr_format=ocr_format,
        )
        if processor.image_token_id != config.image_token_id:
            raise ValueError(
                f"the tokenizer's {processor.image_token!r} has id {processor.image_token_id}, but the config's "
                f"image_token_id is {config.image_token_id}: set image_token_id to {processor.image_token_id}."
            )
        return processor

    @property
    def patches_per_side(self) -> int:
        """Visual tokens per side of a tile."""
        return self.image_processor.size["height"] // (self.patch_size * self.grid_size)

    @property
    def num_image_tokens(self) -> int:
        """Visual tokens per image; of images in their native shape, the most."""
        most: int | None = self.image_processor.max_tiles
        return self.image_tokens(self.grid_size, self.grid_size) if most is None else self.image_tokens(1, most)

    def image_tokens(self, rows: int, columns: int, pooling: int = 1) -> int:
        """Visual tokens of an image that is cut into rows and columns of tiles, including the global tile's.

        Args:
            rows, columns: Tiles of the image.
            pooling: Side of the windows of each tile over which the tokens are averaged.
        """
        has_global_tile = self.use_global_tile and (self.image_processor.max_tiles is None or rows * columns > 1)
        return (rows * columns + has_global_tile) * pooled_side(self.patches_per_side, pooling) ** 2

    def image_tokens_of(self, height_px: int, width_px: int) -> int:
        """Visual tokens of an image of some size."""
        if self.image_processor.max_tiles is None:
            return self.num_image_tokens
        return self.image_tokens(*self.image_processor.grid(height_px, width_px))

    @property
    def frame_pooling(self) -> int:
        """Side of the windows over which the tokens of a frame are averaged: at most a whole tile."""
        return min(self.video_sampling.pooling, self.patches_per_side)

    def to_dict(self) -> dict[str, Any]:
        """Serialize the processor; the default `video_sampling` is left out."""
        fields = super().to_dict()
        sampling = fields.pop("video_sampling")
        return fields if sampling == VideoSampling() else {**fields, "video_sampling": asdict(sampling)}

    def __call__(self, images: Any = None, text: Any = None, videos: Any = None, **kwargs: Any) -> Any:
        """Prepare model inputs from prompts, images and videos.

        Args:
            images: An image, or a possibly nested list of images, each a source that `safe_images.open_image` accepts:
                a path, data URI, bytes, file, `PIL.Image` or array. URLs are refused. Arrays are not converted if
                `do_rescale=False` or `input_data_format` marks them as preprocessed.
            text: Prompts with one placeholder per image, and `<video>` for each video.
            videos: A video, or a possibly nested list of videos, each a source that `decoders.open_video` accepts: a
                path, data URI, bytes, file or `Video`, of which `video_sampling` says which frames are taken, or frames
                as a list of `PIL.Image` or an array of four dimensions.
            **kwargs: Arguments of `ProcessorMixin.__call__`.

        Returns:
            Model inputs. With pooled frames, `image_token_pooling` (images,) has the factor of each image and frame.

        Raises:
            ImageError: An image or a video cannot be read.
            ValueError: The numbers of images or videos and placeholders differ.
        """
        is_preprocessed = kwargs.get("do_rescale") is False or kwargs.get("input_data_format") is not None
        images = open_images(images, leave_arrays=is_preprocessed)
        videos = kwargs.pop(_CHAT_VIDEOS, videos)
        if videos is None:
            return super().__call__(images=images, text=text, **kwargs)
        opened = open_videos(videos, self.video_sampling)
        texts = [VIDEO_TOKEN * len(opened)] if text is None else [text] if isinstance(text, str) else list(text)
        given: Any = [] if images is None else make_flat_list_of_images(images)
        expanded = VideoExpansion(texts, given, opened, self.image_token, self.frame_pooling)
        if self.frame_pooling > 1:
            kwargs["image_token_pooling"] = expanded.pooling
        out: Any = super().__call__(images=expanded.images, text=None if text is None else expanded.texts, **kwargs)
        if "text_replacement_offsets" in out:
            out["text_replacement_offsets"] = expanded.offsets(out["text_replacement_offsets"])
        return out

    def validate_inputs(self, images: Any = None, text: Any = None, **kwargs: Any) -> None:  # type: ignore[override]
        """Check that there is one image per placeholder.

        Raises:
            ValueError: The numbers differ.
        """
        placeholders = sum(prompt.count(self.image_token) for prompt in text or [])
        flat: Any = [] if images is None else make_flat_list_of_images(images)
        num_images = len(flat)
        if text is not None and placeholders != num_images:
            raise ValueError(
                f"the number of {self.image_token} tokens in the prompts should be the same as the number of images, "
                f"but there are {placeholders} tokens and {num_images} images: pass one image per token, in the order "
                "of the text."
            )
        super().validate_inputs(images=images, text=text, **kwargs)

    def apply_chat_template(  # type: ignore[override]
        self,
        conversation: Sequence[Message] | Sequence[Sequence[Message]],
        chat_template: str | None = None,
        *,
        draw: bool | Sequence[bool] = False,
        ocr: Sequence[str] | Sequence[Sequence[str]] = (),
        **kwargs: Any,
    ) -> Any:
        """Render messages with the chat template, and tokenize them if `tokenize=True`.

        Control tokens in the content of messages are escaped; see `control_tokens`.

        Args:
            conversation: Messages, or a batch of conversations. They are not modified. Parts of type `image` hold an
                image under `image`, `path`, `url` (a data URI) or `base64`; parts of type `video` hold a video under
                `video`, `path` or `url`. The videos of a turn stand between its images and its text.
            chat_template: A template to use instead of the processor's own.
            draw: Whether to request an image in the last user turn, or a sequence with a flag for each user turn.
            ocr: OCR text of the images in the last user turn, or a sequence of such lists, one for each user turn.
                Control characters in it become spaces.
            **kwargs: Arguments of `ProcessorMixin.apply_chat_template`.

        Returns:
            Text, or model inputs. In those of conversations that end with an answer, `labels` set afterwards are masked
            except for the answers, see `answer_labels`.

        Raises:
            ImageError: An image cannot be read.
            ValueError: There is no message, `draw` or `ocr` does not match the conversation, or with
                `return_assistant_tokens_mask=True` an assistant turn has no token to learn or more than one end token.
            TemplateError: The template is not one of this package and exceeds `chat_templates.template_limits`.
        """
        if not len(conversation):
            raise ValueError("the conversation is empty: pass at least one message.")
        template = chat_template or self.chat_template
        if isinstance(template, str) and template not in CHAT_TEMPLATES.values():
            limit_template(template)
        batched = isinstance(conversation[0], (list, tuple))
        conversations: Any = conversation if batched else [conversation]
        if batched and (draw or ocr):
            raise ValueError(
                f"draw and ocr apply to one conversation, but got a batch of {len(conversations)}: pass each one "
                "separately."
            )
        conversations = [self.with_requests(messages, draw, ocr, chat_template) for messages in conversations]
        if kwargs.get("tokenize"):
            conversations = [with_opened_images(messages) for messages in conversations]
            options = dict(kwargs.get("processor_kwargs") or {})
            # TRL passes False, assuming that templates write BOS. If one does, Transformers notices by itself.
            if options.get("add_special_tokens") is False:
                del options["add_special_tokens"]
            if videos := videos_in(conversations):
                options[_CHAT_VIDEOS] = videos
            kwargs["processor_kwargs"] = options
        conversations = [with_placeholders(messages) for messages in conversations]
        if has_answers := is_finished(conversations, kwargs):
            kwargs["return_assistant_tokens_mask"] = can_find_answers(template, self.tokenizer)
        out: Any = super().apply_chat_template(
            conversations if batched else conversations[0], chat_template=chat_template, **kwargs
        )
        if has_answers:
            return AnswerFeatures.of(out, self.image_token_id)
        if isinstance(out, Mapping) and "assistant_masks" in out:
            check_labels(conversations, out["assistant_masks"], self.tokenizer.truncation_side)
            check_ends(conversations, out["input_ids"], out["assistant_masks"], self._end_ids)
        return out

    def with_requests(
        self,
        messages: Sequence[Message],
        draw: bool | Sequence[bool] = False,
        ocr: Sequence[str] | Sequence[Sequence[str]] = (),
        chat_template: str | None = None,
    ) -> list[dict[str, Any]]:
        """Prepare messages for the chat template.

        Adds `draw` and `ocr`, as described in `apply_chat_template`, to user turns, and escapes the control tokens of
        the tokenizer and of `chat_template` in all text. Where one of this package's templates has no system turns,
        their text moves to the next user turn; other templates may write any role without naming it.
        """
        template = chat_template or self.chat_template
        prepared = with_requests(messages, draw, ocr, self.ocr_format)
        if isinstance(template, str) and template in CHAT_TEMPLATES.values() and "system" not in template:
            prepared = fold_system_turns(prepared)
        return self.control_tokens(chat_template, videos=has_video(messages)).messages_as_text(prepared)

    def control_tokens(self, chat_template: str | None = None, videos: bool = False) -> ControlTokens:
        """The control tokens of the tokenizer, the processor's chat template, and `chat_template` if given.

        Args:
            chat_template: Another template.
            videos: Whether the placeholder of a video is one too, as in prompts with videos.
        """
        templates = f"{self.chat_template} {chat_template}"
        return ControlTokens(self.tokenizer, templates, [VIDEO_TOKEN] if videos else ())

    @property
    def _end_ids(self) -> set[int]:
        """Ids of tokens that end an answer: EOS, and the end tokens of chat formats that the tokenizer contains."""
        tokens = chain([self.tokenizer.eos_token], *END_TOKENS.values())
        ids: Any = {self.tokenizer.convert_tokens_to_ids(token) for token in tokens if token}
        return ids - {None, self.tokenizer.unk_token_id}

    def get_text_with_replacements(self, text: list[str], *replacements: Any, **named: Any) -> tuple[list[str], Any]:
        """Replace placeholders by image tokens, and insert a space after them if the tokenizer needs one."""
        offsets: Any  # a list of replacements per text, unlike Transformers' annotation
        text, offsets = super().get_text_with_replacements(text, *replacements, **named)
        if self._needs_space_after_image and not self.spaces_in_replacements:
            for row, replaced in enumerate(offsets):
                text[row], offsets[row] = space_after_images(text[row], replaced)
        return text, offsets

    def replace_image_token(self, image_inputs: dict[str, Any], image_idx: int, **_: Any) -> str:
        """Return the replacement of a placeholder: the image token, once per visual token."""
        space = " " if self._needs_space_after_image and self.spaces_in_replacements else ""
        pooling = image_inputs.get("image_token_pooling")
        rows = columns = self.grid_size
        if self.image_processor.max_tiles is not None:
            _, rows, columns = map(int, image_inputs["image_grid_thw"][image_idx])
        tokens = self.image_tokens(rows, columns, 1 if pooling is None else int(pooling[image_idx]))
        return self.image_token * tokens + space

    def _get_num_multimodal_tokens(self, image_sizes: list[list[int]] | None = None, **_: Any) -> MultiModalData:
        """Count visual tokens and rows of pixel_values per image of a height and width, as vLLM requires."""
        if image_sizes is None:
            return MultiModalData()
        rows = [1] * len(image_sizes)
        if self.image_processor.max_tiles is not None:
            rows = [self.image_processor.grid(*size).num_tiles for size in image_sizes]
        return MultiModalData(
            num_image_tokens=[self.image_tokens_of(*size) for size in image_sizes], num_image_patches=rows
        )
