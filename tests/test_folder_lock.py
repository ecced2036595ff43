"""Writers lock their folder: a second process is refused, and the error has the first one's process id."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from test_adapters import KINDS, make_adapter
from typer.testing import CliRunner

from minigemini.cli.app import app
from minigemini.conversion.checkpoint_writer import write_checkpoint
from minigemini.conversion.conversion_plan import ConversionPlan
from minigemini.dataprep import synthesize
from minigemini.dataprep.download import DownloadError
from minigemini.dataprep.download.unpacking import unpack
from minigemini.dataprep.export import BuildPart, BuildRecipe, build
from minigemini.io import folder_lock as locks
from minigemini.io.folder_lock import FolderInUseError, folder_lock, output_lock
from minigemini.io.merging import merge
from minigemini_models.ablation.ablation_run import Ablation, run_ablation
from minigemini_models.nano.training_pipeline import export

ROOT = Path(__file__).parent.parent
# The file alone: its package takes seconds to import. A forked child outlives its parent, as a loader's workers do.
HOLD = """
import importlib.util, multiprocessing, sys, time
from pathlib import Path
spec = importlib.util.spec_from_file_location("folder_lock", sys.argv[1])
locks = importlib.util.module_from_spec(spec)
spec.loader.exec_module(locks)
with locks.folder_lock(Path(sys.argv[2])):
    multiprocessing.get_context("fork").Process(target=time.sleep, args=(30,)).start()
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(locks, "LOCK_TIMEOUT_SECONDS", 0.2)


def test_lock_excludes_a_second_process_and_ends_with_a_killed_one(tmp_path):
    words = [sys.executable, "-c", HOLD, str(ROOT / "minigemini/io/folder_lock.py"), str(tmp_path / "run")]
    holder = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, start_new_session=True)
    try:
        assert holder.stdout.readline() == "held\n"
        with (
            pytest.raises(
                FolderInUseError, match=rf"run: process {holder.pid} on \S+ is writing there; wait"
            ) as raised,
            folder_lock(tmp_path / "run"),
        ):
            pass
        assert "\n" not in str(raised.value)
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        with folder_lock(tmp_path / "run"):
            assert (tmp_path / "run/.lock.holder").read_text().startswith(f"process {os.getpid()} on ")
        assert not list((tmp_path / "run").iterdir())
    finally:
        os.killpg(holder.pid, signal.SIGKILL)


def test_lock_is_released_after_errors(tmp_path):
    for error in (KeyboardInterrupt, OSError):
        with pytest.raises(error), folder_lock(tmp_path):
            raise error
    with output_lock(tmp_path / "out"), pytest.raises(FolderInUseError), output_lock(tmp_path / "out"):
        pass
    with output_lock(tmp_path / "out"), output_lock(tmp_path / "other"):
        assert {path.name for path in tmp_path.iterdir()} >= {".out.lock", ".other.lock"}
    assert not list(tmp_path.iterdir())


def test_file_in_place_of_the_folder_is_an_error(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError), folder_lock(tmp_path / "file"):
        pass


def a_build(folder: Path, base: Path) -> None:
    (folder / "x.jsonl").write_text(
        json.dumps({"id": 1, "conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]})
    )
    build(BuildRecipe("x", (BuildPart(file=str(folder / "x.jsonl"), name="x"),)), str(folder / "out"), quiet=True)


def a_merge(folder: Path, base: Path) -> None:
    make_adapter(base, folder / "adapter", **KINDS["names"])
    merge(folder / "adapter", folder / "out")


def a_synthesis(folder: Path, base: Path) -> None:
    settings = synthesize.SynthesisSettings(folder / "out", folder / "x.json")
    synthesize.synthesize(settings, synthesize.Endpoint("http://127.0.0.1:1/v1", "x", "none"))


def an_export(folder: Path, base: Path) -> None:
    export(base, folder / "out")


def a_conversion(folder: Path, base: Path) -> None:
    write_checkpoint(ConversionPlan(None, {}), folder / "out", torch.float32, lambda aside: None)


WRITERS = {
    "data build": (folder_lock, a_build),
    "ablation": (folder_lock, lambda folder, base: run_ablation(Ablation(), folder / "out")),
    "merge": (output_lock, a_merge),
    "synthesize": (output_lock, a_synthesis),
    "chain": (output_lock, an_export),
    "convert, assemble": (output_lock, a_conversion),
}


@pytest.mark.parametrize("name", WRITERS)
def test_every_writer_locks_its_folder(name, tiny_checkpoint, tmp_path):
    lock, write = WRITERS[name]
    with lock(tmp_path / "out"):
        before = sorted(path for path in tmp_path.rglob("*") if "out" in path.name)
        with pytest.raises(FolderInUseError, match=f"out: process {os.getpid()} on "):
            write(tmp_path, tiny_checkpoint)
        assert sorted(path for path in tmp_path.rglob("*") if "out" in path.name) == before


def test_archive_is_unpacked_by_one_process(tmp_path):
    (tmp_path / "x.zip").touch()
    with output_lock(tmp_path / "x.zip"), pytest.raises(DownloadError, match="is writing there"):
        unpack(tmp_path / "x.zip", tmp_path / "images")


def test_locked_folder_is_a_one_line_error(tmp_path):
    (tmp_path / "x.jsonl").write_text("{}")
    with folder_lock(tmp_path / "out"):
        done = CliRunner().invoke(app, ["data", "build", str(tmp_path / "x.jsonl"), str(tmp_path / "out")])
    assert done.exit_code == 2
    assert f"process {os.getpid()} on" in done.stderr
    assert done.stderr.count("\n") == 1
