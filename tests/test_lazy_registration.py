"""The Auto classes find the model in any order of imports, and importing the package alone is cheap."""

import multiprocessing
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from minigemini import MiniGeminiConfig, MiniGeminiForConditionalGeneration

ROOT = Path(__file__).parent.parent

# What may come first; then the Auto classes load a checkpoint.
ORDERS = {
    "Auto classes, then the package": "from transformers import AutoModelForImageTextToText; import minigemini",
    "the package, then Auto classes": "import minigemini; from transformers import AutoModelForImageTextToText",
    "a module of the model, which imports Transformers itself": "import minigemini.modeling.image_processing",
    "a module that imports Transformers and not the model": "import minigemini.io.quantization",
    "a light module of the model, and a look for Transformers": (
        "import minigemini.modeling.messages, importlib.util; assert importlib.util.find_spec('transformers')"
    ),
}
LOAD = """
import sys
from transformers import AutoConfig, AutoImageProcessor, AutoModel, AutoModelForImageTextToText, AutoProcessor

folder = sys.argv[1]
found = [AutoConfig, AutoImageProcessor, AutoModel, AutoModelForImageTextToText, AutoProcessor]
print(*(type(auto.from_pretrained(folder)).__name__ for auto in found))
assert not [finder for finder in sys.meta_path if type(finder).__module__.startswith("minigemini")]
"""


def program(code: str, *words: object) -> str:
    """What a fresh Python prints."""
    done = subprocess.run([sys.executable, "-c", code, *map(str, words)], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("first", ORDERS.values(), ids=ORDERS.keys())
def test_auto_classes_find_the_model(first, tiny_checkpoint):
    assert program(f"{first}\n{LOAD}", tiny_checkpoint).split() == [
        "MiniGeminiConfig",
        "MiniGeminiImageProcessor",
        "MiniGeminiModel",
        "MiniGeminiForConditionalGeneration",
        "MiniGeminiProcessor",
    ]


def test_the_package_alone_imports_nothing_heavy():
    code = (
        "import sys, minigemini, minigemini.images.safe_images; print({'torch', 'transformers'} & sys.modules.keys())"
    )
    assert program(code) == "set()"
    assert program("from minigemini import *; print(MiniGeminiModel.__name__, modeling.__name__)") == (
        "MiniGeminiModel minigemini.modeling"
    )


def test_an_unknown_name_is_an_attribute_error():
    import minigemini

    for module in (minigemini, minigemini.modeling):
        with pytest.raises(AttributeError, match="has no attribute 'MiniGemini'"):
            module.MiniGemini  # noqa: B018


def test_failed_import_can_be_repeated(tmp_path, tiny_checkpoint):
    """A Transformers that cannot be imported is not registered with, and the next one is."""
    (tmp_path / "transformers.py").write_text("raise ImportError('broken')")
    code = f"""
import sys, minigemini
sys.path.insert(0, {str(tmp_path)!r})
try:
    import transformers
except ImportError as error:
    assert str(error) == "broken"
sys.path.remove({str(tmp_path)!r})
import importlib; importlib.invalidate_caches()
{LOAD}
"""
    assert program(code, tiny_checkpoint).startswith("MiniGeminiConfig")


def registered_here(config: MiniGeminiConfig) -> str:
    """In a process of its own: an Auto class makes a model of a config that came in a pickle."""
    from transformers import AutoModelForImageTextToText

    return type(AutoModelForImageTextToText.from_config(config)).__name__


def test_spawned_processes_unpickle_the_model(make_model, tmp_path):
    tiny_model = make_model()  # its own: Transformers leaves hooks on a model that returned hidden states
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(registered_here, (tiny_model.config,)) == "MiniGeminiForConditionalGeneration"
    torch.save(tiny_model, tmp_path / "whole.pt")
    load = "import sys, torch; model = torch.load(sys.argv[1], weights_only=False); print(type(model).__name__)"
    assert program(load, tmp_path / "whole.pt") == "MiniGeminiForConditionalGeneration"
    assert type(pickle.loads(pickle.dumps(tiny_model))) is MiniGeminiForConditionalGeneration
