"""`minigemini pull` with a tiny stand-in for `small`: its folder is an ordinary checkpoint, and becomes the default."""

import hashlib
import shutil
import sys
import zipfile
from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType

import pytest
import torch
from gguf_files import TOKENS, write_language_model
from safetensors.torch import load_file
from test_adapters import make_adapter
from test_cli import is_one_line
from typer.testing import CliRunner

from minigemini import MiniGeminiProcessor
from minigemini.cli.app import app
from minigemini.conversion.gguf import read_gguf
from minigemini.inference import Engine, Sampling
from minigemini.io import default_model, folder_lock
from minigemini.io.cache import cache_folder
from minigemini.io.errors import CheckpointError
from minigemini.io.hashes import check_sums, read_sums
from minigemini.io.merging import merge
from minigemini.io.pinned_files import PinnedFile
from minigemini.io.pulled_models import PulledModel
from minigemini.io.pulled_models import pull as pull_model
from minigemini.modeling.chat_templates import CHAT_TEMPLATES
from minigemini.modeling.image_token import add_image_token
from minigemini.plugins import plugins
from minigemini_models.small.packing import pack
from minigemini_models.small.pulled import SMALL
from minigemini_models.small.smollm2 import smollm2_tokenizer, smollm2_weights

SHORT = ["--max-new-tokens", "4", "--device", "cpu"]


@pytest.fixture(scope="module")
def parts(tmp_path_factory, make_model) -> Path:
    """A folder with the stand-ins: base checkpoint, adapter over it, what the package ships, and the wheel."""
    folder = tmp_path_factory.mktemp("parts")
    gguf = write_language_model(folder / "tiny.gguf")
    tokenizer = smollm2_tokenizer(read_gguf(gguf))
    text = {"intermediate_size": 64, "vocab_size": len(TOKENS), "tie_word_embeddings": True, "pad_token_id": 2}
    image_token_id = add_image_token(tokenizer)
    assert image_token_id == len(TOKENS), "outside the vocabulary, so it has no embedding"
    model = make_model(text_config=text, image_token_id=image_token_id)
    model.model.language_model.load_state_dict(smollm2_weights(read_gguf(gguf)))
    model.to(torch.bfloat16).save_pretrained(folder / "base")
    processor = MiniGeminiProcessor.from_config(model.config, tokenizer, chat_template=CHAT_TEMPLATES["nano"])
    processor.save_pretrained(folder / "base")
    (folder / "base/README.md").write_text("# The card\n")
    make_adapter(folder / "base", folder / "adapter", target_modules=r"model\.language_model\..*_proj")
    pack(folder / "base", folder / "adapter", gguf, folder / "shipped")
    with zipfile.ZipFile(folder / "tiny-1.0-py3-none-any.whl", "w") as wheel:
        wheel.write(gguf, "tiny/tiny.gguf")
    return folder


@pytest.fixture
def small(parts, tmp_path, monkeypatch) -> PulledModel:
    """The stand-in, registered as `small`, with an empty cache."""
    wheel, gguf = parts / "tiny-1.0-py3-none-any.whl", parts / "tiny.gguf"

    def sha256(file: Path) -> str:
        return hashlib.sha256(file.read_bytes()).hexdigest()

    part = PinnedFile(
        project="tiny",
        wheel=wheel.name,
        wheel_size=wheel.stat().st_size,
        wheel_sha256=sha256(wheel),
        member="tiny/tiny.gguf",
        size=gguf.stat().st_size,
        sha256=sha256(gguf),
    )
    model = PulledModel("small", "a stand-in", parts / "shipped", (part,), SMALL.build)
    module = ModuleType("stand_in_for_small")
    module.MODEL = model
    monkeypatch.setitem(sys.modules, module.__name__, module)
    entry = EntryPoint("small", f"{module.__name__}:MODEL", "minigemini.models")
    monkeypatch.setitem(plugins("models"), "small", entry)
    monkeypatch.setenv("MINIGEMINI_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(folder_lock, "LOCK_TIMEOUT_SECONDS", 0.1)
    default_model.announce_default.cache_clear()
    return model


@pytest.fixture
def photo(tmp_path, image) -> Path:
    image(0).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


@pytest.fixture
def minigemini() -> Callable:
    return lambda *words: CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)


def test_the_pulled_folder_is_what_merge_writes(small, parts, tmp_path, minigemini):
    done = minigemini("pull", "small", "--from", parts)
    folder = Path(done.stdout.strip())
    assert (done.exit_code, done.stderr) == (0, "minigemini: small is here: a stand-in\n")
    assert folder.is_relative_to(tmp_path / "cache/models/small")
    merge(parts / "adapter", tmp_path / "merged", parts / "base")
    pulled, merged = (load_file(where / "model.safetensors") for where in (folder, tmp_path / "merged"))
    assert pulled.keys() == merged.keys()
    assert all(torch.equal(pulled[name], merged[name]) for name in merged)
    assert {tensor.dtype for tensor in pulled.values()} == {torch.bfloat16}
    check_sums(folder, read_sums(folder))
    assert (folder / "README.md").read_text() == "# The card\n"
    assert [path.name for path in folder.parent.iterdir()] == [folder.name], "nothing temporary is left"


def test_an_engine_answers_by_name(small, parts, image):
    pull_model(small, str(parts))
    engine = Engine.load("small", device="cpu")
    assert engine.name == "small"
    assert engine.ask(image(0), "What is it?", Sampling(max_new_tokens=4)).new_tokens


def test_a_model_that_is_not_here_is_one_line(small, photo, minigemini):
    message = "small is not here yet: run `minigemini pull small` (0 MB)"
    for words in (["info", "small"], ["ask", photo, "What?", "--model", "small"], ["serve", "--model", "small"]):
        assert is_one_line(minigemini(*words), message), words
    with pytest.raises(CheckpointError, match="not here yet"):
        Engine.load("small")
    assert "0 MB to pull; a stand-in" in minigemini("pull", "--list").stdout
    assert "nano        in the package: " in minigemini("pull", "--list").stdout


def test_the_size_of_the_download_is_stated(tmp_path, monkeypatch, parts):
    monkeypatch.setenv("MINIGEMINI_CACHE", str(tmp_path))
    real = PulledModel("small", "", parts / "shipped", SMALL.parts, SMALL.build)
    with pytest.raises(CheckpointError, match=r"^small is not here yet: run `minigemini pull small` \(92 MB\)$"):
        Path(real)


def test_small_is_the_default_once_it_is_pulled(small, parts, photo, minigemini, capfd):
    assert default_model.default_model() == "nano"
    assert Engine.load(device="cpu").name == Engine.load(device="cpu").name == "nano"
    hint = "minigemini: answering with nano; `minigemini pull small` gets the model for photographs\n"
    assert capfd.readouterr().err.count(hint) == 1
    pull_model(small, str(parts))
    assert Engine.load(device="cpu").name == "small"
    assert '"model": "small"' in minigemini("ask", photo, "What?", "--json", *SHORT).stdout
    assert '"model": "nano"' in minigemini("ask", photo, "What?", "--json", *SHORT, "--model", "nano").stdout
    assert "answering with" not in capfd.readouterr().err
    assert f"pulled: {small.folder}" in minigemini("pull", "--list").stdout


def test_a_damaged_folder_is_built_again_and_a_whole_one_stays(small, parts):
    folder = pull_model(small, str(parts))
    written = (folder / "model.safetensors").stat().st_ino
    assert pull_model(small, "/nowhere") == folder
    assert (folder / "model.safetensors").stat().st_ino == written
    (folder / "config.json").write_text("{}")
    pull_model(small, "/nowhere")  # the part is in the cache
    assert Engine.load("small", device="cpu")


def test_other_shipped_files_are_another_folder(small, parts, tmp_path):
    first = pull_model(small, str(parts))
    shutil.copytree(parts / "shipped", tmp_path / "newer")
    lines = (tmp_path / "newer/SHA256SUMS").read_text().splitlines()
    (tmp_path / "newer/SHA256SUMS").write_text("\n".join(reversed(lines)) + "\n")
    newer = PulledModel("small", "", tmp_path / "newer", small.parts, small.build)
    assert not newer.is_pulled
    assert pull_model(newer, str(parts)) != first
    assert first.is_dir(), "another installation may use it"


def test_mistakes_are_one_line(small, parts, tmp_path, minigemini):
    assert is_one_line(minigemini("pull"), "name one of those to pull: small")
    assert is_one_line(minigemini("pull", "nano"), "name one of those to pull: small")
    assert is_one_line(minigemini("pull", "small", "--from", tmp_path / "no"), "no such file")
    with folder_lock.output_lock(small.folder):
        assert is_one_line(minigemini("pull", "small", "--from", parts), "is writing there; wait until it ends")
    assert not small.is_pulled
    shutil.rmtree(cache_folder() / "parts")
    (cache_folder() / "parts").write_text("a file in its place")
    assert is_one_line(minigemini("pull", "small", "--from", parts), "or set MINIGEMINI_CACHE to another folder")


def test_a_damaged_package_is_one_line(small, parts, tmp_path):
    shutil.copytree(parts / "shipped", tmp_path / "damaged")
    (tmp_path / "damaged/adapter/adapter_model.safetensors").write_bytes(b"x")
    damaged = PulledModel("small", "", tmp_path / "damaged", small.parts, small.build)
    with pytest.raises(CheckpointError, match=r"adapter_model.* has other bytes .* install minigemini again"):
        pull_model(damaged, str(parts))
    absent = PulledModel("small", "", tmp_path / "absent", small.parts, small.build)
    assert not absent.is_pulled
    with pytest.raises(CheckpointError, match="SHA256SUMS is missing; install minigemini again"):
        pull_model(absent, str(parts))


def test_only_an_untouched_language_model_is_packed(parts, tmp_path):
    other = write_language_model(tmp_path / "other.gguf")
    data = bytearray(other.read_bytes())
    data[-40] ^= 1
    other.write_bytes(data)
    with pytest.raises(CheckpointError, match=r"differs from other\.gguf; train the adapter over"):
        pack(parts / "base", parts / "adapter", other, tmp_path / "shipped")
