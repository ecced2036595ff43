"""`minigemini web`: a chat page in the browser."""

import os
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from .common import (
    DefaultModel,
    Ocr,
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
from .serve import ApiKeys, Host, short_name


@one_line_errors
def web(
    model: DefaultModel = None,
    host: Host = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", help="Port to listen on; 0 picks a free one.")] = 7860,
    api_key: ApiKeys = None,
    server: Annotated[
        str | None,
        typer.Option("--server", metavar="URL", help="URL of a running `minigemini serve`, e.g. http://…/v1."),
    ] = None,
    server_key: Annotated[
        str | None, typer.Option("--server-key", envvar="MINIGEMINI_SERVER_KEY", help="API key of that server.")
    ] = None,
    generator: ServedGeneratorOption = None,
    ocr: Ocr = None,
    votes: Annotated[
        Path | None,
        typer.Option(
            "--votes", metavar="FILE.jsonl", help="Show vote buttons, and save the votes of users who consent."
        ),
    ] = None,
    offload: Offload = None,
    *,
    loading: LoadOptions,
) -> None:
    """Chat about images in the browser.

    The model runs in this process, or in a running `minigemini serve`.

    Example: minigemini web

    Example: minigemini web --model mgm-7b --generator sdxl-turbo --ocr

    Example: minigemini web --server http://10.0.0.5:8000/v1 --model mgm-7b
    """
    chosen = model_or_default(model)
    be_quiet(chosen)
    if server is None:
        loading.check(chosen)
    elif generator or ocr is not None:
        fail("with --server, start the server with --generator and --ocr, and leave them out here")
    need("web", "fastapi", "httpx", "gradio")

    from ..serving.server_settings import ServerSettings

    check_generator(generator)
    check_ocr(ocr)
    settings = ServerSettings(host=host, port=port, api_keys=tuple(api_key or ()), drain_seconds=5)
    with tempfile.TemporaryDirectory(prefix="minigemini-web-") as temporary:  # deleted when the program exits
        uploads = os.path.realpath(temporary)
        os.environ |= {"GRADIO_ANALYTICS_ENABLED": "False", "GRADIO_TEMP_DIR": uploads}
        from ..serving.chat_pipeline import ChatPipeline
        from ..serving.server import listen
        from ..serving.web.feedback import FeedbackLog
        from ..serving.web.launch import launch
        from ..serving.web.page import Page
        from ..serving.web.uploads import UploadStore

        sock, store = listen(host, port), UploadStore(Path(uploads))
        feedback = FeedbackLog(votes) if votes is not None else None
        if server is not None:
            from ..serving.remote_backend import RemoteBackend

            backend = RemoteBackend([server], chosen, prompts=None, api_key=server_key)
            page = Page(ChatPipeline(backend), settings, store, votes=feedback)
        else:
            from ..inference.ocr import choose_reader
            from ..io.adapters import find_model_source
            from ..serving.engine_backend import EngineBackend
            from ..serving.web.page import card_of
            from ..serving.web.page_examples import read_examples

            folder = find_model_source(chosen, loading.base).folder
            examples = read_examples(folder)
            engine = loading.load(model)
            reader = choose_reader(ocr, engine.processor.ocr_format)
            image_generator = loading.load_generator(generator, offload) if generator is not None else None
            pipeline = ChatPipeline(EngineBackend(engine, short_name(chosen)), image_generator, reader)
            settings = replace(settings, video_sampling=engine.processor.video_sampling)
            page = Page(pipeline, settings, store, engine, card_of(folder), feedback, examples)
        launch(page, sock, lambda line: print(f"minigemini: page on {line.split()[-1]}", file=sys.stderr, flush=True))
