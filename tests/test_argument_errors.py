"""Invalid arguments of public functions raise one-line errors that name the argument."""

from io import StringIO

import numpy as np
import pytest
from tiny_pipelines import save_pipeline

from minigemini.images.safe_images import ImageError
from minigemini.inference import Conversation, Engine, GenerationSettings, ImageGenerator, RequestError, Sampling
from minigemini.inference.attention_maps import explain_images
from minigemini.inference.ocr import RapidOcrEngine

NAN = float("nan")


@pytest.fixture(scope="module")
def engine(tiny_checkpoint) -> Engine:
    return Engine.load(tiny_checkpoint, device="cpu")


@pytest.fixture(scope="module")
def generator(tmp_path_factory) -> ImageGenerator:
    return ImageGenerator.load(
        save_pipeline("PainterPipeline", tmp_path_factory.mktemp("generator") / "tiny"), device="cpu"
    )


def is_one_line(kind, call, name: str = "") -> None:
    with pytest.raises(kind) as raised:
        call()
    message = str(raised.value)
    assert len(message.splitlines()) == 1
    assert len(message) < 300
    assert name in message


@pytest.mark.parametrize(
    ("make", "name", "values"),
    [
        (Sampling, "max_new_tokens", [None, 0, 1.5, True, "9", NAN, [], np.ones(2)]),
        (Sampling, "temperature", [None, "warm", NAN, float("inf"), -1, 1j, True, np.float32("nan")]),
        (Sampling, "seed", [-1, 1.5, "1", NAN, 2**64]),
        (Sampling, "top_p", [None, 0, NAN, 1.1, "all"]),
        (GenerationSettings, "size_px", ["512", 1.5, (512,), (1, 2, 3), [512, None], {}, NAN, (512, "512"), 0]),
        (GenerationSettings, "steps", ["4", 1.5, 0, NAN]),
        (GenerationSettings, "guidance", ["much", NAN, -1]),
        (GenerationSettings, "negative_prompt", [1, b"cat", "\udcff", ["cat"]]),
        (GenerationSettings, "count", [None, 0, "2", 1.5]),
        (GenerationSettings, "seed", [-1, "1", 1.5]),
        (GenerationSettings, "strength", [None, 0, NAN, "half"]),
        (RapidOcrEngine, "confidence", [NAN, "some", 2]),
    ],
)
def test_settings(make, name, values):
    for value in values:
        is_one_line(RequestError, lambda value=value: make(**{name: value}), name)


def test_settings_accept_numpy_scalars():
    assert Sampling(max_new_tokens=np.int64(3), temperature=np.float32(0.5), seed=np.uint8(1), top_p=1).top_p == 1
    assert GenerationSettings(np.int32(64), guidance=np.float64(1)).size == (64, 64)


@pytest.mark.parametrize("image", [None, 5, 1.5, True, {}, {"path": "a.png"}, [[]], [None], object(), [["a.png"]], {1}])
def test_images(engine, generator, image):
    kinds = (RequestError, ImageError)
    is_one_line(kinds, lambda: engine.ask(image, "What?"), "picture")
    is_one_line(kinds, lambda: Conversation(engine, image), "picture")
    is_one_line(kinds, lambda: Conversation(engine).add_image(image), "picture")
    if image is not None:
        is_one_line(kinds, lambda: generator.draw("a red house", GenerationSettings(steps=1), image), "picture")
    if not isinstance(image, list):
        is_one_line(kinds, lambda: explain_images(engine, [image]), "image")


def test_text_files_and_no_images(engine):
    is_one_line((RequestError, ImageError), lambda: engine.ask(StringIO("text"), "What?"))
    is_one_line(RequestError, lambda: explain_images(engine, []), "no image")


def test_one_image_needs_no_list(engine, image, tmp_path):
    image(0).save(tmp_path / "a.png")
    short = Sampling(max_new_tokens=3)
    text = engine.ask([image(0)], "What?", short).text
    for source in (image(0), tmp_path / "a.png", str(tmp_path / "a.png")):
        assert Conversation(engine, source).ask("What?", short).text == text


@pytest.mark.parametrize("question", [None, 5, b"What?", ["What?"], "What \udcff?", "\ud800", "", "  "])
def test_questions(engine, generator, question):
    is_one_line(RequestError, lambda: engine.ask([], question), "question" if question != "" else "")
    is_one_line(RequestError, lambda: Conversation(engine).stream(question))
    is_one_line(RequestError, lambda: Conversation(engine).draw(question, generator))
    is_one_line(RequestError, lambda: generator.draw(question), "caption")
    is_one_line(RequestError, lambda: engine.stream([{"role": "user", "content": question}]))


@pytest.mark.parametrize(
    "messages",
    [
        None,
        5,
        "What?",
        {},
        [None],
        ["What?"],
        [{}],
        [{"role": "user"}],
        [{"content": "x"}],
        [{"role": None, "content": "x"}],
    ]
    + [
        [{"role": "user", "content": content}]
        for content in (None, 5, {}, [None], ["x"], [{}], [{"type": "text", "text": 5}])
    ]
    + [[{"role": "user", "content": [{"type": "image", "image": "a.png"}]}], [{"role": "king", "content": "x"}], []],
)
def test_messages(engine, messages):
    is_one_line(RequestError, lambda: engine.stream(messages))


@pytest.mark.parametrize("options", [{"draw": 5}, {"draw": None}, {"draw": ["yes"]}, {"draw": [True, True]}])
@pytest.mark.parametrize(
    "more", [{}, {"ocr": None}, {"ocr": "Stop"}, {"ocr": [5]}, {"ocr": [[5]]}, {"ocr": ["\udcff"]}]
)
def test_requests(engine, options, more):
    for wrong in filter(None, (options, more)):
        is_one_line(RequestError, lambda wrong=wrong: engine.stream([{"role": "user", "content": "x"}], **wrong))


@pytest.mark.parametrize("wrong", [None, 5, {"max_new_tokens": 5}, "greedy"])
def test_sampling_settings_and_generators(engine, generator, wrong):
    is_one_line(RequestError, lambda: engine.ask([], "What?", wrong), "sampling")
    is_one_line(RequestError, lambda: Conversation(wrong), "engine")
    is_one_line(
        RequestError, lambda: Conversation(engine).draw("a house", wrong, Sampling(max_new_tokens=3)), "generator"
    )
    if wrong is not None:
        is_one_line(RequestError, lambda: generator.draw("a red house", wrong), "settings")


@pytest.mark.parametrize("wrong", [None, 5, b"nano", "", [], {}])
def test_names(wrong):
    is_one_line(RequestError, lambda: ImageGenerator.load(wrong), "generator")
    if wrong is not None:
        is_one_line(RequestError, lambda: Engine.load(wrong), "model")
        is_one_line(RequestError, lambda: Engine.load("nano", base=wrong), "base")


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("device", [5, "", b"cpu", [], "cpu:x", "meta"]),
        ("dtype", [5, "", [], b"float32", "int8"]),
        ("encoder_dtype", [5, "", [], b"float32", "int8"]),
        ("quantize", [8, "", [], True]),
        ("device_map", [5, "", [], True, "auto "]),
    ],
)
def test_load_options(name, values):
    for value in values:
        is_one_line(RequestError, lambda value=value: Engine.load("nano", **{name: value}), name)
    for name, value in (("offload_folder", 5), ("max_memory", 5), ("offload_folder", b"x")):
        is_one_line(
            RequestError, lambda name=name, value=value: Engine.load("nano", device_map="auto", **{name: value}), name
        )
