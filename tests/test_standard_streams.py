"""The command line with streams that are not UTF-8, that close early, or on a full disk."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from minigemini.cli import main

ROOT = Path(__file__).parent.parent
SHORT = ["--max-new-tokens", "30", "--device", "cpu"]
NOT_UTF8 = os.fsdecode(b"What \xff?")


@pytest.fixture
def photo(tmp_path, image) -> Path:
    path = tmp_path / "photo.png"
    image(0).save(path)
    return path


@pytest.fixture
def minigemini(monkeypatch):
    """Run a command in this process with streams of an encoding; return its exit code, stdout and stderr."""

    def run(*words, encoding: str = "ascii", stdin: bytes = b"") -> tuple[int, str, str]:
        streams = [io.TextIOWrapper(io.BytesIO(data), encoding) for data in (stdin, b"", b"")]
        for name, stream in zip(("stdin", "stdout", "stderr"), streams, strict=True):
            monkeypatch.setattr(sys, name, stream)
        monkeypatch.setattr(sys, "argv", ["minigemini", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            main()
        for stream in streams[1:]:
            stream.flush()
        stdout, stderr = (stream.buffer.getvalue().decode(encoding) for stream in streams[1:])
        return int(ended.value.code or 0), stdout, stderr

    return run


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_answers_are_printed_in_any_encoding(minigemini, photo, tiny_checkpoint, encoding):
    """The tiny model writes characters that few encodings have."""
    ask = ["ask", photo, "Wie groß?", "--model", tiny_checkpoint, *SHORT]
    code, stdout, _ = minigemini(*ask, encoding=encoding)
    assert (code, stdout.strip() != "") == (0, True)
    code, output, _ = minigemini(*ask, "--json", encoding=encoding)
    record = json.loads(output)
    assert (code, record["question"]) == (0, "Wie groß?")
    assert not record["answer"].isascii()


@pytest.mark.slow
def test_an_evaluation_prints_its_table(minigemini, tmp_path):
    code, stdout, stderr = minigemini(
        "eval", "synthetic-documents", "--limit", 1, "--workers", 0, "-o", tmp_path / "run"
    )
    assert (code, "Traceback" in stderr) == (0, False)
    assert "| nano |" in stdout.replace("  ", " ")


def test_text_that_is_not_utf8_is_refused_first(minigemini, photo, tmp_path):
    for words in (
        ["ask", photo, NOT_UTF8, "--model", "/nowhere"],
        ["draw", NOT_UTF8, "-o", tmp_path / "x.png", "--model", "/nowhere"],
        ["draw", "a cat", "--negative", NOT_UTF8, "-o", tmp_path / "x.png", "--model", "/nowhere"],
    ):
        code, stdout, stderr = minigemini(*words)
        assert (code, stdout, len(stderr.splitlines())) == (2, "", 1)
        assert "which is not UTF-8" in stderr


def test_a_name_that_is_not_utf8_is_reported(minigemini):
    for words in (["ask", NOT_UTF8, "What?"], ["info", NOT_UTF8], ["eval", NOT_UTF8], ["data", "list", NOT_UTF8]):
        code, stdout, stderr = minigemini(*words)
        assert (code, stdout, len(stderr.splitlines())) == (2, "", 1), stderr


@pytest.mark.parametrize("encoding", ["ascii", "utf-8"])
def test_a_conversation_continues_after_invalid_utf8(minigemini, tiny_checkpoint, encoding):
    code, stdout, stderr = minigemini(
        "chat", "--model", tiny_checkpoint, *SHORT, stdin=b"What \xff?\nAnd now?\n/image \xff.png\n", encoding=encoding
    )
    assert code == 0
    assert len(stdout.splitlines()) >= 1
    assert "which is not UTF-8" in stderr
    assert "no such file" in stderr


def test_a_pipe_that_closes_early_is_no_error():
    """`minigemini eval --list | head -1`, with and without buffered output."""
    for unbuffered in ("", "1"):
        reading, writing = os.pipe()
        os.close(reading)
        done = subprocess.run(
            [sys.executable, "-m", "minigemini", "eval", "--list"],
            stdout=writing,
            stderr=subprocess.PIPE,
            cwd=ROOT,
            env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
            check=False,
        )
        os.close(writing)
        assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_one_line():
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "minigemini", "eval", "--list"],
            stdout=full,
            stderr=subprocess.PIPE,
            cwd=ROOT,
            check=False,
        )
    assert done.returncode == 2
    assert done.stderr.splitlines() == [b"minigemini: writing: No space left on device"]
