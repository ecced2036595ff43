"""A vLLM server of a checkpoint, for as long as a run asks it: `--backend vllm`."""

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
from ..io.system import is_windows
from .http_backend import HttpAnswerer, Service
from .local_backend import fingerprint

NAME, LOG = "vllm", "vllm.log"
START_SECONDS, LOOK_EVERY_SECONDS = 1800.0, 0.5
END_SECONDS = 5.0
"""Between a server that is not there any more and the end of its process."""
WHAT_TO_INSTALL = (
    "vLLM is not here: `pip install vllm` into this environment (docs/serving.md says how), put the `vllm` of another "
    "one on PATH, or name the URL of a server"
)


def is_vllm(backend: str) -> bool:
    """Whether vLLM is to be started: the word, and after it, if anything, options of `vllm serve`."""
    return backend.split()[:1] == [NAME]


@contextmanager
def served_by_vllm(model: str, backend: str, folder: Path, dtype: str | None) -> Iterator[HttpAnswerer]:
    """Start a server of a checkpoint on a free port of this machine; it ends with the block, or with this process.

    Args:
        model: as `Engine.load` takes it.
        backend: `vllm`, and options of `vllm serve`.
        folder: where what vLLM says is kept, in `vllm.log`.
        dtype: as vLLM takes it; by itself the checkpoint's.

    Raises:
        RequestError: there is no vLLM, it does not start, or it ended while it was asked.
        CheckpointError: there is no such checkpoint.
    """
    if is_windows():
        raise RequestError("vLLM is started on Linux and macOS only; name the URL of a server")
    found = find_model_source(model)
    if found.adapter is not None:
        raise RequestError(f"{model}: vLLM serves whole checkpoints; write one with `minigemini merge`, and name that")
    program, options = _program(), shlex.split(backend)[1:]
    port = _free_port()
    command = [*program, str(found.folder), "--served-model-name", model, "--host", "127.0.0.1", "--port", str(port)]
    command += [*(("--dtype", dtype) if dtype else ()), *options]
    with weights_checked(found.folder):  # vLLM, which reads them, compares nothing
        config = load_config(found.folder)
    prompts = Prompts(load_processor(found.folder, config), config)
    writes_bos = prompts.writes_bos(prompts.text([{"role": "user", "content": "?"}]))
    identity = {
        "weights": fingerprint(model),
        "served": " ".join([NAME, *options]),
        "dtype": dtype or "the checkpoint's",
        "decoding": "greedy",
    }
    log = folder / LOG
    with _running(command, log) as process:
        _wait(process, port, log)
        # Chat formats that leave BOS to the tokenizer get it only on demand.
        service = Service(f"http://127.0.0.1:{port}/v1", model, more={} if writes_bos else {"add_special_tokens": True})
        try:
            yield HttpAnswerer(service, identity, prompts.as_text)
        except RequestError as error:
            try:
                process.wait(END_SECONDS)
            except subprocess.TimeoutExpired:
                raise error from None
            raise RequestError(f"{_end(process, log)}; run again to go on") from None


def _program() -> list[str]:
    """How vLLM is started here: its module if it is in this environment, else its command. Raises `RequestError`."""
    if find_spec("vllm") is not None:
        return [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model"]
    if (path := shutil.which("vllm")) is not None:
        return [path, "serve"]
    raise RequestError(WHAT_TO_INSTALL)


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@contextmanager
def _running(command: list[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    leash = [sys.executable, "-I", str(Path(__file__).with_name("process_supervisor.py"))]
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as file:
        process = subprocess.Popen(
            [*leash, *command], stdin=subprocess.PIPE, stdout=file, stderr=file, start_new_session=True
        )
    try:
        yield process
    finally:
        assert process.stdin is not None
        process.stdin.close()
        process.wait()


def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    """Until the server is healthy. Raises `RequestError`."""
    http, started = build_opener(ProxyHandler({})), time.monotonic()
    shown = "{desc}, {elapsed}{postfix}"
    with tqdm(desc=f"vLLM starts (what it says: {log})", bar_format=shown, dynamic_ncols=True) as bar:
        while time.monotonic() - started < START_SECONDS:
            if process.poll() is not None:
                raise RequestError(_end(process, log))
            try:
                with http.open(f"http://127.0.0.1:{port}/health", timeout=5):
                    return
            except OSError:  # nobody there yet, or not healthy yet
                bar.refresh()
                time.sleep(LOOK_EVERY_SECONDS)
    raise RequestError(f"vLLM does not answer after {START_SECONDS / 60:.0f} minutes; what it says is in {log}")


def _end(process: subprocess.Popen[bytes], log: Path) -> str:
    """That it ended, and its last words."""
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    last = lines[-1][:200] if lines else "it said nothing"
    return f"vLLM ended with status {process.wait()}: {last} (all of it in {log})"
