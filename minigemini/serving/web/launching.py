"""Launches the page with everything of Gradio's that reaches outward switched off."""

import signal
import threading
from collections.abc import Callable
from typing import Any

import gradio as gr

from ..keys import KeyRing
from .page import CSS, FONTS, Page, build_page

USER = "minigemini"
"""Whom the page asks a key of, where there is one."""


def start(page: Page) -> tuple[gr.Blocks, str]:
    """Serve the page in threads; gives it and its address."""
    settings = page.settings
    blocks = build_page(page)
    blocks.queue(max_size=settings.queue, default_concurrency_limit=settings.concurrency)
    _, url, _ = blocks.launch(
        server_name=settings.host,
        server_port=settings.port or None,
        auth=_check(settings.api_keys) if settings.api_keys else None,
        share=False,
        quiet=True,
        inbrowser=False,
        prevent_thread_lock=True,
        show_error=False,
        max_file_size=settings.pictures.max_bytes,
        enable_monitoring=False,
        ssr_mode=False,
        mcp_server=False,
        footer_links=[],
        theme=gr.themes.Soft(
            font=FONTS, font_mono=["ui-monospace", "monospace"]
        ),  # fonts of the system: nothing is fetched
        css=CSS,
    )
    return blocks, url


def launch(page: Page, tell: Callable[[str], None]) -> None:
    """Serve the page until SIGTERM or Ctrl-C.

    Args:
        page: what is served.
        tell: gets its address.
    """
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    blocks, url = start(page)
    try:
        tell(url)
        ended.wait()
    finally:
        blocks.close(verbose=False)


def _check(keys: tuple[str, ...]) -> Callable[[str, str], bool]:
    ring = KeyRing(keys)

    def check(user: str, password: Any) -> bool:
        right = ring.opens(str(password).encode("utf-8", "surrogatepass"))
        return user == USER and right

    return check
