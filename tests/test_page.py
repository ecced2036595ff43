"""The page in a real browser, at the width of a desk and of a phone: `make test-web`."""

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

from minigemini.serving.web.page import Page  # noqa: E402
from minigemini.serving.web.uploads import UploadLimits, UploadStore  # noqa: E402

CHROMIUM = shutil.which("chromium")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")]

ROOT = Path(__file__).parent.parent
SIGN, THINGS = (ROOT / "examples" / name for name in ("sign.png", "things.png"))
READ = "What does the sign say?"
DESK, PHONE = {"width": 1100, "height": 900}, {"width": 390, "height": 844}
ANSWERED = "[...document.querySelectorAll('#chat .bot .message')].map(e => e.innerText.trim()).filter(t => t)"
WAIT = 60_000


@contextmanager
def page_of(*arguments: str) -> Iterator[str]:
    """`minigemini web`; gives its address. Ended while a tab is open, it is quick and leaves no file behind."""
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
def said() -> str:
    """What nano says about the sign when it is asked without a page."""
    return Engine.load("nano").ask(SIGN, READ).text


@pytest.fixture(scope="module")
def browser() -> Iterator:
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@pytest.fixture
def visit(browser):
    """Open an address; afterwards nothing may have been asked of anyone but the server, or kept back by a policy."""
    pages, asked, blocked = [], [], []

    def open_page(url: str, size: dict = DESK):
        page = browser.new_page(viewport=size)
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda line: blocked.append(line.text) if "Content Security Policy" in line.text else None)
        page.goto(url)
        page.wait_for_selector("#chat", timeout=WAIT)
        page.wait_for_selector("textarea", timeout=WAIT)
        page.set_default_timeout(WAIT)
        pages.append(page)
        return page

    yield open_page
    for page in pages:
        page.close()
    outside = [url for url in asked if not url.startswith(("http://127.0.0.1", "data:", "blob:"))]
    assert not outside + blocked


def ask(page, text: str, *images: Path) -> list[str]:
    """Show pictures, ask, and give all answers once this one has ended."""
    if images:
        page.locator("input[type=file]").first.set_input_files(images)
        until(page, f"document.querySelectorAll('.thumbnail-item').length >= {len(images)}")
    page.locator("textarea").last.fill(text)
    before = len(page.evaluate(ANSWERED))
    page.keyboard.press("Enter")
    return answers(page, before + 1)


def answers(page, count: int) -> list[str]:
    until(page, f"{ANSWERED}.length >= {count}")
    page.wait_for_selector("button[aria-label=Submit]")  # it is a stop button while an answer is written
    page.wait_for_selector("#chat button[aria-label=Retry]")
    found: list[str] = []
    while found != (found := page.evaluate(ANSWERED)):  # the box of an edited question has a Submit of its own
        page.wait_for_timeout(500)
    return found


def until(page, condition: str) -> None:
    """Wait for it; Playwright's own `wait_for_function` evaluates text in the page, which the page's policy forbids."""
    deadline = time.monotonic() + WAIT / 1000
    while not page.evaluate(condition):
        assert time.monotonic() < deadline, condition
        page.wait_for_timeout(100)


def photograph(page, name: str, **how) -> None:
    if folder := os.environ.get("SCREENSHOTS"):
        page.screenshot(path=Path(folder) / name, **how)


def test_a_conversation_with_its_heat_map(address, visit, said):
    page = visit(address)
    assert ask(page, READ, SIGN) == [said]
    assert len(ask(page, "What do you see?")) == 2
    page.locator("#chat img").first.click()
    page.wait_for_selector("#mining img")
    photograph(page, "web-desk.png", full_page=True)


def test_retry_edit_and_history(address, visit, said):
    page = visit(address)
    ask(page, READ, SIGN)
    page.locator("#chat button[aria-label=Retry]").last.click()
    page.wait_for_timeout(1000)
    assert answers(page, 1) == [said]
    first = ask(page, "How many things are there?")
    # Of a question with pictures Gradio 6.31 edits none (its script fails); Undo puts it back into the box instead.
    page.locator("#chat button[aria-label=Edit]").last.click()
    page.locator("#chat textarea").fill(READ)
    page.locator("#chat button[aria-label=Submit]").click()
    until(page, f"{ANSWERED}.length == 1 || ({ANSWERED})[1] != {json.dumps(first[1])}")
    edited = answers(page, 2)
    assert "How many things are there?" not in page.locator("#chat").inner_text()
    page.get_by_text("New chat").click()
    until(page, f"{ANSWERED}.length == 0")
    page.get_by_text(READ).first.click()
    assert answers(page, 2) == edited


def test_several_pictures_pasted_and_dropped(address, visit):
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

    for number, (kind, file) in enumerate([("paste", SIGN), ("drop", THINGS)], start=1):
        page.evaluate(bring, [kind, base64.b64encode(file.read_bytes()).decode()])
        until(page, f"document.querySelectorAll('.thumbnail-item').length == {number}")
    assert len(ask(page, "What does the sign in the first picture say?")) == 1
    assert page.locator("#chat .user img").count() == 2


def test_votes_are_kept_only_with_consent(address, visit, votes, said):
    page = visit(address)
    ask(page, READ, SIGN)
    page.locator("#chat button[aria-label=Like]").last.click()
    page.wait_for_selector("text=Not kept")
    assert not votes.exists()
    page.get_by_label("Keep my votes").check()
    page.locator("#chat button[aria-label=Dislike]").last.click()
    page.wait_for_selector("text=Kept, thank you")
    kept = json.loads(votes.read_text())
    assert (kept["question"], kept["answer"], kept["liked"]) == (READ, said, False)


def refused(page, reason: str) -> None:
    """The last question was refused, and the next one can be typed."""
    page.wait_for_selector(f"text={reason}")
    page.wait_for_selector("button[aria-label=Submit]")
    until(page, "!document.querySelector('textarea:last-of-type').disabled")


def send(page, text: str) -> None:
    page.locator("textarea").last.fill(text)
    page.keyboard.press("Enter")


def test_after_what_is_no_picture_the_conversation_goes_on(address, visit, said, tmp_path):
    (tmp_path / "bad.png").write_bytes(b"no picture at all")
    (tmp_path / "large.png").write_bytes(SIGN.read_bytes() + bytes(21 * 2**20))
    page = visit(address)
    page.locator("input[type=file]").first.set_input_files([tmp_path / "bad.png"])
    page.wait_for_selector(".thumbnail-item")
    send(page, "What is it?")
    refused(page, "not a picture in JPEG")
    photograph(page, "web-refused.png")
    page.locator("input[type=file]").first.set_input_files([tmp_path / "large.png"])
    page.wait_for_selector("text=exceed the maximum allowed size")
    assert ask(page, READ, SIGN)[-1] == said


def test_nothing_typed_or_answered_is_markup(tiny_checkpoint, visit, tmp_path, monkeypatch):
    """In the real document; `visit` sees to it that nothing is asked of another host."""
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    engine = Engine.load(tiny_checkpoint, device="cpu")
    painter = ImageGenerator.load(save_pipeline("PainterPipeline", tmp_path / "tiny"), device="cpu")
    typed = "What? <img src=http://evil.example/1> <b id=bold>1</b> &lt;i> ![x](http://evil.example/2) 1 < 2 & 3"
    answered = "<img src=http://evil.example/3 onerror=alert(1)> </div><iframe src=http://evil.example/4></iframe>"
    caption = "<h><img src=http://evil.example/5></h>"
    prompts = script(engine, [answered, f"Here. {caption}", "Bye."], monkeypatch)
    page_of_it = Page(
        ChatPipeline(EngineBackend(engine, "tiny"), painter), ServerSettings(port=0), UploadStore(tmp_path), engine
    )
    with running(page_of_it) as url:
        page = visit(url)
        send(page, typed)
        assert answers(page, 1)[0] == answered
        assert page.locator("#chat .user").first.inner_text().strip() == typed
        page.get_by_text("Settings").click()
        page.get_by_label("Answer with a picture").check()
        send(page, "Draw <img src=http://evil.example/6>")
        page.wait_for_selector("text=Not drawn")
        page.wait_for_selector("button[aria-label=Submit]")
        page.get_by_label("Answer with a picture").uncheck()
        send(page, "Bye")
        until(page, f"{ANSWERED}.join().includes('Bye.')")
        photograph(page, "web-markup.png")
        assert page.evaluate("document.querySelectorAll('[src*=evil], [href*=evil], #bold, iframe').length") == 0
    assert typed in prompts[1]
    assert answered in prompts[1]


def test_after_a_fault_and_when_busy_the_box_can_be_used(tiny_checkpoint, visit, tmp_path, monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    engine = Engine.load(tiny_checkpoint, device="cpu")
    generate, released = engine.model.generate, threading.Event()

    def fail(**_) -> None:
        raise RuntimeError("out of order")

    def wait(**how):
        released.wait(WAIT / 1000)
        return generate(**how)

    studio = ChatPipeline(EngineBackend(engine, "tiny"))
    with running(Page(studio, ServerSettings(port=0, queue=0, max_new_tokens=4), UploadStore(tmp_path))) as url:
        one, other = visit(url), visit(url)
        monkeypatch.setattr(engine.model, "generate", fail)
        send(one, "What?")
        refused(one, "the server failed on this request")
        monkeypatch.setattr(engine.model, "generate", wait)
        send(one, "What?")
        one.wait_for_selector("button[aria-label=Stop]")
        send(other, "Me too")
        refused(other, "requests are being answered")
        released.set()
        assert len(answers(one, 2)) == 2
        send(other, "Now?")
        assert len(answers(other, 2)) == 2


def test_pictures_are_deleted_when_the_tab_is_closed(tiny_checkpoint, browser, tmp_path, monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    store = UploadStore(tmp_path, UploadLimits(idle_seconds=3))
    studio = ChatPipeline(EngineBackend(Engine.load(tiny_checkpoint, device="cpu"), "tiny"))
    with running(Page(studio, ServerSettings(port=0), store)) as url:
        page = browser.new_page()
        page.goto(url)
        page.wait_for_selector("textarea", timeout=WAIT)
        page.locator("input[type=file]").first.set_input_files([SIGN])
        page.wait_for_selector(".thumbnail-item")
        page.reload()
        page.wait_for_selector("textarea", timeout=WAIT)
        page.wait_for_timeout(5000)
        assert list(tmp_path.rglob("sign.png"))
        page.close()
        deadline = time.monotonic() + 20
        while list(tmp_path.rglob("sign.png")):
            assert time.monotonic() < deadline
            time.sleep(0.1)


def test_it_fits_a_phone(address, visit):
    page = visit(address, PHONE)
    ask(page, READ, SIGN)
    page.get_by_text("About the model").click()
    page.wait_for_selector("text=What it cannot do")
    page.get_by_text("About the model").click()
    page.wait_for_timeout(500)
    assert page.evaluate("document.scrollingElement.scrollWidth") <= PHONE["width"]
    photograph(page, "web-phone.png")
    page.locator("#chat img").first.click()
    page.wait_for_selector("#mining img")
    assert page.evaluate("document.scrollingElement.scrollWidth") <= PHONE["width"]


def test_an_answer_is_stopped(tiny_checkpoint, visit):
    """By a model that would go on to its longest answer."""
    with page_of("--model", str(tiny_checkpoint)) as url:
        page = visit(url)
        page.get_by_text("Settings").click()
        page.get_by_label("number input for Longest answer, tokens").fill("1024")
        page.keyboard.press("Tab")
        page.locator("textarea").last.fill("Go on")
        page.keyboard.press("Enter")
        until(page, f"{ANSWERED}.length == 1")
        page.locator("button[aria-label=Stop]").click()
        page.wait_for_selector("button[aria-label=Submit]")
        stopped = page.evaluate(ANSWERED)
        page.wait_for_timeout(1500)
        assert page.evaluate(ANSWERED) == stopped


def test_a_drawn_picture_is_part_of_the_conversation(tiny_checkpoint, visit, tmp_path, monkeypatch):
    """By a model whose answers are scripted, and a painter of random weights."""
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    engine = Engine.load(tiny_checkpoint, device="cpu")
    painter = ImageGenerator.load(save_pipeline("PainterPipeline", tmp_path / "tiny"), device="cpu")
    answers = ["Here it is. <h>a red house</h>", "A house.", "<h>a unicorn</h>"]
    prompts = script(engine, answers, monkeypatch)
    studio = ChatPipeline(EngineBackend(engine, "tiny"), painter)
    with running(Page(studio, ServerSettings(port=0), UploadStore(tmp_path), engine)) as url:
        page = visit(url)
        page.get_by_text("Settings").click()
        assert page.get_by_label("Read writing (OCR): the server runs without --ocr").is_disabled()
        page.get_by_label("Answer with a picture").check()
        ask(page, "Draw a house")
        page.wait_for_selector("#chat .bot img")
        assert "Here it is." in page.locator("#chat").inner_text()
        assert "a red house" in page.locator("#chat").inner_text()
        assert "<h>" not in page.locator("#chat").inner_text()
        photograph(page, "web-drawn.png")
        page.locator("#chat .bot img").click()
        page.wait_for_selector("#mining img")
        page.get_by_label("Answer with a picture").uncheck()
        ask(page, "What is it?")
        visual = engine.processor.num_image_tokens
        assert [prompt.count("<image>") for prompt in prompts] == [0, visual]
        assert "Here it is. <h>a red house</h>" in prompts[1]
        page.get_by_label("Answer with a picture").check()
        ask(page, "Draw a unicorn")
        page.wait_for_selector("text=no word for unicorn")
        assert page.locator("#chat .bot img").count() == 1
