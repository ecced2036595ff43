"""The Gradio page: a chat about images, attention maps of patch info mining, and the model card."""

import asyncio
import logging
import traceback
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import cached_property
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from ...images.video import VIDEO_SUFFIXES, is_video_path
from ...inference import Engine, RequestError, Sampling
from ...inference.attention_maps import explain_images
from ...inference.streaming import EMPTY_ANSWER
from ...io.png import encode_png
from ..api_errors import ApiError, internal_error
from ..chat_pipeline import ChatPipeline
from ..image_urls import open_images, run_stoppable
from ..request_queue import RequestQueue
from ..server_settings import ServerSettings
from .feedback import Feedback, FeedbackLog
from .gradio_adapter import ChatContent, build_job, chat_turns, read_upload, render_answer, with_error
from .page_examples import NO_EXAMPLES, PageExamples
from .page_middleware import session_of
from .plain_text import show_as_text
from .uploads import UploadStore

log = logging.getLogger("minigemini.serving")

FONTS = ["system-ui", "sans-serif"]
CSS = """
.gradio-container { max-width: 60rem !important; margin: 0 auto !important; padding: 0.5rem !important; }
#chat { min-height: 18rem; }
#chat img { cursor: zoom-in; max-width: min(100%, 20rem); }
#chat [aria-label="Share"] { display: none; }
#chat .example-image-container { width: 8rem; height: 6rem; }
#mining img { width: 100%; height: auto; }
@media (max-width: 40rem) {
  .fillable { padding: 0.5rem !important; }
  #chat { height: 62vh !important; }
  h1 { font-size: 1.2rem; }
}
"""
OCR_LABEL, DRAW_LABEL = "Read text (OCR)", "Answer with an image"
FILE_TYPES = [".png", ".jpg", ".jpeg", ".webp", ".gif", *VIDEO_SUFFIXES]


@dataclass(frozen=True)
class Page:
    """The parts of the page.

    Args:
        pipeline: answers questions.
        settings: address and limits.
        uploads: the files of all sessions.
        engine: computes attention maps; None if the model runs on a server.
        card: the model card, in Markdown.
        votes: stores votes; None hides the vote buttons.
        examples: what the empty page offers.
    """

    pipeline: ChatPipeline
    settings: ServerSettings
    uploads: UploadStore
    engine: Engine | None = None
    card: str = ""
    votes: FeedbackLog | None = None
    examples: PageExamples = NO_EXAMPLES

    @cached_property
    def queue(self) -> RequestQueue:
        """The queue in which questions wait."""
        return RequestQueue(self.settings.concurrency, self.settings.queue)


def build_page(page: Page) -> gr.Blocks:
    """Build the page."""
    with gr.Blocks(title=f"Mini-Gemini: {page.pipeline.name}", fill_height=True, analytics_enabled=False) as blocks:
        gr.Markdown(f"# Mini-Gemini · {page.pipeline.name}")
        chatbot = gr.Chatbot(
            elem_id="chat",
            height="60vh",
            show_label=False,
            layout="bubble",
            render_markdown=False,  # the answer is plain text
            buttons=["copy"],
            placeholder=f"{escape(page.examples.about)}\n\nAdd one or more images or videos, and ask.".strip(),
            latex_delimiters=[],
            allow_tags=False,
        )
        show_as_text(chatbot)
        with gr.Accordion("Settings", open=False, render=False) as settings:
            pass
        max_new_tokens = gr.Slider(
            1,
            page.settings.max_new_tokens,
            min(256, page.settings.max_new_tokens),
            step=1,
            label="Maximum answer length, tokens",
            render=False,
        )
        temperature = gr.Slider(0, 2, 0, step=0.1, label="Temperature (0: greedy decoding)", render=False)
        ocr = gr.Checkbox(label=OCR_LABEL, interactive=False, render=False)
        draw = gr.Checkbox(label=DRAW_LABEL, interactive=False, render=False)
        gr.ChatInterface(
            _answer_question(page),
            multimodal=True,
            chatbot=chatbot,
            textbox=gr.MultimodalTextbox(
                file_count="multiple",
                file_types=FILE_TYPES,
                placeholder="Ask a question; drop or paste images or videos",
                show_label=False,
                stop_btn=True,
            ),
            additional_inputs=[max_new_tokens, temperature, ocr, draw],
            additional_inputs_accordion=settings,
            examples=_examples(page),
            editable=True,
            save_history=True,
            flagging_mode="never",
            concurrency_limit=None,
            api_visibility="private",
            fill_height=True,
        )
        blocks.load(_update_checkboxes(page), None, [ocr, draw], api_visibility="private")
        if page.engine is not None:
            _add_attention_maps(chatbot, page, page.engine)
        if page.votes is not None:
            _add_votes(chatbot, page, page.votes)
        with gr.Accordion("About the model", open=False):
            gr.Markdown(page.card or f"`{page.pipeline.name}`")
    return blocks


def _examples(page: Page) -> list[list[Any]] | None:
    """The examples in Gradio's form: a message, then the additional inputs, which stay as they are."""
    copied = page.examples.copied_to(page.uploads.folder / "examples").examples
    return [
        [{"text": example.question, "files": [str(example.image)]}, None, None, None, None] for example in copied
    ] or None


def _answer_question(page: Page) -> Any:
    async def answer_question(
        message: dict[str, Any],
        history: list[dict[str, Any]],
        max_new_tokens: int,
        temperature: float,
        ocr: bool,
        draw: bool,
        request: gr.Request,
    ) -> AsyncIterator[ChatContent]:
        content: ChatContent = ""
        try:
            write_image = page.uploads.writer(session_of_request(request))
            sampling = Sampling(
                max_new_tokens=min(int(max_new_tokens), page.settings.max_new_tokens), temperature=float(temperature)
            )
            folder = page.uploads.folder
            with page.queue.admit():
                async with page.queue.slot():
                    job = await run_stoppable(
                        lambda stop: build_job(
                            message, history, sampling, page.settings, folder, bool(draw), bool(ocr), stop
                        )
                    )
                    async for content in render_answer(page.pipeline, job, write_image):
                        yield content
            if not content:
                gr.Info(EMPTY_ANSWER)
        # Gradio 6.31 leaves the text box disabled after an event that raises, so errors are shown in the conversation.
        except Exception as error:  # noqa: BLE001
            yield with_error(content, user_message(error))

    return answer_question


def session_of_request(request: gr.Request) -> str:
    """Return the browser's session.

    Raises:
        ApiError: 403 if the request has no session cookie.
    """
    http_request = request.request
    session = None if http_request is None else session_of(http_request.headers.get("cookie", ""), http_request.scope)
    if session is None:
        raise ApiError(403, "the page needs its cookie; open it in a browser with cookies enabled")
    return session


def user_message(error: Exception) -> str:
    """Return the message for the user; log an internal error without its message, which may contain the question."""
    if isinstance(error, RequestError | ApiError):
        return str(error)
    log.error("%s on the page\n%s", type(error).__name__, "".join(traceback.format_tb(error.__traceback__)))
    return internal_error().message


def _update_checkboxes(page: Page) -> Any:
    """Query the capabilities whenever the page is opened: a remote server can be restarted with other options."""

    async def update_checkboxes() -> tuple[gr.Checkbox, gr.Checkbox]:
        capabilities = await page.pipeline.capabilities()
        return (
            _checkbox(OCR_LABEL, capabilities.ocr, "--ocr", checked=capabilities.ocr_by_default),
            _checkbox(DRAW_LABEL, capabilities.draw, "--painter"),
        )

    return update_checkboxes


def _checkbox(label: str, available: bool, option: str, checked: bool = False) -> gr.Checkbox:
    return gr.Checkbox(
        value=checked,
        label=label if available else f"{label}: the server runs without {option}",
        interactive=available,
    )


def _add_attention_maps(chatbot: gr.Chatbot, page: Page, engine: Engine) -> None:
    """Show the attention maps of an image when the user clicks it."""
    gr.Markdown("Click an image in the conversation to see where patch info mining attends.")
    maps = gr.Image(
        show_label=False,
        elem_id="mining",
        visible=False,
        interactive=False,
        buttons=["download", "fullscreen"],
    )

    async def explain(history: list[dict[str, Any]], event: gr.SelectData, request: gr.Request) -> Any:
        files = _clicked_files(history, event.index)
        if not files:
            return gr.skip()
        try:
            png = await asyncio.to_thread(render_maps, files)
            return gr.Image(str(page.uploads.write(session_of_request(request), png)), visible=True)
        except Exception as error:  # noqa: BLE001 (shown to the user)
            gr.Warning(escape(user_message(error)))
            return gr.skip()

    def render_maps(files: list[str]) -> bytes:
        images = open_images([read_upload(file, page.uploads.folder) for file in files], page.settings)
        return encode_png(explain_images(engine, images))

    chatbot.select(explain, chatbot, maps, api_visibility="private", concurrency_limit=1)


def _clicked_files(history: list[dict[str, Any]], index: Any) -> list[str]:
    """Return the images of the clicked message."""
    number = index[0] if isinstance(index, list | tuple) else index
    files = [file for turn in chat_turns(history[number : number + 1]) for file in turn.files]
    return [file for file in files if not is_video_path(file)]


def _add_votes(chatbot: gr.Chatbot, page: Page, votes: FeedbackLog) -> None:
    consent = gr.Checkbox(label="Store my votes with question and answer as text (no images)", value=False)

    def vote(history: list[dict[str, Any]], consent: bool, event: gr.LikeData) -> None:
        number = event.index[0] if isinstance(event.index, list | tuple) else event.index
        turns = list(chat_turns(history[: number + 1]))
        question = turns[-2].text if len(turns) > 1 else ""
        feedback = Feedback(page.pipeline.name, question, turns[-1].text, bool(event.liked))
        try:
            stored = votes.add(feedback, consent=consent)
        except RequestError as error:
            raise gr.Error(str(error), print_exception=False) from None
        gr.Info("Stored, thank you." if stored else "Not stored: check the consent box below to store votes.")

    chatbot.like(vote, [chatbot, consent], None, api_visibility="private")


def card_of(folder: Path) -> str:
    """Return a checkpoint's model card without its YAML front matter."""
    file = folder / "README.md"
    if not file.is_file():
        return ""
    text = file.read_text(encoding="utf-8", errors="replace")
    return text.split("\n---\n", 1)[-1] if text.startswith("---\n") else text
