"""The command line end to end with a tiny random checkpoint: answers on stdout, one-line errors, exit code 2."""

import io
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from scripted_engine import script
from typer.testing import CliRunner

from minigemini.cli.app import app
from minigemini.inference import Engine, Sampling
from minigemini.io.connector import save_connector

ROOT = Path(__file__).parent.parent
PROGRAM = [sys.executable, "-c", "from minigemini.cli import main; main()"]
SHORT = ["--max-new-tokens", "6", "--device", "cpu"]


@pytest.fixture
def photo(tmp_path, image) -> Path:
    path = tmp_path / "photo.png"
    image(0).save(path)
    return path


@pytest.fixture
def minigemini(tiny_checkpoint):
    """Run a command in this process, with the tiny checkpoint unless a model is named."""

    def run(*words, **options):
        words = [str(word) for word in words]
        if words[0] not in ("info", "merge") and "--model" not in words:
            words += ["--model", str(tiny_checkpoint)]
        return CliRunner().invoke(app, words, catch_exceptions=False, **options)

    return run


def program(*words) -> subprocess.CompletedProcess:
    """Run a command as a separate process."""
    return subprocess.run([str(word) for word in words], capture_output=True, text=True, cwd=ROOT, check=False)


def is_one_line(result, message: str) -> bool:
    """Whether a result is exit code 2, nothing on stdout, and one line on stderr that contains the message."""
    lines = result.stderr.splitlines()
    return (
        result.exit_code == 2
        and not result.stdout
        and len(lines) == 1
        and lines[0].startswith("minigemini: ")
        and message in lines[0]
    )


# ask


def test_ask_prints_the_answer_and_nothing_else(minigemini, photo, tiny_checkpoint):
    result = minigemini("ask", photo, "What is it?", *SHORT)
    answer = Engine.load(tiny_checkpoint, device="cpu").ask(photo, "What is it?", Sampling(max_new_tokens=6))
    assert result.exit_code == 0
    assert result.stdout == "".join(char for char in answer.text if char.isprintable() or char in "\n\t") + "\n"
    assert result.stderr == ""


def test_ask_json_and_explain(minigemini, photo, tmp_path):
    result = minigemini("ask", photo, photo, "What?", "--json", "--explain", tmp_path / "why.png", *SHORT)
    output = json.loads(result.stdout)
    assert output["pictures"] == [str(photo)] * 2
    assert (output["new_tokens"], output["finish_reason"], output["device"], output["dtype"]) == (
        6,
        "length",
        "cpu",
        "float32",
    )
    assert result.stdout.count("\n") == 1
    image = Image.open(tmp_path / "why.png")
    assert image.height > image.width > 1000, "two images, one below the other"


def test_ask_samples_with_a_seed(minigemini, photo):
    answers = [minigemini("ask", photo, "What?", "--temperature", 2, "--seed", s, *SHORT).stdout for s in (1, 1, 2)]
    assert answers[0] == answers[1] != answers[2]


def bad_images(tmp_path: Path) -> dict[str, tuple[bytes, str]]:
    noise = io.BytesIO()
    Image.effect_noise((64, 64), 90).save(noise, "PNG")
    sides = {}
    for width, height in ((60_000, 1), (30_000, 30_000)):
        whole = io.BytesIO()
        Image.new("1", (width, height)).save(whole, "PNG")
        sides[width] = whole.getvalue()
    return {
        "cut.png": (noise.getvalue()[:1000], "truncated after 1,000 bytes"),
        "notes.png": (b"shopping list", "not an image in JPEG, PNG, WEBP, GIF"),
        "thread.png": (sides[60_000], "60000 x 1 pixels"),
        "bomb.png": (sides[30_000], "30000 x 30000 pixels"),
    }


def test_bad_images_are_one_line(minigemini, tmp_path):
    for name, (data, message) in bad_images(tmp_path).items():
        (tmp_path / name).write_bytes(data)
        assert is_one_line(minigemini("ask", tmp_path / name, "What?"), message), name
    assert is_one_line(minigemini("ask", tmp_path / "no.png", "What?"), "no.png: no such file")
    assert is_one_line(minigemini("ask", tmp_path, "What?"), "is a directory; pass")


def test_mistakes_are_one_line(minigemini, photo, tmp_path):
    assert is_one_line(minigemini("ask"), "give an image and a question")
    assert is_one_line(minigemini("ask", photo), "no question")
    assert is_one_line(minigemini("ask", photo, ""), "question is empty")
    assert is_one_line(minigemini("ask", photo, "  "), "question is empty")
    assert is_one_line(minigemini("ask", "What is it?"), "no image before the question")
    assert is_one_line(minigemini("ask", photo, "what", "is", "it"), "question last, in quotes")
    assert is_one_line(minigemini("ask", photo, "What?", "--max-new-tokens", 0), "max_new_tokens is 0")
    assert is_one_line(minigemini("ask", photo, "What?", "--device", "toaster"), "toaster")
    assert is_one_line(minigemini("ask", photo, "What?", "--explain", "out.jpg"), "ends in .png")
    assert is_one_line(minigemini("ask", photo, "What?", "--explain", tmp_path / "no" / "out.png"), "no folder")
    assert is_one_line(minigemini("ask", photo, "<image>"), "contains <image>")


def test_bad_checkpoints_are_one_line(minigemini, photo, tmp_path, tiny_checkpoint):
    assert is_one_line(minigemini("ask", photo, "What?", "--model", tmp_path), "no config.json")
    assert is_one_line(minigemini("ask", photo, "What?", "--model", photo), "a file, not a checkpoint folder")
    assert is_one_line(minigemini("ask", photo, "What?", "--model", "a b"), "not a hub id")
    folder = shutil.copytree(tiny_checkpoint, tmp_path / "pickled")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    assert is_one_line(minigemini("chat", "--model", folder), "minigemini convert")
    assert is_one_line(minigemini("info", folder), "minigemini convert")


def test_invalid_load_options_are_one_line(minigemini, photo, tiny_checkpoint):
    ask = ["ask", photo, "What?"]
    assert is_one_line(minigemini(*ask, "--quantize", "2bit"), "quantize '2bit' is unknown; use 8bit or 4bit")
    assert is_one_line(minigemini(*ask, "--device", "cpu", "--device-map", "auto"), "exclude each other")
    assert is_one_line(minigemini(*ask, "--offload-folder", "x"), "belong to a device_map")
    assert is_one_line(minigemini(*ask, "--base", "nano"), "not an adapter, so it has no base")
    assert is_one_line(minigemini("chat", "--quantize", "4bit", "--device", "cpu"), "use 8bit")


def test_load_options_work(minigemini, photo):
    for way in (["--quantize", "8bit", "--dtype", "bfloat16", *SHORT], ["--device-map", "auto", *SHORT[:2]]):
        output = json.loads(minigemini("ask", photo, "What?", "--json", *way).stdout)
        assert (output["new_tokens"], output["device"]) == (6, "cpu")


def test_merge_and_its_errors(minigemini, tmp_path, tiny_model, tiny_checkpoint, photo):
    parts, merged = tmp_path / "parts.safetensors", tmp_path / "merged"
    save_connector(tiny_model, parts)
    assert is_one_line(minigemini("merge", parts, merged), "does not name its base model")
    done = minigemini("merge", parts, merged, "--base", tiny_checkpoint)
    assert (done.exit_code, done.stdout, done.stderr) == (0, f"{merged}\n", "")
    answers = [
        minigemini("ask", photo, "What?", "--model", model, *SHORT).stdout for model in (merged, tiny_checkpoint)
    ]
    assert answers[0] == answers[1]
    over_base = ["--model", parts, "--base", tiny_checkpoint]
    assert minigemini("ask", photo, "What?", *over_base, *SHORT).stdout == answers[0]
    assert is_one_line(minigemini("merge", parts, merged, "--base", tiny_checkpoint), f"{merged}: exists already")
    assert is_one_line(minigemini("merge", tiny_checkpoint, tmp_path / "x"), "nothing to merge")
    assert is_one_line(minigemini("merge", parts, tmp_path / "no" / "x", "--base", tiny_checkpoint), "no folder")
    assert is_one_line(minigemini("merge", parts, tmp_path / "x", "--base", "nano"), "does not match its base")
    parts.write_bytes(b"random bytes")
    assert is_one_line(minigemini("ask", photo, "What?", *over_base), "corrupt or cut off at 12 bytes")


def test_a_wrong_option_has_exit_code_2(minigemini, photo):
    result = minigemini("ask", photo, "What?", "--temperature", "warm")
    assert result.exit_code == 2
    assert "--temperature" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_name_with_line_ends_stays_one_line(minigemini):
    assert is_one_line(minigemini("ask", "a\nb\x1b[31m.png", "What?"), "a b[31m.png: no such file")


# chat


def test_chat_reads_turns_from_a_pipe(minigemini, photo, tiny_checkpoint):
    lines = f"What?\n/image {photo}\nAnd this?\n\n/reset\n/help\n/dance\n/image no.png\n/quit\nnever asked\n"
    result = minigemini("chat", photo, *SHORT, input=lines)
    assert result.exit_code == 0
    engine = Engine.load(tiny_checkpoint, device="cpu")
    first = engine.ask(photo, "What?", Sampling(max_new_tokens=6)).text
    assert result.stdout.startswith("".join(char for char in first if char.isprintable()) + "\n")
    for message in (
        "image added to your next question",
        "conversation cleared",
        "/dance: no such command",
        "no.png: no such file",
    ):
        assert message in result.stderr


def test_chat_reports_errors_and_continues(minigemini, photo):
    result = minigemini("chat", photo, *SHORT, input="a" * 5000 + "\n<image>\nWhat?\n")
    assert result.exit_code == 0
    assert "the context holds" in result.stderr
    assert "contains <image>" in result.stderr
    assert len(result.stdout) > 1


def test_an_empty_answer_is_reported(minigemini, photo, tiny_checkpoint, monkeypatch):
    load = Engine.load

    def scripted(*args, **kwargs):
        engine = load(*args, **kwargs)
        script(engine, ["</h>", "Yes."], monkeypatch)
        return engine

    monkeypatch.setattr(Engine, "load", scripted)
    empty = "minigemini: the answer is empty; rephrase the question\n"
    result = minigemini("ask", photo, "hi", *SHORT)
    assert (result.exit_code, result.stdout, result.stderr) == (0, "\n", empty)
    result = minigemini("chat", *SHORT, input="hi\nWell?\n/quit\n")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "\nYes.\n", empty.removeprefix("minigemini: "))


def test_ctrl_c_stops_the_answer_and_not_the_program(photo, tiny_checkpoint):
    # A shell starts background jobs with SIGINT ignored, and children inherit that; a terminal does not.
    default_sigint = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    words = [sys.executable, "-c", default_sigint + PROGRAM[-1], "chat", str(photo), "--model", str(tiny_checkpoint)]
    words += ["--max-new-tokens", "1500", "--device", "cpu"]
    pipe = subprocess.PIPE
    with subprocess.Popen(words, stdin=pipe, stdout=pipe, stderr=pipe, cwd=ROOT) as chat:
        assert chat.stdin is not None
        assert chat.stdout is not None
        chat.stdin.write(b"Talk\n")
        chat.stdin.flush()
        chat.stdout.read(1)  # the answer has started
        chat.send_signal(signal.SIGINT)
        stdout, stderr = chat.communicate(b"/dance\n/quit\n")
    assert stderr.splitlines()[0] == b"stopped"
    assert b"no such command" in stderr, "the chat continued"
    assert chat.returncode == 0
    assert len(stdout) < 1500


# info, and the program as a process


def test_info_as_table_and_json(minigemini, tiny_checkpoint):
    table = minigemini("info", tiny_checkpoint).stdout
    found = json.loads(minigemini("info", tiny_checkpoint, "--json").stdout)
    assert found["tokens_per_picture"] == 4
    assert sum(count for part, count in found["parameters"].items() if part != "total") == found["parameters"]["total"]
    assert f"{found['parameters']['total']:,}" in table
    assert "mining" in table
    assert is_one_line(minigemini("info", "/nowhere"), "no such folder")


def test_every_verb_has_help_with_an_example(minigemini):
    for verb in ("ask", "chat", "info"):
        assert f"Example: minigemini {verb}" in minigemini(verb, "--help").stdout


def test_as_a_program(photo, tiny_checkpoint):
    """stdout and stderr of real processes, by script and by module: no progress bars, warnings or tracebacks."""
    done = program(*PROGRAM, "ask", photo, "What?", "--model", tiny_checkpoint, *SHORT)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("\n")
    module = program(sys.executable, "-m", "minigemini", "ask", photo, "What?", "--model", tiny_checkpoint, *SHORT)
    assert (module.returncode, module.stdout, module.stderr) == (0, done.stdout, "")
    failed = program(*PROGRAM, "ask", "nowhere.png", "What?")
    assert (failed.returncode, failed.stdout) == (2, "")
    assert len(failed.stderr.splitlines()) == 1


def test_a_closed_pipe_is_no_error(photo, tiny_checkpoint):
    words = [*PROGRAM, "ask", str(photo), "What?", "--model", str(tiny_checkpoint), "--max-new-tokens", "200"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT) as process:
        assert process.stdout is not None
        os.close(process.stdout.fileno())
        process.stdout = None
        _, stderr = process.communicate()
    assert stderr == b""
    assert process.returncode == 141
