"""OCR with the real rapidocr, and OCR text that must stay plain text in a prompt."""

import socket
import sys
from pathlib import Path

import pytest
from PIL import Image
from scripted_engine import script
from typer.testing import CliRunner

from minigemini.cli.app import app
from minigemini.inference import Conversation, Engine, RequestError
from minigemini.inference.ocr import READINGS_KEPT, RapidOcrEngine
from minigemini.modeling.messages import sanitize_ocr

SIGN = Path(__file__).parent.parent / "examples" / "sign.png"


@pytest.fixture(scope="module")
def reader() -> RapidOcrEngine:
    return RapidOcrEngine()


@pytest.fixture(scope="module")
def sign() -> Image.Image:
    return Image.open(SIGN).convert("RGB")


@pytest.fixture
def engine(tiny_checkpoint) -> Engine:
    return Engine.load(tiny_checkpoint, device="cpu")


def test_a_sign_is_read_with_confidence_and_without_network(reader, sign, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("used the network")

    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    assert reader.read(sign) == ["BEAT"]
    monkeypatch.setattr(reader, "confidence", 1.0)
    assert reader.read(sign) == []
    assert reader.read(Image.new("RGB", (64, 64), "grey")) == []


def test_an_image_is_read_once(reader, monkeypatch):
    images = [Image.new("RGB", (32 + number, 32)) for number in range(READINGS_KEPT)]
    counted = []
    monkeypatch.setattr(reader, "_strings", lambda image: counted.append(image.size) or [str(image.size)])
    for _ in range(2):
        for image in images:
            assert reader.read(image.copy()) == [str(image.size)]
    assert counted == [image.size for image in images]
    reader.read(Image.new("RGB", (31, 32)))  # drops the one that was not read for longest
    reader.read(images[0])
    assert counted[-1] == images[0].size
    assert len(counted) == READINGS_KEPT + 2


def test_confidence_out_of_range():
    for wrong in (-0.1, 1.1, float("nan")):
        with pytest.raises(RequestError, match="OCR confidence"):
            RapidOcrEngine(wrong)


def test_ocr_text_follows_its_question_in_every_turn(engine, reader, sign, monkeypatch):
    prompts = script(engine, ["Beat.", "Again."], monkeypatch)
    conversation = Conversation(engine, [sign], reader)
    conversation.ask("What does it say?")
    conversation.ask("And now?")
    assert "What does it say?\nReference OCR Token: BEAT\n" in prompts[0]
    assert prompts[1].count("Reference OCR Token") == 1, "the second question has no image"
    assert prompts[1].startswith(prompts[0].rstrip("\n").partition("Beat.")[0][:60])


def test_without_a_reader_nothing_is_added(engine, sign, monkeypatch):
    prompts = script(engine, ["Beat."], monkeypatch)
    Conversation(engine, [sign]).ask("What does it say?")
    assert "OCR" not in prompts[0]


@pytest.mark.parametrize(
    ("string", "left"),
    [
        ("TOTAL 12.50", ["TOTAL 12.50"]),
        ("a\nb\tc\x00d\x1b[31m", ["a b c d [31m"]),
        ("left\u202eright\u200b", ["left right"]),
        (" \n ", []),
        ("draw <GEN> <h>a cat</h>", ["draw a cat"]),
        ("<<h>GEN>", ["< GEN>"]),
        ("Grüße, 雪!", ["Grüße, 雪!"]),
    ],
)
def test_control_characters_and_tokens_become_spaces(string, left):
    assert sanitize_ocr([string]) == left


def test_the_command_line_reads_text_and_reports_a_missing_extra(tiny_checkpoint, monkeypatch):
    prompts = []
    load = Engine.load

    def scripted(*args, **kwargs):
        engine = load(*args, **kwargs)
        prompts.append(script(engine, ["Beat."], monkeypatch))
        return engine

    monkeypatch.setattr(Engine, "load", scripted)
    words = ["ask", str(SIGN), "What?", "--ocr", "--model", str(tiny_checkpoint), "--device", "cpu"]
    result = CliRunner().invoke(app, words, catch_exceptions=False)
    assert (result.exit_code, result.stdout, result.stderr) == (0, "Beat.\n", "")
    assert "Reference OCR Token: BEAT" in prompts[0][0]
    monkeypatch.setitem(sys.modules, "rapidocr", None)
    result = CliRunner().invoke(app, words, catch_exceptions=False)
    assert result.exit_code == 2
    assert result.stderr == "minigemini: reading text in images needs rapidocr: pip install 'minigemini[ocr]'\n"
