"""The command line with the embedded model: it answers offline and quickly."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image, ImageDraw
from test_startup_time import BARE_IMPORTS, cpu_seconds
from typer.testing import CliRunner

from minigemini.cli.app import app
from minigemini.plugins import plugins
from minigemini_models.nano import NANO_DIR

ROOT = Path(__file__).parent.parent


@pytest.fixture
def scene(tmp_path) -> Path:
    image = Image.new("RGB", (256, 256), (240, 240, 235))
    ImageDraw.Draw(image).ellipse((80, 80, 180, 180), fill=(210, 30, 30))
    image.save(tmp_path / "scene.png")
    return tmp_path / "scene.png"


def test_nano_is_the_default_and_needs_no_network(scene):
    """HF_HUB_OFFLINE turns any request to the hub into an error."""
    words = [
        sys.executable,
        "-c",
        "from minigemini.cli import main; main()",
        "ask",
        str(scene),
        "What is in the picture?",
    ]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    done = subprocess.run([*words, "--json"], cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    hint = "minigemini: answering with nano; `minigemini pull small` gets the model for photographs\n"
    assert (done.returncode, done.stderr) == (0, hint if "small" in plugins("models") else "")
    output = json.loads(done.stdout)
    assert output["model"] == "nano"
    assert output["finish_reason"] == "stop", "the model ends its turn"
    assert output["answer"]


def test_explain_and_chat_with_nano(scene, tmp_path):
    runner = CliRunner()
    words = ["ask", str(scene), "What is in the picture?", "--explain", str(tmp_path / "why.png")]
    assert runner.invoke(app, words, catch_exceptions=False).exit_code == 0
    assert Image.open(tmp_path / "why.png").width > 1000
    done = runner.invoke(app, ["chat", str(scene)], input="What is in the picture?\n/quit\n", catch_exceptions=False)
    assert done.exit_code == 0
    assert done.stdout.strip()


def test_nano_writes_no_tags_without_an_image_request():
    """Nano was trained without images only on image requests, so it writes parts of captions in text-only chats."""
    greetings = "hi\nhello\nHello!\nok\nthanks\nhi there\n/quit\n"
    done = CliRunner().invoke(app, ["chat"], input=greetings, catch_exceptions=False)
    assert done.exit_code == 0
    assert len(done.stdout.splitlines()) == 6
    assert "h>" not in done.stdout


def test_nano_has_the_documented_size():
    """10 to 26 million parameters, at most 60 MB of bf16 safetensors."""
    found = json.loads(CliRunner().invoke(app, ["info", "nano", "--json"], catch_exceptions=False).stdout)
    assert 10e6 < found["parameters"]["total"] < 26e6
    assert found["stored_as"].keys() == {"BF16"}
    assert sum(path.stat().st_size for path in NANO_DIR.glob("*.safetensors")) <= 60e6
    assert found["tokens_per_picture"] == 64


@pytest.mark.slow
def test_a_cold_ask_takes_at_most_1_5_times_the_bare_imports(scene):
    ask = ["-c", "from minigemini.cli import main; main()", "ask", str(scene), "What is in the picture?"]
    bare = min(cpu_seconds("-c", BARE_IMPORTS) for _ in range(3))
    assert min(cpu_seconds(*ask) for _ in range(3)) < 1.5 * bare


def test_answering_needs_little_memory(scene):
    """Peak memory of the process in MiB, mostly torch. `ru_maxrss` would include the parent process."""
    code = f"""
import re
from minigemini.inference import Engine
Engine.load("nano", device="cpu").ask({str(scene)!r}, "What is in the picture?")
print(int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) // 1024)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert int(done.stdout.split()[-1]) < 800
