"""Client of OpenAI-compatible chat endpoints, with retries, deadlines, and bounds on what a server may send."""

import asyncio
import json
import os
import random
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from .errors import RequestError

if TYPE_CHECKING:
    import httpx

T = TypeVar("T")
CANNOT_CONNECT = "cannot connect"
LOOPBACK = ("127.0.0.1", "localhost", "::1")
"""Requests to these hosts bypass proxies."""
RETRIED_STATUSES = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
MAX_RESPONSE_BYTES = 2**24
RETRY_AFTER_LIMIT_S = 300.0


class ChatRequestError(Exception):
    """A request failed in all attempts, or in a way that a retry cannot fix. The message is one line.

    Attributes:
        status: HTTP status of a failure that a retry cannot fix, else None.
    """

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class RetryPolicy:
    """Deadlines and retries of requests.

    Attributes:
        timeout_s: deadline of one attempt, from connecting to the last byte, in seconds.
        tries: attempts per request.
        first_wait_s, longest_wait_s: delay before the second attempt, doubled before each later one up to the longest,
            in seconds, and multiplied by a random number from 0.5 to 1 so that concurrent requests spread. A longer
            Retry-After of the server takes precedence, up to five minutes.
    """

    timeout_s: float = 120.0
    tries: int = 6
    first_wait_s: float = 1.0
    longest_wait_s: float = 60.0


@dataclass(frozen=True)
class ChatReply:
    """Reply of a model.

    Attributes:
        text: what the model wrote.
        whole: whether it stopped by itself, not at the token limit.
        prompt_tokens, new_tokens: token counts of the server; 0 if it reports none.
    """

    text: str
    whole: bool = True
    prompt_tokens: int = 0
    new_tokens: int = 0


class _AttemptError(Exception):
    """One attempt failed.

    Attributes:
        kind: the failure in a few words that many requests have in common.
        detail: what the server sent, in one line.
        status: HTTP status if a retry cannot fix the failure, else None.
        retry_after_s: delay that the server asks for, in seconds.
    """

    def __init__(self, kind: str, detail: str = "", status: int | None = None, retry_after_s: float = 0.0) -> None:
        super().__init__(kind)
        self.kind, self.detail, self.status, self.retry_after_s = kind, detail, status, retry_after_s


class ChatClient:
    """Client of one model of an OpenAI-compatible endpoint.

    Redirects are not followed, so prompts and the API key are sent to the given address only.

    Args:
        address: base URL, e.g. `http://127.0.0.1:8000/v1`.
        model: the server's name for the model; None uses the only model that it lists.
        key_variable: environment variable that holds the API key; no key is sent if it is not set.
        retries: deadlines and retries.
        extra_fields: fields added to every request.

    Raises:
        RequestError: The URL or the key is invalid, httpx is missing, the server does not respond, or it serves several
            models and none is given.
    """

    def __init__(
        self,
        address: str,
        model: str | None = None,
        *,
        key_variable: str = "OPENAI_API_KEY",
        retries: RetryPolicy | None = None,
        extra_fields: Mapping[str, Any] | None = None,
    ) -> None:
        try:
            import httpx
        except ImportError:
            raise RequestError("requests to an endpoint need httpx: pip install 'httpx>=0.28'") from None
        if not address.startswith(("http://", "https://")):
            raise RequestError(f"invalid URL {address!r}; give one like http://127.0.0.1:8000/v1")
        api_key = os.environ.get(key_variable, "")
        if not (api_key.isascii() and api_key.isprintable()):
            raise RequestError(f"{key_variable}: invalid API key; expected printable ASCII without line breaks")
        self.address, self.retries = address.rstrip("/"), retries or RetryPolicy()
        self._headers = {"Accept-Encoding": "identity"} | ({"Authorization": f"Bearer {api_key}"} if api_key else {})
        self._extra_fields = dict(extra_fields or {})
        self._certificates = httpx.create_ssl_context()  # takes tens of milliseconds, so not once per session
        self.model = model or self._only_model()

    def session(self) -> "httpx.AsyncClient":
        """Return an HTTP session, to be used as a context manager; `request` limits its time and connections."""
        import httpx

        return httpx.AsyncClient(
            headers=self._headers,
            verify=self._certificates,
            timeout=None,
            limits=httpx.Limits(max_connections=None),
            trust_env=urlsplit(self.address).hostname not in LOOPBACK,
        )

    async def request(
        self,
        session: "httpx.AsyncClient",
        messages: Sequence[Mapping[str, Any]],
        max_tokens: int,
        parse: Callable[[ChatReply], T | None],
        *,
        temperature: float = 0.0,
        on_failure: Callable[[str], None] = lambda kind: None,
    ) -> T:
        """Send messages until `parse` accepts the reply.

        Args:
            session: from `session()`.
            messages: messages in OpenAI's format.
            max_tokens: limit on the reply, in tokens.
            parse: returns the parsed reply; None repeats the request.
            temperature: sampling temperature.
            on_failure: called with the kind of each failed attempt, e.g. `status 429`.

        Raises:
            ChatRequestError: All attempts failed, or one failed in a way that a retry cannot fix.
        """
        body = {"model": self.model, "messages": list(messages), "max_tokens": max_tokens, "temperature": temperature}
        body |= self._extra_fields
        wait_s = self.retries.first_wait_s
        for attempt in range(1, self.retries.tries + 1):
            try:
                reply = _read_reply(await self._send(session, "/chat/completions", body))
                if (value := parse(reply)) is not None:
                    return value
                failure = _AttemptError("invalid reply", _first_line(reply.text))
            except _AttemptError as error:
                failure = error
            if failure.status is not None:
                raise ChatRequestError(self._message(failure), failure.status)
            on_failure(failure.kind)
            if attempt < self.retries.tries:
                await asyncio.sleep(max(wait_s * random.uniform(0.5, 1), failure.retry_after_s))
                wait_s = min(2 * wait_s, self.retries.longest_wait_s)
        raise ChatRequestError(f"{self._message(failure)} ({self.retries.tries} tries)")

    def chat(self, messages: Sequence[Mapping[str, Any]], max_tokens: int, parse: Callable[[str], T | None]) -> T:
        """Request a greedy reply, as `request` does, and wait for it. Raises `ChatRequestError`."""

        async def ask() -> T:
            async with self.session() as session:
                return await self.request(session, messages, max_tokens, lambda reply: parse(reply.text))

        return _run(ask())

    async def _send(self, session: "httpx.AsyncClient", path: str, body: Mapping[str, Any] | None = None) -> bytes:
        """Send one request and return the body of the response. Raises `_AttemptError`."""
        import httpx

        request = session.build_request("GET" if body is None else "POST", self.address + path, json=body)
        try:
            # The deadline includes the headers: a server that sends a byte now and then never exceeds a read timeout.
            async with asyncio.timeout(self.retries.timeout_s):
                response = await session.send(request, stream=True)
                try:
                    content = await _read_body(response)
                finally:
                    await response.aclose()
        except TimeoutError:
            raise _AttemptError("timeout") from None
        except httpx.ConnectError as error:
            raise _AttemptError(CANNOT_CONNECT, _first_line(str(error))) from None
        except httpx.HTTPError as error:
            raise _AttemptError("connection lost", _first_line(str(error))) from None
        if response.status_code != 200:
            code = response.status_code
            raise _AttemptError(
                f"status {code}",
                _first_line(content.decode(errors="replace")),
                status=None if code in RETRIED_STATUSES else code,
                retry_after_s=_retry_after_s(response.headers.get("Retry-After", "")),
            )
        return content

    def _message(self, failure: _AttemptError) -> str:
        return f"{failure.kind} from {self.address}" + (f": {failure.detail}" if failure.detail else "")

    def _only_model(self) -> str:
        async def list_models() -> bytes:
            async with self.session() as session:
                return await self._send(session, "/models")

        try:
            names = [str(entry["id"]) for entry in json.loads(_run(list_models()))["data"]]
        except (_AttemptError, ValueError, RecursionError, LookupError, TypeError) as error:
            kind = error.kind if isinstance(error, _AttemptError) else "invalid list"
            raise RequestError(
                f"{self.address}: cannot list models ({kind}); check that the server is running"
            ) from None
        if len(names) != 1:
            raise RequestError(f"{self.address}: serves {len(names)} models ({', '.join(names[:9])}); choose one")
        return names[0]


async def _read_body(response: "httpx.Response") -> bytes:
    """Read a body as sent: a compressed one, which was not requested, could expand to any size."""
    content = bytearray()
    async for chunk in response.aiter_raw():
        content += chunk
        if len(content) > MAX_RESPONSE_BYTES:
            raise _AttemptError(f"response over {MAX_RESPONSE_BYTES} bytes")
    return bytes(content)


def _read_reply(content: bytes) -> ChatReply:
    try:
        completion = json.loads(content)
        choice, usage = completion["choices"][0], completion.get("usage") or {}
        text = choice["message"]["content"]
        if not isinstance(text, str):
            raise TypeError("no text")
        text.encode()  # JSON can escape half of a surrogate pair, which no file can store
        counts = [int(usage.get(name) or 0) for name in ("prompt_tokens", "completion_tokens")]
    except (ValueError, RecursionError, LookupError, TypeError, AttributeError, OverflowError):
        raise _AttemptError("no chat completion", _first_line(content[:2000].decode(errors="replace"))) from None
    return ChatReply(text, choice.get("finish_reason") in (None, "stop"), *counts)


def _retry_after_s(header: str) -> float:
    """Seconds in a Retry-After header; 0 if it is missing or a date."""
    return min(float(header), RETRY_AFTER_LIMIT_S) if header.isascii() and header.isdecimal() else 0.0


def _first_line(text: str) -> str:
    return " ".join(text.split())[:120]


def _run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine in a thread of its own, because the caller's may run an event loop already, as notebooks do."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, coroutine).result()
