"""Answers of served models, requested through OpenAI's API, and messages in its format."""

import base64
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ..images.safe_images import ImageError
from ..io.errors import RequestError
from ..io.openai_client import CANNOT_CONNECT, ChatClient, ChatRequestError
from ..io.png import encode_png
from .runner import Batch, Failure
from .task import Message, Question, open_image_input


class HttpAnswerer:
    """Answers questions with a served model; the questions of a batch are sent concurrently.

    Args:
        client: client of the endpoint.
        identity: what answers depend on; defaults to the server's name for the model.
        as_text: neutralizes control tokens in messages, for a server that would parse them.
    """

    def __init__(
        self,
        client: ChatClient,
        identity: Mapping[str, Any] | None = None,
        as_text: Callable[[Sequence[Message]], Sequence[Message]] = list,
    ) -> None:
        self.client, self.name = client, client.model
        self._as_text = as_text
        self._identity = identity or {"served": client.model, "decoding": "greedy"}

    @property
    def identity(self) -> Mapping[str, Any]:
        return self._identity

    def answers(
        self, batches: Iterable[Batch], max_new_tokens: int
    ) -> Iterator[tuple[Batch, dict[str, str | Failure]]]:
        """Yield answers batch by batch.

        Raises:
            RequestError: The server no longer accepts connections.
        """
        for batch in batches:
            with ThreadPoolExecutor(max_workers=len(batch.questions)) as threads:
                answers = list(threads.map(lambda question: self._answer(question, max_new_tokens), batch.questions))
            outcome = {question.id: answer for question, answer in zip(batch.questions, answers, strict=True)}
            if all(isinstance(answer, Failure) and CANNOT_CONNECT in answer.reason for answer in answers):
                raise RequestError(f"{self.client.address}: server no longer accepts connections; run again to resume")
            yield batch, outcome

    def _answer(self, question: Question, max_new_tokens: int) -> str | Failure:
        try:
            return self.client.chat(openai_messages(question, self._as_text), max_new_tokens, str.strip)
        except (ImageError, ChatRequestError) as error:
            return Failure(str(error))


def openai_messages(
    question: Question, as_text: Callable[[Sequence[Message]], Sequence[Message]] = list
) -> list[dict[str, Any]]:
    """Messages in OpenAI's format, with images as PNG data URLs. Raises `ImageError`."""
    opened = {image: {"url": _data_url(open_image_input(image))} for image in dict.fromkeys(question.images)}
    return [
        {
            "role": message["role"],
            "content": [
                {"type": "image_url", "image_url": part["image"]} if part["type"] == "image" else part
                for part in message["content"]
            ],
        }
        for message in as_text(question.messages_with(opened))
    ]


def _data_url(image: Any) -> str:
    return f"data:image/png;base64,{base64.b64encode(encode_png(image)).decode()}"
