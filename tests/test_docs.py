"""The documentation names what exists: files, classes, links; the plugins of docs/extending.md install and run."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = sorted(
    [*(ROOT / "docs").rglob("*.md"), *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md"))]
)
CURRENT = [page for page in PAGES if page.name not in ("experiments.md", "transcripts.md")]
FOLDERS = [
    folder
    for package in ("minigemini", "minigemini_models")
    for folder in [ROOT / package, *(ROOT / package).rglob("*/")]
    if folder.name != "__pycache__"
]
EXTENDING = (ROOT / "docs" / "extending.md").read_text()


def source_text() -> str:
    files = [path for package in ("minigemini", "minigemini_models") for path in (ROOT / package).rglob("*.py")]
    return "\n".join(path.read_text() for path in files)


@pytest.mark.parametrize("page", CURRENT, ids=lambda page: str(page.relative_to(ROOT)))
def test_files_that_a_page_names_exist(page):
    named = set(
        re.findall(
            r"`((?:[\w.-]+/)*[\w-]+\.py|(?:minigemini|minigemini_models|tests|tools|deploy)/[\w./-]*)`",
            page.read_text(),
        )
    )
    missing = [name for name in named if not any((folder / name).exists() for folder in (ROOT, *FOLDERS))]
    assert [name for name in missing if not name.startswith("acme")] == []


@pytest.mark.parametrize("page", CURRENT, ids=lambda page: str(page.relative_to(ROOT)))
def test_local_links_of_a_page_exist(page):
    targets = re.findall(r"\]\(([^)\s#]+)(?:#[^)\s]*)?\)", page.read_text())
    local = [target for target in targets if not re.match(r"\w+:", target)]
    assert [target for target in local if not (page.parent / target).exists()] == []


def test_symbols_that_the_architecture_names_exist():
    page = (ROOT / "docs" / "architecture.md").read_text()
    text = source_text()
    classes = set(re.findall(r"`([A-Z][a-z]+[A-Z]\w+)(?:\.\w+)?`", page))
    functions = {name for dotted in re.findall(r"`((?:\w+\.)+\w+)`", page) for name in [dotted.rpartition(".")[2]]}
    assert classes
    assert sorted(name for name in classes if not re.search(rf"\b{name}\b", text)) == []
    known = {"py", "toml", "md", "jsonl"}
    assert sorted(name for name in functions - known if not re.search(rf"\b{name}\b", text)) == []


def test_the_example_plugins_install_and_run(tmp_path):
    blocks = re.findall(r"```python\n(.*?)```", EXTENDING, re.DOTALL)
    declared = tomllib.loads(re.search(r"```toml\n(.*?)```", EXTENDING, re.DOTALL)[1])["project"]["entry-points"]
    package, metadata = tmp_path / "acme", tmp_path / "acme-1.0.dist-info"
    package.mkdir()
    metadata.mkdir()
    (package / "__init__.py").touch()
    (package / "plugin.py").write_text("\n".join(blocks).replace("/data/", f"{tmp_path}/"))
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: acme\nVersion: 1.0\n")
    lines = [f"[{group}]\n" + "\n".join(f"{k} = {v}" for k, v in names.items()) for group, names in declared.items()]
    (metadata / "entry_points.txt").write_text("\n".join(lines))
    (tmp_path / "2024.csv").write_text("image,field,value\n1.png,total,12.50\n")

    def run(*words: str) -> str:
        path = os.pathsep.join([str(tmp_path), str(ROOT), os.environ.get("PYTHONPATH", "")])
        done = subprocess.run(
            [sys.executable, *words], env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert run("-m", "minigemini", "price", "--invoices", "500") == "1.00 dollars\n"
    assert "acme-invoices" in run("-m", "minigemini", "train", "--list")
    assert "invoice-totals" in run("-m", "minigemini", "eval", "--list")
    program = """
import minigemini
from minigemini.imagegen.presets import find_preset
from minigemini.training.batches import open_part
from minigemini.training.recipe import DataPart
reader = open_part(DataPart("invoices:2024"))
print(minigemini.model_folder("acme").name, find_preset("logos").hub_id, len(reader), reader[0].messages[-1])
"""
    assert run("-c", program).startswith("checkpoint acme/logos 1 {'role': 'assistant'")
    program = """
import torch
from acme.plugin import config
from minigemini import MiniGeminiModel
config.text_config.num_hidden_layers = config.text_config.vocab_size = 1
with torch.device("meta"):
    model = MiniGeminiModel(config)
    print(tuple(model.get_image_features(torch.empty(2, 3, 224, 224), torch.empty(2, 3, 672, 672)).pooler_output.shape))
"""
    assert run("-c", program) == "(2, 196, 4096)\n"
