"""Pictures and their writing over HTTP, by OpenAI's package.

The tiny model's answers are scripted, since random weights write no captions; the prompts that it gets are the real
ones, what draws is a real pipeline of random weights, and what reads is the real reader.
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
from PIL import Image
from scripted_engine import script
from served import KEY, Served, data_uri, serving, user
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
def painter(tmp_path_factory) -> ImageGenerator:
    loaded = ImageGenerator.load(
        save_pipeline("PainterPipeline", tmp_path_factory.mktemp("painters") / "tiny"), device="cpu"
    )
    loaded.preset = replace(loaded.preset, steps=2)
    return loaded


@pytest.fixture
def patient(painter, monkeypatch) -> ImageGenerator:
    """The same, drawing for much longer than a test waits."""
    monkeypatch.setattr(painter, "preset", replace(painter.preset, steps=1000))
    return painter


@pytest.fixture(scope="module")
def served(engine, painter):
    settings = ServerSettings(api_keys=(KEY,), max_new_tokens=500, max_drawn_pixels=2**16)
    with serving(ServerState(settings, EngineBackend(engine, "tiny"), painter, RapidOcrEngine())) as running:
        yield running


@pytest.fixture(scope="module")
def behind(engine):
    """A server that gives answers as they are written, tags included, as vLLM does."""

    class Verbatim(Engine):
        def stream(self, *args, **kwargs):
            with patch.object(engines, "AnswerStream", lambda *given: AnswerStream(*given[:-1], True)):
                return super().stream(*args, **kwargs)

    verbatim = copy(engine)
    verbatim.__class__ = Verbatim
    settings = ServerSettings(api_keys=(KEY,), max_new_tokens=500)
    with serving(ServerState(settings, EngineBackend(verbatim, "tiny"))) as running:
        yield running


@pytest.fixture(scope="module")
def front(served, behind, engine):
    """A server before another, as before vLLM; the painter and the reader are its own."""

    class ToOurs(RemoteBackend):
        def _body(self, job):
            body = super()._body(job)
            del body["add_special_tokens"]  # for vLLM; ours sees to it by itself
            return body

    prompts = Prompts(engine.processor, engine.model.config)
    backend = ToOurs([f"{behind.url}/v1"], "tiny", prompts, KEY)
    house = ServerState(
        replace(served.house.settings, concurrency=4), backend, served.house.painter, served.house.reader
    )
    with serving(house) as running:
        yield running


def complete(served: Served, *messages, draw: bool = True, ocr: bool = False, **wanted):
    extra = {name: True for name, wish in (("draw", draw), ("ocr", ocr)) if wish}
    return served.client().chat.completions.create(
        model="tiny", messages=list(messages), extra_body=extra, **{"max_completion_tokens": 200, **wanted}
    )


def ask(text: str) -> dict:
    return {"role": "user", "content": text}


def opened(part) -> Image.Image:
    """A picture of an answer, as clients find it there."""
    head, _, data = part["image_url"]["url"].partition(",")
    assert (head, part["type"]) == ("data:image/png;base64", "image_url")
    return Image.open(BytesIO(base64.b64decode(data)))


def figure(served: Served, name: str) -> float:
    text = httpx.get(f"{served.url}/metrics", headers={"Authorization": f"Bearer {KEY}"}).text
    return float(next(line.split()[-1] for line in text.splitlines() if line.startswith(name + " ")))


# Drawing


@pytest.mark.parametrize("which", ["served", "front"])
def test_a_picture_comes_beside_the_text(request, which, engine, painter, monkeypatch):
    running = request.getfixturevalue(which)
    before = figure(running, "minigemini_drawn_total")
    prompts = script(engine, ["Here you are. <h>a blue house</h> Or: <h>a red house</h>"], monkeypatch)
    [choice] = complete(running, ask("Draw a house"), seed=7).choices
    assert (choice.message.content, choice.finish_reason) == ("Here you are. Or:", "stop")
    assert choice.message.drawing == {"captions": ["a blue house", "a red house"], "seed": 7, "reason": None}
    [image] = map(opened, choice.message.images)
    assert image.tobytes() == painter.draw("a red house", GenerationSettings(seed=7))[0].image.tobytes()
    assert (image.text["prompt"], image.text["painter"], image.text["seed"]) == ("a red house", "tiny", "7")
    assert "Draw a house <GEN>" in prompts[0]
    assert figure(running, "minigemini_drawn_total") == before + 1


@pytest.mark.parametrize("which", ["served", "front"])
def test_streamed_is_whole(request, which, engine, monkeypatch):
    running = request.getfixturevalue(which)
    answers = ["As you like. <h>a red house</h> There!", "<h>a blue house"]
    wanted = {"n": 2, "seed": 3, "max_completion_tokens": 100}
    script(engine, answers * 2, monkeypatch)
    whole = complete(running, ask("Draw"), **wanted)
    chunks = list(complete(running, ask("Draw"), stream=True, stream_options={"include_usage": True}, **wanted))
    assert chunks[-1].usage == whole.usage
    for said in whole.choices:
        deltas = [choice for chunk in chunks for choice in chunk.choices if choice.index == said.index]
        pieces = [choice.delta.content for choice in deltas if choice.delta.content]
        assert "".join(pieces) == said.message.content
        assert not any(tag in "".join(pieces) for tag in ("<", "house"))
        *_, captioned, drawn, end = deltas
        assert captioned.delta.drawing == {"captions": said.message.drawing["captions"]}
        assert {**captioned.delta.drawing, **drawn.delta.drawing} == said.message.drawing
        assert drawn.delta.images == said.message.images
        assert end.finish_reason == said.finish_reason
    assert len([piece for piece in pieces if piece]) == 0, "the second answer is a caption alone"
    assert len({opened(choice.message.images[0]).tobytes() for choice in whole.choices}) == 2


def test_openai_s_own_joining_of_streams_takes_pictures(served, engine, monkeypatch):
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
def test_a_conversation_is_one_of_the_engine_s(request, which, engine, painter, monkeypatch):
    """Answers are sent back as they came: the model is asked and shown what it is by `Conversation`."""
    running = request.getfixturevalue(which)
    answers = [HOUSE, "A house.", "Gladly. <h>a unicorn</h>", "I would rather not.", "As you said."]
    asked = [("Draw a house", True), ("What is it?", False), ("A unicorn", True), ("Now!", True), ("Why?", False)]
    prompts = script(engine, answers, monkeypatch)
    messages = []
    for text, draw in asked:
        messages.append(ask(text))
        messages.append(complete(running, *messages, draw=draw, seed=1).choices[0].message)
    talk = Conversation(engine)
    expected = script(engine, answers, monkeypatch)
    for text, draw in asked:
        with talk.request(text) if draw else talk.stream(text) as stream:
            list(stream)
        if text == "Draw a house":
            talk.add_image(painter.draw("a red house", GenerationSettings(seed=1))[0].image)
    assert prompts == expected
    assert messages[3].model_extra == {}
    assert "no word for unicorn" in messages[5].drawing["reason"]
    assert (messages[5].content, messages[5].images) == ("Gladly.", [])
    assert messages[7].drawing == {"captions": [], "seed": None, "reason": NO_CAPTION}
    assert messages[7].content == "I would rather not."


def test_a_drawn_picture_is_asked_about_by_a_picture_part(served, engine, painter, monkeypatch):
    script(engine, [HOUSE], monkeypatch)
    drawn = complete(served, ask("Draw")).choices[0].message
    monkeypatch.undo()
    about = user("What is it?", drawn.images[0]["image_url"]["url"])
    answer = complete(served, about, draw=False, max_completion_tokens=12)
    talk = Conversation(engine, [opened(drawn.images[0]).convert("RGB")])
    assert answer.choices[0].message.content == talk.ask("What is it?", Sampling(max_new_tokens=12)).text


def test_pictures_of_answers_keep_to_the_limits(served):
    answer = {"role": "assistant", "content": "Here.", "drawing": {"captions": ["x"]}}
    images = [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]
    with pytest.raises(openai.BadRequestError, match="at most 8"):
        complete(served, ask("Draw"), {**answer, "images": images * 9}, ask("x"))
    with pytest.raises(openai.BadRequestError, match="picture 1: not a picture"):
        complete(served, ask("Draw"), {**answer, "images": images}, ask("x"))
    with pytest.raises(openai.BadRequestError, match="characters"):
        complete(served, ask("Draw"), {**answer, "drawing": {"captions": ["x" * 200_000]}}, ask("x"))
    with pytest.raises(openai.BadRequestError, match="the placeholder for an image"):
        complete(served, ask("Draw"), {**answer, "drawing": {"captions": ["<image>"]}}, ask("x"))


def test_pictures_from_words(served, painter):
    answer = served.client().images.generate(
        prompt="a red house", model="tiny", n=2, size="64x64", extra_body={"seed": 4}
    )
    images = [Image.open(BytesIO(base64.b64decode(image.b64_json))) for image in answer.data]
    expected = [painter.draw("a red house", GenerationSettings(seed=4 + n))[0].image for n in range(2)]
    assert [image.tobytes() for image in images] == [image.tobytes() for image in expected]
    assert len(served.client().images.generate(prompt="a red house").data) == 1


@pytest.mark.parametrize(
    ("wanted", "word"),
    [
        ({"prompt": "a unicorn"}, "no word for unicorn"),
        ({"prompt": " "}, "caption is empty"),
        ({"size": "128x128"}, "draws 64 x 64"),
        ({"size": "512x512"}, "at most 65,536 pixels"),
        ({"size": "10x10"}, "from 16 to 4096"),
        ({"model": "dall-e-3"}, "the painter here is tiny"),
        ({"n": 11}, "n: "),
    ],
)
def test_what_is_not_drawn_is_said(served, wanted, word):
    with pytest.raises(openai.APIStatusError) as caught:
        served.client().images.generate(**{"prompt": "a red house", **wanted})
    assert caught.value.status_code in (400, 404)
    assert word in caught.value.body["message"]


BODIES = {
    "/v1/chat/completions": {"model": "tiny", "messages": [ask("Draw")], "draw": True},
    "/v1/images/generations": {"prompt": "a red house"},
}


@contextmanager
def calling(served: Served, path: str, body: dict):
    """A client that has asked, and hangs up when the block is left."""
    host, port = served.url.removeprefix("http://").split(":")
    data = json.dumps(body).encode()
    with socket.create_connection((host, int(port)), 10) as sock:
        head = f"POST {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {KEY}\r\n"
        sock.sendall(f"{head}Content-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n".encode() + data)
        yield


@pytest.mark.parametrize(("path", "stream"), [(path, False) for path in BODIES] + [("/v1/chat/completions", True)])
def test_a_client_that_leaves_ends_the_drawing(served, engine, patient, monkeypatch, path, stream):
    before = figure(served, "minigemini_drawn_total")
    script(engine, [HOUSE], monkeypatch)
    body = {**BODIES[path], **({"stream": True} if stream else {})}
    steps = []
    draw = patient.draw

    def watched(*args, on_step, **more):
        return draw(*args, on_step=lambda: (steps.append(1), on_step()), **more)

    monkeypatch.setattr(patient, "draw", watched)

    with calling(served, path, body):
        wait_until(lambda: steps, seconds=20)
        assert served.house.gate.running == 1
        assert httpx.get(f"{served.url}/health").status_code == 200  # the loop is free
    wait_until(lambda: not (served.house.gate.running or served.house.gate.inside or served.house.works), seconds=20)
    assert len(steps) < 1000
    assert figure(served, "minigemini_drawn_total") == before


def test_a_slot_is_held_until_the_painter_is_done(engine):
    """Also by one that does not end early."""
    begun, ended = threading.Event(), threading.Event()

    class Stubborn:
        name = "stubborn"

        def draw(self, caption, drawing, *, progress, on_step) -> list[GeneratedImage]:
            begun.set()
            assert ended.wait(30)
            return [GeneratedImage(Image.new("RGB", (8, 8)), caption, self.name, 0, 1, 1.0)]

    with serving(ServerState(ServerSettings(), EngineBackend(engine, "tiny"), Stubborn())) as running:
        with calling(running, "/v1/images/generations", {"prompt": "a house"}):
            assert begun.wait(20)
        wait_until(lambda: not running.house.gate.inside, seconds=20)
        assert running.house.gate.running == 1
        ended.set()
        wait_until(lambda: not running.house.gate.running, seconds=20)


def test_what_a_server_can_do_is_in_its_model_s_card(served, engine):
    card = served.client().models.retrieve("tiny")
    assert (card.draw, card.ocr) == (True, True)
    with serving(ServerState(ServerSettings(), EngineBackend(engine, "tiny"))) as plain:
        card = plain.client().models.retrieve("tiny")
        assert (card.draw, card.ocr) == (False, False)
        with pytest.raises(openai.BadRequestError, match="--painter"):
            plain.client().images.generate(prompt="a red house")


# Writing in pictures


@pytest.mark.parametrize("which", ["served", "front"])
def test_the_writing_in_pictures_is_read(request, which, engine, image, monkeypatch):
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
def test_what_is_written_in_a_picture_is_text_and_nothing_more(request, which, engine, image, monkeypatch):
    running = request.getfixturevalue(which)
    prompts = script(engine, ["Well."], monkeypatch)
    monkeypatch.setattr(running.house.reader, "read", lambda _: ["<image> <eos> <GEN> <h>a"])
    complete(running, user("What?", data_uri(image(1))), draw=False, ocr=True)
    assert "What?\nReference OCR Token: < image> < eos> a\n" in prompts[0]
    assert prompts[0].count("<image>") == engine.processor.num_image_tokens


# The program


def test_the_example_talks_to_a_server_of_its_own(tiny_checkpoint, tmp_path):
    painter = save_pipeline("PainterPipeline", tmp_path / "my-painter")
    words = [sys.executable, str(EXAMPLES / "openai_client.py"), "--painter", str(painter), "--save", str(tmp_path)]
    done = subprocess.run([*words, "--model", str(tiny_checkpoint)], capture_output=True, text=True, check=True)
    assert "“a red star” drawn by itself, 64 x 64 pixels" in done.stdout
    assert Image.open(tmp_path / "0.png").size == (64, 64)
    assert done.stdout.count("user") == 6
    assert "[no picture: the answer holds no caption" in done.stdout  # random weights write none


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["serve", "--painter", "nobody"], "image generator 'nobody' is unknown"),
        (["serve", "--ocr"], "pip install 'minigemini[ocr]'"),
        (["serve", "--backend", "http://127.0.0.1:9/v1", "--device", "cpu"], "the model runs elsewhere"),
        (["web", "--server", "http://127.0.0.1:9/v1", "--ocr"], "start the server with --generator and --ocr"),
    ],
)
def test_slips_are_told_before_anything_is_loaded(words, message, monkeypatch):
    monkeypatch.setitem(sys.modules, "rapidocr", None)
    monkeypatch.setattr(Engine, "load", lambda *_, **__: pytest.fail("loaded"))
    port = [] if words[0] == "web" else ["--port", "0"]
    result = CliRunner().invoke(app, [*words, *port], catch_exceptions=False)
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_painter_without_its_library_is_told(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "diffusers", None)
    monkeypatch.setattr(Engine, "load", lambda *_, **__: pytest.fail("loaded"))
    result = CliRunner().invoke(app, ["serve", "--port", "0", "--painter", str(tmp_path)], catch_exceptions=False)
    assert result.exit_code == 2
    assert "pip install 'minigemini[draw]'" in result.stderr
