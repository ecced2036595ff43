"""`minigemini web`: a chat page in the browser."""

import os
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..plugins import plugins
from .common import (
    MODEL_HELP,
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

if TYPE_CHECKING:
    from ..inference import Engine
    from ..serving.web.page_models import PageModels


@one_line_errors
def web(
    model: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            help=f"{MODEL_HELP} May be repeated: the first one answers, and the others can be chosen on the page, as "
            "can nano and small.  [default: small if it is pulled, else nano]",
        ),
    ] = None,
    host: Host = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", help="Port to listen on; 0 picks a free one.")] = 7860,
    api_key: ApiKeys = None,
    server: Annotated[
        str | None,
        typer.Option(
            "--server",
            metavar="URL",
            help="URL of a running `minigemini serve`, e.g. http://…/v1. All models that it serves can be chosen.",
        ),
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

    The models run in this process, or in a running `minigemini serve`.

    Example: minigemini web

    Example: minigemini web --model small --model runs/receipts/adapter

    Example: minigemini web --model mgm-7b --generator sdxl-turbo --ocr

    Example: minigemini web --server http://10.0.0.5:8000/v1
    """
    names = _page_names(model or [model_or_default(None)])
    for name in names.values():
        be_quiet(name)
    if server is None:
        loading.check(*names.values())
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
        from ..serving.server import listen
        from ..serving.web.feedback import FeedbackLog
        from ..serving.web.launch import launch
        from ..serving.web.page_state import Page
        from ..serving.web.uploads import UploadStore

        sock, store = listen(host, port), UploadStore(Path(uploads))
        if server is not None:
            models = _served_models(server, server_key, list(model or ()))
        else:
            models = _local_models(model, names, loading, ocr, generator, offload)
        page = Page(models, settings, store, FeedbackLog(votes) if votes is not None else None)
        launch(page, sock, lambda line: print(f"minigemini: page on {line.split()[-1]}", file=sys.stderr, flush=True))


def _page_names(models: Sequence[str]) -> dict[str, str]:
    """Return models by the names that the page shows; folders of the same name get their parent's too."""
    names: dict[str, str] = {}
    for model in dict.fromkeys(models):
        name = short_name(model)
        if name in names:
            name = "/".join(Path(model).resolve().parts[-2:])
        if name in names:
            fail(f"two models are called {name} on the page; rename one's folder")
        names[name] = model
    return names


def _local_models(
    given: Sequence[str] | None,
    names: Mapping[str, str],
    loading: LoadOptions,
    ocr: bool | None,
    generator: str | None,
    offload: str | None,
) -> "PageModels":
    """Load the first model. The others, and the registered ones that are here, are loaded when they are chosen."""
    from ..inference.ocr import choose_reader
    from ..io.adapters import find_model_source
    from ..serving.chat_pipeline import ChatPipeline
    from ..serving.engine_backend import EngineBackend
    from ..serving.web.page_examples import read_examples
    from ..serving.web.page_models import PageModel, PageModels, read_card

    first, *others = names
    for name in others:
        find_model_source(names[name], loading.base)  # reports a mistake now, and not to a visitor
    here = {name: name for name in _registered_models() if name not in names.values()}

    def build(name: str, engine: "Engine") -> PageModel:
        folder = find_model_source(engine.name, _base_of(name)).folder
        reader = choose_reader(ocr, engine.processor.ocr_format)
        pipeline = ChatPipeline(EngineBackend(engine, name), image_generator, reader)
        return PageModel(pipeline, engine, read_card(folder), read_examples(folder))

    def load(name: str) -> PageModel:
        return build(name, replace(loading, base=_base_of(name)).load({**here, **names}[name]))

    def _base_of(name: str) -> str | None:
        return loading.base if name in names else None

    engine = loading.load(names[first] if given else None)
    # Loaded after the model, so that the memory left on the device decides what is offloaded.
    image_generator = loading.load_generator(generator, offload) if generator is not None else None
    return PageModels(build(first, engine), [*others, *here], load)


def _served_models(url: str, key: str | None, given: Sequence[str]) -> "PageModels":
    """Take models from a server; those that were named come first."""
    from ..serving.chat_pipeline import ChatPipeline
    from ..serving.remote_backend import RemoteBackend, list_models
    from ..serving.web.page_models import PageModel, PageModels

    def load(name: str) -> PageModel:
        return PageModel(ChatPipeline(RemoteBackend([url], name, prompts=None, api_key=key)))

    def find() -> list[str]:
        return [*given, *list_models(url, key)]

    first = given[0] if given else next(iter(list_models(url, key)), None)
    if first is None:
        fail(f"no answer from {url}; start the server, correct the URL or the key, or name a model (--model)")
    return PageModels(load(first), given, load, find)


def _registered_models() -> Iterator[str]:
    """The names of registered models that need not be pulled first."""
    from ..inference import CheckpointError
    from ..plugins import model_folder

    for name in plugins("models"):
        with suppress(CheckpointError):
            if model_folder(name) is not None:
                yield name
