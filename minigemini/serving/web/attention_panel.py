"""The panel beside the conversation: attention maps of the image that a question is about."""

import asyncio
from collections.abc import Sequence
from html import escape
from typing import Any

import gradio as gr

from ...images.video import is_video_path
from ...inference import Engine
from ...inference.attention_maps import explain_images
from ...io.png import encode_png
from ..image_urls import open_images
from .gradio_adapter import ChatTurn, chat_turns, read_upload
from .page_state import Page, session_of_request, user_message

HINT = "With each answer, this shows where patch info mining read details of the image. Click an image to return to it."


class AttentionPanel:
    """Shows the maps of the latest images with each answer, and those of earlier images when they are clicked.

    Args:
        page: the parts of the page.
    """

    def __init__(self, page: Page) -> None:
        self._page = page
        self._hint = gr.Markdown(HINT, elem_id="hint", render=False)
        self._figure = gr.Image(
            show_label=False,
            elem_id="map",
            visible=False,
            interactive=False,
            buttons=["download", "fullscreen"],
            render=False,
        )
        self.outputs = [self._hint, self._figure]

    def render(self) -> None:
        """Place the panel."""
        for part in self.outputs:
            part.render()

    def connect(self, chat: gr.ChatInterface, model: gr.Dropdown) -> None:
        """Update the panel when an image is clicked, and clear it when another conversation begins."""
        shared: dict[str, Any] = {"outputs": self.outputs, "api_visibility": "private"}
        chat.chatbot.select(self._show_clicked, [chat.chatbot, model], concurrency_limit=1, **shared)
        gr.on(
            [chat.new_chat_button.click, chat.chat_history_dataset.click, chat.chatbot.clear],
            lambda: [gr.Markdown(HINT, visible=True), gr.Image(visible=False)],
            None,
            **shared,
        )

    async def show_last(self, turns: Sequence[ChatTurn], model: str, request: gr.Request) -> list[Any]:
        """Return updates that show the latest images, with the last question and answer."""
        shown = [turn for turn in turns if _images(turn)]
        return await self._show(_images(shown[-1]) if shown else [], turns[-2:], model, request)

    async def _show_clicked(
        self, history: list[dict[str, Any]], model: str, event: gr.SelectData, request: gr.Request
    ) -> list[Any]:
        number = event.index[0] if isinstance(event.index, list | tuple) else event.index
        turns = list(chat_turns(history))
        clicked = len(list(chat_turns(history[: number + 1]))) - 1
        first = clicked if turns[clicked].role == "user" else max(0, clicked - 1)
        files = _images(ChatTurn("", files=[file for turn in chat_turns([history[number]]) for file in turn.files]))
        return await self._show(files, turns[first : first + 2], model, request)

    async def _show(self, files: Sequence[str], turns: Sequence[ChatTurn], name: str, request: gr.Request) -> list[Any]:
        unchanged = [gr.skip(), gr.skip()]
        if not files:
            return unchanged
        try:
            engine = (await self._page.models.get(name)).engine
            if engine is None or engine.model.model.patch_info_mining is None:
                return [gr.Markdown(f"{escape(name)} has no patch info mining.", visible=True), gr.Image(visible=False)]
            texts = ["" if turn.failed else turn.text for turn in turns]
            png = await asyncio.to_thread(self._draw, engine, files, texts)
            path = self._page.uploads.write(session_of_request(request), png)
            return [gr.Markdown(visible=False), gr.Image(str(path), visible=True)]
        except Exception as error:  # noqa: BLE001 (shown to the user)
            gr.Warning(escape(user_message(error)))
            return unchanged

    def _draw(self, engine: Engine, files: Sequence[str], texts: Sequence[str]) -> bytes:
        """Draw the maps as a PNG. Blocking: it decodes the images and runs the model's encoders."""
        images = open_images([read_upload(file, self._page.uploads.folder) for file in files], self._page.settings)
        question, answer = [*texts, "", ""][:2]
        return encode_png(explain_images(engine, images, question, answer, map_only=True))


def _images(turn: ChatTurn) -> list[str]:
    return [file for file in turn.files if not is_video_path(file)]
