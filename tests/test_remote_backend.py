"""RemoteBackend in front of other servers, here our own, and of a stand-in for vLLM."""

import asyncio
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import openai
import pytest
from api_server import KEY, data_uri, serving, user
from waiting import wait_until

from minigemini.inference import Engine, RequestError, Sampling
from minigemini.inference.prompts import Prompts
from minigemini.modeling.chat_templates import CHAT_TEMPLATES
from minigemini.serving.backends import ChatJob, ChoiceEnd, Event, TextDelta
from minigemini.serving.engine_backend import EngineBackend
from minigemini.serving.remote_backend import RemoteBackend
from minigemini.serving.server_settings import ServerSettings
from minigemini.serving.state import ServerState

UNREACHABLE = "http://127.0.0.1:9/v1"


@pytest.fixture(scope="module")
def engine(tiny_checkpoint) -> Engine:
    return Engine.load(tiny_checkpoint, device="cpu")


@pytest.fixture(scope="module")
def backend_server(engine):
    with serving(ServerState(ServerSettings(api_keys=(KEY,)), EngineBackend(engine, "tiny"))) as running:
        yield running


@pytest.fixture
def front(backend_server):
    backend = RemoteBackend([UNREACHABLE, f"{backend_server.url}/v1"], "tiny", prompts=None, api_key=KEY)
    with serving(ServerState(ServerSettings(concurrency=8), backend)) as running:
        yield running


def ask(running, *messages, **options):
    options = {"model": "tiny", "max_completion_tokens": 12, **options}
    return running.client().chat.completions.create(messages=list(messages), **options)


def test_answers_pass_through(front, backend_server, image):
    message = user("What is it?", data_uri(image(4), "webp"))
    options = {"temperature": 1.0, "seed": 2, "n": 2, "stop": ["q"]}
    direct, forwarded = (
        ask(running, user("What is it?", data_uri(image(4))), **options) for running in (backend_server, front)
    )
    assert [choice.message.content for choice in forwarded.choices] == [
        choice.message.content for choice in direct.choices
    ]
    assert forwarded.usage == direct.usage
    assert ask(front, message).choices[0].message.content  # any format is forwarded as PNG
    text = "".join(chunk.choices[0].delta.content or "" for chunk in ask(front, message, stream=True) if chunk.choices)
    assert text == ask(front, message).choices[0].message.content


def test_client_errors_of_a_backend_are_passed_on(front):
    with pytest.raises(openai.BadRequestError, match="context holds"):
        ask(front, {"role": "user", "content": "long " * 500})


@pytest.mark.parametrize("has_prompts", [True, False])
def test_videos_are_refused_by_name(engine, has_prompts):
    backend = RemoteBackend(
        [UNREACHABLE], "tiny", Prompts(engine.processor, engine.model.config) if has_prompts else None
    )
    video = {"type": "video_url", "video_url": {"url": "data:video/mp4;base64,AAAA"}}
    with serving(ServerState(ServerSettings(), backend)) as front, pytest.raises(openai.BadRequestError) as caught:
        ask(front, {"role": "user", "content": [video, {"type": "text", "text": "What happens?"}]})
    assert (caught.value.code, caught.value.param) == ("no_videos", "messages")
    assert "takes no videos; send frames as images" in caught.value.message


def test_a_disconnect_stops_the_answer_of_the_backend(front, backend_server):
    with ask(front, {"role": "user", "content": "On"}, max_completion_tokens=1000, stream=True) as stream:
        next(iter(stream))
        assert backend_server.state.queue.running == 1
    wait_until(lambda: not (backend_server.state.queue.running or front.state.queue.running), seconds=10)


def test_no_backend_is_reachable():
    with serving(ServerState(ServerSettings(), RemoteBackend([UNREACHABLE], "tiny", prompts=None))) as running:
        assert httpx.get(f"{running.url}/health").status_code == 503
        with pytest.raises(openai.InternalServerError, match="no backend"):
            ask(running, {"role": "user", "content": "Hi"})


def test_the_least_busy_server_is_used(engine):
    states = [ServerState(ServerSettings(), EngineBackend(engine, "tiny")) for _ in range(2)]
    with serving(states[0]) as one, serving(states[1]) as two:
        backend = RemoteBackend([f"{one.url}/v1", f"{two.url}/v1"], "tiny", prompts=None)
        with serving(ServerState(ServerSettings(concurrency=2), backend)) as front:
            options = {"stop": "\0", "max_completion_tokens": 400}
            threads = [
                threading.Thread(target=ask, args=(front, {"role": "user", "content": str(n)}), kwargs=options)
                for n in range(2)
            ]
            threads[0].start()
            while not any(
                state.queue.running for state in states
            ):  # the second request arrives while the first is running
                assert threads[0].is_alive()
                time.sleep(0.005)
            threads[1].start()
            for thread in threads:
                thread.join()
    written = [state.metrics.tokens.labels("written")._value.get() for state in states]
    assert min(written) > 0, written


CHOICES = {0: ["<", "/h", ">"], 1: ["A <h>c", "at</h>", "!"]}


class Vllm(BaseHTTPRequestHandler):
    """Streams two choices like vLLM."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.end_headers()
        choices = [{"index": n, "delta": {"content": piece}} for n, pieces in CHOICES.items() for piece in pieces]
        choices += [{"index": n, "delta": {}, "finish_reason": "stop"} for n in CHOICES]
        for choice in choices:
            self.wfile.write(f"data: {json.dumps({'choices': [choice]})}\n\n".encode())
        self.wfile.write(b"data: [DONE]\n\n")

    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.parametrize(("draw", "expected"), [(False, ["", "A cat!"]), (True, ["</h>", "A <h>cat</h>!"])])
def test_caption_tags_are_removed_unless_an_image_was_requested(engine, draw, expected):
    """With an image request the pipeline parses the tags."""
    prompts = Prompts(engine.processor, engine.model.config)
    job = ChatJob([{"role": "user", "content": "hi"}], Sampling(), choices=2, draws=(draw,))

    async def events(url: str) -> list[Event]:
        backend = RemoteBackend([url], "tiny", prompts)
        try:
            return [event async for event in backend.answer(job)]
        finally:
            await backend.close()

    with ThreadingHTTPServer(("127.0.0.1", 0), Vllm) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        events_received = asyncio.run(events(f"http://127.0.0.1:{server.server_address[1]}/v1"))
        server.shutdown()
    texts = [
        "".join(e.text for e in events_received if isinstance(e, TextDelta) and e.index == index) for index in CHOICES
    ]
    assert texts == expected
    assert [event for event in events_received if isinstance(event, ChoiceEnd)] == [
        ChoiceEnd(0, "stop"),
        ChoiceEnd(1, "stop"),
    ]
    assert isinstance(events_received[-1], ChoiceEnd)


def test_an_invalid_url_is_rejected():
    with pytest.raises(RequestError, match="invalid server URL"):
        RemoteBackend(["10.0.0.5:8000"], "tiny", prompts=None)


@pytest.mark.parametrize(("template", "adds_bos"), [("nano", False), ("vicuna", True)])
def test_bos_is_added_if_the_chat_template_has_none(engine, image, template, adds_bos):
    """Our processor adds it itself; vLLM gets `add_special_tokens`."""
    processor = engine.processor
    before, processor.chat_template = processor.chat_template, CHAT_TEMPLATES[template]
    try:
        prompts = Prompts(processor, engine.model.config)
        content = [{"type": "image", "image": image(0)}, {"type": "text", "text": "Why?"}]
        messages = [{"role": "user", "content": content}]
        job = ChatJob(messages, Sampling(max_new_tokens=5000, seed=1), stop=("x",))
        body = RemoteBackend([UNREACHABLE], "tiny", prompts)._request_body(job)
        length = prompts.inputs(messages)["input_ids"].shape[1]
        counted = prompts.length(prompts.text(messages), messages)
        assert counted - 1 <= length <= counted
    finally:
        processor.chat_template = before
    assert body["add_special_tokens"] is adds_bos
    assert body["max_completion_tokens"] == prompts.context_tokens - counted
    assert (body["seed"], body["stop"]) == (1, ["x"])
    assert body["messages"][0]["content"][0]["image_url"]["url"].startswith("data:image/png;base64,")
