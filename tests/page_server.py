"""Run the real page for tests, on a free port, in a thread."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from minigemini.serving.server import listen
from minigemini.serving.web.launch import PageServer
from minigemini.serving.web.page_state import Page


@contextmanager
def running(page: Page) -> Iterator[str]:
    """Serve a page until the end of the block, and yield its URL."""
    sock, lines, ready = listen(page.settings.host, page.settings.port), [], threading.Event()

    def announce(line: str) -> None:
        lines.append(line)
        ready.set()

    server = PageServer(page, sock, announce)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]})
    thread.start()
    assert ready.wait(60)
    try:
        yield lines[0].split()[-1]
    finally:
        server.should_exit = True
        thread.join(30)
        assert not thread.is_alive()
