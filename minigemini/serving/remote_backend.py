"""vLLM servers as a backend: they run the checkpoint, batched, on as many GPUs as they have; this one keeps the door.

What a vLLM server gets is what this one has checked: pictures decoded and written anew as PNG, wishes for a picture and
strings read in one as text, the fields listed here, and, since published chat formats leave BOS to the tokenizer,
whether it is to add one. A server of our own gets the wishes as they are.
"""

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from ..imagegen.captions import CaptionParser
from ..inference.prompts import Prompts
from ..io.errors import RequestError, one_line
from ..io.png import encode_png
from ..modeling.messages import with_requests
from .api_errors import ApiError
from .backends import Capabilities, CaptionsEvent, ChatJob, ChoiceEnd, Event, ImageEvent, TextDelta, Usage
from .hosts import is_base_url
from .image_parts import uri_of

TIMEOUTS = httpx.Timeout(connect=5.0, read=300.0, write=60.0, pool=None)
"""Seconds; reading waits for the next token, which under load may come late."""
REST_SECONDS = 5.0
"""A server that could not be reached is not asked for so long."""


@dataclass
class Server:
    """One vLLM server."""

    url: str
    """Ends in /v1."""
    inside: int = 0
    """Requests that it is answering for us."""
    down_until: float = 0.0


class RemoteBackend:
    """Answers by servers that speak OpenAI's API, the least busy first.

    Args:
        urls: of the servers, e.g. `http://10.0.0.5:8000/v1`; all run the same checkpoint.
        name: what this server's clients and those servers call the model.
        prompts: of the checkpoint; None where the servers check and prompt for themselves, as ours does.
        api_key: that they ask for.

    Raises:
        RequestError: an address that is none.
    """

    def __init__(self, urls: Sequence[str], name: str, prompts: Prompts | None, api_key: str | None = None) -> None:
        for url in urls:
            if not is_base_url(url) or not url.rstrip("/").endswith("/v1"):
                raise RequestError(f"{url}: no address of a server; it looks like http://10.0.0.5:8000/v1")
        self.servers = [Server(url.rstrip("/")) for url in urls]
        self.name = name
        self._prompts = prompts
        headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._client = httpx.AsyncClient(
            timeout=TIMEOUTS, headers=headers, trust_env=False, limits=httpx.Limits(max_connections=None)
        )

    async def answer(self, job: ChatJob) -> AsyncIterator[Event]:
        """See `Backend.answer`."""
        body = await asyncio.to_thread(self._body, job)
        untagged = [] if job.draw else [CaptionParser(requested=False) for _ in range(job.choices)]
        async with self._asked(body) as response:
            async for line in response.aiter_lines():
                if line.startswith("data:") and (data := line[5:].strip()) != "[DONE]":
                    for event in _events(json.loads(data)):
                        for told in _without_tags(event, untagged):
                            yield told

    async def is_ready(self) -> bool:
        """Whether one of the servers answers."""
        return any(await asyncio.gather(*(self._is_up(server) for server in self.servers)))

    async def capabilities(self) -> Capabilities:
        """What a server of ours says of itself; vLLM does neither."""
        for server in self.servers if self._prompts is None else ():
            try:
                models = (await self._client.get(f"{server.url}/models", timeout=5.0)).json()["data"]
            except (httpx.HTTPError, ValueError, KeyError):
                continue
            card: dict[str, Any] = next((model for model in models if model["id"] == self.name), {})
            return Capabilities(draw=card.get("draw") is True, ocr=card.get("ocr") is True)
        return Capabilities()

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def _is_up(self, server: Server) -> bool:
        try:
            return (await self._client.get(f"{server.url}/models", timeout=2.0)).status_code == 200
        except httpx.HTTPError:
            return False

    @asynccontextmanager
    async def _asked(self, body: dict[str, Any]) -> AsyncIterator[httpx.Response]:
        """The answer of the least busy server that can be reached."""
        for server in sorted(self.servers, key=lambda server: (server.down_until > time.monotonic(), server.inside)):
            server.inside += 1
            try:
                request = self._client.build_request("POST", f"{server.url}/chat/completions", json=body)
                try:
                    response = await self._client.send(request, stream=True)
                except httpx.ConnectError:
                    server.down_until = time.monotonic() + REST_SECONDS
                    continue
                try:
                    await _check_status(response)
                    yield response
                finally:
                    await response.aclose()
                return
            except httpx.HTTPError:
                raise ApiError(502, "a backend broke off; try again", code="backend_failed") from None
            finally:
                server.inside -= 1
        raise ApiError(
            503, "no backend can be reached; try again later", code="no_backend", headers={"Retry-After": "5"}
        )

    def _body(self, job: ChatJob) -> dict[str, Any]:
        """What is sent. Blocking: it encodes pictures."""
        sampling, longest = job.sampling, job.sampling.max_new_tokens
        more: dict[str, Any]
        if self._prompts is not None:
            messages = self._prompts.written_out(job.messages, job.draws or False, job.strings)
            text = self._prompts.text(messages)
            longest = min(longest, self._prompts.room(self._prompts.length(text)))
            more = {"add_special_tokens": not self._prompts.writes_bos(text)}
        else:
            earlier = (*job.draws[:-1], False) if job.draws else False
            messages = with_requests(job.messages, earlier, job.strings)
            more = {name: True for name in ("draw", "ocr") if getattr(job, name)}
        return {
            "model": self.name,
            "messages": [
                {"role": message["role"], "content": _openai_content(message["content"])} for message in messages
            ],
            "max_completion_tokens": longest,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "n": job.choices,
            "stream": True,
            "stream_options": {"include_usage": True},
            **({"stop": list(job.stop)} if job.stop else {}),
            **({"seed": sampling.seed} if sampling.seed is not None else {}),
            **more,
        }


def _openai_content(content: Any) -> Any:
    if isinstance(content, str):
        return content
    return [
        {"type": "image_url", "image_url": {"url": uri_of(encode_png(part["image"], compress_level=1))}}
        if part["type"] == "image"
        else part
        for part in content
    ]


def _events(data: dict[str, Any]) -> list[Event]:
    """What one chunk of a stream says."""
    if "error" in data:
        raise ApiError(502, "a backend failed on this request; try again", code="backend_failed")
    events: list[Event] = []
    for choice in data["choices"]:
        index, delta = choice["index"], choice["delta"]
        if text := delta.get("content"):
            events.append(TextDelta(index, text))
        drawing = delta.get("drawing") or {}
        if "captions" in drawing:
            events.append(CaptionsEvent(index, tuple(drawing["captions"])))
        if "reason" in drawing:
            png = b"".join(base64.b64decode(part["image_url"]["url"].partition(",")[2]) for part in delta["images"])
            events.append(ImageEvent(index, png, drawing["seed"], drawing["reason"]))
        if reason := choice.get("finish_reason"):
            events.append(ChoiceEnd(index, "length" if reason == "length" else "stop"))
    if (usage := data.get("usage")) and not data["choices"]:
        events.append(Usage(usage["prompt_tokens"], usage["completion_tokens"]))
    return events


def _without_tags(event: Event, parsers: Sequence[CaptionParser]) -> Iterator[Event]:
    """What is passed on of an event, its text without tags around captions, where choices have parsers for that."""
    match event:
        case TextDelta(index, text) if parsers:
            text = parsers[index].feed(text)
        case ChoiceEnd(index) if parsers:
            text = parsers[index].close()
        case _:
            yield event
            return
    if text:
        yield TextDelta(event.index, text)
    if isinstance(event, ChoiceEnd):
        yield event


async def _check_status(response: httpx.Response) -> None:
    """Pass on what the asker can mend; the rest is ours."""
    if response.status_code == 200:
        return
    await response.aread()
    try:
        message = one_line(ValueError(response.json()["error"]["message"]))
    except (ValueError, KeyError, TypeError):
        message = "no reason given"
    if response.status_code == 400:
        raise RequestError(message)
    if response.status_code in (429, 503):
        wait = response.headers.get("retry-after", "5")
        raise ApiError(429, "all backends are busy; try again later", code="queue_full", headers={"Retry-After": wait})
    raise ApiError(502, f"a backend answered {response.status_code}", code="backend_failed")
