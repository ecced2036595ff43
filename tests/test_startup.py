"""Quick to the touch: `--help` imports nothing heavy, and a cold `ask` costs little more than the imports it needs."""

import resource
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
HEAVY = ("torch", "transformers", "numpy", "PIL", "safetensors", "huggingface_hub", "minigemini", "rich", "peft")
BARE_IMPORTS = "import torch; from transformers import LlamaForCausalLM, CLIPVisionModel, ConvNextModel, AutoTokenizer"


def cpu_seconds(*words: str) -> float:
    """CPU time of a Python process: unlike the clock, it does not count what else the machine is doing."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *words], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


@pytest.mark.parametrize(
    "verb", [[], ["ask"], ["chat"], ["draw"], ["data", "synthesize"], ["info"], ["merge"], ["eval"]]
)
def test_help_imports_nothing_heavy(verb):
    code = f"""
import sys
sys.argv[1:] = {[*verb, "--help"]}
from minigemini_cli import main
try:
    main()
finally:
    print("LOADED", [name for name in {HEAVY} if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True)
    assert "Usage:" in done.stdout
    assert done.stdout.rstrip().endswith("LOADED []")


def test_answering_imports_no_library_of_another_way(tiny_checkpoint):
    code = f"""
import sys
from minigemini.inference import Engine
Engine.load({str(tiny_checkpoint)!r})
print("LOADED", [name for name in ("bitsandbytes", "peft", "diffusers", "rapidocr") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True)
    assert done.stdout.rstrip().endswith("LOADED []")


def test_help_takes_under_a_third_of_a_second():
    call = ["-c", "from minigemini_cli import main; main()", "--help"]
    assert min(cpu_seconds(*call) for _ in range(3)) < 0.3  # measured: 0.12


@pytest.mark.slow
def test_a_cold_ask_costs_little_more_than_its_imports(tiny_checkpoint, picture, tmp_path):
    """The aim is 1.5 times the bare imports; nano itself is held to it in `test_nano_cli.py`."""
    picture(0).save(tmp_path / "photo.png")
    ask = ["-c", "from minigemini_cli import main; main()", "ask", str(tmp_path / "photo.png"), "What?"]
    ask += ["--model", str(tiny_checkpoint), "--max-new-tokens", "16", "--device", "cpu"]
    bare = min(cpu_seconds("-c", BARE_IMPORTS) for _ in range(2))
    assert min(cpu_seconds(*ask) for _ in range(2)) < 1.5 * bare
