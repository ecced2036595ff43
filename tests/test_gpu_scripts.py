"""The GPU scripts run on a CPU with a tiny model, and end clearly where there is no GPU."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parent.parent
RUN_ALL = ROOT / "benchmarks" / "gpu" / "run_all.py"


def run_all(*words: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, str(RUN_ALL), *words], capture_output=True, text=True)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu():
    done = run_all()
    assert (done.returncode, done.stderr) == (2, "")
    assert done.stdout.startswith("test-gpu: no CUDA GPU here, nothing was measured.")


@pytest.mark.slow
def test_dry_run(tmp_path):
    done = run_all("--device", "cpu", "--tiny", "--output", str(tmp_path / "gpu.md"))
    assert done.returncode == 0, done.stdout
    found = json.loads((tmp_path / "gpu.json").read_text())["figures"]
    assert found["vllm_offline"].keys() == {"skipped"}
    page = (tmp_path / "gpu.md").read_text()
    for name, figures in found.items():
        assert f"## {name}\n" in page
        assert "failed" not in figures
    # What the paths compute is right, whatever their speed.
    assert found["bf16"]["bfloat16, loss"] == pytest.approx(found["bf16"]["float32, loss"], rel=1e-3)
    assert found["attention"]["eager, loss"] == pytest.approx(found["attention"]["sdpa, loss"], rel=1e-5)
    assert found["cuda_graphs"]["static cache, compiled, equal tokens"] == "8/8"
    assert found["head_loss"]["64 rows, width 32, vocabulary 1000, chunks, error"] < 0.02
    assert found["fsdp2"]["largest relative difference of losses"] < 1e-4
    if "skipped" not in found["quantization"]:
        assert found["quantization"]["8bit, rms error over deviation"] < 0.2


def test_a_failing_script_fails_the_run(tmp_path):
    """A device that torch does not know."""
    done = run_all("--device", "abacus", "--tiny", "--only", "mining", "--output", str(tmp_path / "gpu.md"))
    assert done.returncode == 1
    assert "test-gpu: mining" in done.stdout
    assert "abacus" in (tmp_path / "gpu.md").read_text()
