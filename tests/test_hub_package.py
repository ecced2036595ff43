"""`minigemini package`: the folder loads with `trust_remote_code=True` without this package, and answers the same."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import yaml
from bare_environment import make_environment, run
from transformers import AutoModelForImageTextToText, AutoProcessor
from transformers.dynamic_module_utils import get_imports, get_relative_import_files
from typer.testing import CliRunner

from minigemini import MiniGeminiForConditionalGeneration, MiniGeminiProcessor
from minigemini.cli.app import app
from minigemini.inference import CheckpointError, Engine, RequestError, Sampling
from minigemini.io.connector import save_connector
from minigemini.io.pulled_models import pull
from minigemini.modeling import chat_templates
from minigemini.packaging.hub_folder import package
from minigemini.packaging.standalone_code import AUTO_CLASSES, ENTRY, OLDEST_TRANSFORMERS, standalone_files
from minigemini_models.nano import NANO_DIR
from minigemini_models.small.pulled import SMALL

ROOT = Path(__file__).parent.parent
USER_CACHE = os.environ.get("MINIGEMINI_CACHE")
"""Where the user keeps models: pulled once, small serves all later runs of the tests."""
SIGN = ROOT / "examples" / "sign.png"
REQUIRED = {"torch", "transformers", "PIL", "einops"}
WITH_THEM = {"numpy", "huggingface_hub", "jinja2"}
"""Imported packages that those require."""


@pytest.fixture(scope="module")
def nano_package(tmp_path_factory) -> Path:
    return package(NANO_DIR, tmp_path_factory.mktemp("packaged") / "nano")


@pytest.fixture(scope="module")
def hd_package(hd_model, make_processor, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("hd")
    hd_model.save_pretrained(folder / "checkpoint")
    make_processor(hd_model.config).save_pretrained(folder / "checkpoint")
    return package(folder / "checkpoint", folder / "packaged", license_id="mit")


# The code


def test_transformers_finds_and_allows_all_files(nano_package):
    found = {Path(file).name for file in get_relative_import_files(nano_package / f"{ENTRY}.py")}
    assert found | {f"{ENTRY}.py"} == {file.name for file in nano_package.glob("*.py")}
    imported = {name for file in nano_package.glob("*.py") for name in get_imports(file)}
    assert imported - set(sys.stdlib_module_names) == REQUIRED | WITH_THEM


def test_files_are_the_modules_with_other_relative_imports():
    for name, text in standalone_files().items():
        source = re.search(r"^# From minigemini \S+, (\S+);", text, re.MULTILINE)[1]
        if name in (f"{ENTRY}.py", "chat_templates.py"):
            continue
        original, copy = (ROOT / source).read_text().splitlines(), text.splitlines()[2:]
        changed = [(old.strip(), new.strip()) for old, new in zip(original, copy, strict=True) if old != new]
        for old, new in changed:
            assert re.sub(r"^from \.[\w.]*\b(\w+) import", r"from .\1 import", old) == new, name


def test_chat_templates_keep_their_values():
    values: dict = {}
    exec(standalone_files()["chat_templates.py"], values)
    assert values["CHAT_TEMPLATES"] == chat_templates.CHAT_TEMPLATES
    assert values["END_TOKENS"] == chat_templates.END_TOKENS


def test_an_old_transformers_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "minigemini", None)  # makes its import fail
    monkeypatch.setitem(sys.modules, "transformers", SimpleNamespace(__version__="4.57.1"))
    with pytest.raises(ImportError, match=r"needs transformers>=5\.19, but 4\.57\.1 is installed: pip install"):
        exec(standalone_files()[f"{ENTRY}.py"], {"__name__": ENTRY})


def test_the_oldest_transformers_is_that_of_the_package():
    dependencies = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    assert any(line.startswith(f"transformers>={OLDEST_TRANSFORMERS},") for line in dependencies)


# The folder


def test_card_license_and_descriptions(nano_package, hd_package):
    for folder, license_id, license_file in (
        (nano_package, "apache-2.0", "LICENSE"),
        (hd_package, "mit", "LICENSE-CODE"),
    ):
        front_matter = yaml.safe_load((folder / "README.md").read_text().split("---\n")[1])
        assert front_matter["license"] == license_id
        assert {"minigemini", "custom_code"} <= set(front_matter["tags"])
        assert "Apache License" in (folder / license_file).read_text()
        assert json.loads((folder / "config.json").read_text())["auto_map"].keys() == AUTO_CLASSES.keys()
    nano_card = (Path(NANO_DIR) / "README.md").read_text()
    assert nano_card.split("---\n", 2)[2].rstrip() in (nano_package / "README.md").read_text(), "the card stays"


def test_only_the_files_of_a_model_are_copied(tiny_checkpoint, tmp_path):
    source = shutil.copytree(tiny_checkpoint, tmp_path / "run")
    for name in ("trainer_state.json", "optimizer.pt", "notes.txt", "modeling_minigemini.py"):
        (source / name).write_text("{}")
    (source / "NOTICE").write_text("of the language model")
    folder = package(source, tmp_path / "packaged", license_id="apache-2.0")
    names = {file.name for file in folder.iterdir()}
    assert not {"trainer_state.json", "optimizer.pt", "notes.txt"} & names
    assert (folder / "NOTICE").read_text() == "of the language model"
    assert "class" in (folder / "modeling_minigemini.py").read_text()


def test_mistakes_are_one_line(tiny_checkpoint, tmp_path):
    adapter = tmp_path / "connector.safetensors"
    model = MiniGeminiForConditionalGeneration.from_pretrained(tiny_checkpoint)
    save_connector(model, adapter, base=str(tiny_checkpoint))
    for model, options, message in (
        (tiny_checkpoint, [], "its card names no license; pass the hub's identifier"),
        (tiny_checkpoint, ["--license", "see below"], "'see below' is not an identifier"),
        (adapter, [], "an adapter; package what `minigemini merge` makes of it"),
    ):
        result = CliRunner().invoke(app, ["package", str(model), str(tmp_path / "new"), *options])
        assert result.exit_code == 2, message
        assert message in result.stderr
        assert result.stderr.count("\n") == 1
    (tmp_path / "there").mkdir()
    with pytest.raises(RequestError, match="exists already"):
        package(tiny_checkpoint, tmp_path / "there", "mit")
    assert {file.name for file in tmp_path.iterdir()} == {"connector.safetensors", "there"}


def test_damaged_weights_are_refused(tmp_path):
    source = shutil.copytree(NANO_DIR, tmp_path / "source")
    with (source / "model.safetensors").open("r+b") as file:
        file.seek(-2, 2)
        file.write(b"??")  # its last numbers
    with pytest.raises(CheckpointError, match=r"model\.safetensors has other bytes"):
        package(source, tmp_path / "packaged")
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


def test_links_out_of_the_folder_are_refused(tiny_checkpoint, tmp_path):
    source = shutil.copytree(tiny_checkpoint, tmp_path / "source")
    (tmp_path / "private").write_text("secret")
    for name in ("vocab.txt", "LICENSE"):
        (source / name).symlink_to(tmp_path / "private")
        with pytest.raises(RequestError, match=f"{name}: a link to .*private, outside of the model"):
            package(source, tmp_path / "packaged", "mit")
        (source / name).unlink()


def test_links_within_the_cache_of_the_hub_are_followed(tiny_checkpoint, tmp_path):
    snapshot = tmp_path / "models--acme--tiny" / "snapshots" / "0"
    shutil.copytree(tiny_checkpoint, snapshot)
    (tmp_path / "models--acme--tiny" / "blobs").mkdir()
    for file in [*snapshot.iterdir()]:
        blob = tmp_path / "models--acme--tiny" / "blobs" / file.name
        file.rename(blob)
        file.symlink_to(blob)
    folder = package(snapshot, tmp_path / "packaged", "mit")
    assert not any(file.is_symlink() for file in folder.iterdir())


def test_invalid_cards_are_refused(tiny_checkpoint, tmp_path):
    source = shutil.copytree(tiny_checkpoint, tmp_path / "source")
    for card, message in (("---\nlicense: [\n---\n", "invalid YAML"), ("---\n- mit\n---\n", "not a mapping")):
        (source / "README.md").write_text(card)
        with pytest.raises(RequestError, match=message):
            package(source, tmp_path / "packaged")


# With this package


def test_with_the_package_its_own_classes_are_used(hd_package, image, tmp_path):
    model = AutoModelForImageTextToText.from_pretrained(hd_package, trust_remote_code=True)
    processor = AutoProcessor.from_pretrained(hd_package, trust_remote_code=True)
    assert type(model) is MiniGeminiForConditionalGeneration
    assert type(processor) is MiniGeminiProcessor
    model.save_pretrained(tmp_path / "again")
    processor.save_pretrained(tmp_path / "again")
    assert not list((tmp_path / "again").glob("*.py"))
    for file in ("config.json", "processor_config.json"):
        assert "auto_map" not in (tmp_path / "again" / file).read_text(), file
    short = Sampling(max_new_tokens=8)
    answers = [
        Engine.load(folder, device="cpu").ask(image(0), "What?", short).text
        for folder in (hd_package, tmp_path / "again")
    ]
    assert answers[0] == answers[1]


INSTALLED = """
import sys
from transformers import AutoModelForImageTextToText, AutoProcessor
processor = AutoProcessor.from_pretrained(sys.argv[1], trust_remote_code=True)
model = AutoModelForImageTextToText.from_pretrained(sys.argv[1], trust_remote_code=True)
processor.save_pretrained(sys.argv[2])
model.save_pretrained(sys.argv[2])
print(type(processor).__module__, type(processor.image_processor).__module__, type(model).__module__)
print(*sorted(name.rpartition(".")[2] for name in sys.modules if name.startswith("transformers_modules.")))
"""


def test_an_installed_package_is_used_before_it_is_imported(hd_package, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_MODULES_CACHE", str(tmp_path / "modules"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    command = [sys.executable, "-c", INSTALLED, str(hd_package), str(tmp_path / "saved")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    classes, modules = done.stdout.splitlines()
    assert (
        classes == "minigemini.modeling.processing minigemini.modeling.image_processing minigemini.modeling.generation"
    )
    assert modules == ENTRY, "only the entry module of the folder was imported"
    assert not list((tmp_path / "saved").glob("*.py"))


# Without this package

ANSWER = """
import importlib.util, json, sys
assert importlib.util.find_spec("minigemini") is None
import torch
from transformers import AutoConfig, AutoImageProcessor, AutoModelForImageTextToText, AutoProcessor

folder, again, video, *images = sys.argv[1:]
def answer(folder):
    model = AutoModelForImageTextToText.from_pretrained(folder, trust_remote_code=True, dtype="float32")
    processor = AutoProcessor.from_pretrained(folder, trust_remote_code=True)
    parts = [*({"type": "image", "path": path} for path in images), {"type": "text", "text": "What is it?"}]
    messages = [{"role": "user", "content": parts}]
    options = {"add_generation_prompt": True, "tokenize": True, "return_dict": True, "return_tensors": "pt"}
    inputs = processor.apply_chat_template(messages, **options)
    tokens = model.generate(**inputs, max_new_tokens=16, do_sample=False)[0, inputs["input_ids"].shape[1] :]
    return model, processor, tokens.tolist()

model, processor, tokens = answer(folder)
frames = processor(text="<video>", videos=video, return_tensors="pt")
model.save_pretrained(again)
processor.save_pretrained(again)
config = AutoConfig.from_pretrained(folder, trust_remote_code=True)
image_processor = AutoImageProcessor.from_pretrained(folder, trust_remote_code=True)
print(json.dumps({
    "tokens": tokens,
    "again": answer(again)[2],
    "frames": len(frames["pixel_values"]),
    "same": type(config) is type(model.config) and type(image_processor) is type(processor.image_processor),
    "module": type(model).__module__,
}))
"""


@pytest.fixture(scope="module")
def bare_python(tmp_path_factory) -> Path:
    """An environment with torch, Transformers, Pillow and einops alone."""
    return make_environment(tmp_path_factory.mktemp("bare") / "venv", "torch", "transformers", "pillow", "einops")


@pytest.fixture
def small_package(tmp_path, monkeypatch) -> Path:
    if USER_CACHE is None:
        monkeypatch.delenv("MINIGEMINI_CACHE")
    else:
        monkeypatch.setenv("MINIGEMINI_CACHE", USER_CACHE)
    return package(pull(SMALL), tmp_path / "small")


@pytest.fixture
def video(image, tmp_path) -> Path:
    path = tmp_path / "clip.gif"
    image(0).save(path, save_all=True, append_images=[image(1), image(2)], duration=1000)
    return path


def tokens_of(folder: Path, images: list[Path]) -> list[int]:
    """What the model answers with this package."""
    engine = Engine.load(folder, device="cpu", dtype="float32")
    parts = [*({"type": "image", "path": str(path)} for path in images), {"type": "text", "text": "What is it?"}]
    options = {"add_generation_prompt": True, "tokenize": True, "return_dict": True, "return_tensors": "pt"}
    inputs = engine.processor.apply_chat_template([{"role": "user", "content": parts}], **options)
    with torch.inference_mode():
        tokens = engine.model.generate(**inputs, max_new_tokens=16, do_sample=False)
    return tokens[0, inputs["input_ids"].shape[1] :].tolist()


def check_answers(
    python: Path, folder: Path | str, expected: list[int], images, video: Path, tmp_path: Path, **environment
):
    again = tmp_path / "again"
    done = run(python, ANSWER, folder, again, video, *images, HOME=str(tmp_path), **environment)
    assert done.returncode == 0, done.stderr[-3000:]
    said = json.loads(done.stdout.splitlines()[-1])
    assert said["module"].startswith("transformers_modules.")
    assert said["tokens"] == said["again"] == expected
    assert said["frames"] == 3
    assert said["same"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["nano", "hd", "small"])
def test_answers_equal_without_the_package(name, request, bare_python, video, tmp_path):
    folder = request.getfixturevalue(f"{name}_package")
    images = [SIGN, ROOT / "examples" / "things.png"]
    check_answers(bare_python, folder, tokens_of(folder, images), images, video, tmp_path)
    saved, packaged = ({file.name: file.read_bytes() for file in f.glob("*.py")} for f in (tmp_path / "again", folder))
    assert saved == packaged, "what is saved again has the code too"
    maps = [json.loads((f / "config.json").read_text())["auto_map"] for f in (tmp_path / "again", folder)]
    assert maps[0] == maps[1]


@pytest.mark.slow
def test_answers_equal_from_the_cache_of_the_hub(nano_package, bare_python, video, tmp_path):
    commit = "0123456789abcdef0123456789abcdef01234567"
    repository = tmp_path / "hub" / "models--acme--nano.v1"
    shutil.copytree(nano_package, repository / "snapshots" / commit)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(commit)
    expected = tokens_of(nano_package, [SIGN])
    check_answers(bare_python, "acme/nano.v1", expected, [SIGN], video, tmp_path, HF_HUB_CACHE=str(tmp_path / "hub"))


@pytest.mark.slow
def test_the_program_of_the_card_runs(nano_package, bare_python, tmp_path):
    program = re.search(
        r"```python\n(.*?)```", (nano_package / "README.md").read_text().split("## Loading")[1], re.DOTALL
    )[1]
    program = program.replace('"nano"', repr(str(nano_package))).replace("photo.png", str(SIGN))
    done = run(bare_python, program.replace("What is in the image?", "What does the sign say?"), HOME=str(tmp_path))
    assert done.stdout.strip() == "BEAT", done.stderr[-3000:]


@pytest.mark.slow
def test_what_is_missing_is_named(nano_package, tiny_checkpoint, tmp_path):
    python = make_environment(tmp_path / "venv", "torch", "transformers", "pillow")
    program = "from transformers import AutoConfig; AutoConfig.from_pretrained({!r}, trust_remote_code={})"
    for folder, trusted, message in (
        (nano_package, False, "pass the argument `trust_remote_code=True`"),
        (nano_package, True, "not found in your environment: einops. Run `pip install einops`"),
        (tiny_checkpoint, True, "model type `minigemini` but Transformers does not recognize"),
    ):
        done = run(python, program.format(str(folder), trusted), HOME=str(tmp_path))
        assert done.returncode == 1
        assert message in done.stderr, message
