"""The page in a real browser, at desktop and phone widths: `make test-web`."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path

import pytest
from scripted_engine import script
from tiny_pipelines import save_pipeline

from minigemini.inference import Engine, ImageGenerator
from minigemini.serving.chat_pipeline import ChatPipeline
from minigemini.serving.engine_backend import EngineBackend
from minigemini.serving.server_settings import ServerSettings

sync_api = pytest.importorskip("playwright.sync_api")
pytest.importorskip("gradio")

from page_server import running  # noqa: E402

from minigemini.serving.web.page_examples import PageExample, PageExamples  # noqa: E402
from minigemini.serving.web.page_models import PageModel, PageModels  # noqa: E402
from minigemini.serving.web.page_state import Page  # noqa: E402
from minigemini.serving.web.uploads import UploadLimits, UploadStore  # noqa: E402

CHROMIUM = shutil.which("chromium")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")]

ROOT = Path(__file__).parent.parent
SIGN, OBJECTS = (ROOT / "examples" / name for name in ("sign.png", "things.png"))
READ = "What does the sign say?"
DESKTOP, WIDE, PHONE = ({"width": width, "height": height} for width, height in ((1280, 800), (1920, 1080), (390, 844)))
ANSWERED = "[...document.querySelectorAll('#chat .bot .message')].map(e => e.innerText.trim()).filter(t => t)"
WAIT_MS = 60_000


@contextmanager
def page_of(*arguments: str) -> Iterator[str]:
    """Run `minigemini web` and yield its URL; it must exit quickly, even with an open tab, and leave no files."""
    command = [sys.executable, "-m", "minigemini", "web", "--port", "0", *arguments]
    with (
        tempfile.TemporaryDirectory() as made,
        subprocess.Popen(
            command, cwd=ROOT, stderr=subprocess.PIPE, text=True, env={**os.environ, "TMPDIR": made}
        ) as program,
    ):
        assert program.stderr is not None
        try:
            yield next(line for line in program.stderr if "page on" in line).split()[-1]
        finally:
            program.terminate()
            program.communicate(timeout=30)
            assert program.returncode == 0
            assert not list(Path(made).glob("minigemini-web-*"))


@pytest.fixture(scope="module")
def votes(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("votes") / "votes.jsonl"


@pytest.fixture(scope="module")
def address(votes) -> Iterator[str]:
    with page_of("--votes", str(votes)) as url:
        yield url


@pytest.fixture(scope="module")
def expected() -> str:
    """The answer of nano about the sign, without the page."""
    return Engine.load("nano").ask(SIGN, READ).text


@pytest.fixture(scope="module")
def browser() -> Iterator:
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@pytest.fixture
def visit(browser):
    """Open a URL; afterwards check that the page made no request to another host and violated no policy."""
    pages, requested, blocked = [], [], []

    def open_page(url: str, size: dict = DESKTOP):
        page = browser.new_page(viewport=size)
        page.on("request", lambda request: requested.append(request.url))
        page.on("console", lambda line: blocked.append(line.text) if "Content Security Policy" in line.text else None)
        page.goto(url)
        page.wait_for_selector("#chat", timeout=WAIT_MS)
        page.wait_for_selector("textarea", timeout=WAIT_MS)
        page.set_default_timeout(WAIT_MS)
        pages.append(page)
        return page

    yield open_page
    for page in pages:
        page.close()
    outside = [url for url in requested if not url.startswith(("http://127.0.0.1", "data:", "blob:"))]
    assert not outside + blocked


def ask(page, text: str, *images: Path) -> list[str]:
    """Add images, ask a question, and return all answers when this one is complete."""
    if images:
        page.locator("input[type=file]").first.set_input_files(images)
        until(page, f"document.querySelectorAll('.thumbnail-item').length >= {len(images)}")
    page.locator("textarea").last.fill(text)
    before = len(page.evaluate(ANSWERED))
    page.keyboard.press("Enter")
    return answers(page, before + 1)


def answers(page, count: int) -> list[str]:
    until(page, f"{ANSWERED}.length >= {count}")
    page.wait_for_selector("button[aria-label=Submit]")  # a Stop button while an answer is being written
    page.wait_for_selector("#chat button[aria-label=Retry]")
    until(page, "!document.querySelector('textarea:last-of-type').disabled")  # the maps come after the answer
    found: list[str] = []
    while found != (found := page.evaluate(ANSWERED)):  # the text box of an edited question has its own Submit button
        page.wait_for_timeout(500)
    return found


def until(page, condition: str) -> None:
    """Wait for a condition; Playwright's `wait_for_function` uses eval, which the page's policy forbids."""
    deadline = time.monotonic() + WAIT_MS / 1000
    while not page.evaluate(condition):
        assert time.monotonic() < deadline, condition
        page.wait_for_timeout(100)


def screenshot(page, name: str, **how) -> None:
    if folder := os.environ.get("SCREENSHOTS"):
        page.screenshot(path=Path(folder) / name, **how)


def test_a_conversation_with_attention_maps(address, visit, expected):
    page = visit(address)
    assert ask(page, READ, SIGN) == [expected]
    assert len(ask(page, "What do you see?")) == 2
    page.locator("#chat img").first.click()
    page.wait_for_selector("#map img")
    screenshot(page, "web-desk.png", full_page=True)


def test_retry_edit_and_history(address, visit, expected):
    page = visit(address)
    ask(page, READ, SIGN)
    page.locator("#chat button[aria-label=Retry]").last.click()
    page.wait_for_timeout(1000)
    assert answers(page, 1) == [expected]
    first = ask(page, "How many things are there?")
    # Gradio 6.31 cannot edit a question with images (its script fails); Undo puts it back into the text box.
    page.locator("#chat button[aria-label=Edit]").last.click()
    page.locator("#chat textarea").fill(READ)
    page.locator("#chat button[aria-label=Submit]").click()
    until(page, f"{ANSWERED}.length == 1 || ({ANSWERED})[1] != {json.dumps(first[1])}")
    edited = answers(page, 2)
    assert "How many things are there?" not in page.locator("#chat").inner_text()
    page.get_by_text("New chat").click()
    until(page, f"{ANSWERED}.length == 0")
    page.locator("#conversation td").get_by_text(READ, exact=True).first.click()
    assert answers(page, 2) == edited
    icon = "document.querySelector('#conversation button img')"
    assert page.evaluate(f"{icon}.complete && {icon}.naturalWidth > 0")


def test_images_can_be_pasted_and_dropped(address, visit):
    page = visit(address)
    bring = """([kind, data]) => {
        const bytes = Uint8Array.from(atob(data), c => c.charCodeAt(0));
        const carried = new DataTransfer();
        carried.items.add(new File([bytes], kind + '.png', {type: 'image/png'}));
        const box = document.querySelector('textarea');
        box.dispatchEvent(kind == 'paste'
            ? new ClipboardEvent('paste', {clipboardData: carried, bubbles: true, cancelable: true})
            : new DragEvent('drop', {dataTransfer: carried, bubbles: true, cancelable: true}));
    }"""
    import base64

    for number, (kind, file) in enumerate([("paste", SIGN), ("drop", OBJECTS)], start=1):
        page.evaluate(bring, [kind, base64.b64encode(file.read_bytes()).decode()])
        until(page, f"document.querySelectorAll('.thumbnail-item').length == {number}")
    assert len(ask(page, "What does the sign in the first image say?")) == 1
    assert page.locator("#chat .user img").count() == 2


def test_votes_are_stored_only_with_consent(address, visit, votes, expected):
    page = visit(address)
    ask(page, READ, SIGN)
    page.locator("#chat button[aria-label=Like]").last.click()
    page.wait_for_selector("text=Not stored")
    assert not votes.exists()
    page.get_by_label("Store my votes").check()
    page.locator("#chat button[aria-label=Dislike]").last.click()
    page.wait_for_selector("text=Stored, thank you")
    kept = json.loads(votes.read_text())
    assert (kept["question"], kept["answer"], kept["liked"]) == (READ, expected, False)


def assert_failed(page, reason: str) -> None:
    """Check that the last question failed, and that the user can type the next one."""
    page.wait_for_selector(f"text={reason}")
    page.wait_for_selector("button[aria-label=Submit]")
    until(page, "!document.querySelector('textarea:last-of-type').disabled")


def send(page, text: str) -> None:
    page.locator("textarea").last.fill(text)
    page.keyboard.press("Enter")


def test_a_conversation_continues_after_an_invalid_image(address, visit, expected, tmp_path):
    (tmp_path / "bad.png").write_bytes(b"not an image at all")
    (tmp_path / "large.png").write_bytes(SIGN.read_bytes() + bytes(21 * 2**20))
    page = visit(address)
    page.locator("input[type=file]").first.set_input_files([tmp_path / "bad.png"])
    page.wait_for_selector(".thumbnail-item")
    send(page, "What is it?")
    assert_failed(page, "not an image in JPEG")
    screenshot(page, "web-error.png")
    page.locator("input[type=file]").first.set_input_files([tmp_path / "large.png"])
    page.wait_for_selector("text=exceed the maximum allowed size")
    assert ask(page, READ, SIGN)[-1] == expected


def test_questions_and_answers_are_escaped(tiny_checkpoint, visit, tmp_path, monkeypatch):
    """`visit` checks that the page makes no request to another host."""
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    engine = Engine.load(tiny_checkpoint, device="cpu")
    generator = ImageGenerator.load(save_pipeline("PainterPipeline", tmp_path / "tiny"), device="cpu")
    typed = "What? <img src=http://evil.example/1> <b id=bold>1</b> &lt;i> ![x](http://evil.example/2) 1 < 2 & 3"
    answered = "<img src=http://evil.example/3 onerror=alert(1)> </div><iframe src=http://evil.example/4></iframe>"
    caption = "<h><img src=http://evil.example/5></h>"
    prompts = script(engine, [answered, f"Here. {caption}", "Bye."], monkeypatch)
    model = PageModel(ChatPipeline(EngineBackend(engine, "tiny"), generator), engine)
    page_of_it = Page(PageModels(model), ServerSettings(port=0), UploadStore(tmp_path))
    with running(page_of_it) as url:
        page = visit(url)
        send(page, typed)
        assert answers(page, 1)[0] == answered
        assert page.locator("#chat .user").first.inner_text().strip() == typed
        page.get_by_text("Settings").click()
        page.get_by_label("Answer with an image").check()
        send(page, "Draw <img src=http://evil.example/6>")
        page.wait_for_selector("text=No image")
        page.wait_for_selector("button[aria-label=Submit]")
        page.get_by_label("Answer with an image").uncheck()
        send(page, "Bye")
        until(page, f"{ANSWERED}.join().includes('Bye.')")
        screenshot(page, "web-markup.png")
        page.get_by_text("New chat").click()
        until(page, f"{ANSWERED}.length == 0")
        page.locator("#conversation td").first.click()
        assert answers(page, 1)[0] == answered, "a conversation from the history is text too"
        assert page.evaluate("document.querySelectorAll('[src*=evil], [href*=evil], #bold, iframe').length") == 0
    assert typed in prompts[1]
    assert answered in prompts[1]


def test_the_text_box_works_after_an_error_and_when_busy(tiny_checkpoint, visit, tmp_path, monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    engine = Engine.load(tiny_checkpoint, device="cpu")
    generate, released = engine.model.generate, threading.Event()

    def fail(**_) -> None:
        raise RuntimeError("out of order")

    def wait(**how):
        released.wait(WAIT_MS / 1000)
        return generate(**how)

    models = PageModels(PageModel(ChatPipeline(EngineBackend(engine, "tiny"))))
    with running(Page(models, ServerSettings(port=0, queue=0, max_new_tokens=4), UploadStore(tmp_path))) as url:
        one, other = visit(url), visit(url)
        monkeypatch.setattr(engine.model, "generate", fail)
        send(one, "What?")
        assert_failed(one, "internal server error")
        monkeypatch.setattr(engine.model, "generate", wait)
        send(one, "What?")
        one.wait_for_selector("button[aria-label=Stop]")
        send(other, "Me too")
        assert_failed(other, "requests are running")
        released.set()
        assert len(answers(one, 2)) == 2
        send(other, "Now?")
        assert len(answers(other, 2)) == 2


def test_an_example_is_answered_on_every_visit(tiny_checkpoint, visit, tmp_path, monkeypatch):
    engine = Engine.load(tiny_checkpoint, device="cpu")
    script(engine, ["A sign.", "A sign."], monkeypatch)
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    examples = PageExamples("Knows signs.", (PageExample(SIGN, READ),))
    store = UploadStore(tmp_path, UploadLimits(idle_seconds=0.1))
    models = PageModels(PageModel(ChatPipeline(EngineBackend(engine, "tiny")), engine, examples=examples))
    with running(Page(models, ServerSettings(port=0), store)) as url:
        for size in (DESKTOP, PHONE):
            page = visit(url, size)
            page.get_by_text("Knows signs.").wait_for()
            page.get_by_role("button", name=READ).click()
            assert answers(page, 1) == ["A sign."]
            assert page.locator("#chat .user img").count() == 1
            page.close()


def test_images_are_deleted_when_the_tab_is_closed(tiny_checkpoint, browser, tmp_path, monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    store = UploadStore(tmp_path, UploadLimits(idle_seconds=3))
    models = PageModels(PageModel(ChatPipeline(EngineBackend(Engine.load(tiny_checkpoint, device="cpu"), "tiny"))))
    with running(Page(models, ServerSettings(port=0), store)) as url:
        page = browser.new_page()
        page.goto(url)
        page.wait_for_selector("textarea", timeout=WAIT_MS)
        page.locator("input[type=file]").first.set_input_files([SIGN])
        page.wait_for_selector(".thumbnail-item")
        page.reload()
        page.wait_for_selector("textarea", timeout=WAIT_MS)
        page.wait_for_timeout(5000)
        assert list(tmp_path.rglob("sign.png"))
        page.close()
        deadline = time.monotonic() + 20
        while list(tmp_path.rglob("sign.png")):
            assert time.monotonic() < deadline
            time.sleep(0.1)


@pytest.mark.parametrize("size", [DESKTOP, WIDE, PHONE])
def test_the_page_uses_the_window(address, visit, size):
    page = visit(address, size)
    ask(page, READ, SIGN)
    page.wait_for_selector("#map img")
    chat, figure = (page.locator(name).bounding_box() for name in ("#chat", "#map"))
    assert page.evaluate("document.scrollingElement.scrollWidth") <= size["width"]
    if size is PHONE:
        assert min(chat["width"], figure["width"]) > 0.85 * size["width"]
        assert figure["y"] > chat["y"] + chat["height"]
    else:
        assert chat["width"] + figure["width"] > 0.8 * size["width"]
        assert figure["x"] > chat["x"] + chat["width"]
        assert figure["y"] + figure["height"] <= size["height"]
        assert page.locator("textarea").last.bounding_box()["y"] < size["height"] - 100
    screenshot(page, f"web-{size['width']}.png")
    page.get_by_text("About the model").click()
    page.wait_for_selector("text=Limitations")
    page.wait_for_timeout(500)
    assert page.evaluate("document.scrollingElement.scrollWidth") <= size["width"]


def test_another_model_can_be_chosen(tiny_checkpoint, visit, tmp_path, monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    engine = Engine.load(tiny_checkpoint, device="cpu")
    script(engine, ["One.", "Two."], monkeypatch)

    def load(name: str) -> PageModel:
        if name == "broken":
            raise RuntimeError("no such weights")
        examples = PageExamples(f"{name} knows signs.", (PageExample(SIGN, READ),))
        return PageModel(ChatPipeline(EngineBackend(engine, name)), engine, f"# {name}", examples)

    models = PageModels(PageModel(ChatPipeline(EngineBackend(engine, "tiny"))), ["other", "broken"], load)
    with running(Page(models, ServerSettings(port=0), UploadStore(tmp_path))) as url:
        page = visit(url)
        assert ask(page, "Hello") == ["One."]
        page.get_by_text("New chat").click()
        until(page, f"{ANSWERED}.length == 0")
        for name in ("broken", "other"):
            page.locator("#model input").click()
            page.get_by_role("option", name=name).click()
            page.wait_for_selector("text=broken cannot be loaded" if name == "broken" else "text=other knows signs.")
        page.get_by_role("button", name=READ).click()
        assert answers(page, 1) == ["Two."]


def test_an_answer_can_be_stopped(tiny_checkpoint, visit, tmp_path, monkeypatch):
    """With a model slow enough to be stopped, which would otherwise generate the maximum number of tokens."""
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    engine = Engine.load(tiny_checkpoint, device="cpu")
    forward = engine.model.forward

    @wraps(forward)
    def slow_forward(*args, **kwargs):
        time.sleep(0.03)
        return forward(*args, **kwargs)

    monkeypatch.setattr(engine.model, "forward", slow_forward)
    models = PageModels(PageModel(ChatPipeline(EngineBackend(engine, "tiny")), engine))
    with running(Page(models, ServerSettings(port=0), UploadStore(tmp_path))) as url:
        page = visit(url)
        page.get_by_text("Settings").click()
        page.get_by_label("number input for Maximum answer length, tokens").fill("1024")
        page.keyboard.press("Tab")
        page.locator("textarea").last.fill("Go on")
        page.keyboard.press("Enter")
        until(page, f"{ANSWERED}.length == 1")
        page.locator("button[aria-label=Stop]").click()
        page.wait_for_selector("button[aria-label=Submit]")
        stopped = page.evaluate(ANSWERED)
        page.wait_for_timeout(1500)
        assert page.evaluate(ANSWERED) == stopped


def test_a_generated_image_is_part_of_the_conversation(tiny_checkpoint, visit, tmp_path, monkeypatch):
    """With scripted answers, and an image generator with random weights."""
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    engine = Engine.load(tiny_checkpoint, device="cpu")
    generator = ImageGenerator.load(save_pipeline("PainterPipeline", tmp_path / "tiny"), device="cpu")
    answers = ["Here it is. <h>a red house</h>", "A house.", "<h>a unicorn</h>"]
    prompts = script(engine, answers, monkeypatch)
    models = PageModels(PageModel(ChatPipeline(EngineBackend(engine, "tiny"), generator), engine))
    with running(Page(models, ServerSettings(port=0), UploadStore(tmp_path))) as url:
        page = visit(url)
        page.get_by_text("Settings").click()
        assert page.get_by_label("Read text (OCR): the server runs without --ocr").is_disabled()
        page.get_by_label("Answer with an image").check()
        ask(page, "Draw a house")
        page.wait_for_selector("#chat .bot img")
        assert "Here it is." in page.locator("#chat").inner_text()
        assert "a red house" in page.locator("#chat").inner_text()
        assert "<h>" not in page.locator("#chat").inner_text()
        screenshot(page, "web-drawn.png")
        page.locator("#chat .bot img").click()
        page.wait_for_selector("#map img")
        page.get_by_label("Answer with an image").uncheck()
        ask(page, "What is it?")
        visual = engine.processor.num_image_tokens
        assert [prompt.count("<image>") for prompt in prompts] == [0, visual]
        assert "Here it is. <h>a red house</h>" in prompts[1]
        page.get_by_label("Answer with an image").check()
        ask(page, "Draw a unicorn")
        page.wait_for_selector("text=no word for unicorn")
        assert page.locator("#chat .bot img").count() == 1
