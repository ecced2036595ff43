"""`minigemini serve`: an OpenAI-compatible API server."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..plugins import plugins
from .common import (
    DefaultModel,
    Ocr,
    OcrConfidence,
    Offload,
    ServedGeneratorOption,
    be_quiet,
    check_generator,
    check_ocr,
    fail,
    model_or_default,
    need,
    one_line_errors,
)
from .load_options import LoadOptions

if TYPE_CHECKING:
    from ..modeling import MiniGeminiProcessor
    from ..serving.backends import Backend

ApiKeys = Annotated[
    list[str] | None,
    typer.Option("--api-key", envvar="MINIGEMINI_API_KEY", help="API key that clients must send; may be repeated."),
]
Host = Annotated[str, typer.Option("--host", help="Address to listen on; a public one requires an API key.")]


@one_line_errors
def serve(
    model: DefaultModel = None,
    host: Host = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", help="Port to listen on; 0 picks a free one.")] = 8000,
    api_key: ApiKeys = None,
    backend: Annotated[
        list[str] | None,
        typer.Option(
            "--backend", metavar="URL", help="URL of a vLLM server that runs the same model; may be repeated."
        ),
    ] = None,
    backend_key: Annotated[
        str | None, typer.Option("--backend-key", envvar="MINIGEMINI_BACKEND_KEY", help="API key of the vLLM servers.")
    ] = None,
    served_name: Annotated[
        str | None,
        typer.Option("--served-name", help="Model name in the API.  [default: the name of the model or its folder]"),
    ] = None,
    allow_image_host: Annotated[
        list[str] | None,
        typer.Option(
            "--allow-image-host", metavar="HOST", help="Allow fetching images from this host by HTTPS; may be repeated."
        ),
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(
            "--allow-host",
            metavar="HOST",
            help="Without an API key: accept this host name too, e.g. host.docker.internal; may be repeated.",
        ),
    ] = None,
    allow_origin: Annotated[
        list[str] | None,
        typer.Option(
            "--allow-origin",
            metavar="ORIGIN",
            help="Let web pages of this origin call the server (CORS), e.g. http://localhost:3000; may be repeated.",
        ),
    ] = None,
    max_new_tokens: Annotated[
        int, typer.Option("--max-new-tokens", help="Maximum length of an answer, tokens.")
    ] = 1024,
    max_images: Annotated[
        int, typer.Option("--max-images", "--max-pictures", help="Maximum number of images per request.")
    ] = 8,
    concurrency: Annotated[
        int | None, typer.Option("--concurrency", help="Requests processed at once.  [default: 8, or 64 per backend]")
    ] = None,
    max_batch_tokens: Annotated[
        int,
        typer.Option(
            "--max-batch-tokens",
            min=1,
            help="Limit on the requests processed at once: their number times the tokens of the longest, prompt and "
            "answer. A longer request is processed alone.",
        ),
    ] = 16_384,
    generator: ServedGeneratorOption = None,
    ocr: Ocr = None,
    ocr_confidence: OcrConfidence = None,
    queue: Annotated[
        int, typer.Option("--queue", help="Maximum number of waiting requests; further ones get status 429.")
    ] = 64,
    max_connections: Annotated[
        int,
        typer.Option("--max-connections", help="Maximum open connections; above it, the one idle longest is closed."),
    ] = 512,
    max_connections_per_address: Annotated[
        int,
        typer.Option(
            "--max-connections-per-address", help="The same per client address; a proxy counts as one client."
        ),
    ] = 256,
    drain_seconds: Annotated[
        float, typer.Option("--drain-seconds", help="Time to finish accepted requests after SIGTERM.")
    ] = 60,
    offload: Offload = None,
    *,
    loading: LoadOptions,
) -> None:
    """Serve a model with an OpenAI-compatible API.

    The model runs in this process, or in vLLM servers behind it. --generator enables image generation, and --ocr
    lets requests ask for OCR, which models that were trained with it use in every request.

    Example: minigemini serve

    Example: minigemini serve --model mgm-7b --generator sdxl-turbo --ocr

    Example: minigemini serve --model mgm-7b --backend http://10.0.0.5:8000/v1 --backend http://10.0.0.6:8000/v1

    Example: MINIGEMINI_API_KEY=… minigemini serve --host 0.0.0.0 --model mgm-7b
    """
    chosen = model_or_default(model)
    be_quiet(chosen)
    need("serve", "fastapi", "httpx", "prometheus_client", "uvicorn")
    loading.check(chosen)

    from ..inference.ocr import choose_reader
    from ..serving.server_settings import ServerSettings

    backends = backend or []
    generator_options = {"device", "dtype"} if generator else set()
    if backends and loading.given() - generator_options:
        fail("with --backend the model runs elsewhere; remove the options for loading a model")
    settings = ServerSettings(
        host=host,
        port=port,
        api_keys=tuple(api_key or ()),
        image_hosts=tuple(name.lower() for name in allow_image_host or ()),
        allowed_hosts=tuple(name.lower() for name in allow_host or ()),
        allowed_origins=tuple(allow_origin or ()),
        max_new_tokens=max_new_tokens,
        max_images=max_images,
        concurrency=concurrency or 64 * len(backends) or 8,
        queue=queue,
        max_connections=max_connections,
        max_connections_per_address=max_connections_per_address,
        drain_seconds=drain_seconds,
    )
    check_generator(generator)
    check_ocr(ocr, ocr_confidence)

    from ..serving.server import listen
    from ..serving.server import serve as run
    from ..serving.state import ServerState

    sock = listen(host, port)
    name = served_name or short_name(chosen)
    if backends:
        processor, model_backend = _remote_backend(backends, chosen, name, backend_key)
    else:
        from ..serving.engine_backend import EngineBackend

        engine = loading.load(model)
        backend_here = EngineBackend(engine, name, settings.concurrency, max_batch_tokens)
        processor, model_backend = engine.processor, backend_here
        settings = replace(settings, concurrency=concurrency or backend_here.rows)
    settings = replace(settings, video_sampling=processor.video_sampling)
    reader = choose_reader(ocr, processor.ocr_format, ocr_confidence)
    # Loaded after the model, so that the memory left on the device decides what is offloaded.
    image_generator = loading.load_generator(generator, offload) if generator is not None else None
    with_generator = f", image generator {image_generator.name}" if image_generator is not None else ""
    state = ServerState(settings, model_backend, image_generator, reader)
    run(state, sock, lambda address: _log(f"{address}/v1, model {name}{with_generator}"))


def short_name(model: str) -> str:
    """Return the name of a model for clients: of a folder only the last part, so that paths stay private."""
    return Path(model).resolve().name if model not in plugins("models") and Path(model).exists() else model


def _remote_backend(urls: list[str], model: str, name: str, key: str | None) -> "tuple[MiniGeminiProcessor, Backend]":
    """Connect to vLLM servers; this process reads only the config and processor of the checkpoint, and returns it."""
    from ..inference.prompts import Prompts
    from ..io.adapters import find_model_source
    from ..io.loading import load_config, load_processor
    from ..serving.remote_backend import RemoteBackend

    folder = find_model_source(model).folder
    config = load_config(folder)
    processor = load_processor(folder, config)
    return processor, RemoteBackend(urls, name, Prompts(processor, config), key)


def _log(line: str) -> None:
    print(f"minigemini: {line}", file=sys.stderr, flush=True)
