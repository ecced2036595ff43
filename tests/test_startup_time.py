"""Start-up time: commands that compute nothing are instant, and `ask` takes little more than its imports."""

import os
import resource
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from typer.testing import CliRunner

from minigemini.cli.app import app

ROOT = Path(__file__).parent.parent
HEAVY = {"torch", "transformers", "huggingface_hub", "rich", "peft", "diffusers"}
PROGRAM = "from minigemini.cli import main; main()"
SIGN = str(ROOT / "examples" / "sign.png")
MAX_SECONDS = 0.4
"""Limit of CPU time; measured on an idle machine: 0.09 s (--help) to 0.25 s (commands that decode an image)."""

# Commands that compute nothing, by exit code.
INSTANT = {
    0: [
        *(["--help"], ["--version"]),
        *(["train", "--list"], ["eval", "--list"], ["data", "list"], ["data", "list", "docvqa", "--json"]),
        *(["pull", "--list"], ["info", "MGM-7B"], ["info", "MGM-34B-HD", "--json"]),
    ],
    2: [
        *(["ask", "--frobnicate"], ["look"], ["data", "look"]),
        *(["ask", "no.png", "What?"], ["ask", SIGN, "What?", "--model", "no"], ["ask", __file__, "What?"]),
        *(["ask", SIGN, "What?", "--model", SIGN], ["ask", SIGN, "What?", "--base", "no"]),
        *(["ask", SIGN, "What?", "--device", "toaster"], ["ask", SIGN, "What?", "--dtype", "int3"]),
        *(["ask", SIGN, "What?", "--max-new-tokens", "0"], ["ask", SIGN, "What?", "--explain", "x.jpg"]),
        *(["chat", "no.png"], ["chat", "--device-map", "everywhere"], ["chat", "--draw", "--generator", "no"]),
        *(["draw", "a boat", "no.png"], ["draw", "a boat", "--size", "big"], ["draw", "a boat", "-o", "no/x.png"]),
        *(
            ["info", "no"],
            ["pull", "no"],
            ["merge", "no", "new"],
            ["export", "no", "new", "--to", "onnx"],
            ["export", "nano", "new", "--to", "tflite"],
            ["convert", "no", "new"],
            ["convert", "a/b", "new", "--shard-size", "x"],
        ),
        ["assemble", "new", "--llm", "no", "--low-res-encoder", "a/b", "--high-res-encoder", "a/b"],
        *(
            ["train", "no"],
            ["train", "no.yaml"],
            ["train", "MGM-7B-align", "steps=many"],
            ["train", "ablation", "seed=1"],
            ["train", "nano", "--plan"],
        ),
        *(["eval", "no"], ["eval", "mme", "--data", "no"], ["eval", "mme", "--model", "no"]),
        *(["serve", "--model", "no"], ["serve", "--quantize", "3bit"]),
        *(["data", "preview", "no.json"], ["data", "validate", "no.json"], ["data", "build", "no.json", "new"]),
        *(["data", "list", "no"], ["data", "download", "no"], ["data", "synthesize", "x.json", "--in-context", "no"]),
        *(["scene", "x.png", "--kind", "no"], ["scene", "no/x.png"]),
    ],
}
VERBS = [
    *(["ask"], ["chat"], ["draw"], ["info"], ["convert"], ["assemble"], ["merge"], ["train"], ["eval"], ["scene"]),
    *(["serve"], ["web"], ["data"], ["data", "list"], ["data", "download"], ["data", "validate"], ["data", "build"]),
    *(["data", "preview"], ["data", "synthesize"], ["verify"], ["pull"], ["export"]),
    *(["data", "fetch"], ["data", "doctor"], ["data", "show"]),  # hidden aliases
]
INSTANT[0] += [[*verb, "--help"] for verb in VERBS]

# A missing module, a command that needs it, and the extra that installs it.
EXTRAS = [
    ("fastapi", ["serve"], "serve"),
    ("prometheus_client", ["serve"], "serve"),
    ("gradio", ["web"], "web"),
    ("rapidocr", ["ask", SIGN, "What?", "--ocr"], "ocr"),
    ("diffusers", ["draw", "a boat"], "draw"),
    ("diffusers", ["chat", "--draw"], "draw"),
    ("bitsandbytes", ["ask", SIGN, "What?", "--quantize", "8bit"], "quantize"),
    ("accelerate", ["eval", "synthetic-basic", "--device-map", "auto"], "accelerate"),
    ("accelerate", ["train", "nano-align"], "train"),
    ("onnxscript", ["export", "nano", "new", "--to", "onnx"], "onnx"),
    ("openvino", ["export", "nano", "new", "--to", "openvino"], "openvino"),
]
BARE_IMPORTS = "import torch; from transformers import LlamaForCausalLM, CLIPVisionModel, ConvNextModel, AutoTokenizer"


def cpu_seconds(*words: str) -> float:
    """CPU time of a Python process; unlike wall time it does not depend on other processes."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *words], cwd=ROOT, check=False, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def named(value: object) -> str:
    return " ".join(Path(word).name for word in value) or "none" if isinstance(value, list) else str(value)


def run(words: list[str], folder: Path, missing: tuple[str, ...] = ()) -> tuple[subprocess.CompletedProcess, list[str]]:
    """Run a command in a separate process without some modules; also return the heavy modules that it imported."""
    code = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
sys.modules.update(dict.fromkeys({missing!r}))  # None: importing it fails, as if it were not installed
sys.argv[1:] = {words!r}
try:
    {PROGRAM}
finally:
    print("LOADED", *sorted({HEAVY!r} & {{name for name, module in sys.modules.items() if module}}))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False)
    *_, loaded = done.stdout.splitlines()
    return done, loaded.split()[1:]


@pytest.mark.parametrize(
    ("words", "code"), [(words, code) for code, of_code in INSTANT.items() for words in of_code], ids=named
)
def test_instant_commands_import_nothing_heavy(words, code, tmp_path):
    done, loaded = run(words, tmp_path)
    assert (done.returncode, loaded) == (code, []), done.stderr


@pytest.mark.parametrize(("module", "words", "extra"), EXTRAS, ids=named)
def test_a_missing_extra_is_reported_before_heavy_imports(module, words, extra, tmp_path):
    done, loaded = run(words, tmp_path, (module,))
    assert (done.returncode, loaded) == (2, [])
    assert done.stderr.endswith(f"pip install 'minigemini[{extra}]'\n")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "words",
    [
        *(["--help"], ["--version"], ["train", "--list"], ["data", "list"], ["info", "MGM-34B-HD"]),
        *(["ask", SIGN, "What?", "--device", "toaster"], ["data", "preview", "no.json"], ["scene", "no/x.png"]),
    ],
    ids=named,
)
def test_instant_commands_take_little_cpu_time(words):
    assert any(cpu_seconds("-c", PROGRAM, *words) < MAX_SECONDS for _ in range(5))


def test_importing_the_package_takes_little_cpu_time():
    assert any(cpu_seconds("-c", "import minigemini") < MAX_SECONDS for _ in range(5))


def test_version_is_the_installed_version(tmp_path):
    assert run(["--version"], tmp_path)[0].stdout.splitlines()[0] == f"minigemini {version('minigemini')}"


@pytest.mark.parametrize("group", [[], ["data"]], ids=named)
def test_summaries_fit_their_line(group):
    shown = CliRunner().invoke(app, [*group, "--help"], env={"COLUMNS": "80"}).stdout
    summaries = shown.partition("Commands:\n")[2].splitlines()
    assert len(summaries) > 5
    assert all(line.endswith(".") and not line.endswith("...") for line in summaries)


def test_the_shell_completes_verbs_and_recipes(tmp_path):
    def completed(words: str, number: int) -> str:
        settings = {"_MINIGEMINI_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(number)}
        code = f"import sys; sys.argv = ['minigemini']; {PROGRAM}"
        environment = os.environ | settings | {"PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            [sys.executable, "-c", code], env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
        )
        return done.stdout

    assert completed("minigemini as", 1).split() == ["ask", "assemble"]
    assert "MGM-7B-align" in completed("minigemini train MGM-7", 2).split()
    assert "docvqa" in completed("minigemini data download doc", 3).split()
    assert "mmbench" in completed("minigemini eval mm", 2).split()


def test_answering_imports_no_optional_library(tiny_checkpoint):
    code = f"""
import sys
from minigemini.inference import Engine
Engine.load({str(tiny_checkpoint)!r})
print("LOADED", [name for name in ("bitsandbytes", "peft", "diffusers", "rapidocr") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True)
    assert done.stdout.rstrip().endswith("LOADED []")


@pytest.mark.slow
def test_a_cold_ask_takes_little_more_than_its_imports(tiny_checkpoint, image, tmp_path):
    """The goal is 1.5 times the bare imports; `test_nano_cli.py` checks nano."""
    image(0).save(tmp_path / "photo.png")
    ask = ["-c", PROGRAM, "ask", str(tmp_path / "photo.png"), "What?"]
    ask += ["--model", str(tiny_checkpoint), "--max-new-tokens", "16", "--device", "cpu"]
    bare = min(cpu_seconds("-c", BARE_IMPORTS) for _ in range(2))
    assert min(cpu_seconds(*ask) for _ in range(2)) < 1.5 * bare
