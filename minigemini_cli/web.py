"""`minigemini web`: a page to chat on."""

import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .common import Base, Device, DeviceMap, Dtype, Model, OffloadFolder, Quantize, be_quiet, fail, one_line_errors
from .serve import ApiKeys, Host

if TYPE_CHECKING:
    from minigemini.serving.settings import ServerSettings
    from minigemini.serving.web.page import Page


@one_line_errors
def web(
    model: Model = "nano",
    host: Host = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", help="0: any free one.")] = 7860,
    api_key: ApiKeys = None,
    server: Annotated[
        str | None, typer.Option("--server", metavar="URL", help="Of a running `minigemini serve`, e.g. http://…/v1.")
    ] = None,
    server_key: Annotated[str | None, typer.Option("--server-key", envvar="MINIGEMINI_SERVER_KEY")] = None,
    votes: Annotated[
        Path | None, typer.Option("--votes", metavar="FILE.jsonl", help="Show vote buttons; keep votes of who agrees.")
    ] = None,
    device: Device = None,
    dtype: Dtype = None,
    quantize: Quantize = None,
    device_map: DeviceMap = None,
    offload_folder: OffloadFolder = None,
    base: Base = None,
) -> None:
    """Chat about pictures in a browser, here or over a running server.

    Example: minigemini web

    Example: minigemini web --server http://10.0.0.5:8000/v1 --model mgm-7b
    """
    be_quiet(model)
    try:
        import fastapi  # noqa: F401
        import httpx  # noqa: F401
    except ImportError as error:
        fail(f"{error.name} is missing: pip install 'minigemini[web]'")

    from minigemini.serving.settings import ServerSettings

    settings = ServerSettings(host=host, port=port, api_keys=tuple(api_key or ()))
    with tempfile.TemporaryDirectory(prefix="minigemini-web-") as uploads:  # gone when the program ends
        os.environ |= {"GRADIO_ANALYTICS_ENABLED": "False", "GRADIO_TEMP_DIR": uploads}
        try:
            import gradio  # noqa: F401
        except ImportError:
            fail("gradio is missing: pip install 'minigemini[web]'")

        from minigemini.serving.web.launching import launch

        if server is not None:
            page = _over(server, server_key, model, settings, Path(uploads), votes)
        else:
            page = _here(
                model, settings, Path(uploads), votes, device, dtype, quantize, device_map, offload_folder, base
            )
        launch(page, lambda where: print(f"minigemini: page on {where}", file=sys.stderr, flush=True))


def _over(
    url: str, key: str | None, model: str, settings: "ServerSettings", uploads: Path, votes: Path | None
) -> "Page":
    from minigemini.serving.remote import RemoteBackend
    from minigemini.serving.web.page import Page
    from minigemini.serving.web.votes import Votes

    backend = RemoteBackend([url], model, prompts=None, api_key=key)
    return Page(backend, settings, uploads, votes=votes and Votes(votes))


def _here(
    model: str,
    settings: "ServerSettings",
    uploads: Path,
    votes: Path | None,
    device: str | None,
    dtype: str | None,
    quantize: str | None,
    device_map: str | None,
    offload_folder: Path | None,
    base: str | None,
) -> "Page":
    from minigemini.inference import Engine
    from minigemini.inference.adapters import find_source
    from minigemini.serving.local import LocalBackend
    from minigemini.serving.web.page import Page, card_of
    from minigemini.serving.web.votes import Votes

    engine = Engine.load(
        model,
        device=device,
        dtype=dtype,
        quantize=quantize,
        device_map=device_map,
        offload_folder=offload_folder,
        base=base,
    )
    name = model if model == "nano" or not Path(model).exists() else Path(model).resolve().name
    card = card_of(find_source(model, base).folder)
    return Page(LocalBackend(engine, name), settings, uploads, engine, card, votes and Votes(votes))
