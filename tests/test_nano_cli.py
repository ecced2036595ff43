"""The command line with the embedded checkpoint: it answers without a network, and quickly."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image, ImageDraw
from test_startup import BARE_IMPORTS, cpu_seconds
from typer.testing import CliRunner

from minigemini.cli.app import app
from minigemini_models.nano import NANO_DIR

ROOT = Path(__file__).parent.parent


@pytest.fixture
def scene(tmp_path) -> Path:
    image = Image.new("RGB", (256, 256), (240, 240, 235))
    ImageDraw.Draw(image).ellipse((80, 80, 180, 180), fill=(210, 30, 30))
    image.save(tmp_path / "scene.png")
    return tmp_path / "scene.png"


def test_nano_is_the_default_and_needs_no_network(scene):
    """Offline by setting, so that a reach for the hub would be an error."""
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
    assert (done.returncode, done.stderr) == (0, "")
    said = json.loads(done.stdout)
    assert said["model"] == "nano"
    assert said["finish_reason"] == "stop", "it ends its turn by itself"
    assert said["answer"]


def test_explain_and_chat_with_nano(scene, tmp_path):
    runner = CliRunner()
    words = ["ask", str(scene), "What is in the picture?", "--explain", str(tmp_path / "why.png")]
    assert runner.invoke(app, words, catch_exceptions=False).exit_code == 0
    assert Image.open(tmp_path / "why.png").width > 1000
    said = runner.invoke(app, ["chat", str(scene)], input="What is in the picture?\n/quit\n", catch_exceptions=False)
    assert said.exit_code == 0
    assert said.stdout.strip()


def test_nano_says_no_tags_where_no_picture_is_asked_for():
    """Without one to look at it never learned to answer but to requests for pictures, and writes halves of captions."""
    greetings = "hi\nhello\nHello!\nok\nthanks\nhi there\n/quit\n"
    said = CliRunner().invoke(app, ["chat"], input=greetings, catch_exceptions=False)
    assert said.exit_code == 0
    assert len(said.stdout.splitlines()) == 6
    assert "h>" not in said.stdout


def test_info_nano_fits_the_promise():
    """10 to 26 million parameters, at most 60 MB of bf16 safetensors."""
    found = json.loads(CliRunner().invoke(app, ["info", "nano", "--json"], catch_exceptions=False).stdout)
    assert 10e6 < found["parameters"]["total"] < 26e6
    assert found["stored_as"].keys() == {"BF16"}
    assert sum(path.stat().st_size for path in NANO_DIR.glob("*.safetensors")) <= 60e6
    assert found["tokens_per_image"] == 64


@pytest.mark.slow
def test_a_cold_ask_takes_at_most_half_more_than_the_bare_imports(scene):
    ask = ["-c", "from minigemini.cli import main; main()", "ask", str(scene), "What is in the picture?"]
    bare = min(cpu_seconds("-c", BARE_IMPORTS) for _ in range(3))
    assert min(cpu_seconds(*ask) for _ in range(3)) < 1.5 * bare


def test_answering_needs_little_memory(scene):
    """Peak of the process in MiB, most of it torch itself. `ru_maxrss` would count the process that began it."""
    code = f"""
import re
from minigemini.inference import Engine
Engine.load("nano", device="cpu").ask({str(scene)!r}, "What is in the picture?")
print(int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) // 1024)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert int(done.stdout.split()[-1]) < 800
