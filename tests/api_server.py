"""Run the real server for tests, on a free port, in a thread."""

import base64
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO

from openai import OpenAI
from PIL import Image

from minigemini.serving.server import listen, make_server
from minigemini.serving.state import ServerState

KEY = "a-key-that-nobody-guesses"


@dataclass
class Served:
    """A running server."""

    url: str
    """Base URL without /v1."""
    state: ServerState

    def client(self, key: str = KEY) -> OpenAI:
        return OpenAI(base_url=f"{self.url}/v1", api_key=key, max_retries=0, timeout=60)


@contextmanager
def serving(state: ServerState) -> Iterator[Served]:
    """Run a server until the end of the block; it finishes accepted requests."""
    sock, lines, ready = listen("127.0.0.1", 0), [], threading.Event()

    def announce(line: str) -> None:
        lines.append(line)
        ready.set()

    server = make_server(state, sock, announce)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]})
    thread.start()
    assert ready.wait(20)
    try:
        yield Served(lines[0].split()[-1], state)
    finally:
        server.should_exit = True
        thread.join(30)
        assert not thread.is_alive()


def data_uri(image: Image.Image | bytes, kind: str = "png") -> str:
    """Return the data URI of an image, or of bytes that claim to be one."""
    if isinstance(image, Image.Image):
        file = BytesIO()
        image.save(file, kind)
        image = file.getvalue()
    return f"data:image/{kind};base64,{base64.b64encode(image).decode()}"


def user(text: str, *urls: str) -> dict:
    """Return a user message in OpenAI's format."""
    return {
        "role": "user",
        "content": [
            *({"type": "image_url", "image_url": {"url": url}} for url in urls),
            {"type": "text", "text": text},
        ],
    }
