"""Conversion between Gradio's chat and the pipeline, and stored votes. test_page.py runs the page in a browser."""

import asyncio
import json
import stat
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from api_server import serving
from PIL import Image
from scripted_engine import script
from tiny_pipelines import save_pipeline

from minigemini.inference import Conversation, Engine, GenerationSettings, ImageGenerator, Sampling
from minigemini.serving.api_errors import ApiError
from minigemini.serving.backends import Capabilities
from minigemini.serving.chat_pipeline import ChatPipeline
from minigemini.serving.engine_backend import EngineBackend
from minigemini.serving.remote_backend import RemoteBackend
from minigemini.serving.server_settings import ServerSettings
from minigemini.serving.state import ServerState
from minigemini.serving.web.feedback import Feedback, FeedbackLog
from minigemini.serving.web.gradio_adapter import FAILED, GENERATED, NOT_GENERATED, build_job, render_answer, with_error
from minigemini.serving.web.uploads import UploadStore

SHORT = Sampling(max_new_tokens=12)
SESSION = "0" * 32


def test_a_conversation_on_the_page_equals_the_engine_s(tiny_checkpoint, image, tmp_path):
    engine = Engine.load(tiny_checkpoint, device="cpu")
    files = [tmp_path / f"{seed}.png" for seed in range(3)]
    for seed, file in enumerate(files):
        image(seed).save(file)
    talk = Conversation(engine, files[:2])
    first = talk.ask("What?", SHORT).text
    talk.add_image(files[2])
    second = talk.ask("And now?", SHORT).text

    def shown(file) -> dict:
        return {"role": "user", "content": [{"type": "file", "file": {"path": str(file)}}]}

    history = [
        shown(files[0]),
        shown(files[1]),
        {"role": "user", "content": [{"type": "text", "text": "What?"}]},
        {"role": "assistant", "content": [{"type": "text", "text": first}]},
    ]

    async def answer(message, history) -> list[str]:
        pipeline = ChatPipeline(EngineBackend(engine, "tiny"))
        job = build_job(message, history, SHORT, ServerSettings(), tmp_path)
        return [text async for text in render_answer(pipeline, job, UploadStore(tmp_path).writer(SESSION))]

    texts = asyncio.run(answer({"text": "And now?", "files": [str(files[2])]}, history))
    assert texts[-1] == second
    assert all(later.startswith(earlier) for earlier, later in pairwise(texts))
    # Retry and Edit, as Gradio sends them.
    again = {"text": "And now?", "files": [{"path": str(files[2])}]}
    assert asyncio.run(answer(again, history))[-1] == second
    assert asyncio.run(answer("And now?", [*history, shown(files[2])]))[-1] == second


@pytest.mark.parametrize("over_a_server", [False, True])
def test_generated_images_are_part_of_the_conversation(tiny_checkpoint, tmp_path, monkeypatch, over_a_server):
    """The prompts equal those of `Conversation`, with a local and with a remote model."""
    engine = Engine.load(tiny_checkpoint, device="cpu")
    generator = ImageGenerator.load(save_pipeline("PainterPipeline", tmp_path / "tiny"), device="cpu")
    generator.preset = replace(generator.preset, steps=1)
    uploads = tmp_path / "uploads"
    uploads.mkdir()
    answers = ["Here. <h>a red house</h>", "A house.", "<h>a unicorn</h>", "I cannot.", "Bye."]
    requests = [("A house", True), ("What is it?", False), ("A unicorn", True), ("Do!", True), ("Why?", False)]
    prompts = script(engine, answers, monkeypatch)
    local = EngineBackend(engine, "tiny")
    histories, history = [], []

    async def talk(pipeline: ChatPipeline) -> None:
        assert await pipeline.capabilities() == Capabilities(draw=True, videos=not over_a_server)
        for text, draw in requests:
            sampling = Sampling(max_new_tokens=100, seed=2)
            job = build_job({"text": text, "files": []}, history, sampling, ServerSettings(), uploads, draw)
            shown = [piece async for piece in render_answer(pipeline, job, UploadStore(uploads).writer(SESSION))]
            last = shown[-1] if isinstance(shown[-1], list) else [{"role": "assistant", "content": shown[-1]}]
            history.extend([{"role": "user", "content": text}, *map(kept, last)])
            histories.append(last)
        await pipeline.close()

    def kept(message: dict) -> dict:
        """Return a message as Gradio sends it back."""
        content = message["content"]
        part = {"type": "text", "text": content} if isinstance(content, str) else {"type": "file", "file": content}
        return {**message, "content": [part]}

    if over_a_server:
        with serving(ServerState(ServerSettings(), local, generator)) as running:
            asyncio.run(talk(ChatPipeline(RemoteBackend([f"{running.url}/v1"], "tiny", prompts=None))))
    else:
        asyncio.run(talk(ChatPipeline(local, generator)))
    conversation = Conversation(engine)
    expected = script(engine, answers, monkeypatch)
    for text, draw in requests:
        with conversation.request(text) if draw else conversation.stream(text) as stream:
            list(stream)
        if text == "A house":
            conversation.add_image(generator.draw("a red house", GenerationSettings(seed=2))[0].image)
    assert prompts == expected
    text, note, image = histories[0]
    assert (text["content"], note["content"], note["metadata"]["title"]) == ("Here.", "a red house", GENERATED)
    drawn = Image.open(image["content"]["path"])
    assert drawn.tobytes() == generator.draw("a red house", GenerationSettings(seed=2))[0].image.tobytes()
    assert drawn.text["prompt"] == image["content"]["alt_text"] == "a red house"
    [note] = histories[2]
    assert (note["metadata"]["title"], note["content"]) == (NOT_GENERATED, "a unicorn")
    assert "no word for unicorn" in note["metadata"]["log"]
    assert histories[3][0]["content"] == "I cannot."


def test_an_invalid_image_is_rejected(tmp_path):
    (tmp_path / "a.png").write_bytes(b"not an image")
    with pytest.raises(ApiError, match="image 1"):
        build_job({"text": "x", "files": [str(tmp_path / "a.png")]}, [], SHORT, ServerSettings(), tmp_path)


def test_failed_turns_are_not_part_of_the_conversation(tmp_path, image):
    (tmp_path / "bad.png").write_bytes(b"not an image")
    image(0).save(tmp_path / "good.png")

    def shown(name: str, text: str) -> dict:
        return {"role": "user", "content": [{"type": "file", "file": {"path": str(tmp_path / name)}}, text]}

    history = [
        shown("good.png", "What?"),
        {"role": "assistant", "content": "A ball."},
        shown("bad.png", "And this?"),
        *with_error("", "image 2: not an image"),
        {"role": "user", "content": "Once more?"},
        *with_error("It is", "internal server error"),
    ]
    assert history[-1]["metadata"]["title"] == FAILED
    job = build_job({"text": "Why?", "files": []}, history, SHORT, ServerSettings(), tmp_path)
    assert [part["text"] for message in job.messages for part in message["content"] if part["type"] == "text"] == [
        "What?",
        "A ball.",
        "Why?",
    ]
    assert len(job.draws) == 2


@pytest.mark.parametrize(("images", "text", "message"), [(9, "x", "9 images"), (0, "x" * 101, "101 characters")])
def test_a_conversation_has_limits(tmp_path, image, images, text, message):
    image(0).save(tmp_path / "a.png")
    question = {"text": text, "files": [str(tmp_path / "a.png")] * images}
    with pytest.raises(ApiError, match=message):
        build_job(question, [], SHORT, ServerSettings(max_text_chars=100), tmp_path)


def test_only_uploads_are_read(tmp_path):
    sign = Path(__file__).parent.parent / "examples" / "sign.png"
    (tmp_path / "link.png").symlink_to(sign)
    for path in (sign, tmp_path / "link.png", tmp_path / ".." / "x.png"):
        with pytest.raises(ApiError, match="has been deleted"):
            build_job({"text": "x", "files": [{"path": str(path)}]}, [], SHORT, ServerSettings(), tmp_path)


def test_votes_are_stored_with_consent(tmp_path):
    file = tmp_path / "votes.jsonl"
    votes = FeedbackLog(file)
    vote = Feedback("nano", "What?", "A ball\n", liked=True)
    assert not votes.add(vote, consent=False)
    assert not file.exists()
    assert votes.add(vote, consent=True)
    assert votes.add(vote, consent=True)
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert [set(line) for line in lines] == [{"time", "model", "question", "answer", "liked"}] * 2
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
