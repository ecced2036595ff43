"""Serve the page, with all of Gradio's outgoing connections disabled."""

import signal
import socket
from collections.abc import Callable
from typing import Any

import gradio as gr
from fastapi import FastAPI

from ..middleware import ApiKeys
from ..server import BoundedServer
from .page import CSS, FONTS, build_page
from .page_middleware import PageMiddleware
from .page_state import Page

USER = "minigemini"
"""User name of the login form, whose password is the API key."""
MAX_WAITING_EVENTS = 1000
"""Events in Gradio's own queue. Questions do not wait in it but in the page's request queue."""


def build_page_app(page: Page) -> PageMiddleware:
    """Build the ASGI application of the page."""
    settings = page.settings
    blocks = build_page(page)
    blocks.queue(max_size=MAX_WAITING_EVENTS)
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    gr.mount_gradio_app(
        app,
        blocks,
        path="/",
        auth=_authenticator(settings.api_keys) if settings.api_keys else None,
        show_error=False,
        max_file_size=max(settings.images.max_bytes, settings.videos.max_bytes),
        enable_monitoring=False,
        run_history=False,
        ssr_mode=False,
        mcp_server=False,
        footer_links=[],
        # System fonts, so that the browser downloads none.
        theme=gr.themes.Soft(font=FONTS, font_mono=["ui-monospace", "monospace"]),
        css=CSS,
    )
    return PageMiddleware(app, settings, page.uploads)


class PageServer(BoundedServer):
    """Server of the page.

    Args:
        page: the page.
        sock: a socket from `listen`.
        announce: called with "listening on URL" once the server accepts requests.
    """

    def __init__(self, page: Page, sock: socket.socket, announce: Callable[[str], None]) -> None:
        self._app = build_page_app(page)
        super().__init__(self._app, page.settings, sock, announce)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._app.close_tabs()
        await super().shutdown(sockets)


def launch(page: Page, sock: socket.socket, announce: Callable[[str], None]) -> None:
    """Serve the page until SIGTERM or Ctrl-C. See `PageServer`."""
    # uvicorn re-raises the signal after its shutdown, but the caller still has to delete files.
    signal.signal(signal.SIGTERM, lambda *_: None)
    PageServer(page, sock, announce).run(sockets=[sock])


def _authenticator(api_keys: tuple[str, ...]) -> Callable[[str, str], bool]:
    keys = ApiKeys(api_keys)

    def authenticate(user: str, password: Any) -> bool:
        is_valid = keys.match(str(password).encode("utf-8", "surrogatepass"))
        return user == USER and is_valid

    return authenticate
