"""`minigemini web`: a page to chat on."""

import os
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from .common import Model, Ocr, Offload, ServedGeneratorOption, be_quiet, check_painter, fail, need, one_line_errors
from .load_options import LoadOptions
from .serve import ApiKeys, Host, short_name


@one_line_errors
def web(
    model: Model = "nano",
    host: Host = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", help="0: any free one.")] = 7860,
    api_key: ApiKeys = None,
    server: Annotated[
        str | None, typer.Option("--server", metavar="URL", help="Of a running `minigemini serve`, e.g. http://…/v1.")
    ] = None,
    server_key: Annotated[
        str | None, typer.Option("--server-key", envvar="MINIGEMINI_SERVER_KEY", help="That it asks for.")
    ] = None,
    painter: ServedGeneratorOption = None,
    ocr: Ocr = False,
    votes: Annotated[
        Path | None, typer.Option("--votes", metavar="FILE.jsonl", help="Show vote buttons; keep votes of who agrees.")
    ] = None,
    offload: Offload = None,
    *,
    loading: LoadOptions,
) -> None:
    """Chat about pictures in a browser.

    The model runs in this process, or in a running `minigemini serve`.

    Example: minigemini web

    Example: minigemini web --model mgm-7b --painter sdxl-turbo --ocr

    Example: minigemini web --server http://10.0.0.5:8000/v1 --model mgm-7b
    """
    be_quiet(model)
    need("web", "fastapi", "httpx", "gradio")
    if server is None:
        loading.check(model)

    from ..serving.server_settings import ServerSettings

    if server is not None and (painter or ocr):
        fail("the server draws and reads: start it with --painter and --ocr, and leave them out here")
    check_painter(painter)
    settings = ServerSettings(host=host, port=port, api_keys=tuple(api_key or ()), drain_seconds=5)
    with tempfile.TemporaryDirectory(prefix="minigemini-web-") as made:  # gone when the program ends
        uploads = os.path.realpath(made)
        os.environ |= {"GRADIO_ANALYTICS_ENABLED": "False", "GRADIO_TEMP_DIR": uploads}
        from ..serving.chat_pipeline import ChatPipeline
        from ..serving.server import listen
        from ..serving.web.feedback import FeedbackLog
        from ..serving.web.launch import launch
        from ..serving.web.page import Page
        from ..serving.web.uploads import UploadStore

        sock, store = listen(host, port), UploadStore(Path(uploads))
        kept = FeedbackLog(votes) if votes is not None else None
        if server is not None:
            from ..serving.remote_backend import RemoteBackend

            backend = RemoteBackend([server], model, prompts=None, api_key=server_key)
            page = Page(ChatPipeline(backend), settings, store, votes=kept)
        else:
            from ..inference.ocr import RapidOcrEngine
            from ..io.adapters import find_model_source
            from ..serving.engine_backend import EngineBackend
            from ..serving.web.page import card_of

            reader = RapidOcrEngine() if ocr else None
            engine = loading.load(model)
            drawing = loading.load_painter(painter, offload) if painter is not None else None
            studio = ChatPipeline(EngineBackend(engine, short_name(model)), drawing, reader)
            card = card_of(find_model_source(model, loading.base).folder)
            page = Page(studio, settings, store, engine, card, kept)
        launch(page, sock, lambda line: print(f"minigemini: page on {line.split()[-1]}", file=sys.stderr, flush=True))
