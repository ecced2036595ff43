"""Image requests: answers, captions, generated images and follow-up turns, in Python and on the command line.

The tiny model's answers are scripted, since random weights write no captions. Its prompts are real, and so is the
image generator, a pipeline with random weights.
"""

import json
from pathlib import Path

import pytest
from PIL import Image
from scripted_engine import script
from tiny_pipelines import save_pipeline
from typer.testing import CliRunner

from minigemini.cli.app import app
from minigemini.inference import Conversation, Engine, GenerationSettings, ImageGenerator, RequestError, Sampling

TINY = GenerationSettings(size_px=32, steps=1, seed=4)


@pytest.fixture
def engine(tiny_checkpoint) -> Engine:
    return Engine.load(tiny_checkpoint, device="cpu")


@pytest.fixture(scope="module")
def generator_folder(tmp_path_factory) -> Path:
    return save_pipeline("StableDiffusionPipeline", tmp_path_factory.mktemp("generators") / "tiny-generator")


@pytest.fixture(scope="module")
def generator(generator_folder) -> ImageGenerator:
    return ImageGenerator.load(generator_folder, device="cpu")


def test_three_turns_with_generated_images(engine, generator, monkeypatch):
    """Generate, ask, refine: every turn has the previous turns and images as context."""
    answers = [
        "Here it is. <h>a red house</h>",
        "A house.",
        "Richer, as you wish: <h>a red house in a garden of roses</h> Do you like it?",
    ]
    prompts = script(engine, answers, monkeypatch)
    conversation = Conversation(engine)
    first = conversation.draw("Draw a house", generator, settings=TINY)
    assert (first.text, first.captions) == ("Here it is.", ["a red house"])
    assert first.answer.text == answers[0]
    assert first.images[0].image.tobytes() == generator.draw("a red house", TINY)[0].image.tobytes()
    assert conversation.ask("What is it?").text == "A house."
    third = conversation.draw("Make it richer", generator, settings=TINY)
    assert third.text == "Richer, as you wish: Do you like it?"
    assert third.images[0].caption == "a red house in a garden of roses"
    assert [prompt.count("<GEN>") for prompt in prompts] == [1, 1, 2]
    visual = engine.processor.num_image_tokens
    assert [prompt.count("<image>") for prompt in prompts] == [0, visual, visual]
    assert "Here it is. <h>a red house</h>" in prompts[2], "the prompt keeps the tags"
    assert "Make it richer <GEN>" in prompts[2]
    assert len(conversation.messages) == 6


def test_a_request_with_an_image_streams_text_without_tags(engine, generator, image, monkeypatch):
    prompts = script(engine, ["As you like. <h>a cat</h> <h>a dog</h>!"], monkeypatch)
    with Conversation(engine, [image(0)]).request("One like this") as stream:
        pieces = list(stream)
        reply = stream.draw(generator, TINY)
    assert len(pieces) > 5
    assert "".join(pieces) == reply.text == "As you like. !"
    assert (reply.captions, reply.images[0].caption) == (["a cat", "a dog"], "a dog")
    assert prompts[0].count("<image>") == engine.processor.num_image_tokens


def test_an_answer_without_a_caption_keeps_its_text(engine, generator, monkeypatch):
    script(engine, ["I would rather not.", "As you said."], monkeypatch)
    conversation = Conversation(engine)
    reply = conversation.draw("Draw", generator, settings=TINY)
    assert (reply.text, reply.captions, reply.images) == ("I would rather not.", [], [])
    assert conversation.ask("Why?").text == "As you said."


def test_generated_images_are_shown_once(engine, generator, image, monkeypatch):
    prompts = script(engine, ["<h>a cat</h>", "One.", "Two."], monkeypatch)
    conversation = Conversation(engine)
    conversation.draw("Draw a cat", generator, settings=GenerationSettings(size_px=32, steps=1, count=2))
    conversation.ask("How many?")
    conversation.ask("Really?")
    visual = engine.processor.num_image_tokens
    assert [prompt.count("<image>") for prompt in prompts] == [0, 2 * visual, 2 * visual]
    conversation.reset()
    assert conversation.messages == []


def test_an_empty_request_is_refused(engine, generator):
    with pytest.raises(RequestError, match="empty"):
        Conversation(engine).draw("  ", generator)


def test_an_image_starts_from_another(engine, generator, image, monkeypatch):
    script(engine, ["<h>a cat</h>"] * 2, monkeypatch)
    half = GenerationSettings(size_px=32, steps=4, seed=4, strength=0.5)
    drawn = [Conversation(engine).draw("Draw", generator, settings=half, start=start) for start in (None, image(0))]
    assert drawn[0].images[0].image.tobytes() != drawn[1].images[0].image.tobytes()
    assert [reply.images[0].strength for reply in drawn] == [None, 0.5]


# The command line


@pytest.fixture
def minigemini(tiny_checkpoint, generator_folder, tmp_path, monkeypatch):
    """Run a command in this process with scripted answers."""
    load = Engine.load
    monkeypatch.chdir(tmp_path)

    def run(*words, answers=(), **options):
        def scripted(*args, **kwargs):
            engine = load(*args, **kwargs)
            script(engine, answers, monkeypatch)
            return engine

        monkeypatch.setattr(Engine, "load", scripted)
        given = [str(word) for word in words]
        given += ["--model", str(tiny_checkpoint), "--generator", str(generator_folder), "--device", "cpu"]
        return CliRunner().invoke(app, given, catch_exceptions=False, **options)

    return run


SMALL = ["--size", "32", "--steps", "1", "--seed", "4"]


def is_one_line(result, message: str) -> bool:
    lines = result.stderr.splitlines()
    return result.exit_code == 2 and len(lines) == 1 and lines[0].startswith("minigemini: ") and message in lines[0]


def test_draw_writes_an_image_and_prints_its_caption(minigemini, generator, tmp_path):
    result = minigemini("draw", "A house", "-o", "house.png", *SMALL, answers=["Gladly. <h>a red\nhouse</h>"])
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == "Gladly.\nhouse.png: a red house (seed 4)\n"
    image = Image.open(tmp_path / "house.png")
    assert image.text["prompt"] == "a red house"
    assert image.text["painter"] == "tiny-generator"
    assert image.tobytes() == generator.draw("a red house", TINY)[0].image.tobytes()


def test_draw_several_as_json_from_a_start_image(minigemini, image, tmp_path):
    image(0).save(tmp_path / "photo.png")
    words = ["draw", "More", tmp_path / "photo.png", "-o", "out.png", "-n", 2, "--strength", "1.0", "--json", *SMALL]
    output = json.loads(minigemini(*words, answers=["Gladly. <h>a cat</h>"]).stdout)
    assert output["answer"] == "Gladly."
    assert [entry["file"] for entry in output["pictures"]] == ["out-1.png", "out-2.png"]
    assert [entry["seed"] for entry in output["pictures"]] == ["4", "5"]
    assert all(Path(entry["file"]).exists() and entry["strength"] == "1" for entry in output["pictures"])


def test_draw_a_caption_uses_no_model(minigemini, generator, tmp_path):
    result = minigemini("draw", "--caption", "a cat", "-o", "cat.png", *SMALL, answers=[])
    assert result.stdout == "cat.png: a cat (seed 4)\n"
    assert Image.open(tmp_path / "cat.png").tobytes() == generator.draw("a cat", TINY)[0].image.tobytes()


def test_draw_without_a_caption_prints_the_text_and_fails(minigemini, tmp_path):
    result = minigemini("draw", "A house", *SMALL, answers=["I would rather not."])
    assert result.stdout == "I would rather not.\n"
    assert is_one_line(result, "no image generated: the answer contains no caption")
    assert not list(tmp_path.iterdir())


def test_mistakes_are_one_line(minigemini, tmp_path):
    assert is_one_line(minigemini("draw", " "), "request is empty")
    assert is_one_line(minigemini("draw", "A house", "-o", "house.jpg"), "ends in .png")
    assert is_one_line(minigemini("draw", "A house", "-o", "no/house.png"), "no folder no; create it first")
    assert is_one_line(minigemini("draw", "A house", "--size", "big"), "invalid size 'big'")
    assert is_one_line(minigemini("draw", "A house", "--size", "1x2x3"), "write it as 512 or 768x512")
    assert is_one_line(minigemini("draw", "A house", "--strength", "0.5"), "name one after the request")
    assert is_one_line(minigemini("draw", "A house", "no.png"), "no.png: no such file")
    assert is_one_line(minigemini("draw", "A house", "--steps", "0"), "steps is 0")
    assert is_one_line(minigemini("draw", "A house", "--offload", "attic"), "offload 'attic' is unknown")
    assert is_one_line(minigemini("draw", "A house", "--ocr", "--ocr-confidence", "2"), "OCR confidence is 2")
    assert is_one_line(minigemini("chat", "--draw", "--pictures", "no"), "no such folder for generated images")


def test_chat_generates_images_and_continues(minigemini, tmp_path):
    (tmp_path / "drawing-1.png").touch()
    answers = ["Gladly. <h>a cat</h>", "A cat.", "No.", "Well. <h>a dog</h>"]
    lines = "/draw A cat\nWhat is it?\n/draw More\n/draw A dog\n/draw\n/quit\n"
    result = minigemini("chat", "--draw", *SMALL, "--max-new-tokens", 40, answers=answers, input=lines)
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        *("Gladly.", "drawing-2.png: a cat (seed 4)", "A cat.", "No.", "Well.", "drawing-3.png: a dog (seed 4)"),
    ]
    assert "no image generated: the answer contains no caption" in result.stderr
    assert "/draw: no such command" in result.stderr
    assert Image.open(tmp_path / "drawing-2.png").text["prompt"] == "a cat"


def test_chat_without_a_generator_names_the_option(minigemini):
    result = minigemini("chat", input="/draw A cat\n/quit\n")
    assert "start with --draw" in result.stderr
    assert not result.stdout


def test_a_caption_cut_by_the_length_limit_is_drawn(engine, generator, monkeypatch):
    script(engine, ["<h>a red house in the snow</h>"], monkeypatch)
    reply = Conversation(engine).draw("Draw", generator, Sampling(max_new_tokens=14), TINY)
    assert reply.answer.finish_reason == "length"
    assert reply.captions == ["a red house"]
