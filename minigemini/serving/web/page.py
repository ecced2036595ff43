"""The Gradio page: a chat about images, beside the attention maps of patch info mining; below both the model card."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from ...images.video import VIDEO_SUFFIXES
from ...inference import RequestError, Sampling
from ...inference.streaming import EMPTY_ANSWER
from ..api_errors import ApiError
from ..image_urls import run_stoppable
from .attention_panel import AttentionPanel
from .feedback import Feedback, FeedbackLog
from .gradio_adapter import (
    ChatContent,
    answer_messages,
    build_job,
    chat_turns,
    question_message,
    render_answer,
    with_error,
)
from .page_models import PageModel
from .page_state import Page, session_of_request, user_message
from .plain_text import PlainChatbot

CSS = (Path(__file__).parent / "page.css").read_text(encoding="utf-8")
FONTS = ["system-ui", "sans-serif"]
OCR_LABEL, DRAW_LABEL = "Read text (OCR)", "Answer with an image"
FILE_TYPES = [".png", ".jpg", ".jpeg", ".webp", ".gif", *VIDEO_SUFFIXES]
TITLE_CHARS = 40
"""Length of a conversation's title in the list of conversations."""


def build_page(page: Page) -> gr.Blocks:
    """Build the page."""
    first = page.models.default
    with gr.Blocks(
        title=f"Mini-Gemini: {first.name}", fill_height=True, fill_width=True, analytics_enabled=False
    ) as blocks:
        with gr.Row(elem_id="header"):
            gr.Markdown("# Mini-Gemini")
            model = gr.Dropdown(page.models.names, value=first.name, show_label=False, container=False, elem_id="model")
            about = gr.Markdown(_about(first), elem_id="about")
        with gr.Row(elem_id="main"):
            panel = AttentionPanel(page) if first.engine is not None else None
            with gr.Column(elem_id="conversation"):
                chat = _Chat(page, model, panel)
            if panel is not None:
                with gr.Column(elem_id="attention"):
                    panel.render()
                panel.connect(chat.interface, model)
        if page.votes is not None:
            _add_votes(chat.interface.chatbot, page.votes, model)
        with gr.Accordion("About the model", open=False):
            card = gr.Markdown(_card(first))
        changed = [model, about, card, chat.interface.chatbot, chat.ocr, chat.draw]
        blocks.load(_refresh(page), [model], [model, chat.ocr, chat.draw], api_visibility="private")
        model.input(_switch(page), [model], changed, api_visibility="private", show_progress="minimal")
    return blocks


class _Chat:
    """The conversation and its settings."""

    def __init__(self, page: Page, model: gr.Dropdown, panel: AttentionPanel | None) -> None:
        first, most = page.models.default, page.settings.max_new_tokens
        with gr.Accordion("Settings", open=False, render=False) as settings:
            pass
        length = gr.Slider(1, most, min(256, most), step=1, label="Maximum answer length, tokens", render=False)
        temperature = gr.Slider(0, 2, 0, step=0.1, label="Temperature (0: greedy decoding)", render=False)
        self.ocr = gr.Checkbox(label=OCR_LABEL, interactive=False, render=False)
        self.draw = gr.Checkbox(label=DRAW_LABEL, interactive=False, render=False)
        inputs: list[Any] = [model, length, temperature, self.ocr, self.draw]
        chatbot = PlainChatbot(
            elem_id="chat",
            show_label=False,
            layout="bubble",
            render_markdown=False,  # the answer is plain text
            buttons=["copy"],
            placeholder=_placeholder(first),
            latex_delimiters=[],
            allow_tags=False,
        )
        self.interface = gr.ChatInterface(
            _answer_question(page, panel),
            multimodal=True,
            chatbot=chatbot,
            textbox=gr.MultimodalTextbox(
                file_count="multiple",
                file_types=FILE_TYPES,
                placeholder="Ask a question; drop or paste images or videos",
                show_label=False,
                stop_btn=True,
            ),
            additional_inputs=inputs,
            additional_inputs_accordion=settings,
            additional_outputs=panel.outputs if panel else None,
            # One that is never shown, or Gradio would not react to those of a model that is chosen later.
            examples=[[{"text": ""}, *(None for _ in inputs)]],
            editable=True,
            save_history=True,
            flagging_mode="never",
            concurrency_limit=None,
            api_visibility="private",
            fill_height=True,
        )
        chatbot.examples = _examples(page, first)
        chatbot._setup_examples()
        # Gradio's own title begins with an emoji for each image, for which many systems have no font.
        interface: Any = self.interface
        interface._generate_chat_title = _conversation_title


def _about(model: PageModel) -> str:
    """Return HTML on one line, in which Markdown is not interpreted."""
    return "".join(f"<p>{escape(line)}</p>" for line in model.about.splitlines())


def _card(model: PageModel) -> str:
    return model.card or f"`{model.name}` has no model card."


def _placeholder(model: PageModel) -> str:
    start = "Try one of these, or add" if model.examples.examples else "Add"
    return f"{start} images or videos of your own, and ask."


def _examples(page: Page, model: PageModel) -> list[dict[str, Any]]:
    """The examples in Gradio's form, with images in the page's folder, from which it may serve them."""
    number = page.models.names.index(model.name)
    copied = model.examples.copied_to(page.uploads.folder / f"examples-{number}").examples
    return [{"text": example.question, "files": [str(example.image)]} for example in copied]


def _conversation_title(conversation: list[Any]) -> str:
    """Return the first question of a conversation, shortened."""
    text = next((turn.text for turn in chat_turns(conversation) if turn.text.strip()), "Conversation")
    line = " ".join(text.split())
    return line if len(line) <= TITLE_CHARS else line[: TITLE_CHARS - 1].rstrip() + "…"


def _answer_question(page: Page, panel: AttentionPanel | None) -> Any:
    async def answer(
        message: dict[str, Any],
        history: list[dict[str, Any]],
        model: str,
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
            chosen, folder = await page.models.get(model), page.uploads.folder
            settings = replace(page.settings, video_sampling=chosen.video_sampling)
            with page.queue.admit():
                async with page.queue.slot():
                    job = await run_stoppable(
                        lambda stop: build_job(
                            message, history, sampling, settings, folder, bool(draw), bool(ocr), stop
                        )
                    )
                    async for content in render_answer(chosen.pipeline, job, write_image):
                        yield content
            if not content:
                gr.Info(EMPTY_ANSWER)
        # Gradio 6.31 leaves the text box disabled after an event that raises, so errors are shown in the conversation.
        except Exception as error:  # noqa: BLE001
            yield with_error(content, user_message(error))

    async def answer_with_maps(
        message: dict[str, Any],
        history: list[dict[str, Any]],
        model: str,
        max_new_tokens: int,
        temperature: float,
        ocr: bool,
        draw: bool,
        request: gr.Request,
    ) -> AsyncIterator[Any]:
        assert panel is not None
        content: ChatContent = ""
        answers: Any = answer(message, history, model, max_new_tokens, temperature, ocr, draw, request)
        async with aclosing(answers):
            async for content in answers:
                yield content, gr.skip(), gr.skip()
        turns = list(chat_turns([*history, question_message(message), *answer_messages(content)]))
        yield content, *await panel.show_last(turns, model, request)

    return answer if panel is None else answer_with_maps


def _refresh(page: Page) -> Any:
    """Query models and capabilities whenever the page is opened: a server can be restarted with other options."""

    async def refresh(name: str) -> list[Any]:
        names = await page.models.refresh()
        chosen = await page.models.get(name if name in names else page.models.default.name)
        return [gr.Dropdown(list(names), value=chosen.name), *await _checkboxes(chosen)]

    return refresh


def _switch(page: Page) -> Any:
    """Show what the chosen model knows, its examples and its card."""

    async def switch(name: str) -> list[Any]:
        try:
            chosen = await page.models.get(name)
        except ApiError as error:
            gr.Warning(escape(str(error)))
            chosen = page.models.default
        return [
            chosen.name,
            _about(chosen),
            _card(chosen),
            gr.update(placeholder=_placeholder(chosen), examples=_examples(page, chosen)),
            *await _checkboxes(chosen),
        ]

    return switch


async def _checkboxes(model: PageModel) -> tuple[gr.Checkbox, gr.Checkbox]:
    capabilities = await model.pipeline.capabilities()
    return (
        _checkbox(OCR_LABEL, capabilities.ocr, "--ocr", checked=capabilities.ocr_by_default),
        _checkbox(DRAW_LABEL, capabilities.draw, "--generator"),
    )


def _checkbox(label: str, available: bool, option: str, checked: bool = False) -> gr.Checkbox:
    return gr.Checkbox(
        value=checked,
        label=label if available else f"{label}: the server runs without {option}",
        interactive=available,
    )


def _add_votes(chatbot: gr.Chatbot, votes: FeedbackLog, model: gr.Dropdown) -> None:
    consent = gr.Checkbox(label="Store my votes with question and answer as text (no images)", value=False)

    def vote(history: list[dict[str, Any]], consent: bool, model: str, event: gr.LikeData) -> None:
        number = event.index[0] if isinstance(event.index, list | tuple) else event.index
        turns = list(chat_turns(history[: number + 1]))
        question = turns[-2].text if len(turns) > 1 else ""
        feedback = Feedback(model, question, turns[-1].text, bool(event.liked))
        try:
            stored = votes.add(feedback, consent=consent)
        except RequestError as error:
            raise gr.Error(str(error), print_exception=False) from None
        gr.Info("Stored, thank you." if stored else "Not stored: check the consent box below to store votes.")

    chatbot.like(vote, [chatbot, consent, model], None, api_visibility="private")
