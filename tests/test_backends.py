"""A server in front of others: the answers are theirs, the door is its own. Those behind are our own servers here."""

import asyncio
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import openai
import pytest
from served import KEY, data_uri, serving, user
from waiting import wait_until

from minigemini.inference import Engine, RequestError, Sampling
from minigemini.inference.prompts import Prompts
from minigemini.modeling.chat_templates import CHAT_TEMPLATES
from minigemini.serving.backends import ChatJob, ChoiceEnd, Event, TextDelta
from minigemini.serving.engine_backend import EngineBackend
from minigemini.serving.remote_backend import RemoteBackend
from minigemini.serving.server_settings import ServerSettings
from minigemini.serving.state import ServerState

NOBODY = "http://127.0.0.1:9/v1"


@pytest.fixture(scope="module")
def engine(tiny_checkpoint) -> Engine:
    return Engine.load(tiny_checkpoint, device="cpu")


@pytest.fixture(scope="module")
def behind(engine):
    with serving(ServerState(ServerSettings(api_keys=(KEY,)), EngineBackend(engine, "tiny"))) as running:
        yield running


@pytest.fixture
def front(behind):
    backend = RemoteBackend([NOBODY, f"{behind.url}/v1"], "tiny", prompts=None, api_key=KEY)
    with serving(ServerState(ServerSettings(concurrency=8), backend)) as running:
        yield running


def ask(running, *messages, **wanted):
    wanted = {"model": "tiny", "max_completion_tokens": 12, **wanted}
    return running.client().chat.completions.create(messages=list(messages), **wanted)


def test_answers_pass_through(front, behind, image):
    message = user("What is it?", data_uri(image(4), "webp"))
    wanted = {"temperature": 1.0, "seed": 2, "n": 2, "stop": ["q"]}
    theirs, ours = (ask(running, user("What is it?", data_uri(image(4))), **wanted) for running in (behind, front))
    assert [choice.message.content for choice in ours.choices] == [choice.message.content for choice in theirs.choices]
    assert ours.usage == theirs.usage
    assert ask(front, message).choices[0].message.content  # any format; what goes on is PNG
    text = "".join(chunk.choices[0].delta.content or "" for chunk in ask(front, message, stream=True) if chunk.choices)
    assert text == ask(front, message).choices[0].message.content


def test_what_the_asker_can_mend_is_passed_on(front):
    with pytest.raises(openai.BadRequestError, match="context holds"):
        ask(front, {"role": "user", "content": "long " * 500})


def test_a_client_that_leaves_ends_the_answer_behind(front, behind):
    with ask(front, {"role": "user", "content": "On"}, max_completion_tokens=1000, stream=True) as stream:
        next(iter(stream))
        assert behind.house.gate.running == 1
    wait_until(lambda: not (behind.house.gate.running or front.house.gate.running), seconds=10)


def test_nobody_behind():
    with serving(ServerState(ServerSettings(), RemoteBackend([NOBODY], "tiny", prompts=None))) as running:
        assert httpx.get(f"{running.url}/health").status_code == 503
        with pytest.raises(openai.InternalServerError, match="no backend"):
            ask(running, {"role": "user", "content": "Hi"})


def test_the_least_busy_is_asked(engine):
    houses = [ServerState(ServerSettings(), EngineBackend(engine, "tiny")) for _ in range(2)]
    with serving(houses[0]) as one, serving(houses[1]) as two:
        backend = RemoteBackend([f"{one.url}/v1", f"{two.url}/v1"], "tiny", prompts=None)
        with serving(ServerState(ServerSettings(concurrency=2), backend)) as front:
            said = {"stop": "\0", "max_completion_tokens": 400}
            threads = [
                threading.Thread(target=ask, args=(front, {"role": "user", "content": str(n)}), kwargs=said)
                for n in range(2)
            ]
            threads[0].start()
            while not any(house.gate.running for house in houses):  # the second comes while the first is being answered
                assert threads[0].is_alive()
                time.sleep(0.005)
            threads[1].start()
            for thread in threads:
                thread.join()
    written = [house.metrics.tokens.labels("written")._value.get() for house in houses]
    assert min(written) > 0, written


SAID = {0: ["<", "/h", ">"], 1: ["A <h>c", "at</h>", "!"]}


class Vllm(BaseHTTPRequestHandler):
    """Streams two choices as vLLM does."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.end_headers()
        choices = [{"index": n, "delta": {"content": piece}} for n, pieces in SAID.items() for piece in pieces]
        choices += [{"index": n, "delta": {}, "finish_reason": "stop"} for n in SAID]
        for choice in choices:
            self.wfile.write(f"data: {json.dumps({'choices': [choice]})}\n\n".encode())
        self.wfile.write(b"data: [DONE]\n\n")

    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.parametrize(("draw", "expected"), [(False, ["", "A cat!"]), (True, ["</h>", "A <h>cat</h>!"])])
def test_tags_around_captions_are_for_those_who_asked_for_a_picture(engine, draw, expected):
    """With a wish they go on: whoever draws reads them."""
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
        told = asyncio.run(events(f"http://127.0.0.1:{server.server_address[1]}/v1"))
        server.shutdown()
    texts = ["".join(e.text for e in told if isinstance(e, TextDelta) and e.index == index) for index in SAID]
    assert texts == expected
    assert [event for event in told if isinstance(event, ChoiceEnd)] == [ChoiceEnd(0, "stop"), ChoiceEnd(1, "stop")]
    assert isinstance(told[-1], ChoiceEnd)


def test_an_address_must_be_one():
    with pytest.raises(RequestError, match="it looks like"):
        RemoteBackend(["10.0.0.5:8000"], "tiny", prompts=None)


@pytest.mark.parametrize(("template", "adds_bos"), [("nano", False), ("vicuna", True)])
def test_bos_is_added_where_the_format_has_none(engine, image, template, adds_bos):
    """By whoever tokenises: our processor sees to it, vLLM is told."""
    processor = engine.processor
    before, processor.chat_template = processor.chat_template, CHAT_TEMPLATES[template]
    try:
        prompts = Prompts(processor, engine.model.config)
        content = [{"type": "image", "image": image(0)}, {"type": "text", "text": "Why?"}]
        messages = [{"role": "user", "content": content}]
        job = ChatJob(messages, Sampling(max_new_tokens=5000, seed=1), stop=("x",))
        body = RemoteBackend([NOBODY], "tiny", prompts)._body(job)
        length = prompts.inputs(messages)["input_ids"].shape[1]
        counted = prompts.length(prompts.text(messages))
        assert counted - 1 <= length <= counted
    finally:
        processor.chat_template = before
    assert body["add_special_tokens"] is adds_bos
    assert body["max_completion_tokens"] == prompts.context_tokens - counted
    assert (body["seed"], body["stop"]) == (1, ["x"])
    assert body["messages"][0]["content"][0]["image_url"]["url"].startswith("data:image/png;base64,")
