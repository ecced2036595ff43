"""`--backend vllm`: starts a vLLM server for a checkpoint and stops it after the run."""

import shlex
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from urllib.request import ProxyHandler, build_opener

from tqdm import tqdm

from ..inference.prompts import Prompts
from ..io.adapters import find_model_source
from ..io.errors import RequestError
from ..io.integrity import weights_checked
from ..io.loading import load_config, load_processor
from ..io.openai_client import ChatClient
from ..io.system import is_windows
from . import process_supervisor
from .http_backend import HttpAnswerer
from .local_backend import fingerprint

NAME, LOG = "vllm", "vllm.log"
START_SECONDS, POLL_SECONDS = 1800.0, 0.5
END_SECONDS = 5.0
"""Time for the process to end after its server stopped responding."""
WHAT_TO_INSTALL = (
    "vLLM is not installed: run `pip install vllm` (see docs/serving.md), put `vllm` from another environment on PATH, "
    "or give the URL of a server"
)


def is_vllm(backend: str) -> bool:
    """Whether a backend is `vllm`, with or without options of `vllm serve`."""
    return backend.split()[:1] == [NAME]


@contextmanager
def served_by_vllm(model: str, backend: str, folder: Path, dtype: str | None) -> Iterator[HttpAnswerer]:
    """Serve a checkpoint on a free local port; the server stops at the end of the block, or with this process.

    Args:
        model: a model as for `Engine.load`.
        backend: `vllm`, optionally with options of `vllm serve`.
        folder: folder for vLLM's output, in `vllm.log`.
        dtype: vLLM's `--dtype`; defaults to the checkpoint's.

    Raises:
        RequestError: vLLM is not installed, does not start, or ended during the run.
        CheckpointError: There is no such checkpoint.
    """
    if is_windows():
        raise RequestError("vLLM can be started on Linux and macOS only; give the URL of a server")
    source = find_model_source(model)
    if source.adapter is not None:
        raise RequestError(f"{model} is an adapter, but vLLM serves whole checkpoints; run `minigemini merge` first")
    program, options = _program(), shlex.split(backend)[1:]
    port = _free_port()
    command = [*program, str(source.folder), "--served-model-name", model, "--host", "127.0.0.1", "--port", str(port)]
    command += [*(("--dtype", dtype) if dtype else ()), *options]
    with weights_checked(source.folder):  # vLLM verifies no hashes
        config = load_config(source.folder)
    prompts = Prompts(load_processor(source.folder, config), config)
    writes_bos = prompts.writes_bos(prompts.text([{"role": "user", "content": "?"}]))
    identity = {
        "weights": fingerprint(model),
        "served": " ".join([NAME, *options]),
        "dtype": dtype or "the checkpoint's",
        "decoding": "greedy",
    }
    log = folder / LOG
    with _running(command, log) as process:
        _wait_until_healthy(process, port, log)
        # Chat formats that leave BOS to the tokenizer need it requested.
        client = ChatClient(
            f"http://127.0.0.1:{port}/v1", model, extra_fields={} if writes_bos else {"add_special_tokens": True}
        )
        try:
            yield HttpAnswerer(client, identity, prompts.as_text)
        except RequestError as error:
            try:
                process.wait(END_SECONDS)
            except subprocess.TimeoutExpired:
                raise error from None
            raise RequestError(f"{_exit_message(process, log)}; run again to resume") from None


def _program() -> list[str]:
    """The start of vLLM's command line: its module in this environment, or `vllm` on PATH. Raises `RequestError`."""
    if find_spec("vllm") is not None:
        return [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model"]
    if (path := shutil.which("vllm")) is not None:
        return [path, "serve"]
    raise RequestError(WHAT_TO_INSTALL)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def _running(command: list[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    supervisor = [sys.executable, "-I", process_supervisor.__file__]
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as file:
        process = subprocess.Popen(
            [*supervisor, *command], stdin=subprocess.PIPE, stdout=file, stderr=file, start_new_session=True
        )
    try:
        yield process
    finally:
        assert process.stdin is not None
        process.stdin.close()
        process.wait()


def _wait_until_healthy(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    """Wait until the server is healthy. Raises `RequestError`."""
    http, started = build_opener(ProxyHandler({})), time.monotonic()
    bar_format = "{desc}, {elapsed}{postfix}"
    with tqdm(desc=f"starting vLLM (log: {log})", bar_format=bar_format, dynamic_ncols=True) as bar:
        while time.monotonic() - started < START_SECONDS:
            if process.poll() is not None:
                raise RequestError(_exit_message(process, log))
            try:
                with http.open(f"http://127.0.0.1:{port}/health", timeout=5):
                    return
            except OSError:  # not listening or not healthy yet
                bar.refresh()
                time.sleep(POLL_SECONDS)
    raise RequestError(f"vLLM not healthy after {START_SECONDS / 60:.0f} minutes; see {log}")


def _exit_message(process: subprocess.Popen[bytes], log: Path) -> str:
    """The exit status and the last line of the log."""
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    last = lines[-1][:200] if lines else "no output"
    return f"vLLM exited with status {process.wait()}: {last} (full log: {log})"
