"""Backend over remote servers: vLLM servers that run the checkpoint, or another `minigemini serve`.

A vLLM server receives validated requests only: images re-encoded as PNG, image requests and OCR texts written into the
prompt, and the fields of `_request_body`. `add_special_tokens` says whether vLLM adds BOS, since the published chat
templates leave BOS to the tokenizer. A `minigemini serve` receives `draw` and `ocr` unchanged.
"""

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from ..imagegen.captions import CaptionParser
from ..inference.prompts import Prompts
from ..inference.sampling import GREEDY, Sampling
from ..io.errors import RequestError, one_line
from ..io.png import encode_png
from ..modeling.messages import with_requests
from ..modeling.video_inputs import has_video
from .api_errors import ApiError, printable
from .backends import NO_VIDEOS, Capabilities, CaptionsEvent, ChatJob, ChoiceEnd, Event, ImageEvent, TextDelta, Usage
from .hosts import is_base_url
from .image_urls import encode_data_uri

TIMEOUTS = httpx.Timeout(connect=5.0, read=300.0, write=60.0, pool=None)
"""Seconds; `read` limits the wait for the next token, which can be long under load."""
MOST_MODELS = 100
"""Of a server's list of models no more are taken."""
RETRY_SECONDS = 5.0
"""How long an unreachable server is tried last."""


@dataclass
class RemoteServer:
    """One server."""

    url: str
    """Ends in `/v1`."""
    active: int = 0
    """Requests from this process that it is answering."""
    down_until: float = 0.0


class RemoteBackend:
    """Forwards jobs to servers with OpenAI's API, to the least busy one first.

    Args:
        urls: base URLs of the servers, e.g. `http://10.0.0.5:8000/v1`; all serve the same checkpoint.
        name: the model name, both for this server's clients and on those servers.
        prompts: the checkpoint's prompts; None if the servers build prompts themselves, as `minigemini serve` does.
        api_key: API key of the servers.

    Raises:
        RequestError: an invalid URL.
    """

    def __init__(self, urls: Sequence[str], name: str, prompts: Prompts | None, api_key: str | None = None) -> None:
        self.servers = [RemoteServer(check_server_url(url)) for url in urls]
        self.name = name
        self._prompts = prompts
        headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._client = httpx.AsyncClient(
            timeout=TIMEOUTS, headers=headers, trust_env=False, limits=httpx.Limits(max_connections=None)
        )

    async def answer(self, job: ChatJob) -> AsyncIterator[Event]:
        """Implement `Backend.answer`."""
        body = await asyncio.to_thread(self._request_body, job)
        verbatim = job.draw or job.continue_final_message or job.prompt is not None
        parsers = [] if verbatim else [CaptionParser(requested=False) for _ in range(job.choices)]
        async with self._send("completions" if job.prompt is not None else "chat/completions", body) as response:
            async for line in response.aiter_lines():
                if line.startswith("data:") and (data := line[5:].strip()) != "[DONE]":
                    for event in _events(json.loads(data)):
                        for clean_event in _without_caption_tags(event, parsers):
                            yield clean_event

    async def is_ready(self) -> bool:
        """Return whether any server is reachable."""
        return any(await asyncio.gather(*(self._is_up(server) for server in self.servers)))

    async def capabilities(self) -> Capabilities:
        """Return the capabilities that a `minigemini serve` reports; with vLLM, those of the chat format."""
        if self._prompts is not None:
            return Capabilities(tools=self._prompts.supports_tools)
        for server in self.servers:
            try:
                models = (await self._client.get(f"{server.url}/models", timeout=5.0)).json()["data"]
            except (httpx.HTTPError, ValueError, KeyError):
                continue
            card: dict[str, Any] = next((model for model in models if model["id"] == self.name), {})
            return Capabilities(*(card.get(name) is True for name in ("draw", "ocr", "ocr_by_default")))
        return Capabilities()

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def _is_up(self, server: RemoteServer) -> bool:
        try:
            return (await self._client.get(f"{server.url}/models", timeout=2.0)).status_code == 200
        except httpx.HTTPError:
            return False

    @asynccontextmanager
    async def _send(self, route: str, body: dict[str, Any]) -> AsyncIterator[httpx.Response]:
        """Send the request to the least busy reachable server and yield its response."""
        for server in sorted(self.servers, key=lambda server: (server.down_until > time.monotonic(), server.active)):
            server.active += 1
            try:
                request = self._client.build_request("POST", f"{server.url}/{route}", json=body)
                try:
                    response = await self._client.send(request, stream=True)
                except httpx.ConnectError:
                    server.down_until = time.monotonic() + RETRY_SECONDS
                    continue
                try:
                    await _check_status(response)
                    yield response
                finally:
                    await response.aclose()
                return
            except httpx.HTTPError:
                raise ApiError(
                    502, "a backend closed the connection; retry the request", code="backend_failed"
                ) from None
            finally:
                server.active -= 1
        raise ApiError(503, "no backend is reachable; retry later", code="no_backend", headers={"Retry-After": "5"})

    def _request_body(self, job: ChatJob) -> dict[str, Any]:
        """Build the request. Blocking: it encodes images. Raises `RequestError` if the job has a video."""
        question = self._messages_field(job) if job.prompt is None else self._prompt_field(job, job.prompt)
        return {
            "model": self.name,
            "n": job.choices,
            "stream": True,
            "stream_options": {"include_usage": True},
            **({"stop": list(job.stop)} if job.stop else {}),
            **_sampling_fields(job.sampling),
            **question,
        }

    def _prompt_field(self, job: ChatJob, prompt: str) -> dict[str, Any]:
        max_tokens = job.sampling.max_new_tokens
        if self._prompts is None:
            return {"prompt": prompt, "max_tokens": max_tokens}
        self._prompts.check_raw(prompt)
        room = self._prompts.room(self._prompts.length(prompt))
        bos = not self._prompts.writes_bos(prompt)
        return {"prompt": prompt, "max_tokens": min(max_tokens, room), "add_special_tokens": bos}

    def _messages_field(self, job: ChatJob) -> dict[str, Any]:
        if has_video(job.messages):  # the servers would not place the frames and their times as trained
            raise RequestError(NO_VIDEOS)
        max_tokens, continues = job.sampling.max_new_tokens, job.continue_final_message
        extra: dict[str, Any]
        if self._prompts is not None:
            messages = self._prompts.written_out(job.messages, job.draws or False, job.ocr_texts)
            text = self._prompts.text(messages, continue_final_message=continues, tools=job.tools)
            max_tokens = min(max_tokens, self._prompts.room(self._prompts.length(text, messages)))
            extra = {"add_special_tokens": not self._prompts.writes_bos(text)}
            if job.tools:  # vLLM renders them but leaves the calls in the text, where `ChatPipeline` reads them
                extra |= {"tools": self._prompts.tools_as_text(job.tools), "tool_choice": "none"}
        else:
            earlier = (*job.draws[:-1], False) if job.draws else False
            messages = with_requests(job.messages, earlier, job.ocr_texts)
            extra = {"ocr": job.ocr, **({"draw": True} if job.draw else {})}
        if continues:
            extra |= {"continue_final_message": True, "add_generation_prompt": False}
        return {"messages": list(map(_openai_message, messages)), "max_completion_tokens": max_tokens, **extra}


def list_models(url: str, api_key: str | None = None) -> list[str]:
    """Return the names of the models that a server lists, adapters included; none if it does not answer. Blocking.

    Raises:
        RequestError: an invalid URL.
    """
    base = check_server_url(url)
    headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
    with httpx.Client(timeout=5.0, headers=headers, trust_env=False) as client:
        try:
            listed = client.get(f"{base}/models").json()["data"]
            return [printable(model["id"]) for model in listed[:MOST_MODELS]]
        except (httpx.HTTPError, ValueError, KeyError, TypeError, AttributeError):
            return []


def check_server_url(url: str) -> str:
    """Return the base URL of a server without a trailing slash.

    Raises:
        RequestError: it is invalid.
    """
    if not is_base_url(url) or not url.rstrip("/").endswith("/v1"):
        raise RequestError(f"invalid server URL {url!r}: expected e.g. http://10.0.0.5:8000/v1")
    return url.rstrip("/")


def _sampling_fields(sampling: Sampling) -> dict[str, Any]:
    """Return the fields of a request; what OpenAI's API does not have, only where it differs from its default."""
    fields: dict[str, Any] = {"temperature": sampling.temperature, "top_p": sampling.top_p}
    fields |= {
        name: getattr(sampling, name)
        for name in ("seed", "top_k", "min_p", "repetition_penalty")
        if getattr(sampling, name) != getattr(GREEDY, name)
    }
    if sampling.json_schema is not None:
        named_schema = {"name": "answer", "schema": json.loads(sampling.json_schema), "strict": True}
        fields["response_format"] = {"type": "json_schema", "json_schema": named_schema}
    return fields


def _openai_message(message: Mapping[str, Any]) -> dict[str, Any]:
    calls = [
        {**call, "function": {**call["function"], "arguments": json.dumps(call["function"]["arguments"])}}
        for call in message.get("tool_calls", ())
    ]
    return {
        **message,
        "content": _openai_content(message["content"]),
        **({"tool_calls": calls} if calls else {}),
    }


def _openai_content(content: Any) -> Any:
    if isinstance(content, str):
        return content
    return [
        {"type": "image_url", "image_url": {"url": encode_data_uri(encode_png(part["image"], compress_level=1))}}
        if part["type"] == "image"
        else part
        for part in content
    ]


def _events(data: dict[str, Any]) -> list[Event]:
    """Return the events in one chunk of a stream."""
    if "error" in data:
        raise ApiError(502, "a backend failed on this request; retry it", code="backend_failed")
    events: list[Event] = []
    for choice in data["choices"]:
        index, delta = choice["index"], choice.get("delta") or {}
        if text := delta.get("content") or choice.get("text"):
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


def _without_caption_tags(event: Event, parsers: Sequence[CaptionParser]) -> Iterator[Event]:
    """Remove caption tags from the text of an event, if there are parsers."""
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
    """Raise a RequestError for errors that the client can fix, and an ApiError for all others."""
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
        raise ApiError(429, "all backends are busy; retry later", code="queue_full", headers={"Retry-After": wait})
    raise ApiError(502, f"a backend answered {response.status_code}", code="backend_failed")
