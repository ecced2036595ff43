"""Differences between operating systems: one file has them, and the portable tests pass on each system."""

import ast
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from tiny_training import tiny_recipe, write_data

from minigemini.io import system
from minigemini.io.free_memory import free_memory
from minigemini.training.peak_memory import peak_bytes, reset_peak
from minigemini.training.run import train

ROOT = Path(__file__).parent.parent
HERE = os.environ.get("OFF_LINUX", sys.platform)
ONLY_POSIX = {
    *("fcntl", "resource", "pwd", "grp", "termios", "msvcrt", "psutil"),
    *("os.fork", "os.killpg", "os.pread", "os.pwrite", "os.sysconf", "os.sched_getaffinity", "os.geteuid", "os.name"),
    *("os.getpgid", "os.setsid", "os.mkfifo", "sys.platform"),
    *("signal.pthread_sigmask", "signal.SIGKILL", "signal.SIGHUP", "signal.SIGALRM", "signal.alarm"),
}
MAY = {
    "minigemini/io/system.py": ONLY_POSIX,
    "minigemini/images/decoder_program.py": {"resource"},  # a program of its own, which imports none of our modules
    "minigemini/serving/connections.py": {"resource"},  # guarded there: Windows has no such limit
    "minigemini/evaluation/process_supervisor.py": {
        "os.killpg",
        "signal.SIGKILL",
    },  # runs beside vLLM, which is not on Windows
}


def test_only_one_file_knows_the_system():
    """Whatever the others need of it they ask there; so nothing is used unguarded."""
    wrong = []
    for package in ("minigemini",):
        for file in (ROOT / package).rglob("*.py"):
            name = file.relative_to(ROOT).as_posix()
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                used = {ast.unparse(node)} if isinstance(node, ast.Attribute) else set()
                if isinstance(node, ast.Import):
                    used = {alias.name for alias in node.names}
                elif isinstance(node, ast.ImportFrom):
                    used = {node.module or ""}
                elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                    used = {"/proc"} if node.value.startswith("/proc") else set()
                odd = (used & ONLY_POSIX) | (used & {"/proc"})
                if odd - MAY.get(name, set()) - ({"/proc"} if name in MAY else set()):
                    wrong.append((name, odd))
    assert not wrong


def test_the_processor_says_whether_it_multiplies_bfloat16(tmp_path, monkeypatch):
    monkeypatch.setattr(system, "PROC", tmp_path)
    assert not system.multiplies_bfloat16()  # no such file
    for flags, multiplies in (("fpu avx512f", False), ("fpu avx512f avx512_bf16", True), ("amx_bf16", True)):
        (tmp_path / "cpuinfo").write_text(f"processor : 0\nflags : {flags}\n")
        assert system.multiplies_bfloat16() == multiplies


def test_memory():
    peak = peak_bytes(torch.device("cpu"))
    reset_peak(torch.device("cpu"))
    if HERE == "win32":
        assert peak is None
    else:
        assert 50 * 2**20 < peak < 2**40
        held = torch.ones(64 * 2**20, dtype=torch.uint8)
        assert peak_bytes(torch.device("cpu")) >= len(held)
    assert 2**28 < system.physical_bytes() < 2**50
    assert 0 < free_memory()["cpu"] <= system.physical_bytes()


def test_memory_of_other_devices_is_no_error():
    """Of an accelerator that is not here, or counts nothing: a finished run says that it is not known."""
    for kind in ("xpu", "hpu"):
        device = torch.device(kind)
        reset_peak(device)
        assert peak_bytes(device) is None


def test_a_locked_byte_is_one_process_s(tmp_path):
    other = f"""
import os, sys
sys.path.insert(0, {str(ROOT)!r})
import importlib.util
spec = importlib.util.spec_from_file_location("system", {str(ROOT / "minigemini/io/system.py")!r})
system = importlib.util.module_from_spec(spec)
spec.loader.exec_module(system)
handle = os.open(sys.argv[1], os.O_RDWR)
print([system.lock_byte(handle, place, wait=False) for place in (7, 8)])
"""
    handle = os.open(tmp_path / "x", os.O_RDWR | os.O_CREAT)

    def asked() -> str:
        return subprocess.run([sys.executable, "-c", other, tmp_path / "x"], capture_output=True, text=True).stdout

    assert system.lock_byte(handle, 7, wait=False)
    assert asked() == "[False, True]\n"
    system.unlock_byte(handle, 7)
    assert asked() == "[True, True]\n"
    assert system.lock_byte(handle, 7, wait=True)
    os.lseek(handle, 0, os.SEEK_SET)
    os.write(handle, b"abcdef")
    assert system.read_at(handle, 3, 2) == b"cde"
    os.close(handle)


def test_new_processes():
    assert system.start_method() == ("fork" if HERE == "linux" else "spawn")
    with system.signal_blocked(signal.SIGINT):
        blocked = HERE != "win32" and signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, [])
    assert blocked is (HERE != "win32")


def test_a_run_with_a_worker_ends_with_its_result(tiny_checkpoint, image, tmp_path):
    write_data(tmp_path, image, rows=8)
    path = train(tiny_recipe(tiny_checkpoint, tmp_path, steps=2, workers=1), tmp_path / "run")
    assert path.is_dir()
    peak = json.loads((tmp_path / "run/figures.json").read_text())["peak memory, GB"]
    assert peak == "not known" if HERE == "win32" else peak > 0.05
    assert "| peak memory, GB |" in (tmp_path / "run/report.md").read_text(encoding="utf-8")


PORTABLE = (
    *("tests/test_system.py", "tests/test_folder_lock.py", "tests/test_readers.py", "tests/test_composed_readers.py"),
    *("tests/test_download.py", "tests/test_model_report.py", "tests/test_export.py", "tests/test_validation.py"),
    *("tests/test_evaluation_runs.py", "tests/test_recipes.py::test_plan_shows_the_length_of_the_run"),
    *(
        "tests/test_training_runs.py::test_finished_run_only_writes_its_result",
        "tests/test_training_runs.py::test_padded_rows_train",
    ),
    "tests/test_training_runs.py::test_lora_writes_an_adapter_that_merges",
)
NOT_THERE = ("a_second_process_is_refused", "killed", "full_disk", "ctrl_c", "portable_part")
"""Tests that themselves fork, kill, or limit what a process may do."""


@pytest.mark.slow
@pytest.mark.skipif("OFF_LINUX" in os.environ, reason="within itself")
@pytest.mark.parametrize("name", ["darwin", "win32"])
def test_the_portable_part_passes_elsewhere(name):
    words = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "off_linux", "-p", "no:cacheprovider", *PORTABLE]
    words += ["-k", " and ".join(f"not {part}" for part in NOT_THERE)]
    env = {**os.environ, "OFF_LINUX": name, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}"}
    done = subprocess.run(words, cwd=ROOT, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
