"""Layers point one way (docs/architecture.md), and pickles are read in one place only. Read off the source."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("minigemini", "minigemini_cli")

# What each room may import of ours, besides itself. The front door re-exports the model.
ALLOWED = {
    "model": set(),
    "nano": set(),
    "painter": set(),
    "data": {"model"},
    "corpus": {"data", "model"},
    "world": set(),
    "training": {"conversion", "data", "inference", "model", "nano", "painter", "world"},
    "inference": {"model", "nano", "painter"},
    "conversion": {"inference", "model"},
    "evaluation": {"inference", "model", "nano", "world"},
    "ablation": {"evaluation", "inference", "model", "training", "world"},
    "serving": {"inference", "model"},
    "minigemini": {"model"},
    "minigemini.__main__": {"minigemini_cli"},
    "minigemini_cli": {
        "model",
        "nano",
        "data",
        "corpus",
        "world",
        "training",
        "inference",
        "conversion",
        "evaluation",
        "ablation",
        "serving",
    },
}


def files() -> list[Path]:
    return sorted(file for package in PACKAGES for file in (ROOT / package).rglob("*.py"))


def room(module: str) -> str:
    """The room of a module by its dotted name; `minigemini` itself stands for the model, which it re-exports."""
    parts = module.split(".")
    if parts[0] == "minigemini_cli":
        return "minigemini_cli"
    return parts[1] if len(parts) > 1 and parts[1] in ALLOWED else "model"


def imports(file: Path) -> Iterator[str]:
    """The absolute names of all that a file imports, wherever in the file it does."""
    package = file.relative_to(ROOT).parent.parts
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            module = ".".join(part for part in (base, node.module or "") if part)
            # `from minigemini import model` and `from . import model` name rooms too.
            yield from (f"{module}.{alias.name}" for alias in node.names)


def own_room(file: Path) -> str:
    relative = file.relative_to(ROOT)
    if relative.parts == ("minigemini", "__init__.py"):
        return "minigemini"
    if relative.parts == ("minigemini", "__main__.py"):
        return "minigemini.__main__"
    return "minigemini_cli" if relative.parts[0] == "minigemini_cli" else relative.parts[1]


@pytest.mark.parametrize("file", files(), ids=lambda file: str(file.relative_to(ROOT)))
def test_layers_point_one_way(file):
    here = own_room(file)
    assert here in ALLOWED, f"{here} is a new room: say in ALLOWED and docs/architecture.md what it may import"
    ours = [name for name in imports(file) if name.split(".")[0] in PACKAGES]
    wrong = [name for name in ours if room(name) != here and room(name) not in ALLOWED[here]]
    assert not wrong, f"{here} may import {sorted(ALLOWED[here]) or 'nothing of ours but itself'}, but imports {wrong}"


@pytest.mark.parametrize("file", files(), ids=lambda file: str(file.relative_to(ROOT)))
def test_no_foreign_code_runs(file):
    for node in ast.walk(ast.parse(file.read_text())):
        if not isinstance(node, ast.Call):
            continue
        keywords = {keyword.arg: keyword.value for keyword in node.keywords}
        if "trust_remote_code" in keywords:
            assert ast.unparse(keywords["trust_remote_code"]) == "False"
        if ast.unparse(node.func) == "torch.load":
            assert own_room(file) == "conversion", "pickles are read by conversion only"
            assert ast.unparse(keywords["weights_only"]) == "True"
