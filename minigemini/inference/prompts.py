"""Prompts: validate messages and render them for the model. Needs the processor, not the weights."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from jinja2 import TemplateError
from PIL import Image

from ..images.video import Video
from ..io.argument_checks import check_text, shown
from ..io.checkpoint_settings import check_tokens
from ..io.errors import RequestError, one_line
from ..io.untrusted import TokenizerError, panics_as_errors
from ..modeling import MiniGeminiConfig, MiniGeminiProcessor
from .system_messages import fold_system, merge_system
from .tool_calls import OPEN

NO_TOOLS = "tools are not supported: the model's chat format has none, or another form of calls than <tool_call>"

Message = dict[str, Any]
Tool = Mapping[str, Any]
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

    def inputs(
        self,
        messages: Sequence[Message],
        draw: Draws = False,
        ocr: Strings = (),
        continue_final_message: bool = False,
        tools: Sequence[Tool] = (),
    ) -> Any:
        """Return the inputs of `generate`, a batch of one, on the CPU.

        Args:
            messages: In Transformers' chat format, with decoded images and videos.
            draw, ocr: Image requests and OCR text in the processor's format.
            continue_final_message: Leave the last message, one of the assistant, open.
            tools: Tools that the model may call, in OpenAI's form.

        Raises:
            RequestError: The messages are malformed, the question is empty, or the chat format does not support them.
        """
        inputs = self._apply(
            messages,
            draw,
            ocr,
            continue_final_message,
            tools,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
        )
        check_tokens(inputs["input_ids"], self._config)
        return inputs

    def raw_inputs(self, prompt: str) -> Any:
        """Return the inputs of `generate` for a text without images, on the CPU. Raises `RequestError`."""
        self.check_raw(prompt)
        with panics_as_errors():
            inputs = self._processor.tokenizer(
                prompt, add_special_tokens=not self.writes_bos(prompt), return_tensors="pt", return_token_type_ids=False
            )
        check_tokens(inputs["input_ids"], self._config)
        if self._processor.image_token_id in inputs["input_ids"]:  # spelled in a way that the tokenizer normalizes
            raise RequestError("the prompt contains the placeholder for an image; remove it")
        return inputs

    def check_raw(self, prompt: str) -> None:
        """Check a prompt that no chat template renders. Raises `RequestError`."""
        check_text("the prompt", prompt)
        if not prompt:
            raise RequestError("the prompt is empty; write the text to continue")
        self._check_placeholder(prompt)

    def written_out(self, messages: Sequence[Message], draw: Draws = False, ocr: Strings = ()) -> list[Message]:
        """Return the messages with all that a chat template does not render itself, and without control tokens.

        Image requests and OCR text are written into them, and system messages moved into user turns if the template
        supports none. Raises `RequestError`, as `text` does.
        """
        self._check(messages)
        _check_list("draw", draw, bool)
        for strings in ocr if _is_list(ocr) and not all(isinstance(one, str) for one in ocr) else [ocr]:
            _check_list("ocr", strings, str)
        prepared = merge_system(messages) if self._supports_system else fold_system(messages)
        try:
            return self._processor.with_requests(prepared, draw, ocr)
        except ValueError as error:  # the number of entries differs from the number of user turns
            raise RequestError(one_line(error)) from None

    @cached_property
    def supports_tools(self) -> bool:
        """Whether the chat template offers tools to the model and asks for calls in the form that is read."""
        tool = {"type": "function", "function": {"name": "p r o b e", "description": "", "parameters": {}}}
        return OPEN in str(self._processor.chat_template) and self._renders("p r o b e", [], tools=[tool])

    def tools_as_text(self, tools: Sequence[Tool]) -> list[dict[str, Any]]:
        """Return tools without control tokens. Raises `RequestError` if the chat template has none."""
        if tools and not self.supports_tools:
            raise RequestError(NO_TOOLS)
        return self._processor.control_tokens(videos=True).messages_as_text(tools)

    @cached_property
    def _supports_system(self) -> bool:
        """Whether the chat template renders a system message."""
        return self._renders("p r o b e", [{"role": "system", "content": "p r o b e"}])

    def _renders(self, text: str, messages: list[Message], **options: Any) -> bool:
        try:
            with panics_as_errors():
                conversation = [*messages, {"role": "user", "content": "u"}]
                return text in str(self._processor.apply_chat_template(conversation, tokenize=False, **options))
        except (TemplateError, TokenizerError):
            return False

    def as_text(self, messages: Sequence[Mapping[str, Any]]) -> list[Message]:
        """Return the messages without control tokens, unchecked, for servers that render and tokenize them."""
        return self._processor.with_requests(messages)

    def text(
        self,
        messages: Sequence[Message],
        draw: Draws = False,
        ocr: Strings = (),
        continue_final_message: bool = False,
        tools: Sequence[Tool] = (),
    ) -> str:
        """Render the prompt: one placeholder per image, and BOS if the chat format has it. Raises `RequestError`."""
        return str(self._apply(messages, draw, ocr, continue_final_message, tools, tokenize=False))

    def writes_bos(self, text: str) -> bool:
        """Whether a prompt starts with BOS, so that the tokenizer must not add it."""
        bos = self._processor.tokenizer.bos_token
        return bos is not None and text.startswith(bos)

    def length(self, text: str, messages: Sequence[Message] = ()) -> int:
        """Count the tokens of a prompt and the images in its messages; overestimates by at most one token per image."""
        tokenizer = self._processor.tokenizer
        tokens = len(tokenizer(text, add_special_tokens=not self.writes_bos(text))["input_ids"])
        contents = [message["content"] for message in messages if not isinstance(message["content"], str)]
        images = [part["image"] for content in contents for part in content if part["type"] == "image"]
        return tokens + sum(self._processor.image_tokens_of(image.height, image.width) for image in images)

    def room(self, length: int) -> int:
        """Return how many tokens the context has left after a prompt of `length`. Raises `RequestError` if none."""
        if length >= self.context_tokens:
            raise RequestError(
                f"images and text are {length} tokens, but the context holds {self.context_tokens}; "
                "start a new conversation, or ask a shorter question"
            )
        return self.context_tokens - length

    def _apply(
        self,
        messages: Sequence[Message],
        draw: Draws,
        ocr: Strings,
        continues: bool,
        tools: Sequence[Tool],
        **options: Any,
    ) -> Any:
        written = self.written_out(messages, draw, ocr)
        if continues and written[-1]["role"] != "assistant":
            raise RequestError("only a last message of the assistant can be continued")
        if tools:
            options["tools"] = self.tools_as_text(tools)
        try:
            with panics_as_errors():
                return self._processor.apply_chat_template(
                    written, add_generation_prompt=not continues, continue_final_message=continues, **options
                )
        except (TemplateError, TokenizerError) as error:  # e.g. two user turns in a row
            raise RequestError(f"the model's chat format does not support these messages: {one_line(error)}") from None

    def _check(self, messages: Sequence[Message]) -> None:
        """Accept decoded images and videos and plain text only: Transformers would fetch an image given as a URL."""
        if isinstance(messages, str | bytes) or not isinstance(messages, Sequence):
            raise RequestError(f"messages is {shown(messages)}; it must be a list of dicts with a role and content")
        texts = [self._text_of(message) for message in messages]
        self._check_placeholder(*texts)
        if not texts or not texts[-1].strip():
            raise RequestError("the question is empty; ask something")

    def _check_placeholder(self, *texts: str) -> None:
        image_token = self._processor.image_token
        if any(image_token in text for text in texts):
            raise RequestError(f"the text contains {image_token}, the placeholder for an image; remove it")

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
