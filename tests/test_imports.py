"""The model requires only the core dependencies: no torchvision, no timm, no extras."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

BLOCKED = ["torchvision", "timm", "accelerate", "sentencepiece", "peft", "scipy", "pandas", "matplotlib", "cv2"]

PROGRAM = f"""
import sys

for name in {BLOCKED!r}:
    sys.modules[name] = None  # importing it fails from now on

import minigemini
from transformers import AutoConfig, AutoImageProcessor, AutoModelForImageTextToText

config = minigemini.MiniGeminiConfig(
    vision_config=dict(hidden_size=8, intermediate_size=8, num_hidden_layers=2, num_attention_heads=2, image_size=16,
                       patch_size=8),
    high_res_vision_config=dict(hidden_sizes=[4, 4, 4, 4], depths=[1, 1, 1, 1]),
    text_config=dict(hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=2, vocab_size=16),
    high_res_size=32,
    image_token_id=15,
)
model = AutoModelForImageTextToText.from_config(config)
assert type(model) is minigemini.MiniGeminiForConditionalGeneration
from PIL import Image
pixels = minigemini.MiniGeminiImageProcessor(size=16, high_res_size=32)(Image.new("RGB", (9, 7)), return_tensors="pt")
print(tuple(model.get_image_features(**pixels).pooler_output.shape))
"""


def test_the_model_runs_on_core_dependencies_only():
    result = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False, cwd=ROOT)
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == "(1, 4, 8)"


MODULES = {"pillow": "PIL"}
MODEL = ROOT / "minigemini" / "model"
MODEL_FILES = sorted(MODEL.rglob("*.py"))


def core_modules() -> set[str]:
    """The modules of the core dependencies, from pyproject.toml, and Transformers' own way to the hub."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = {re.split(r"[^\w-]", requirement)[0] for requirement in project["dependencies"]}
    return {MODULES.get(name, name.replace("-", "_")) for name in names} | {"huggingface_hub", "minigemini"}


@pytest.mark.parametrize("file", MODEL_FILES, ids=lambda file: str(file.relative_to(MODEL)))
def test_the_source_names_core_dependencies_only(file):
    named = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            named |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            named.add(str(node.module).split(".")[0])
    assert named - set(sys.stdlib_module_names) <= core_modules()
