"""Client for OpenAI-compatible chat endpoints, with concurrent requests and bounded retries."""

import base64
import io
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any, TypeVar
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, ProxyHandler, Request, build_opener

from ..images.safe_images import ImageError
from ..io.errors import RequestError
from .runner import Batch, Failure
from .task import Message, Question, open_image_input

T = TypeVar("T")
REFUSED, MAX_RESPONSE_BYTES = "connection refused", 2**24
LOOPBACK = ("127.0.0.1", "localhost", "::1")
"""Requests to these hosts bypass proxies."""
KEY_VARIABLE = "OPENAI_API_KEY"
RETRIED_STATUSES = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})


class ServiceError(Exception):
    """A request that failed after all attempts; the message is one line."""


@dataclass(frozen=True)
class RetryPolicy:
    """Timeouts and retries of requests."""

    timeout_s: float = 120.0
    tries: int = 5
    first_wait_s: float = 1.0
    """Delay before the second attempt; doubled before each later one."""
    longest_wait_s: float = 60.0
    """Longest delay; it also caps Retry-After."""


class Service:
    """An OpenAI-compatible chat endpoint.

    Args:
        address: base URL, e.g. `http://127.0.0.1:8000/v1`.
        model: the server's name for the model; None uses the only model that it lists.
        retries: timeouts and retries.
        extra_fields: fields added to every request.

    Raises:
        RequestError: The URL is invalid, the server does not respond, or it serves several models and none is given.
    """

    def __init__(
        self,
        address: str,
        model: str | None = None,
        retries: RetryPolicy | None = None,
        extra_fields: Mapping[str, Any] | None = None,
    ) -> None:
        if not address.startswith(("http://", "https://")):
            raise RequestError(f"invalid URL {address!r}; give one like http://127.0.0.1:8000/v1")
        self.address, self.retries = address.rstrip("/"), retries or RetryPolicy()
        is_local = urlsplit(self.address).hostname in LOOPBACK
        self._http = build_opener(_NoRedirects, *([ProxyHandler({})] if is_local else []))
        self._extra_fields = dict(extra_fields or {})
        self.model = model or self._only_model()

    def chat(self, messages: Sequence[Mapping[str, Any]], max_tokens: int, parse: Callable[[str], T | None]) -> T:
        """Request a greedy answer and parse it; the request is repeated if `parse` returns None.

        Raises:
            ServiceError: All attempts failed, or an error occurred that a retry cannot fix.
        """
        body = {"model": self.model, "messages": list(messages), "max_tokens": max_tokens, "temperature": 0}
        body |= self._extra_fields
        reason, wait = "", self.retries.first_wait_s
        for attempt in range(self.retries.tries):
            if attempt:
                time.sleep(min(wait, self.retries.longest_wait_s))
                wait = 2 * min(wait, self.retries.longest_wait_s)
            try:
                response = self._send("/chat/completions", body)
            except HTTPError as error:
                with error:
                    body_text = _first_line(error.read(2000).decode(errors="replace"))
                    reason = f"status {error.code} from {self.address}: {body_text}"
                    wait = max(wait, _retry_after(error))
                if error.code not in RETRIED_STATUSES:
                    raise ServiceError(reason) from None
            except (OSError, HTTPException) as error:
                reason = f"{_kind(error)} from {self.address}"
            else:
                if (text := _content_of(response)) is None:
                    reason = f"no chat completion from {self.address}: {_first_line(response.decode(errors='replace'))}"
                elif (value := parse(text)) is not None:
                    return value
                else:
                    reason = f"invalid reply from {self.address}: {_first_line(text)}"
        raise ServiceError(f"{reason} ({self.retries.tries} tries)")

    def _send(self, path: str, body: Mapping[str, Any] | None = None) -> bytes:
        headers = {"Content-Type": "application/json"}
        if key := os.environ.get(KEY_VARIABLE):
            headers["Authorization"] = f"Bearer {key}"
        data = None if body is None else json.dumps(body).encode()
        request = Request(f"{self.address}{path}", data=data, headers=headers)
        with self._http.open(request, timeout=self.retries.timeout_s) as response:
            return response.read(MAX_RESPONSE_BYTES)

    def _only_model(self) -> str:
        try:
            names = [str(entry["id"]) for entry in json.loads(self._send("/models"))["data"]]
        except (OSError, HTTPException, ValueError, LookupError, TypeError) as error:
            raise RequestError(
                f"{self.address}: cannot list models ({_kind(error)}); check that the server is running"
            ) from None
        if len(names) != 1:
            raise RequestError(f"{self.address}: serves {len(names)} models ({', '.join(names[:9])}); choose one")
        return names[0]


class HttpAnswerer:
    """Answers questions with a served model; the questions of a batch are sent concurrently.

    Args:
        service: the endpoint.
        identity: what answers depend on; defaults to the server's name for the model.
        as_text: neutralizes control tokens in messages, for a server that would parse them.
    """

    def __init__(
        self,
        service: Service,
        identity: Mapping[str, Any] | None = None,
        as_text: Callable[[Sequence[Message]], Sequence[Message]] = list,
    ) -> None:
        self.service, self.name = service, service.model
        self._as_text = as_text
        self._identity = identity or {"served": service.model, "decoding": "greedy"}

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
            if all(isinstance(answer, Failure) and REFUSED in answer.reason for answer in answers):
                raise RequestError(f"{self.service.address}: server no longer accepts connections; run again to resume")
            yield batch, outcome

    def _answer(self, question: Question, max_new_tokens: int) -> str | Failure:
        try:
            return self.service.chat(openai_messages(question, self._as_text), max_new_tokens, str.strip)
        except (ImageError, ServiceError) as error:
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
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _content_of(response: bytes) -> str | None:
    try:
        text = json.loads(response)["choices"][0]["message"]["content"]
    except (ValueError, LookupError, TypeError):
        return None
    return text if isinstance(text, str) else None


def _retry_after(error: HTTPError) -> float:
    """Seconds in the Retry-After header; 0 if it is missing or a date."""
    try:
        return float(error.headers.get("Retry-After") or 0)
    except ValueError:
        return 0.0


def _kind(error: Exception) -> str:
    """A short name of an error; urllib wraps those of the system."""
    reason = getattr(error, "reason", error)
    if isinstance(reason, TimeoutError):
        return "timeout"
    return REFUSED if isinstance(reason, ConnectionRefusedError) else type(reason).__name__


class _NoRedirects(HTTPRedirectHandler):
    """Refuses redirects: questions and the API key are sent to the given address only."""

    def redirect_request(self, *_: Any) -> None:
        return None


def _first_line(text: str) -> str:
    return " ".join(text.split())[:120]
