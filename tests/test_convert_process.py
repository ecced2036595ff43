"""`convert` as a process: memory, killed runs, a full disk. The weight files are sparse."""

import json
import math
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import sparse_checkpoints
from tiny_published import TOKENIZERS

from minigemini.conversion import PUBLISHED
from minigemini.io.checkpoint import open_checkpoint
from minigemini.io.loading import load_config, load_processor
from minigemini.modeling.configuration import CLIP_VIT_L_14_336

pytestmark = pytest.mark.slow

SHARD = 300 * 10**6


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """Mixtral with one layer and an eighth of its MLP width and vocabulary (1.5 GB), and both complete encoders."""
    folder = tmp_path_factory.mktemp("published")
    fields = {**PUBLISHED["MGM-8x7B"].fields, "num_hidden_layers": 1, "vocab_size": 4000, "intermediate_size": 1792}
    sparse_checkpoints.write_sparse(folder / "vit", sparse_checkpoints.vit("vision_model."), "F32", SHARD)
    (folder / "vit" / "config.json").write_text(json.dumps({"model_type": "clip", "vision_config": CLIP_VIT_L_14_336}))
    sparse_checkpoints.write_sparse(folder / "convnext", sparse_checkpoints.convnext("visual.trunk."), "F32", SHARD)
    fields |= {"mm_vision_tower": "vit", "mm_vision_tower_aux": "convnext"}
    sparse_checkpoints.write_sparse(folder / "checkpoint", sparse_checkpoints.published(fields), shard_bytes=SHARD)
    (folder / "checkpoint" / "config.json").write_text(json.dumps(fields))
    shutil.copytree(TOKENIZERS / "tok_llama_fast", folder / "checkpoint", dirs_exist_ok=True)
    return folder / "checkpoint"


# Peak memory of the process; `ru_maxrss` would include the parent process.
PROGRAM = """
import re, sys
from minigemini.cli import main
try:
    main()
finally:
    print("peak", re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1], file=sys.stderr)
"""


def start(checkpoint: Path, folder: Path, shard_size: str = "300MB") -> subprocess.Popen:
    command = [sys.executable, "-c", PROGRAM, "convert", str(checkpoint), str(folder), "--shard-size", shard_size]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def peak_bytes(process: subprocess.Popen) -> int:
    """Wait for a process, and return its peak memory, bytes."""
    return int(process.communicate()[1].rsplit("peak ", 1)[1]) * 1024


def test_memory_holds_two_shards_at_most(checkpoint, tmp_path):
    """Compared with a run that ends before reading anything."""
    (tmp_path / "there").mkdir()
    before, peak = (peak_bytes(start(checkpoint, tmp_path / name)) for name in ("there", "converted"))
    config = load_config(tmp_path / "converted")
    load_processor(tmp_path / "converted", config)
    sizes = [2 * math.prod(tensor.shape) for tensor in open_checkpoint(tmp_path / "converted").tensors.values()]
    assert sum(sizes) > 4 * SHARD
    assert peak - before < 2 * SHARD, f"{(peak - before) / 1e6:.0f} MB above {before / 1e6:.0f} MB"


def test_a_killed_run_is_resumed(checkpoint, tmp_path):
    folder, aside = tmp_path / "converted", tmp_path / ".converted.partial"
    process = start(checkpoint, folder)
    _wait_for_shards(aside, 2, process)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not folder.exists()
    assert not (aside / "config.json").exists()  # the partial folder cannot be loaded
    kept = _written(aside)
    out, error = start(checkpoint, folder).communicate()
    assert out.startswith(f"{folder}: "), error
    assert not aside.exists()
    assert kept <= _written(folder)
    open_checkpoint(folder)


def test_another_plan_starts_clean(checkpoint, tmp_path):
    aside = tmp_path / ".converted.partial"
    aside.mkdir()
    (aside / "plan.json").write_text("{}")
    (aside / "model-00001-of-00005.safetensors").write_text("of another plan")
    process = start(checkpoint, tmp_path / "converted")
    while (aside / "model-00001-of-00005.safetensors").exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.005)
    process.kill()
    process.communicate()


def _wait_for_shards(aside: Path, count: int, process: subprocess.Popen) -> None:
    while len(list(aside.glob("*.safetensors"))) < count:
        assert process.poll() is None, process.communicate()
        time.sleep(0.005)


def _written(folder: Path) -> set[tuple[str, int]]:
    """Weight files and their modification times."""
    return {(file.name, file.stat().st_mtime_ns) for file in folder.glob("*.safetensors")}


def test_a_full_disk_is_reported(checkpoint, tmp_path):
    """A file size limit of one megabyte stands in for a full disk."""
    limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (10**6, 10**6))  # noqa: E731
    command = [sys.executable, "-m", "minigemini", "convert", str(checkpoint), str(tmp_path / "converted")]
    done = subprocess.run(command, capture_output=True, text=True, preexec_fn=limit, check=False)
    assert done.returncode == 2, done.stderr
    assert "cannot be written" in done.stderr
    assert not (tmp_path / "converted").exists()
