"""Messages to model inputs. The processor alone knows how many visual tokens a picture has."""

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any, ClassVar, Self

from transformers.image_utils import make_flat_list_of_images
from transformers.processing_utils import MultiModalData, ProcessingKwargs, ProcessorMixin
from transformers.tokenization_utils_base import PreTrainedTokenizerBase

from .chat_templates import CHAT_TEMPLATES, END_TOKENS
from .chat_templates.template_limits import limit_template
from .configuration import MiniGeminiConfig
from .control_tokens import ControlTokens
from .image_inputs import open_images, with_opened_images
from .image_processing import MiniGeminiImageProcessor
from .image_token import needs_space_after, space_after_images
from .messages import Message, check_ends, check_labels, with_requests
from .tokenizer_limits import check_growth


class MiniGeminiProcessorKwargs(ProcessingKwargs, total=False):
    """Defaults of a call; `_defaults` is what 5.19 and 5.23 both read."""

    _defaults = {"text_kwargs": {"padding": False}}  # type: ignore[misc]  # noqa: RUF012


class MiniGeminiProcessor(ProcessorMixin):
    """Image processor, tokenizer and chat template in one: the only way into the model.

    Args:
        image_processor: Makes the pixels; its `size` is that of all tiles together.
        tokenizer: Has `image_token` as one token.
        patch_size: Side of a ViT patch in pixels.
        grid_size: Tiles per side.
        use_global_tile: Whether the whole picture precedes the tiles.
        image_token: The placeholder of a picture in a prompt.
        chat_template: From messages to text; see `chat_templates.CHAT_TEMPLATES`.

    Raises:
        ValueError: If the pixels do not divide into tiles and patches, or the tokenizer lacks the image token.
    """

    valid_processor_kwargs = MiniGeminiProcessorKwargs
    tokenizer: PreTrainedTokenizerBase
    image_processor: MiniGeminiImageProcessor
    spaces_in_replacements: ClassVar[bool] = False
    """Whether the space that some tokenizers need behind a picture belongs to what replaces its placeholder. Who puts
    tokens, not text, in a placeholder's place (vLLM) sets this, and finds the space there."""

    def __init__(
        self,
        image_processor: MiniGeminiImageProcessor,
        tokenizer: PreTrainedTokenizerBase,
        patch_size: int,
        grid_size: int,
        use_global_tile: bool,
        image_token: str = "<image>",
        chat_template: str | None = None,
    ):
        check_growth(tokenizer)
        ids = tokenizer.encode(image_token, add_special_tokens=False)
        if len(ids) != 1:
            raise ValueError(
                f"the tokenizer splits the image token {image_token!r} into {len(ids)} tokens: add it with "
                f"minigemini.modeling.image_token.add_image_token(tokenizer, {image_token!r})."
            )
        size_px = image_processor.size["height"]
        if size_px % (patch_size * grid_size):
            raise ValueError(
                f"pictures of {size_px} pixels do not divide into {grid_size} tiles of whole patches of {patch_size} "
                f"pixels: the image processor's size must be a multiple of {patch_size * grid_size}."
            )
        self.patch_size, self.grid_size, self.use_global_tile = patch_size, grid_size, use_global_tile
        self.image_token, self.image_token_id = image_token, ids[0]
        self._needs_space_after_image = needs_space_after(tokenizer, image_token)
        super().__init__(image_processor, tokenizer, chat_template=chat_template)

    @classmethod
    def from_config(
        cls, config: MiniGeminiConfig, tokenizer: PreTrainedTokenizerBase, *, chat_template: str, do_pad: bool = True
    ) -> Self:
        """Build the processor that fits a model, image processor included.

        Raises:
            ValueError: If the tokenizer's image token is not the model's.
        """
        image_processor = MiniGeminiImageProcessor(
            size=config.low_res_size, high_res_size=config.high_res_size, do_pad=do_pad
        )
        processor = cls(
            image_processor,
            tokenizer,
            patch_size=config.vision_config.patch_size,
            grid_size=config.grid_size,
            use_global_tile=config.use_global_tile,
            chat_template=chat_template,
        )
        if processor.image_token_id != config.image_token_id:
            raise ValueError(
                f"{processor.image_token!r} is token {processor.image_token_id} of the tokenizer, but the config's "
                f"image_token_id is {config.image_token_id}: set one to the other."
            )
        return processor

    @property
    def num_image_tokens(self) -> int:
        """Visual tokens per picture; the same for every picture."""
        tokens = (self.image_processor.size["height"] // self.patch_size) ** 2
        return tokens + self.use_global_tile * tokens // self.grid_size**2

    def __call__(self, images: Any = None, text: Any = None, **kwargs: Any) -> Any:
        """Make model inputs.

        Args:
            images: What `safe_images.open_image` takes, single, in a list or in nested lists: paths, data URIs, bytes,
                files, `PIL.Image`s, arrays; addresses are refused. Arrays stay as they are where `do_rescale=False` or
                `input_data_format` says that they are prepared.
            text: Prompts with a placeholder per picture.
            **kwargs: As `ProcessorMixin` takes them.

        Raises:
            ImageError: A picture that is not read.
            ValueError: Pictures and placeholders are not of the same number.
        """
        prepared = kwargs.get("do_rescale") is False or kwargs.get("input_data_format") is not None
        return super().__call__(images=open_images(images, leave_arrays=prepared), text=text, **kwargs)

    def validate_inputs(self, images: Any = None, text: Any = None, **kwargs: Any) -> None:  # type: ignore[override]
        """Check that there is a picture for each placeholder.

        Raises:
            ValueError: If there is not.
        """
        placeholders = sum(prompt.count(self.image_token) for prompt in text or [])
        flat: Any = [] if images is None else make_flat_list_of_images(images)
        num_images = len(flat)
        if text is not None and placeholders != num_images:
            raise ValueError(
                f"{placeholders} placeholders {self.image_token} in the text, but {num_images} pictures: give one "
                "picture per placeholder, in the order of the text."
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
        """Render messages by the chat template, and tokenise them with `tokenize=True`.

        Control tokens that are typed in messages are text, see `control_tokens`.

        Args:
            conversation: Messages, or a batch of conversations; they stay as they are. Parts of type `image` hold
                their picture under `image`, `path`, `url` (a data URI) or `base64`.
            chat_template: A template instead of the processor's own.
            draw: Ask for an image in the last user turn, or, as a sequence, in each user turn that says so.
            ocr: Strings read from the last user turn's pictures, or, as a sequence of sequences, from each user turn's.
                Control characters in them become spaces.
            **kwargs: As `ProcessorMixin.apply_chat_template` takes them.

        Raises:
            ImageError: A picture that is not read.
            ValueError: If `draw` or `ocr` does not fit the conversation, or if `return_assistant_tokens_mask=True`
                leaves an assistant turn without a token to learn, or has it learn more than one end.
            TemplateError: If the template is not ours and goes beyond the limits of such ones, see
                `chat_templates.limits`.
        """
        template = chat_template or self.chat_template
        if isinstance(template, str) and template not in CHAT_TEMPLATES.values():
            limit_template(template)
        batched = isinstance(conversation[0], (list, tuple))
        conversations: Any = conversation if batched else [conversation]
        if batched and (draw or ocr):
            raise ValueError(
                f"draw and ocr are for one conversation, but got a batch of {len(conversations)}: give each by itself."
            )
        conversations = [self.with_requests(messages, draw, ocr, chat_template) for messages in conversations]
        if kwargs.get("tokenize"):
            conversations = [with_opened_images(messages) for messages in conversations]
        out: Any = super().apply_chat_template(
            conversations if batched else conversations[0], chat_template=chat_template, **kwargs
        )
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
        """Messages as the chat template renders them.

        `draw` and `ocr`, as `apply_chat_template` takes them, are written into user turns, and all text is without
        control tokens, those of `chat_template` included.
        """
        return self.control_tokens(chat_template).messages_as_text(with_requests(messages, draw, ocr))

    def control_tokens(self, chat_template: str | None = None) -> ControlTokens:
        """What is more than text to the tokenizer and the chat template, and to another template if one is given."""
        return ControlTokens(self.tokenizer, f"{self.chat_template} {chat_template}")

    @property
    def _end_ids(self) -> set[int]:
        """Tokens that end an answer: the tokenizer's own, and those of chat formats that it knows."""
        tokens = chain([self.tokenizer.eos_token], *END_TOKENS.values())
        ids: Any = {self.tokenizer.convert_tokens_to_ids(token) for token in tokens if token}
        return ids - {None, self.tokenizer.unk_token_id}

    def get_text_with_replacements(self, text: list[str], *replacements: Any, **named: Any) -> tuple[list[str], Any]:
        """Put the image tokens in place, and the space behind them where the tokenizer needs one."""
        offsets: Any  # a list of replacements per text; Transformers' annotation says otherwise
        text, offsets = super().get_text_with_replacements(text, *replacements, **named)
        if self._needs_space_after_image and not self.spaces_in_replacements:
            for row, placed in enumerate(offsets):
                text[row], offsets[row] = space_after_images(text[row], placed)
        return text, offsets

    def replace_image_token(self, image_inputs: dict[str, Any], image_idx: int, **_: Any) -> str:
        """Give the text that takes a picture's placeholder: the image token, once per visual token."""
        space = " " if self._needs_space_after_image and self.spaces_in_replacements else ""
        return self.image_token * self.num_image_tokens + space

    def _get_num_multimodal_tokens(self, image_sizes: list[list[int]] | None = None, **_: Any) -> MultiModalData:
        """Count tokens and rows of pixels per picture, for servers that plan with them (vLLM)."""
        if image_sizes is None:
            return MultiModalData()
        return MultiModalData(
            num_image_tokens=[self.num_image_tokens] * len(image_sizes), num_image_patches=[1] * len(image_sizes)
        )
