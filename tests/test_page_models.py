"""The models that can be chosen on the page."""

import asyncio
import logging

import pytest
from api_server import serving

pytest.importorskip("gradio")

from minigemini.cli.load_options import LoadOptions
from minigemini.cli.web import _local_models, _page_names
from minigemini.inference import CheckpointError, Engine
from minigemini.io.connector import save_connector
from minigemini.serving.api_errors import ApiError
from minigemini.serving.chat_pipeline import ChatPipeline
from minigemini.serving.engine_backend import EngineBackend
from minigemini.serving.remote_backend import list_models
from minigemini.serving.server_settings import ServerSettings
from minigemini.serving.state import ServerState
from minigemini.serving.web.page_examples import PageExamples
from minigemini.serving.web.page_models import MOST_ABOUT_CHARS, PageModel, PageModels, first_paragraph


@pytest.fixture(scope="module")
def engine(tiny_checkpoint) -> Engine:
    return Engine.load(tiny_checkpoint, device="cpu")


@pytest.fixture
def make(engine):
    return lambda name, **rest: PageModel(ChatPipeline(EngineBackend(engine, name)), engine, **rest)


def test_a_model_is_loaded_once_when_it_is_chosen(make):
    loaded = []

    def load(name: str) -> PageModel:
        loaded.append(name)
        return make(name)

    async def choose() -> list[PageModel]:
        models = PageModels(make("small"), ["adapter", "nano", "small"], load)
        assert await models.refresh() == ("small", "adapter", "nano")
        assert await models.get("small") is models.default
        return await asyncio.gather(models.get("nano"), models.get("nano"))

    one, other = asyncio.run(choose())
    assert loaded == ["nano"]
    assert one is other


def test_unknown_and_broken_models_are_one_line(make, caplog):
    def load(name: str) -> PageModel:
        raise CheckpointError("/home/me/secret/broken: no weights")

    models = PageModels(make("tiny"), ["broken"], load)
    with pytest.raises(ApiError, match=r"no model '/etc/passwd' on this page; choose one of tiny, broken"):
        asyncio.run(models.get("/etc/passwd"))
    with caplog.at_level(logging.ERROR), pytest.raises(ApiError, match="broken cannot be loaded") as caught:
        asyncio.run(models.get("broken"))
    assert "secret" not in str(caught.value)
    assert "no weights" in caplog.text


def test_a_server_s_models_are_found_when_the_page_is_opened(engine, make):
    state = ServerState(ServerSettings(port=0), EngineBackend(engine, "tiny"))
    with serving(state) as served:
        url = f"{served.url}/v1"
        assert list_models(f"{url}/") == ["tiny"]
        models = PageModels(make("mine"), (), make, lambda: list_models(url))
        assert models.names == ("mine",)
        assert asyncio.run(models.refresh()) == ("mine", "tiny")
        assert asyncio.run(models.get("tiny")).name == "tiny"
    assert list_models(url) == [], "it no longer runs"
    assert asyncio.run(models.refresh()) == ("mine",)


def test_what_a_model_knows_comes_from_its_declaration_or_its_card(make):
    card = "# nano\n\n![picture](x.png)\n\nnano reads\nsigns.\n\nMore."
    assert make("a", card=card).about == "nano reads signs."
    assert make("a", card=card, examples=PageExamples("Knows signs.")).about == "Knows signs."
    assert make("a").about == ""
    assert len(first_paragraph("long " * 200)) <= MOST_ABOUT_CHARS
    assert first_paragraph("| a | b |\n\n```\ncode\n```\n\n<b>html</b>") == ""


def test_a_model_and_its_adapter_can_be_chosen(engine, tiny_checkpoint, tmp_path):
    parts = tmp_path / "parts.safetensors"
    save_connector(engine.model, parts, base=str(tiny_checkpoint))
    given = [str(tiny_checkpoint), str(parts)]
    options = LoadOptions(device="cpu")
    models = _local_models(given, _page_names(given), options, None, None, None)
    assert models.names[:2] == (tiny_checkpoint.name, "parts.safetensors")
    assert "nano" in models.names, "registered, and here"
    adapter = asyncio.run(models.get("parts.safetensors"))
    assert adapter.engine is not None
    assert adapter.engine.name == str(parts)
    with pytest.raises(CheckpointError, match="no such folder"):
        _local_models([*given, "missing"], _page_names([*given, "missing"]), options, None, None, None)


def test_folders_of_one_name_are_told_apart(tmp_path):
    folders = [tmp_path / run / "adapter" for run in ("receipts", "signs")]
    for folder in folders:
        folder.mkdir(parents=True)
    names = _page_names(["nano", *map(str, folders)])
    assert list(names) == ["nano", "adapter", "signs/adapter"]
    assert list(names.values()) == ["nano", *map(str, folders)]
