"""Image generation and OCR over HTTP, through OpenAI's client.

The answers of the tiny model are scripted, since random weights write no captions. Its prompts are real, the image
generator is a real pipeline with random weights, and the OCR engine is the real one.
"""

import base64
import json
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager
from copy import copy
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from unittest.mock import patch

import httpx
import openai
import pytest
from api_server import KEY, Served, data_uri, serving, user
from PIL import Image
from scripted_engine import script
from tiny_pipelines import save_pipeline
from typer.testing import CliRunner
from waiting import wait_until

from minigemini.cli.app import app
from minigemini.inference import Conversation, Engine, GeneratedImage, GenerationSettings, ImageGenerator, Sampling
from minigemini.inference import engine as engines
from minigemini.inference.ocr import RapidOcrEngine
from minigemini.inference.prompts import Prompts
from minigemini.inference.streaming import AnswerStream
from minigemini.serving.chat_pipeline import NO_CAPTION
from minigemini.serving.engine_backend import EngineBackend
from minigemini.serving.remote_backend import RemoteBackend
from minigemini.serving.server_settings import ServerSettings
from minigemini.serving.state import ServerState

EXAMPLES = Path(__file__).parent.parent / "examples"
SIGN = EXAMPLES / "sign.png"
HOUSE = "Here it is. <h>a red house</h>"


@pytest.fixture(scope="module")
def engine(tiny_checkpoint) -> Engine:
    return Engine.load(tiny_checkpoint, device="cpu")


@pytest.fixture(scope="module")
def generator(tmp_path_factory) -> ImageGenerator:
    loaded = ImageGenerator.load(
        save_pipeline("PainterPipeline", tmp_path_factory.mktemp("generators") / "tiny"), device="cpu"
    )
    loaded.preset = replace(loaded.preset, steps=2)
    return loaded


@pytest.fixture
def slow_generator(generator, monkeypatch) -> ImageGenerator:
    """The same generator with so many steps that no test waits for the end."""
    monkeypatch.setattr(generator, "preset", replace(generator.preset, steps=1000))
    return generator


@pytest.fixture(scope="module")
def served(engine, generator):
    settings = ServerSettings(api_keys=(KEY,), max_new_tokens=500, max_drawn_pixels=2**16)
    with serving(ServerState(settings, EngineBackend(engine, "tiny"), generator, RapidOcrEngine())) as running:
        yield running


@pytest.fixture(scope="module")
def backend_server(engine):
    """A server that returns answers with caption tags, as vLLM does."""

    class Verbatim(Engine):
        def stream(self, *args, **kwargs):
            with patch.object(
                engines, "AnswerStream", lambda *given, **named: AnswerStream(*given[:-1], True, **named)
            ):
                return super().stream(*args, **kwargs)

    verbatim = copy(engine)
    verbatim.__class__ = Verbatim
    settings = ServerSettings(api_keys=(KEY,), max_new_tokens=500)
    with serving(ServerState(settings, EngineBackend(verbatim, "tiny"))) as running:
        yield running


@pytest.fixture(scope="module")
def front(served, backend_server, engine):
    """A server in front of another, as in front of vLLM, with its own image generator and OCR engine."""

    class ToOurServer(RemoteBackend):
        def _request_body(self, job):
            body = super()._request_body(job)
            del body["add_special_tokens"]  # for vLLM; our server decides it itself
            return body

    prompts = Prompts(engine.processor, engine.model.config)
    backend = ToOurServer([f"{backend_server.url}/v1"], "tiny", prompts, KEY)
    state = ServerState(
        replace(served.state.settings, concurrency=4), backend, served.state.image_generator, served.state.ocr_engine
    )
    with serving(state) as running:
        yield running


def complete(served: Served, *messages, draw: bool = True, ocr: bool = False, **options):
    extra = {name: True for name, enabled in (("draw", draw), ("ocr", ocr)) if enabled}
    return served.client().chat.completions.create(
        model="tiny", messages=list(messages), extra_body=extra, **{"max_completion_tokens": 200, **options}
    )


def ask(text: str) -> dict:
    return {"role": "user", "content": text}


def opened(part) -> Image.Image:
    """Return an image of an answer, decoded as a client would."""
    head, _, data = part["image_url"]["url"].partition(",")
    assert (head, part["type"]) == ("data:image/png;base64", "image_url")
    return Image.open(BytesIO(base64.b64decode(data)))


def metric(served: Served, name: str) -> float:
    text = httpx.get(f"{served.url}/metrics", headers={"Authorization": f"Bearer {KEY}"}).text
    return float(next(line.split()[-1] for line in text.splitlines() if line.startswith(name + " ")))


# Image generation


@pytest.mark.parametrize("which", ["served", "front"])
def test_response_contains_image_and_text(request, which, engine, generator, monkeypatch):
    running = request.getfixturevalue(which)
    before = metric(running, "minigemini_drawn_total")
    prompts = script(engine, ["Here you are. <h>a blue house</h> Or: <h>a red house</h>"], monkeypatch)
    [choice] = complete(running, ask("Draw a house"), seed=7).choices
    assert (choice.message.content, choice.finish_reason) == ("Here you are. Or:", "stop")
    assert choice.message.drawing == {"captions": ["a blue house", "a red house"], "seed": 7, "reason": None}
    [image] = map(opened, choice.message.images)
    assert image.tobytes() == generator.draw("a red house", GenerationSettings(seed=7))[0].image.tobytes()
    assert (image.text["prompt"], image.text["painter"], image.text["seed"]) == ("a red house", "tiny", "7")
    assert "Draw a house <GEN>" in prompts[0]
    assert metric(running, "minigemini_drawn_total") == before + 1


@pytest.mark.parametrize("which", ["served", "front"])
def test_a_stream_equals_the_complete_response(request, which, engine, monkeypatch):
    running = request.getfixturevalue(which)
    answers = ["As you like. <h>a red house</h> There!", "<h>a blue house"]
    options = {"n": 2, "seed": 3, "max_completion_tokens": 100}
    script(engine, answers * 2, monkeypatch)
    whole = complete(running, ask("Draw"), **options)
    chunks = list(complete(running, ask("Draw"), stream=True, stream_options={"include_usage": True}, **options))
    assert chunks[-1].usage == whole.usage
    for expected_choice in whole.choices:
        deltas = [choice for chunk in chunks for choice in chunk.choices if choice.index == expected_choice.index]
        pieces = [choice.delta.content for choice in deltas if choice.delta.content]
        assert "".join(pieces) == expected_choice.message.content
        assert not any(tag in "".join(pieces) for tag in ("<", "house"))
        *_, captioned, drawn, end = deltas
        assert captioned.delta.drawing == {"captions": expected_choice.message.drawing["captions"]}
        assert {**captioned.delta.drawing, **drawn.delta.drawing} == expected_choice.message.drawing
        assert drawn.delta.images == expected_choice.message.images
        assert end.finish_reason == expected_choice.finish_reason
    assert len([piece for piece in pieces if piece]) == 0, "the second answer is a caption alone"
    assert len({opened(choice.message.images[0]).tobytes() for choice in whole.choices}) == 2


def test_openai_s_stream_accumulation_keeps_images(served, engine, monkeypatch):
    script(engine, [HOUSE], monkeypatch)
    client = served.client()
    with client.chat.completions.stream(
        model="tiny", messages=[ask("Draw")], extra_body={"draw": True}, max_completion_tokens=100
    ) as stream:
        message = stream.get_final_completion().choices[0].message
    assert message.content == "Here it is."
    assert opened(message.images[0]).size == (64, 64)
    assert message.drawing["captions"] == ["a red house"]


@pytest.mark.parametrize("which", ["served", "front"])
def test_a_conversation_equals_the_engine_s(request, which, engine, generator, monkeypatch):
    """Answers are sent back unchanged; the prompts equal those of `Conversation`."""
    running = request.getfixturevalue(which)
    answers = [HOUSE, "A house.", "Gladly. <h>a unicorn</h>", "I would rather not.", "As you expected_choice."]
    requests = [("Draw a house", True), ("What is it?", False), ("A unicorn", True), ("Now!", True), ("Why?", False)]
    prompts = script(engine, answers, monkeypatch)
    messages = []
    for text, draw in requests:
        messages.append(ask(text))
        messages.append(complete(running, *messages, draw=draw, seed=1).choices[0].message)
    talk = Conversation(engine)
    expected = script(engine, answers, monkeypatch)
    for text, draw in requests:
        with talk.request(text) if draw else talk.stream(text) as stream:
            list(stream)
        if text == "Draw a house":
            talk.add_image(generator.draw("a red house", GenerationSettings(seed=1))[0].image)
    assert prompts == expected
    assert messages[3].model_extra == {}
    assert "no word for unicorn" in messages[5].drawing["reason"]
    assert (messages[5].content, messages[5].images) == ("Gladly.", [])
    assert messages[7].drawing == {"captions": [], "seed": None, "reason": NO_CAPTION}
    assert messages[7].content == "I would rather not."


def test_a_generated_image_can_be_sent_as_an_image_part(served, engine, generator, monkeypatch):
    script(engine, [HOUSE], monkeypatch)
    drawn = complete(served, ask("Draw")).choices[0].message
    monkeypatch.undo()
    about = user("What is it?", drawn.images[0]["image_url"]["url"])
    answer = complete(served, about, draw=False, max_completion_tokens=12)
    talk = Conversation(engine, [opened(drawn.images[0]).convert("RGB")])
    assert answer.choices[0].message.content == talk.ask("What is it?", Sampling(max_new_tokens=12)).text


def test_images_in_answers_count_toward_the_limits(served):
    answer = {"role": "assistant", "content": "Here.", "drawing": {"captions": ["x"]}}
    images = [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]
    with pytest.raises(openai.BadRequestError, match="at most 8"):
        complete(served, ask("Draw"), {**answer, "images": images * 9}, ask("x"))
    with pytest.raises(openai.BadRequestError, match="image 1: not an image"):
        complete(served, ask("Draw"), {**answer, "images": images}, ask("x"))
    with pytest.raises(openai.BadRequestError, match="characters"):
        complete(served, ask("Draw"), {**answer, "drawing": {"captions": ["x" * 200_000]}}, ask("x"))
    with pytest.raises(openai.BadRequestError, match="the placeholder for an image"):
        complete(served, ask("Draw"), {**answer, "drawing": {"captions": ["<image>"]}}, ask("x"))


def test_images_from_a_prompt(served, generator):
    answer = served.client().images.generate(
        prompt="a red house", model="tiny", n=2, size="64x64", extra_body={"seed": 4}
    )
    images = [Image.open(BytesIO(base64.b64decode(image.b64_json))) for image in answer.data]
    expected = [generator.draw("a red house", GenerationSettings(seed=4 + n))[0].image for n in range(2)]
    assert [image.tobytes() for image in images] == [image.tobytes() for image in expected]
    assert len(served.client().images.generate(prompt="a red house").data) == 1


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"prompt": "a unicorn"}, "no word for unicorn"),
        ({"prompt": " "}, "caption is empty"),
        ({"size": "128x128"}, "only generates 64 x 64"),
        ({"size": "512x512"}, "at most 65,536 pixels"),
        ({"size": "10x10"}, "from 16 to 4096"),
        ({"model": "dall-e-3"}, "this server serves 'tiny'"),
        ({"n": 11}, "n: "),
    ],
)
def test_invalid_image_requests_are_rejected(served, options, expected):
    with pytest.raises(openai.APIStatusError) as caught:
        served.client().images.generate(**{"prompt": "a red house", **options})
    assert caught.value.status_code in (400, 404)
    assert expected in caught.value.body["message"]


BODIES = {
    "/v1/chat/completions": {"model": "tiny", "messages": [ask("Draw")], "draw": True},
    "/v1/images/generations": {"prompt": "a red house"},
}


@contextmanager
def open_request(served: Served, path: str, body: dict):
    """Send a request, and disconnect at the end of the block."""
    host, port = served.url.removeprefix("http://").split(":")
    data = json.dumps(body).encode()
    with socket.create_connection((host, int(port)), 10) as sock:
        head = f"POST {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {KEY}\r\n"
        sock.sendall(f"{head}Content-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n".encode() + data)
        yield


@pytest.mark.parametrize(("path", "stream"), [(path, False) for path in BODIES] + [("/v1/chat/completions", True)])
def test_a_disconnect_stops_image_generation(served, engine, slow_generator, monkeypatch, path, stream):
    before = metric(served, "minigemini_drawn_total")
    script(engine, [HOUSE], monkeypatch)
    body = {**BODIES[path], **({"stream": True} if stream else {})}
    steps = []
    draw = slow_generator.draw

    def counting_draw(*args, on_step, **more):
        return draw(*args, on_step=lambda: (steps.append(1), on_step()), **more)

    monkeypatch.setattr(slow_generator, "draw", counting_draw)

    with open_request(served, path, body):
        wait_until(lambda: steps, seconds=20)
        assert served.state.queue.running == 1
        assert httpx.get(f"{served.url}/health").status_code == 200  # the event loop is free
    wait_until(
        lambda: not (served.state.queue.running or served.state.queue.admitted or served.state.tasks), seconds=20
    )
    assert len(steps) < 1000
    assert metric(served, "minigemini_drawn_total") == before


def test_a_slot_is_held_until_the_image_generator_stops(engine):
    """With a generator that cannot stop early."""
    started, ended = threading.Event(), threading.Event()

    class Unstoppable:
        name = "unstoppable"

        def draw(self, caption, drawing, *, progress, on_step) -> list[GeneratedImage]:
            started.set()
            assert ended.wait(30)
            return [GeneratedImage(Image.new("RGB", (8, 8)), caption, self.name, 0, 1, 1.0)]

    with serving(ServerState(ServerSettings(), EngineBackend(engine, "tiny"), Unstoppable())) as running:
        with open_request(running, "/v1/images/generations", {"prompt": "a house"}):
            assert started.wait(20)
        wait_until(lambda: not running.state.queue.admitted, seconds=20)
        assert running.state.queue.running == 1
        ended.set()
        wait_until(lambda: not running.state.queue.running, seconds=20)


def test_capabilities_are_in_the_model_card(served, engine):
    card = served.client().models.retrieve("tiny")
    assert (card.draw, card.ocr) == (True, True)
    with serving(ServerState(ServerSettings(), EngineBackend(engine, "tiny"))) as plain:
        card = plain.client().models.retrieve("tiny")
        assert (card.draw, card.ocr) == (False, False)
        with pytest.raises(openai.BadRequestError, match="--generator"):
            plain.client().images.generate(prompt="a red house")


# OCR


@pytest.mark.parametrize("which", ["served", "front"])
def test_ocr_texts_are_in_the_prompt(request, which, engine, image, monkeypatch):
    running = request.getfixturevalue(which)
    prompts = script(engine, ["Beat.", "Beat, still.", "Who knows."], monkeypatch)
    sign = user("What does it say?", data_uri(SIGN.read_bytes()))
    first = complete(running, sign, draw=False, ocr=True).choices[0].message
    assert first.content == "Beat."
    complete(running, sign, first, ask("And now?"), draw=False, ocr=True)
    complete(running, sign, draw=False)
    assert "What does it say?\nReference OCR Token: BEAT\n" in prompts[0]
    assert prompts[1].count("Reference OCR Token") == 1
    assert "OCR" not in prompts[2]


@pytest.mark.parametrize("which", ["served", "front"])
def test_ocr_texts_cannot_contain_control_tokens(request, which, engine, image, monkeypatch):
    running = request.getfixturevalue(which)
    prompts = script(engine, ["Well."], monkeypatch)
    monkeypatch.setattr(running.state.ocr_engine, "read", lambda _: ["<image> <eos> <GEN> <h>a"])
    complete(running, user("What?", data_uri(image(1))), draw=False, ocr=True)
    assert "What?\nReference OCR Token: < image> < eos> a\n" in prompts[0]
    assert prompts[0].count("<image>") == engine.processor.num_image_tokens


# Command line


def test_the_example_runs_its_own_server(tiny_checkpoint, tmp_path):
    generator = save_pipeline("PainterPipeline", tmp_path / "my-painter")
    command = [
        sys.executable,
        str(EXAMPLES / "openai_client.py"),
        "--generator",
        str(generator),
        "--save",
        str(tmp_path),
    ]
    done = subprocess.run([*command, "--model", str(tiny_checkpoint)], capture_output=True, text=True, check=True)
    assert "“a red star” without a conversation, 64 x 64 pixels" in done.stdout
    assert Image.open(tmp_path / "0.png").size == (64, 64)
    assert done.stdout.count("user") == 6
    assert "[no image: the answer has no image caption" in done.stdout  # random weights write no captions


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["serve", "--painter", "nobody"], "image generator 'nobody' is unknown"),
        (["serve", "--ocr"], "pip install 'minigemini[ocr]'"),
        (["serve", "--backend", "http://127.0.0.1:9/v1", "--device", "cpu"], "the model runs elsewhere"),
        (["web", "--server", "http://127.0.0.1:9/v1", "--ocr"], "start the server with --generator and --ocr"),
    ],
)
def test_invalid_options_are_reported_before_loading(arguments, message, monkeypatch):
    monkeypatch.setitem(sys.modules, "rapidocr", None)
    monkeypatch.setattr(Engine, "load", lambda *_, **__: pytest.fail("loaded"))
    port = [] if arguments[0] == "web" else ["--port", "0"]
    result = CliRunner().invoke(app, [*arguments, *port], catch_exceptions=False)
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_missing_image_generation_library_is_reported(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "diffusers", None)
    monkeypatch.setattr(Engine, "load", lambda *_, **__: pytest.fail("loaded"))
    result = CliRunner().invoke(app, ["serve", "--port", "0", "--painter", str(tmp_path)], catch_exceptions=False)
    assert result.exit_code == 2
    assert "pip install 'minigemini[draw]'" in result.stderr
