"""The page: a conversation about pictures, what mining looked at in them, and what the model is."""

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

from ...inference import Engine, RequestError, Sampling
from ...inference.attention_maps import explain_images
from ...inference.streaming import EMPTY_ANSWER
from ...io.png import encode_png
from ..api_errors import ApiError, internal_error
from ..chat_pipeline import ChatPipeline
from ..image_parts import in_thread, open_all
from ..request_queue import RequestQueue
from ..server_settings import ServerSettings
from .feedback import Feedback, FeedbackLog
from .gradio_adapter import job_of, read_upload, said, turns, with_refusal
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
#mining img { width: 100%; height: auto; }
@media (max-width: 40rem) {
  .fillable { padding: 0.5rem !important; }
  #chat { height: 62vh !important; }
  h1 { font-size: 1.2rem; }
}
"""
OCR, DRAW = "Read writing (OCR)", "Answer with a picture"
TYPES = [".png", ".jpg", ".jpeg", ".webp", ".gif"]


@dataclass(frozen=True)
class Page:
    """What a page is made of.

    Args:
        studio: answers, draws and reads.
        settings: where it listens, and the limits.
        uploads: the files of all who use the page.
        engine: where it is in this process: draws what mining looked at.
        card: of the model, in Markdown.
        votes: where votes are kept; without it there are no buttons.
    """

    pipeline: ChatPipeline
    settings: ServerSettings
    uploads: UploadStore
    engine: Engine | None = None
    card: str = ""
    votes: FeedbackLog | None = None

    @cached_property
    def queue(self) -> RequestQueue:
        """Where questions wait for their turn."""
        return RequestQueue(self.settings.concurrency, self.settings.queue)


def build_page(page: Page) -> gr.Blocks:
    """The page, ready to launch."""
    with gr.Blocks(title=f"Mini-Gemini: {page.pipeline.name}", fill_height=True, analytics_enabled=False) as blocks:
        gr.Markdown(f"# Mini-Gemini · {page.pipeline.name}")
        chatbot = gr.Chatbot(
            elem_id="chat",
            height="60vh",
            show_label=False,
            layout="bubble",
            render_markdown=False,  # what a model says about a picture is not markup
            buttons=["copy"],
            placeholder="Show one picture or several, and ask.",
            latex_delimiters=[],
            allow_tags=False,
        )
        show_as_text(chatbot)
        with gr.Accordion("Settings", open=False, render=False) as settings:
            pass
        longest = gr.Slider(
            1,
            page.settings.max_new_tokens,
            min(256, page.settings.max_new_tokens),
            step=1,
            label="Longest answer, tokens",
            render=False,
        )
        heat = gr.Slider(0, 2, 0, step=0.1, label="Temperature (0: always the likeliest word)", render=False)
        ocr = gr.Checkbox(label=OCR, interactive=False, render=False)
        draw = gr.Checkbox(label=DRAW, interactive=False, render=False)
        gr.ChatInterface(
            _reply(page),
            multimodal=True,
            chatbot=chatbot,
            textbox=gr.MultimodalTextbox(
                file_count="multiple",
                file_types=TYPES,
                placeholder="Ask; drop or paste pictures",
                show_label=False,
                stop_btn=True,
            ),
            additional_inputs=[longest, heat, ocr, draw],
            additional_inputs_accordion=settings,
            editable=True,
            save_history=True,
            flagging_mode="never",
            concurrency_limit=None,
            api_visibility="private",
            fill_height=True,
        )
        blocks.load(_switches(page), None, [ocr, draw], api_visibility="private")
        if page.engine is not None:
            _add_mining(chatbot, page, page.engine)
        if page.votes is not None:
            _add_votes(chatbot, page, page.votes)
        with gr.Accordion("About the model", open=False):
            gr.Markdown(page.card or f"`{page.pipeline.name}`")
    return blocks


def _reply(page: Page) -> Any:
    async def reply(
        message: dict[str, Any],
        history: list[dict[str, Any]],
        longest: int,
        heat: float,
        ocr: bool,
        draw: bool,
        request: gr.Request,
    ) -> AsyncIterator[str | list[dict[str, Any]]]:
        shown: str | list[dict[str, Any]] = ""
        try:
            keep = page.uploads.keeping(session_in(request))
            longest = min(int(longest), page.settings.max_new_tokens)
            sampling = Sampling(max_new_tokens=longest, temperature=float(heat))
            folder = page.uploads.folder
            with page.queue.place():
                async with page.queue.slot():
                    job = await in_thread(
                        lambda stop: job_of(
                            message, history, sampling, page.settings, folder, bool(draw), bool(ocr), stop
                        )
                    )
                    async for shown in said(page.pipeline, job, keep):
                        yield shown
            if not shown:
                gr.Info(EMPTY_ANSWER)
        # After an event that fails, Gradio 6.31 leaves the box for questions disabled: whatever happens is told in the
        # conversation instead.
        except Exception as error:  # noqa: BLE001
            yield with_refusal(shown, reason_of(error))

    return reply


def session_in(request: gr.Request) -> str:
    """The browser's session. Raises `ApiError` where it has none."""
    sent = request.request
    session = None if sent is None else session_of(sent.headers.get("cookie", ""), sent.scope)
    if session is None:
        raise ApiError(403, "the page needs its cookie; open it in a browser that keeps cookies")
    return session


def reason_of(error: Exception) -> str:
    """What the user is told went wrong; a fault of ours is logged, without its message, which may hold the question."""
    if isinstance(error, RequestError | ApiError):
        return str(error)
    log.error("%s on the page\n%s", type(error).__name__, "".join(traceback.format_tb(error.__traceback__)))
    return internal_error().message


def _switches(page: Page) -> Any:
    """What may be switched on is asked when the page is opened: the server may have been started anew."""

    async def switches() -> tuple[gr.Checkbox, gr.Checkbox]:
        capabilities = await page.pipeline.capabilities()
        return _switch(OCR, capabilities.ocr, "--ocr"), _switch(DRAW, capabilities.draw, "--painter")

    return switches


def _switch(label: str, offered: bool, option: str) -> gr.Checkbox:
    return gr.Checkbox(label=label if offered else f"{label}: the server runs without {option}", interactive=offered)


def _add_mining(chatbot: gr.Chatbot, page: Page, engine: Engine) -> None:
    """A click on a picture of the conversation shows what mining looked at in it."""
    gr.Markdown("Click a picture in the conversation to see what mining looked at in it.")
    seen = gr.Image(
        show_label=False,
        elem_id="mining",
        visible=False,
        interactive=False,
        buttons=["download", "fullscreen"],
    )

    async def explain(history: list[dict[str, Any]], event: gr.SelectData, request: gr.Request) -> Any:
        files = _files_at(history, event.index)
        if not files:
            return gr.skip()
        try:
            png = await asyncio.to_thread(explained, files)
            return gr.Image(str(page.uploads.write(session_in(request), png)), visible=True)
        except Exception as error:  # noqa: BLE001 (it is told)
            gr.Warning(escape(reason_of(error)))
            return gr.skip()

    def explained(files: list[str]) -> bytes:
        images = open_all([read_upload(file, page.uploads.folder) for file in files], page.settings)
        return encode_png(explain_images(engine, images))

    chatbot.select(explain, chatbot, seen, api_visibility="private", concurrency_limit=1)


def _files_at(history: list[dict[str, Any]], index: Any) -> list[str]:
    """The pictures of the message that was clicked."""
    number = index[0] if isinstance(index, list | tuple) else index
    return [file for turn in turns(history[number : number + 1]) for file in turn.files]


def _add_votes(chatbot: gr.Chatbot, page: Page, votes: FeedbackLog) -> None:
    agreed = gr.Checkbox(label="Keep my votes, with question and answer as text (no pictures)", value=False)

    def vote(history: list[dict[str, Any]], agreed: bool, event: gr.LikeData) -> None:
        number = event.index[0] if isinstance(event.index, list | tuple) else event.index
        spoken = list(turns(history[: number + 1]))
        question = spoken[-2].text if len(spoken) > 1 else ""
        try:
            kept = votes.keep(Feedback(page.pipeline.name, question, spoken[-1].text, bool(event.liked)), agreed=agreed)
        except RequestError as error:
            raise gr.Error(str(error), print_exception=False) from None
        gr.Info("Kept, thank you." if kept else "Not kept: you have not agreed to it below.")

    chatbot.like(vote, [chatbot, agreed], None, api_visibility="private")


def card_of(folder: Path) -> str:
    """The model card in a checkpoint's folder, without its head for machines."""
    file = folder / "README.md"
    if not file.is_file():
        return ""
    text = file.read_text(encoding="utf-8", errors="replace")
    return text.split("\n---\n", 1)[-1] if text.startswith("---\n") else text
