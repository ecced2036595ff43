"""From messages to what a model reads, checked; needs the processor and no weights."""

from collections.abc import Mapping, Sequence
from typing import Any

from jinja2 import TemplateError
from PIL import Image

from ..io.argument_checks import check_text, shown
from ..io.checkpoint_settings import check_tokens
from ..io.errors import RequestError, one_line
from ..io.untrusted import TokenizerError, panics_as_errors
from ..modeling import MiniGeminiConfig, MiniGeminiProcessor

Message = dict[str, Any]
Draws = bool | Sequence[bool]
Strings = Sequence[str] | Sequence[Sequence[str]]


class Prompts:
    """Turns messages nobody vouches for into prompts.

    Args:
        processor: of the checkpoint.
        config: of the checkpoint.
    """

    def __init__(self, processor: MiniGeminiProcessor, config: MiniGeminiConfig) -> None:
        self._processor, self._config = processor, config
        # A language model that does not say how long its texts may be has no bound.
        self.context_tokens: int = getattr(config.text_config, "max_position_embeddings", None) or 2**31

    def inputs(self, messages: Sequence[Message], draw: Draws = False, ocr: Strings = ()) -> Any:
        """Tensors for `generate`, one row, on the CPU.

        Args:
            messages: in Transformers' chat format, pictures opened.
            draw, ocr: wishes for an image and strings read from pictures, as the processor takes them.

        Raises:
            RequestError: messages that are no such ones, an empty question, or a format that does not take them.
        """
        inputs = self._apply(messages, draw=draw, ocr=ocr, tokenize=True, return_dict=True, return_tensors="pt")
        check_tokens(inputs["input_ids"], self._config)
        return inputs

    def written_out(self, messages: Sequence[Message], draw: Draws = False, ocr: Strings = ()) -> list[Message]:
        """The messages with wishes and strings in their text, and no control tokens, for servers that know of neither.

        Raises `RequestError`, as `text` does.
        """
        self._check(messages)
        _check_list("draw", draw, bool)
        for strings in ocr if _is_list(ocr) and not all(isinstance(one, str) for one in ocr) else [ocr]:
            _check_list("ocr", strings, str)
        try:
            return self._processor.with_requests(messages, draw, ocr)
        except ValueError as error:  # for another number of user turns
            raise RequestError(one_line(error)) from None

    def as_text(self, messages: Sequence[Mapping[str, Any]]) -> list[Message]:
        """The messages without control tokens, unchecked, for servers that render and tokenize them."""
        return self._processor.with_requests(messages)

    def text(self, messages: Sequence[Message], draw: Draws = False, ocr: Strings = ()) -> str:
        """The prompt, one placeholder per picture; BOS only where the chat format has it. Raises `RequestError`."""
        return str(self._apply(messages, draw=draw, ocr=ocr, tokenize=False))

    def writes_bos(self, text: str) -> bool:
        """Whether a prompt has its BOS already, so that the tokenizer must add none."""
        bos = self._processor.tokenizer.bos_token
        return bos is not None and text.startswith(bos)

    def length(self, text: str) -> int:
        """Tokens of a prompt with placeholders, pictures included; at most one per picture too many."""
        tokenizer, placeholder = self._processor.tokenizer, self._processor.image_token
        images = text.count(placeholder)
        tokens = len(tokenizer(text, add_special_tokens=not self.writes_bos(text))["input_ids"])
        return tokens + images * self._processor.num_image_tokens

    def room(self, length: int) -> int:
        """Tokens that an answer may have after a prompt of `length`. Raises `RequestError` when there are none."""
        if length >= self.context_tokens:
            raise RequestError(
                f"pictures and text are {length} tokens, but the context holds {self.context_tokens}; "
                "begin anew, or ask less"
            )
        return self.context_tokens - length

    def _apply(self, messages: Sequence[Message], **how: Any) -> Any:
        self.written_out(messages, how["draw"], how["ocr"])
        try:
            with panics_as_errors():
                return self._processor.apply_chat_template(list(messages), add_generation_prompt=True, **how)
        except (TemplateError, TokenizerError) as error:  # e.g. a format without system messages
            raise RequestError(f"the model's chat format does not take these messages: {one_line(error)}") from None

    def _check(self, messages: Sequence[Message]) -> None:
        """Let through opened pictures and plain text only: Transformers would fetch a picture given as an address."""
        if isinstance(messages, str | bytes) or not isinstance(messages, Sequence):
            raise RequestError(f"messages are {shown(messages)}; they are a list of dicts with a role and content")
        texts = [self._text_of(message) for message in messages]
        image_token = self._processor.image_token
        if any(image_token in text for text in texts):
            raise RequestError(f"the text holds {image_token}, which stands for a picture; leave it out")
        if not texts or not texts[-1].strip():
            raise RequestError("the question is empty; ask something")

    def _text_of(self, message: Message) -> str:
        """The text of one message, once its parts are known to be of the two kinds."""
        if not isinstance(message, Mapping) or not {"role", "content"} <= message.keys():
            raise RequestError(f"a message is {shown(message)}; it is a dict with a role and content")
        content = message["content"]
        parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
        if not isinstance(parts, list | tuple):
            raise RequestError(f"a message's content is {shown(content)}; it is a text, or a list of texts and images")
        for part in parts:
            kind = part.get("type") if isinstance(part, Mapping) else None
            wanted = {"text": str, "image": Image.Image}.get(str(kind))
            if wanted is None or part.keys() != {"type", kind} or not isinstance(part[kind], wanted):
                raise RequestError(f"a message has a part {shown(part)}; a part is a text, or an image as PIL.Image")
        text = "".join(part["text"] for part in parts if part["type"] == "text")
        check_text("the text", text)
        return text


def _is_list(value: object) -> bool:
    return isinstance(value, list | tuple)


def _check_list(name: str, value: Any, kind: type) -> None:
    """Refuse what is neither of a kind nor a list of it; texts come in lists alone."""
    if not (isinstance(value, kind) and kind is not str) and not (
        _is_list(value) and all(isinstance(one, kind) for one in value)
    ):
        raise RequestError(
            f"{name} is {shown(value)}; it is {'a bool, or ' if kind is bool else ''}a list of {kind.__name__}s"
        )
    if kind is str:
        for text in value:
            check_text(name, text)
