"""Files that are written whole or not at all, and who may read them."""

import os

import pytest
import torch
from safetensors.torch import save_file

from minigemini.io.atomic_write import atomic_write
from minigemini.io.system import is_windows
from minigemini.training.checkpointing import finalize


@pytest.fixture(params=[0o022, 0o027], ids=oct)
def mode(request):
    """The permissions of new files under a umask."""
    before = os.umask(request.param)
    yield 0o666 & ~request.param
    os.umask(before)


@pytest.mark.skipif(is_windows(), reason="no permissions by group")
def test_others_may_read_what_the_umask_lets_them(mode, tmp_path):
    with atomic_write(tmp_path / "one.safetensors") as file:
        save_file({"weight": torch.zeros(2)}, file)
    with atomic_write(tmp_path / "model") as folder:
        folder.mkdir()
        save_file({"weight": torch.zeros(2)}, folder / "model.safetensors")
        (folder / "config.json").write_text("{}")
    (tmp_path / "partial").mkdir()
    save_file({"weight": torch.zeros(2)}, tmp_path / "partial/trained.safetensors")
    finalize(tmp_path / "partial", tmp_path / "checkpoint-1")
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    names = {"SHA256SUMS", "config.json", "model.safetensors", "one.safetensors", "trained.safetensors"}
    assert {path.name for path in written} == names
    assert {path.stat().st_mode & 0o777 for path in written} == {mode}


def test_nothing_is_left_of_a_failed_write(tmp_path):
    path = tmp_path / "file"
    path.write_text("before")

    def fail():
        with atomic_write(path) as partial:
            partial.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("file", "before")]


def write_folder(path, content: str, **options):
    with atomic_write(path, **options) as partial:
        partial.mkdir()
        (partial / "file").write_text(content)
        if content == "bad":
            raise RuntimeError


def test_a_folder_is_replaced_on_request_when_all_is_written(tmp_path):
    path = tmp_path / "folder"
    write_folder(path, "before")
    with pytest.raises(OSError, match="not empty"):
        write_folder(path, "after")
    with pytest.raises(RuntimeError):
        write_folder(path, "bad", replace_folder=True)
    assert (path / "file").read_text() == "before"
    write_folder(path, "after", replace_folder=True)
    assert (path / "file").read_text() == "after"
    assert list(tmp_path.iterdir()) == [path]
