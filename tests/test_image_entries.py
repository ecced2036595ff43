"""Every entry point decodes images alike, and stops when the client is gone."""

import asyncio
import base64
import os
import signal
import time
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np
import pytest
import torch
from api_server import KEY, data_uri, serving, user
from PIL import Image
from waiting import wait_until

from minigemini.data.encoding import SampleEncoder
from minigemini.data.readers.base import bytes_of
from minigemini.data.schema import Sample, SampleError, SampleIssue
from minigemini.dataprep.export.shards import with_ocr_text
from minigemini.dataprep.page_elements import thumbnail
from minigemini.dataprep.validate.image_checks import check_image
from minigemini.evaluation.task import open_image_input
from minigemini.images import decoders
from minigemini.images.decoders import DecodingStoppedError, open_isolated
from minigemini.images.safe_images import ImageProblem, open_image
from minigemini.inference import Engine, Sampling
from minigemini.serving.api_errors import ApiError
from minigemini.serving.engine_backend import EngineBackend
from minigemini.serving.image_urls import open_images, run_stoppable
from minigemini.serving.server_settings import ServerSettings
from minigemini.serving.state import ServerState
from minigemini.serving.web.gradio_adapter import build_job

SIGN = Path(__file__).parent.parent / "examples" / "sign.png"
has_pipes = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")


@pytest.fixture
def lying(tmp_path) -> Path:
    """A 16-bit gray image that EXIF turns on its side: red flags for whoever opens it in another way."""
    gray = (np.arange(60 * 40, dtype=np.uint16).reshape(40, 60) * 27).copy()
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(gray).save(tmp_path / "lying.png", exif=exif)
    return tmp_path / "lying.png"


@contextmanager
def stuck():
    """The next image is never decoded."""
    open_isolated(SIGN)
    decoder = decoders._POOL._idle[-1]
    os.kill(decoder.process.pid, signal.SIGSTOP)
    yield
    assert decoder.process.poll() is not None, "it was ended"


def test_data_and_evaluation_decode_pil_images_like_files(lying, tmp_path):
    expected = open_image(lying)
    assert expected.size == (40, 60)
    assert open_image(bytes_of(Image.open(lying))).tobytes() == expected.tobytes()
    assert (
        open_image_input(lambda: Image.open(lying)).tobytes() == open_image_input(lying).tobytes() == expected.tobytes()
    )
    assert thumbnail(Image.open(lying)).tobytes() == thumbnail(lying).tobytes()
    messages = ({"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "Q"}]},)
    read = []
    for image in (lying, lying.read_bytes(), Image.open(lying)):
        with_ocr_text(Sample("1", "s", messages, (image,)), lambda image: read.append(image.tobytes()) or [])
    assert set(read) == {expected.tobytes()}


def test_training_decodes_pil_images_like_files(lying, tiny_model, make_processor):
    encoder = SampleEncoder(make_processor(tiny_model.config))
    turns = (
        {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "Q"}]},
        {"role": "assistant", "content": [{"type": "text", "text": "A"}]},
    )
    by_path, by_bytes, by_pil = (
        encoder(Sample("1", "s", turns, (image,))).pixels["high_res_pixel_values"]
        for image in (lying, lying.read_bytes(), Image.open(lying))
    )
    assert torch.equal(by_path, by_bytes)
    assert torch.equal(by_path, by_pil)


@has_pipes
def test_named_pipe_is_a_bad_sample(tmp_path, tiny_model, make_processor):
    os.mkfifo(tmp_path / "a.png")
    seen = check_image(tmp_path / "a.png")
    assert (seen.kind, seen.reason) == (
        ImageProblem.UNREADABLE.value,
        "a.png: not a regular file; copy the image into one",
    )
    turns = (
        {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "Q"}]},
        {"role": "assistant", "content": [{"type": "text", "text": "A"}]},
    )
    with pytest.raises(SampleError, match="not a regular file") as caught:
        SampleEncoder(make_processor(tiny_model.config))(Sample("1", "s", turns, (tmp_path / "a.png",)))
    assert caught.value.issue is SampleIssue.IMAGE


@pytest.fixture(scope="module")
def served(tiny_checkpoint):
    settings = ServerSettings(api_keys=(KEY,), max_new_tokens=500)
    with serving(ServerState(settings, EngineBackend(Engine.load(tiny_checkpoint, device="cpu"), "tiny"))) as running:
        yield running


def asked(served, uri: str, timeout_s: float = 60) -> httpx.Response:
    body = {"model": "tiny", "messages": [user("What?", uri)], "max_tokens": 4}
    headers = {"Authorization": f"Bearer {KEY}"}
    return httpx.post(f"{served.url}/v1/chat/completions", json=body, headers=headers, timeout=timeout_s)


def test_server_accepts_common_base64_variants(served):
    data = SIGN.read_bytes()
    text = base64.b64encode(data).decode()
    forms = [
        f"data:image/png;base64,{text}",
        f"data:image/png;base64,{base64.encodebytes(data).decode()}",
        f"data:image/png;base64,{text.rstrip('=')}",
        f"data:image/png;base64,{base64.urlsafe_b64encode(data).decode()}",
        f"data:image/png;charset=utf-8;base64,{text}",
    ]
    answers = [asked(served, form) for form in forms]
    assert [answer.status_code for answer in answers] == [200] * 5, answers[-1].text
    assert len({answer.json()["choices"][0]["message"]["content"] for answer in answers}) == 1
    refused = asked(served, "data:image/png,AAAA").json()["error"]["message"]
    assert refused == "image 1: data URI is not base64; send data:image/png;base64,…"


def test_disconnecting_while_decoding_frees_slot_and_decoder(served):
    with stuck():
        with pytest.raises(httpx.ReadTimeout):
            asked(served, data_uri(SIGN.read_bytes()), timeout_s=0.5)
        wait_until(lambda: not (served.state.queue.running or served.state.tasks), seconds=10)
    assert asked(served, data_uri(SIGN.read_bytes())).status_code == 200


def test_canceled_wait_stops_the_worker_thread(tmp_path):
    (tmp_path / "a.png").write_bytes(SIGN.read_bytes())
    question = {"text": "What?", "files": [str(tmp_path / "a.png")]}
    settings, sampling = ServerSettings(), Sampling(max_new_tokens=4)
    works = [
        lambda stop: open_images([SIGN.read_bytes()], settings, stop),
        lambda stop: build_job(question, [], sampling, settings, tmp_path, stop=stop),  # as the page calls it
    ]

    async def leave(work) -> None:
        task = asyncio.create_task(run_stoppable(work))
        await asyncio.sleep(0.3)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    for work in works:
        started = time.monotonic()
        with stuck():
            asyncio.run(leave(work))
        assert time.monotonic() - started < 5
        assert asyncio.run(run_stoppable(work))


def test_errors_of_worker_threads_are_raised():
    with pytest.raises(ApiError, match="image 1: not an image"):
        asyncio.run(run_stoppable(lambda stop: open_images([b"text"], ServerSettings(), stop)))

    def stopped(stop) -> None:
        stop.set()
        open_images([SIGN.read_bytes()], ServerSettings(), stop)

    with pytest.raises(DecodingStoppedError):
        asyncio.run(run_stoppable(stopped))
