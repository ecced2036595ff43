"""Prompts: validate messages and render them for the model. Needs the processor, not the weights."""

from collections.abc import Mapping, Sequence
from typing import Any

from jinja2 import TemplateError
from PIL import Image

from ..images.video import Video
from ..io.argument_checks import check_text, shown
from ..io.checkpoint_settings import check_tokens
from ..io.errors import RequestError, one_line
from ..io.untrusted import TokenizerError, panics_as_errors
from ..modeling import MiniGeminiConfig, MiniGeminiProcessor

Message = dict[str, Any]
Draws = bool | Sequence[bool]
Strings = Sequence[str] | Sequence[Sequence[str]]


class Prompts:
    """Renders untrusted messages as prompts.

    Args:
        processor: Processor of the checkpoint.
        config: Config of the checkpoint.
    """

    def __init__(self, processor: MiniGeminiProcessor, config: MiniGeminiConfig) -> None:
        self._processor, self._config = processor, config
        # A language model without max_position_embeddings has no limit.
        self.context_tokens: int = getattr(config.text_config, "max_position_embeddings", None) or 2**31

    def inputs(self, messages: Sequence[Message], draw: Draws = False, ocr: Strings = ()) -> Any:
        """Return the inputs of `generate`, a batch of one, on the CPU.

        Args:
            messages: In Transformers' chat format, with decoded images and videos.
            draw, ocr: Image requests and OCR text in the processor's format.

        Raises:
            RequestError: The messages are malformed, the question is empty, or the chat format does not support them.
        """
        inputs = self._apply(messages, draw=draw, ocr=ocr, tokenize=True, return_dict=True, return_tensors="pt")
        check_tokens(inputs["input_ids"], self._config)
        return inputs

    def written_out(self, messages: Sequence[Message], draw: Draws = False, ocr: Strings = ()) -> list[Message]:
        """Return the messages with image requests and OCR text written into them, without control tokens.

        For servers that support neither. Raises `RequestError`, as `text` does.
        """
        self._check(messages)
        _check_list("draw", draw, bool)
        for strings in ocr if _is_list(ocr) and not all(isinstance(one, str) for one in ocr) else [ocr]:
            _check_list("ocr", strings, str)
        try:
            return self._processor.with_requests(messages, draw, ocr)
        except ValueError as error:  # the number of entries differs from the number of user turns
            raise RequestError(one_line(error)) from None

    def as_text(self, messages: Sequence[Mapping[str, Any]]) -> list[Message]:
        """Return the messages without control tokens, unchecked, for servers that render and tokenize them."""
        return self._processor.with_requests(messages)

    def text(self, messages: Sequence[Message], draw: Draws = False, ocr: Strings = ()) -> str:
        """Render the prompt: one placeholder per image, and BOS if the chat format has it. Raises `RequestError`."""
        return str(self._apply(messages, draw=draw, ocr=ocr, tokenize=False))

    def writes_bos(self, text: str) -> bool:
        """Whether a prompt starts with BOS, so that the tokenizer must not add it."""
        bos = self._processor.tokenizer.bos_token
        return bos is not None and text.startswith(bos)

    def length(self, text: str) -> int:
        """Count the tokens of a prompt, including images; overestimates by at most one token per image."""
        tokenizer, placeholder = self._processor.tokenizer, self._processor.image_token
        images = text.count(placeholder)
        tokens = len(tokenizer(text, add_special_tokens=not self.writes_bos(text))["input_ids"])
        return tokens + images * self._processor.num_image_tokens

    def room(self, length: int) -> int:
        """Return how many tokens the context has left after a prompt of `length`. Raises `RequestError` if none."""
        if length >= self.context_tokens:
            raise RequestError(
                f"images and text are {length} tokens, but the context holds {self.context_tokens}; "
                "start a new conversation, or ask a shorter question"
            )
        return self.context_tokens - length

    def _apply(self, messages: Sequence[Message], **options: Any) -> Any:
        self.written_out(messages, options["draw"], options["ocr"])
        try:
            with panics_as_errors():
                return self._processor.apply_chat_template(list(messages), add_generation_prompt=True, **options)
        except (TemplateError, TokenizerError) as error:  # e.g. a format without system messages
            raise RequestError(f"the model's chat format does not support these messages: {one_line(error)}") from None

    def _check(self, messages: Sequence[Message]) -> None:
        """Accept decoded images and videos and plain text only: Transformers would fetch an image given as a URL."""
        if isinstance(messages, str | bytes) or not isinstance(messages, Sequence):
            raise RequestError(f"messages is {shown(messages)}; it must be a list of dicts with a role and content")
        texts = [self._text_of(message) for message in messages]
        image_token = self._processor.image_token
        if any(image_token in text for text in texts):
            raise RequestError(f"the text contains {image_token}, the placeholder for an image; remove it")
        if not texts or not texts[-1].strip():
            raise RequestError("the question is empty; ask something")

    def _text_of(self, message: Message) -> str:
        """Return the text of one message after checking that its parts are text, images or videos."""
        if not isinstance(message, Mapping) or not {"role", "content"} <= message.keys():
            raise RequestError(f"a message is {shown(message)}; it must be a dict with a role and content")
        content = message["content"]
        parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
        if not isinstance(parts, list | tuple):
            raise RequestError(
                f"a message's content is {shown(content)}; it must be text, or a list of text and images"
            )
        for part in parts:
            kind = part.get("type") if isinstance(part, Mapping) else None
            expected = {"text": str, "image": Image.Image, "video": Video}.get(str(kind))
            if expected is None or part.keys() != {"type", kind} or not isinstance(part[kind], expected):
                raise RequestError(
                    f"a message has a part {shown(part)}; a part must be text, an image as PIL.Image, or a "
                    "video as Video"
                )
        text = "".join(part["text"] for part in parts if part["type"] == "text")
        check_text("the text", text)
        return text


def _is_list(value: object) -> bool:
    return isinstance(value, list | tuple)


def _check_list(name: str, value: Any, kind: type) -> None:
    """Check that a value is a list of a type, or for bool also a single value."""
    if not (isinstance(value, kind) and kind is not str) and not (
        _is_list(value) and all(isinstance(one, kind) for one in value)
    ):
        raise RequestError(
            f"{name} is {shown(value)}; it must be {'a bool, or ' if kind is bool else ''}a list of {kind.__name__}s"
        )
    if kind is str:
        for text in value:
            check_text(name, text)
