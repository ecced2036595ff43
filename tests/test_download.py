"""Downloads from servers that misbehave: what gets its name is whole, and what does not says why."""

import hashlib
import io
import os
import random
import signal
import threading
import time
import zipfile
from dataclasses import replace

import pytest
from misbehaving_file_server import Misbehavior, served
from typer.testing import CliRunner

from minigemini.cli.app import app
from minigemini.dataprep.download import DownloadError, download
from minigemini.dataprep.download.unpacking import unpack
from minigemini.dataprep.source_spec import RemoteFile
from minigemini.dataprep.sources import SOURCES
from minigemini.io.origins import FileOrigin, HttpOrigin, HubOrigin
from minigemini.io.transfer import OVERLAP_BYTES, Transfer

DATA = random.Random(0).randbytes(400_000)
SHA256, SHA1 = hashlib.sha256(DATA).hexdigest(), hashlib.sha1(DATA).hexdigest()


def get(way: Misbehavior, target, **known) -> None:
    with served(way) as address:
        Transfer(HttpOrigin(f"{address}/file.bin"), target, pause=0.001, **known).run()


def left(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("known", [{}, {"size": len(DATA), "sha256": SHA256}, {"sha1": SHA1}])
@pytest.mark.parametrize(
    "way",
    [
        {},
        {"drop_after": 90_000, "drops": 3},
        {"drop_after": 10, "drops": 3},
        {"drop_after": 90_000, "drops": 2, "ranges": "ignored"},
        {"drop_after": 90_000, "drops": 1, "ranges": "shifted"},
        {"drop_after": 90_000, "drops": 1, "ranges": "elsewhere"},
        {"status": 503, "refusals": 2},
        {"status": 429, "refusals": 2},
        {"etags": ["one", "two"], "drop_after": 200_000, "drops": 1},
    ],
    ids=str,
)
def test_it_comes_whole(way, known, tmp_path):
    way = Misbehavior(DATA, **way)
    get(way, tmp_path / "file.bin", **known)
    assert (tmp_path / "file.bin").read_bytes() == DATA
    assert left(tmp_path) == ["file.bin"]


LIES = {
    "fewer bytes than declared": (
        {},
        {"size": 500_000},
        "the server has 400,000 bytes, but the source declares 500,000",
    ),
    "another file": ({}, {"sha256": "0" * 64}, "its sha256 is .* expected 000"),
    "another file, sha1": ({}, {"sha1": "0" * 40}, "its sha1 is"),
    "a length too long": ({"length": 500_000}, {}, "another version than before; received 0 bytes"),
    "a length too short": ({"length": 300_000}, {"sha256": SHA256}, "its sha256 is"),
    "always dropping, no ranges": (
        {"drop_after": 1000, "drops": 99, "ranges": "ignored"},
        {},
        "received 1,000 of 400,000 bytes",
    ),
    "always other bytes": (
        {"drop_after": 90_000, "drops": 99, "ranges": "shifted"},
        {},
        "other bytes than requested",
    ),
    "no such file": ({"status": 404, "refusals": 99}, {}, "the server answers 404"),
    "no access": ({"status": 403, "refusals": 99}, {}, "a login is needed"),
    "down": ({"status": 500, "refusals": 99}, {}, "the server answers 500; received 0 bytes"),
    "a web page": ({"headers": {"Content-Type": "text/html; charset=utf-8"}}, {}, "a web page instead"),
    "compressed": ({"headers": {"Content-Encoding": "gzip"}}, {}, "compressed content, though identity encoding"),
}


@pytest.mark.parametrize("name", LIES)
def test_wrong_replies_leave_no_final_file(name, tmp_path):
    way, known, words = LIES[name]
    with pytest.raises(DownloadError, match=words):
        get(Misbehavior(DATA, **way), tmp_path / "file.bin", **known)
    assert not (tmp_path / "file.bin").exists()
    assert not any(name.endswith(".lock") for name in left(tmp_path))


def test_transfer_resumes_after_a_failure(tmp_path):
    target, way = tmp_path / "file.bin", Misbehavior(DATA, drop_after=300_000, drops=1, status=500)

    def go_down(count: int) -> None:
        way.refusals = 99

    with served(way) as address:
        origin = HttpOrigin(f"{address}/file.bin")
        with pytest.raises(DownloadError, match=r"received 300,000 of 400,000 bytes: run again later"):
            Transfer(origin, target, sha256=SHA256, progress=go_down, pause=0.001).run()
        assert left(tmp_path) == [".file.bin.partial", ".file.bin.partial.json"]
        way.refusals, way.asked = 0, []
        counts: list[int] = []
        Transfer(origin, target, sha256=SHA256, progress=counts.append).run()
    assert way.asked == [f"bytes={300_000 - OVERLAP_BYTES}-"]
    assert counts[0] == 300_000
    assert sum(counts) == len(DATA)
    assert target.read_bytes() == DATA


def test_concurrent_transfers_are_refused(tmp_path):
    from filelock import FileLock

    with (
        FileLock(tmp_path / ".file.bin.lock"),
        pytest.raises(DownloadError, match="is writing there; wait until it ends"),
    ):
        get(Misbehavior(DATA), tmp_path / "file.bin")


def test_hub_checksums_are_verified(tmp_path, monkeypatch):
    for etag, words in ((SHA256, None), ("1" * 64, "its sha256 is")):
        way = Misbehavior(DATA, etags=[etag], headers={"X-Repo-Commit": "c" * 40})
        with served(way) as address:
            monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", address)
            monkeypatch.setattr(
                "huggingface_hub.file_download.HUGGINGFACE_CO_URL_TEMPLATE",
                address + "/{repo_id}/resolve/{revision}/{filename}",
                raising=False,
            )
            monkeypatch.setattr(
                "huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE",
                address + "/{repo_id}/resolve/{revision}/{filename}",
            )
            transfer = Transfer(HubOrigin("hf://datasets/owner/name@rev/a/file.bin"), tmp_path / "x", pause=0.001)
            if words:
                (tmp_path / "x").unlink()
                with pytest.raises(DownloadError, match=words):
                    transfer.run()
            else:
                transfer.run()
                assert (tmp_path / "x").read_bytes() == DATA


def test_fsspec_origins(tmp_path):
    import fsspec

    (tmp_path / "there.bin").write_bytes(DATA)
    with fsspec.open("memory://bucket/file.bin", "wb") as file:
        file.write(DATA)
    for number, name in enumerate((str(tmp_path / "there.bin"), "memory://bucket/file.bin")):
        target = tmp_path / str(number)
        target.with_name(f".{number}.partial").write_bytes(DATA[:100_000])
        Transfer(FileOrigin(name), target, sha256=SHA256).run()
        assert target.read_bytes() == DATA
    for name, words in (
        (str(tmp_path / "no"), "no such file"),
        (str(tmp_path), "not a file"),
        ("what://x", "Protocol not known"),
    ):
        with pytest.raises(DownloadError, match=words):
            Transfer(FileOrigin(name), tmp_path / "y", pause=0.0).run()


def zipped(**members: bytes) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name.replace("__", "/"), content)
    return data.getvalue()


SOURCE = replace(
    SOURCES["lima"],
    files=(
        RemoteFile("a/list.json", "https://example.org/list.json"),
        RemoteFile("a/pictures.zip", "https://example.org/pictures.zip", unpack="a/images"),
        RemoteFile("a/asked.json", by_hand="ask for it"),
        RemoteFile("a/hand/", by_hand="unpack it there"),
        RemoteFile("a/gone.json", "https://example.org/gone.json"),
    ),
)


def test_a_source_from_a_mirror(tmp_path):
    mirror = tmp_path / "mirror" / "a"
    mirror.mkdir(parents=True)
    (mirror / "list.json").write_text("[]")
    (mirror / "pictures.zip").write_bytes(zipped(images__1=b"one", images__sub__2=b"two"))
    for fetched, there in ((["a/list.json", "a/pictures.zip"], []), ([], ["a/list.json", "a/pictures.zip"])):
        outcome = download([SOURCE, SOURCE], tmp_path / "data", mirror=str(tmp_path / "mirror"), pause=0.0, quiet=True)
        assert (outcome.fetched, outcome.present) == (fetched, there)
        assert [file.path for file in outcome.by_hand] == ["a/asked.json", "a/hand/"]
        assert len(outcome.failed) == 1
        assert "gone.json" in outcome.failed[0]
        assert "no such file" in outcome.failed[0]
    assert (tmp_path / "data/a/images/1").read_bytes() == b"one"
    assert (tmp_path / "data/a/images/sub/2").read_bytes() == b"two"


@pytest.mark.parametrize("name", ["../out", "/etc/x", "a/../../b", "..\\out"])
def test_members_that_lead_out(name, tmp_path):
    (tmp_path / "x.zip").write_bytes(zipped(**{"good": b"", name: b"bad"}))
    with pytest.raises(DownloadError, match="outside its folder"):
        unpack(tmp_path / "x.zip", tmp_path / "images")
    assert not (tmp_path / "images").exists()


def test_damaged_archives(tmp_path):
    data = bytearray(zipped(a=DATA[:5000], b=DATA[5000:9000]))
    for damage in (data[:3000], data[:100] + b"x" * 50 + data[150:]):
        (tmp_path / "x.zip").write_bytes(damage)
        with pytest.raises(DownloadError, match=r"damaged or not a zip archive"):
            unpack(tmp_path / "x.zip", tmp_path / "images")
        assert not any(path.name.startswith((".a", "a")) for path in (tmp_path / "images").glob("*"))


def test_ctrl_c_ends_what_runs_and_begins_no_more(tmp_path):
    way = Misbehavior(DATA, pause=0.1)  # four seconds a file
    with served(way) as address:
        files = tuple(RemoteFile(f"{n}.bin", f"{address}/{n}.bin") for n in range(5))
        source = replace(SOURCES["lima"], files=files)
        begun = time.monotonic()
        threading.Timer(0.7, os.kill, (os.getpid(), signal.SIGINT)).start()
        with pytest.raises(KeyboardInterrupt):
            download([source], tmp_path, workers=2, quiet=True)
        assert time.monotonic() - begun < 3
    assert len(way.asked) <= 2
    assert not [name for name in left(tmp_path) if name.endswith(".bin")]
    assert 0 < (tmp_path / ".0.bin.partial").stat().st_size < len(DATA)


def test_an_archive_that_cannot_be_unpacked_is_a_line(tmp_path):
    (tmp_path / "mirror").mkdir()
    (tmp_path / "mirror/x.zip").write_bytes(zipped(a=b"1"))
    (tmp_path / "data").mkdir()
    (tmp_path / "data/images").write_text("a file where its folder would be")
    source = replace(SOURCES["lima"], files=(RemoteFile("x.zip", None, unpack="images"),))
    outcome = download([source], tmp_path / "data", mirror=str(tmp_path / "mirror"), quiet=True)
    assert (outcome.fetched, len(outcome.failed)) == (["x.zip"], 1)
    assert "data/images" in outcome.failed[0]
    assert "\n" not in outcome.failed[0]


def test_data_fetch(tmp_path):
    mirror = tmp_path / "mirror/MGM-Finetune/lima"
    mirror.mkdir(parents=True)
    (mirror / "train.jsonl").write_text("{}")
    words = ["data", "download", "--data", str(tmp_path / "data"), "--mirror", str(tmp_path / "mirror")]
    done = CliRunner().invoke(app, [*words, "lima"])
    assert done.exit_code == 0, done.output
    assert "1 files downloaded" in done.stdout
    done = CliRunner().invoke(app, [*words, "lima", "docvqa"])
    assert done.exit_code == 0
    assert "by hand: MGM-Finetune/docvqa/images/" in done.stdout
    done = CliRunner().invoke(app, [*words, "oasst2"])
    assert done.exit_code == 2
    assert "no such file" in done.stderr
    assert "1 files could not be downloaded" in done.stderr
    assert CliRunner().invoke(app, [*words, "limma"]).exit_code == 2
