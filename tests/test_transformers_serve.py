"""`transformers serve` and `transformers chat` answer by the commands of docs/other-tools.md."""

import os
import pty
import re
import shlex
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from api_server import data_uri, user
from PIL import Image
from waiting import wait_until

from minigemini.packaging.hub_folder import package
from minigemini_models.nano import NANO_DIR

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "other-tools.md").read_text()
HUB, ORDINARY, PORT = "./mgm-7b-hub", "./mgm-7b", "8001"


def documented(beginning: str, changes: dict[str, str]) -> list[str]:
    """The page's command that begins so, run by this Python, with other values for some of its words."""
    words = shlex.split(re.search(rf"^    ({re.escape(beginning)}.*)$", PAGE, re.MULTILINE)[1])
    words = [next((word.replace(old, new) for old, new in changes.items() if old in word), word) for word in words]
    programs = {"python": [sys.executable], "transformers": [sys.executable, "-m", "transformers.cli.transformers"]}
    return [*programs[words[0]], *words[1:]]


@contextmanager
def serving(command: list[str], port: str, log: Path) -> Iterator[None]:
    """Run a server of Transformers until the end of the block."""
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": ""}
    with log.open("w") as file:
        server = subprocess.Popen(command, env=environment, cwd=ROOT, stdout=file, stderr=file)
        try:
            wait_until(lambda: is_up(port, server, log), 300)
            yield
        finally:
            server.terminate()
            server.wait(60)


def is_up(port: str, server: subprocess.Popen, log: Path) -> bool:
    assert server.poll() is None, log.read_text()[-3000:]
    try:
        return httpx.get(f"http://127.0.0.1:{port}/health").status_code == 200
    except httpx.HTTPError:
        return False


@pytest.fixture
def port() -> str:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return str(sock.getsockname()[1])


def ask(port: str, model: str) -> str:
    message = user("What does the sign say?", data_uri(Image.open(ROOT / "examples" / "sign.png")))
    body = {"model": model, "messages": [message], "max_tokens": 20, "temperature": 0}
    reply = httpx.post(f"http://127.0.0.1:{port}/v1/chat/completions", json=body, timeout=120)
    return reply.json()["choices"][0]["message"]["content"]


def test_a_packaged_checkpoint_is_served_and_chats(tmp_path, port):
    folder = str(package(NANO_DIR, tmp_path / "nano"))
    command = documented("transformers serve", {HUB: folder, PORT: port})
    with serving(command, port, tmp_path / "serve.log"):
        assert ask(port, folder) == "BEAT"
        said = converse(
            documented("transformers chat", {HUB: folder, PORT: port}), "What colors do you know?", tmp_path
        )
        assert re.search(r"\d+ tokens in", said), said


def test_the_launcher_serves_an_ordinary_checkpoint(tmp_path, port):
    command = documented("python -c 'import minigemini; from transformers", {ORDINARY: str(NANO_DIR), PORT: port})
    with serving(command, port, tmp_path / "serve.log"):
        assert ask(port, str(NANO_DIR)) == "BEAT"


def converse(command: list[str], question: str, folder: Path) -> str:
    """What the terminal shows after a question, without its control sequences."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "COLUMNS": "120", "TERM": "xterm"}
    environment.pop("HF_HUB_OFFLINE", None)  # its client asks no server then, not even one here
    chat = subprocess.Popen(command, cwd=folder, env=environment, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    os.write(ours, f"{question}\n!exit\n".encode())
    shown = b""
    try:
        while piece := os.read(ours, 4096):
            shown += piece
    except OSError:  # the program has closed the terminal
        pass
    finally:
        os.close(ours)
        chat.wait(60)
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.decode(errors="replace"))
