"""Serves the page, with everything of Gradio's that reaches outward switched off."""

import signal
import socket
from collections.abc import Callable
from typing import Any

import gradio as gr
from fastapi import FastAPI

from ..api_keys import KeyRing
from ..server import BoundedServer
from .page import CSS, FONTS, Page, build_page
from .page_middleware import PageMiddleware

USER = "minigemini"
"""Whom the page asks a key of, where there is one."""
WAITING_EVENTS = 1000
"""Clicks that wait in Gradio's own queue. Questions pass through it at once: they wait at the page's gate."""


def build_app(page: Page) -> PageMiddleware:
    """The ASGI application of the page."""
    settings = page.settings
    blocks = build_page(page)
    blocks.queue(max_size=WAITING_EVENTS)
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    gr.mount_gradio_app(
        app,
        blocks,
        path="/",
        auth=_check(settings.api_keys) if settings.api_keys else None,
        show_error=False,
        max_file_size=settings.images.max_bytes,
        enable_monitoring=False,
        run_history=False,
        ssr_mode=False,
        mcp_server=False,
        footer_links=[],
        theme=gr.themes.Soft(
            font=FONTS, font_mono=["ui-monospace", "monospace"]
        ),  # fonts of the system: nothing is fetched
        css=CSS,
    )
    return PageMiddleware(app, settings, page.uploads)


class PageServer(BoundedServer):
    """Serves the page; see there.

    Args:
        page: what is served.
        sock, tell: as there.
    """

    def __init__(self, page: Page, sock: socket.socket, tell: Callable[[str], None]) -> None:
        self._page = build_app(page)
        super().__init__(self._page, page.settings, sock, tell)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._page.close_tabs()
        await super().shutdown(sockets)


def launch(page: Page, sock: socket.socket, tell: Callable[[str], None]) -> None:
    """Serve the page until SIGTERM or Ctrl-C; see `PageServer`."""
    # uvicorn raises a signal again once it has shut down; the caller still has files to delete.
    signal.signal(signal.SIGTERM, lambda *_: None)
    PageServer(page, sock, tell).run(sockets=[sock])


def _check(keys: tuple[str, ...]) -> Callable[[str, str], bool]:
    ring = KeyRing(keys)

    def check(user: str, password: Any) -> bool:
        right = ring.opens(str(password).encode("utf-8", "surrogatepass"))
        return user == USER and right

    return check
