"""A model behind an OpenAI-compatible address: asked several questions at a time, and again within bounds."""

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
from .task import Message, Question, open_one

T = TypeVar("T")
REFUSED, MOST_BYTES = "connection refused", 2**24
LOOPBACK = ("127.0.0.1", "localhost", "::1")
"""No proxy knows the way to these."""
KEY_VARIABLE = "OPENAI_API_KEY"
ASK_AGAIN = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})


class ServiceError(Exception):
    """A request that was not answered, after all tries; one line."""


@dataclass(frozen=True)
class Patience:
    """How long to wait, and how often to ask again."""

    timeout_s: float = 120.0
    tries: int = 5
    first_wait_s: float = 1.0
    """Before the second try; doubled before each further one."""
    longest_wait_s: float = 60.0
    """Also of what a server asks for by Retry-After."""


class Service:
    """An OpenAI-compatible chat endpoint.

    Args:
        address: e.g. `http://127.0.0.1:8000/v1`.
        model: as the server calls it; None takes the only one that it lists.
        patience: with a server that is slow or busy.
        more: fields of every request.

    Raises:
        RequestError: no such address, nobody there, or several models and none named.
    """

    def __init__(
        self,
        address: str,
        model: str | None = None,
        patience: Patience | None = None,
        more: Mapping[str, Any] | None = None,
    ) -> None:
        if not address.startswith(("http://", "https://")):
            raise RequestError(f"{address}: no address; give one like http://127.0.0.1:8000/v1")
        self.address, self.patience = address.rstrip("/"), patience or Patience()
        here = urlsplit(self.address).hostname in LOOPBACK
        self._http = build_opener(_NoRedirects, *([ProxyHandler({})] if here else []))
        self._more = dict(more or {})
        self.model = model or self._only_model()

    def chat(self, messages: Sequence[Mapping[str, Any]], max_tokens: int, read: Callable[[str], T | None]) -> T:
        """What is answered, greedily, as `read` gives it; its None for nonsense has the question asked again.

        Raises:
            ServiceError: after all tries, or at once where asking again is of no use.
        """
        body = {"model": self.model, "messages": list(messages), "max_tokens": max_tokens, "temperature": 0}
        body |= self._more
        reason, wait = "", self.patience.first_wait_s
        for attempt in range(self.patience.tries):
            if attempt:
                time.sleep(min(wait, self.patience.longest_wait_s))
                wait = 2 * min(wait, self.patience.longest_wait_s)
            try:
                said = self._send("/chat/completions", body)
            except HTTPError as error:
                with error:
                    told = _first_line(error.read(2000).decode(errors="replace"))
                    reason = f"status {error.code} from {self.address}: {told}"
                    wait = max(wait, _asked_to_wait(error))
                if error.code not in ASK_AGAIN:
                    raise ServiceError(reason) from None
            except (OSError, HTTPException) as error:
                reason = f"{_kind(error)} from {self.address}"
            else:
                if (text := _text_of(said)) is None:
                    reason = f"no chat completion from {self.address}: {_first_line(said.decode(errors='replace'))}"
                elif (value := read(text)) is not None:
                    return value
                else:
                    reason = f"nonsense from {self.address}: {_first_line(text)}"
        raise ServiceError(f"{reason} ({self.patience.tries} tries)")

    def _send(self, path: str, body: Mapping[str, Any] | None = None) -> bytes:
        headers = {"Content-Type": "application/json"}
        if key := os.environ.get(KEY_VARIABLE):
            headers["Authorization"] = f"Bearer {key}"
        data = None if body is None else json.dumps(body).encode()
        request = Request(f"{self.address}{path}", data=data, headers=headers)
        with self._http.open(request, timeout=self.patience.timeout_s) as response:
            return response.read(MOST_BYTES)

    def _only_model(self) -> str:
        try:
            names = [str(entry["id"]) for entry in json.loads(self._send("/models"))["data"]]
        except (OSError, HTTPException, ValueError, LookupError, TypeError) as error:
            raise RequestError(f"{self.address}: lists no models ({_kind(error)}); is a server there?") from None
        if len(names) != 1:
            raise RequestError(f"{self.address}: serves {len(names)} models ({', '.join(names[:9])}); name one")
        return names[0]


class HttpAnswerer:
    """A served model as an answerer; the questions of a batch are asked at the same time.

    Args:
        service: where it is.
        identity: what answers depend on, in place of the name that the server gives it.
        as_text: takes control tokens out of messages, for a server that would read them as such.
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
        """The answers, batch by batch.

        Raises:
            RequestError: nobody is there any more.
        """
        for batch in batches:
            with ThreadPoolExecutor(max_workers=len(batch.questions)) as threads:
                said = list(threads.map(lambda question: self._answer(question, max_new_tokens), batch.questions))
            outcome = {question.id: answer for question, answer in zip(batch.questions, said, strict=True)}
            if all(isinstance(answer, Failure) and REFUSED in answer.reason for answer in said):
                raise RequestError(f"{self.service.address}: nobody is there any more; run again to go on")
            yield batch, outcome

    def _answer(self, question: Question, max_new_tokens: int) -> str | Failure:
        try:
            return self.service.chat(openai_messages(question, self._as_text), max_new_tokens, str.strip)
        except (ImageError, ServiceError) as error:
            return Failure(str(error))


def openai_messages(
    question: Question, as_text: Callable[[Sequence[Message]], Sequence[Message]] = list
) -> list[dict[str, Any]]:
    """The messages, `as_text`, with pictures as PNG in data URLs. Raises `ImageError`."""
    opened = {image: {"url": _data_url(open_one(image))} for image in dict.fromkeys(question.images)}
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


def _text_of(said: bytes) -> str | None:
    try:
        text = json.loads(said)["choices"][0]["message"]["content"]
    except (ValueError, LookupError, TypeError):
        return None
    return text if isinstance(text, str) else None


def _asked_to_wait(error: HTTPError) -> float:
    """Seconds that the server asks for; a date, which is allowed too, is passed over."""
    try:
        return float(error.headers.get("Retry-After") or 0)
    except ValueError:
        return 0.0


def _kind(error: Exception) -> str:
    """What went wrong, in a word: urllib wraps the system's errors."""
    reason = getattr(error, "reason", error)
    if isinstance(reason, TimeoutError):
        return "no answer in time"
    return REFUSED if isinstance(reason, ConnectionRefusedError) else type(reason).__name__


class _NoRedirects(HTTPRedirectHandler):
    """Questions, and the key with them, go to the address that was given and to no other."""

    def redirect_request(self, *_: Any) -> None:
        return None


def _first_line(text: str) -> str:
    return " ".join(text.split())[:120]
