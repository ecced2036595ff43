"""`--backend vllm` starts a server and always stops it; a stand-in program has vLLM's command line."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import benchmark_files as files
import pytest

from minigemini.evaluation import command, process_supervisor, vllm_backend
from minigemini.evaluation.command import EvaluationSettings, run
from minigemini.inference import RequestError
from minigemini.io.openai_client import ChatClient, RetryPolicy
from minigemini.modeling.chat_templates import CHAT_TEMPLATES

IMPATIENT = RetryPolicy(timeout_s=5, tries=2, first_wait_s=0.01)


@pytest.fixture
def stand_in(tmp_path, monkeypatch) -> Path:
    """Put a stand-in `vllm` on PATH; returns the folder of its records."""
    folder = tmp_path / "stand-in"
    folder.mkdir()
    program = folder / "vllm"
    source = Path(__file__).with_name("stand_in_vllm.py").read_text()
    program.write_text(f"#!{sys.executable}\n{source}")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setattr(vllm_backend, "POLL_SECONDS", 0.05)
    monkeypatch.setattr(vllm_backend, "find_spec", lambda _: None)  # ignore an installed vLLM
    monkeypatch.setattr(vllm_backend, "ChatClient", partial(ChatClient, retries=IMPATIENT))
    return folder


def settings(checkpoint, tmp_path, **changes) -> EvaluationSettings:
    if not (tmp_path / "mme").exists():
        files.mme(tmp_path, {"count": 4})
    usual = {"backend": "vllm --max-num-seqs 4", "batch_size": 2, "gallery": 0, "data": tmp_path}
    return EvaluationSettings(("mme",), (str(checkpoint),), tmp_path / "run", **(usual | changes))


def all_ended(folder: Path) -> bool:
    """Whether the server and its child have ended, within five seconds."""
    pids = [int(pid) for pid in (folder / "pids").read_text().split()]
    deadline = time.monotonic() + 5
    while any(alive(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not any(alive(pid) for pid in pids)


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state != "Z"  # a zombie has ended


def test_server_is_started_used_and_stopped(stand_in, tiny_checkpoint, tmp_path):
    table = run(settings(tiny_checkpoint, tmp_path))
    assert "| perception | 50.0" in table  # one of the two questions about each image is answered correctly
    arguments = json.loads((stand_in / "arguments").read_text())
    assert arguments[:2] == ["serve", str(tiny_checkpoint)]
    assert arguments[-2:] == ["--max-num-seqs", "4"]
    asked = [json.loads(line) for line in (stand_in / "asked").read_text().splitlines()]
    assert len(asked) == 8
    assert all("add_special_tokens" not in body for body in asked)  # nano's format writes BOS itself
    assert all_ended(stand_in)
    assert "served vllm --max-num-seqs 4" in (tmp_path / "run/report.md").read_text()


def test_bos_is_requested_for_formats_that_leave_it_to_the_tokenizer(stand_in, tiny_checkpoint, tmp_path):
    checkpoint = tmp_path / "vicuna"
    shutil.copytree(tiny_checkpoint, checkpoint)
    (checkpoint / "chat_template.jinja").write_text(CHAT_TEMPLATES["vicuna"])
    run(settings(checkpoint, tmp_path, limit=1))
    (asked,) = {json.loads(line)["add_special_tokens"] for line in (stand_in / "asked").read_text().splitlines()}
    assert asked is True


def test_failed_start_reports_the_last_log_line(stand_in, tiny_checkpoint, tmp_path):
    (stand_in / "crash").write_text("0")
    with pytest.raises(RequestError, match=r"vLLM exited with status 1: .*no memory for a single block .*vllm\.log"):
        run(settings(tiny_checkpoint, tmp_path))
    assert all_ended(stand_in)


def test_crash_is_reported_and_the_next_run_resumes(stand_in, tiny_checkpoint, tmp_path):
    (stand_in / "crash").write_text("4")
    with pytest.raises(RequestError, match=r"vLLM exited with status 3: .*no memory.*; run again to resume"):
        run(settings(tiny_checkpoint, tmp_path))
    assert all_ended(stand_in)
    (stand_in / "crash").unlink()
    assert "| perception | 50.0" in run(settings(tiny_checkpoint, tmp_path))
    assert len((stand_in / "asked").read_text().splitlines()) == 8


def test_interrupt_stops_the_server(stand_in, tiny_checkpoint, tmp_path, monkeypatch):
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "evaluate", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(settings(tiny_checkpoint, tmp_path))
    assert all_ended(stand_in)


def test_server_stops_if_its_starter_is_killed(stand_in, tiny_checkpoint):
    words = [sys.executable, "-I", process_supervisor.__file__, str(stand_in / "vllm"), "serve", str(tiny_checkpoint)]
    words += ["--served-model-name", "x", "--host", "127.0.0.1", "--port", "0"]
    code = f"import subprocess, time; subprocess.Popen({words!r}, stdin=subprocess.PIPE); time.sleep(60)"
    starter = subprocess.Popen([sys.executable, "-c", code])
    while not (stand_in / "arguments").exists():
        time.sleep(0.02)
    starter.send_signal(signal.SIGKILL)
    starter.wait()
    assert all_ended(stand_in)


def test_missing_vllm_error_says_what_to_install(tiny_checkpoint, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(vllm_backend, "find_spec", lambda _: None)
    with pytest.raises(RequestError, match="pip install vllm"):
        run(settings(tiny_checkpoint, tmp_path))


@pytest.mark.parametrize(
    "given", [{"quantize": "8bit"}, {"device": "cpu"}, {"backend": "http://x/v1", "dtype": "float32"}]
)
def test_options_that_the_backend_ignores_are_rejected(given, tmp_path):
    with pytest.raises(RequestError, match="leave it out"):
        run(settings("nano", tmp_path, **given))
