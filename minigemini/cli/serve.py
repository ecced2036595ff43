"""`minigemini serve`: OpenAI's API over a model."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .common import (
    Model,
    Ocr,
    OcrConfidence,
    Offload,
    ServedGeneratorOption,
    be_quiet,
    check_painter,
    fail,
    need,
    one_line_errors,
)
from .load_options import LoadOptions

if TYPE_CHECKING:
    from ..serving.backends import Backend

ApiKeys = Annotated[
    list[str] | None,
    typer.Option("--api-key", envvar="MINIGEMINI_API_KEY", help="Opens every route; may be given again."),
]
Host = Annotated[str, typer.Option("--host", help="Where to listen; a public address needs a key.")]


@one_line_errors
def serve(
    model: Model = "nano",
    host: Host = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", help="0: any free one.")] = 8000,
    api_key: ApiKeys = None,
    backend: Annotated[
        list[str] | None,
        typer.Option("--backend", metavar="URL", help="A vLLM server of the same model; may be given again."),
    ] = None,
    backend_key: Annotated[
        str | None, typer.Option("--backend-key", envvar="MINIGEMINI_BACKEND_KEY", help="That they ask for.")
    ] = None,
    served_name: Annotated[
        str | None, typer.Option("--served-name", help="What clients call the model.  [default: its name or folder]")
    ] = None,
    allow_image_host: Annotated[
        list[str] | None,
        typer.Option("--allow-image-host", metavar="HOST", help="Fetch pictures from it by https; may be given again."),
    ] = None,
    max_new_tokens: Annotated[int, typer.Option("--max-new-tokens", help="Longest answer, in tokens.")] = 1024,
    max_images: Annotated[int, typer.Option("--max-pictures", help="Per request.")] = 8,
    concurrency: Annotated[
        int | None, typer.Option("--concurrency", help="Answered at once.  [default: 1, or 64 per backend]")
    ] = None,
    painter: ServedGeneratorOption = None,
    ocr: Ocr = False,
    ocr_confidence: OcrConfidence = 0.1,
    queue: Annotated[int, typer.Option("--queue", help="Requests that may wait; one more gets 429.")] = 64,
    max_connections: Annotated[
        int, typer.Option("--max-connections", help="Open at once; beyond, the one that has idled longest is closed.")
    ] = 512,
    max_connections_per_address: Annotated[
        int, typer.Option("--max-connections-per-address", help="The same for each client; a proxy is one client.")
    ] = 256,
    drain_seconds: Annotated[float, typer.Option("--drain-seconds", help="After SIGTERM, for what was accepted.")] = 60,
    offload: Offload = None,
    *,
    loading: LoadOptions,
) -> None:
    """Serve a model by OpenAI's API.

    The model runs in this process, or in vLLM servers behind it. With --painter requests may ask for pictures, with
    --ocr for the writing in theirs to be read.

    Example: minigemini serve

    Example: minigemini serve --model mgm-7b --painter sdxl-turbo --ocr

    Example: minigemini serve --model mgm-7b --backend http://10.0.0.5:8000/v1 --backend http://10.0.0.6:8000/v1

    Example: MINIGEMINI_API_KEY=… minigemini serve --host 0.0.0.0 --model mgm-7b
    """
    be_quiet(model)
    need("serve", "fastapi", "httpx", "prometheus_client", "uvicorn")
    loading.check(model)

    from ..inference.ocr import RapidOcrEngine
    from ..serving.server_settings import ServerSettings

    backends = backend or []
    of_painter = {"device", "dtype"} if painter else set()
    if backends and loading.given() - of_painter:
        fail("with --backend the model runs elsewhere; leave the options of loading out")
    settings = ServerSettings(
        host=host,
        port=port,
        api_keys=tuple(api_key or ()),
        image_hosts=tuple(name.lower() for name in allow_image_host or ()),
        max_new_tokens=max_new_tokens,
        max_images=max_images,
        concurrency=concurrency or max(1, 64 * len(backends)),
        queue=queue,
        max_connections=max_connections,
        max_connections_per_address=max_connections_per_address,
        drain_seconds=drain_seconds,
    )
    check_painter(painter)

    from ..serving.server import listen
    from ..serving.server import serve as run
    from ..serving.state import ServerState

    sock = listen(host, port)
    reader = RapidOcrEngine(ocr_confidence) if ocr else None
    name = served_name or short_name(model)
    if backends:
        answering = _remote(backends, model, name, backend_key)
    else:
        from ..serving.engine_backend import EngineBackend

        engine = loading.load(model)
        answering = EngineBackend(engine, name)
    # Behind the model, so that what is left of a device's memory decides what is offloaded.
    drawing = loading.load_painter(painter, offload) if painter is not None else None
    told = f", painter {drawing.name}" if drawing is not None else ""
    run(ServerState(settings, answering, drawing, reader), sock, lambda where: _tell(f"{where}/v1, model {name}{told}"))


def short_name(model: str) -> str:
    """What clients call a model: a folder by its own name alone, since a path is nobody's business."""
    return Path(model).resolve().name if model != "nano" and Path(model).exists() else model


def _remote(urls: list[str], model: str, name: str, key: str | None) -> "Backend":
    """vLLM servers; of the checkpoint only config and processor are read here."""
    from ..inference.prompts import Prompts
    from ..io.adapters import find_model_source
    from ..io.loading import load_config, load_processor
    from ..serving.remote_backend import RemoteBackend

    folder = find_model_source(model).folder
    config = load_config(folder)
    return RemoteBackend(urls, name, Prompts(load_processor(folder, config), config), key)


def _tell(line: str) -> None:
    print(f"minigemini: {line}", file=sys.stderr, flush=True)
