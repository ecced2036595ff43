"""Every format returns the samples that were written, by row, and reports what is broken."""

import io
import json
import pickle
import random
import tarfile
import tracemalloc
from pathlib import Path

import pytest
from PIL import Image

from minigemini.data.readers import (
    JsonLinesReader,
    JsonListReader,
    ParquetReader,
    SourceError,
    TarReader,
    json_files,
    lacks_images,
    open_reader,
    parquet,
    write_parquet,
    write_tar,
)
from minigemini.data.schema import SampleError, SampleIssue, from_published


def encoded(seed: int, kind: str) -> bytes:
    data = io.BytesIO()
    Image.new("RGB", (9, 7), (seed, 2 * seed, 90)).save(data, kind)
    return data.getvalue()


def record(number: int) -> dict:
    """A record with no, one or two images, and text with characters that JSON escapes."""
    tags = number % 3
    images = [f"part {n}/{number}.{n}.{kind}" for n, kind in zip(range(tags), ("jpg", "png"), strict=False)]
    question = "<image>\n" * tags + f'“{number}” [{{"\\' + "\u2028é" * (number % 5)
    turns = [{"from": "human", "value": question}, {"from": "gpt", "value": "]}, " * number + "yes\t"}]
    return {"id": f"r{number}", "conversations": turns} | (
        {"image": images[0] if tags == 1 else images} if tags else {}
    )


RECORDS = [record(number) for number in range(41)]


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """Folder of all images."""
    folder = tmp_path_factory.mktemp("pictures")
    for number in range(len(RECORDS)):
        for n, (suffix, kind) in enumerate((("jpg", "JPEG"), ("png", "PNG"))):
            path = folder / f"part {n}/{number}.{n}.{suffix}"
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(encoded(number, kind))
    return folder


@pytest.fixture(scope="module")
def samples(root):
    return [from_published(record, "all", root) for record in RECORDS]


def image_bytes(sample):
    """The images of a sample as bytes."""
    return [p if isinstance(p, bytes) else p.read_bytes() for p in sample.images]


def write_list(path: Path, **kwargs) -> Path:
    path.write_text(json.dumps(RECORDS, **kwargs), encoding="utf-8")
    return path


def write_lines(path: Path) -> Path:
    path.write_text("\n\n".join(json.dumps(record) for record in RECORDS), encoding="utf-8")
    return path


def halves(write, folder: Path, samples, **kwargs) -> list[Path]:
    """Two shards of unequal length."""
    paths = [folder / "0.shard", folder / "1.shard"]
    assert [write(part, path, **kwargs) for part, path in zip((samples[:30], samples[30:]), paths, strict=True)] == [
        30,
        11,
    ]
    return paths


READERS = {
    "list": lambda folder, root, _: JsonListReader(write_list(folder / "x.json", ensure_ascii=False), root, "all"),
    "indented list": lambda folder, root, _: JsonListReader(write_list(folder / "x.json", indent=2), root, "all"),
    "lines": lambda folder, root, _: JsonLinesReader(write_lines(folder / "x.jsonl"), root, "all"),
    "parquet": lambda folder, root, samples: ParquetReader(halves(write_parquet, folder, samples)),
    "parquet with paths": lambda folder, root, samples: ParquetReader(
        halves(write_parquet, folder, samples, image_root=root), root
    ),
    "tar": lambda folder, root, samples: TarReader(halves(write_tar, folder, samples)),
}


@pytest.mark.parametrize(
    ("kind", "block"), [*((kind, 2**20) for kind in READERS), *(("list", n) for n in (7, 100)), ("indented list", 31)]
)
def test_rows_can_be_read_in_any_order(kind, block, root, samples, tmp_path, monkeypatch):
    monkeypatch.setattr(json_files, "BLOCK_BYTES", block)
    reader = pickle.loads(pickle.dumps(READERS[kind](tmp_path, root, samples)))
    assert len(reader) == len(samples)
    assert reader.images.tolist() == [len(sample.images) for sample in samples]
    rows = list(range(len(samples)))
    random.Random(0).shuffle(rows)
    for row in rows:
        ours, theirs = reader[row], samples[row]
        assert (ours.id, ours.source, ours.messages) == (theirs.id, theirs.source, theirs.messages)
        assert image_bytes(ours) == image_bytes(theirs)
        assert isinstance(next(iter(ours.images), b""), bytes) is (kind in ("parquet", "tar") or not ours.images)
        text = sum(len(part.get("text", "")) for message in ours.messages for part in message["content"])
        assert text < reader.text_bytes[row] < 6 * text + 900
    with pytest.raises(IndexError):
        reader[len(samples)]


@pytest.mark.parametrize("kind", ["parquet", "tar"])
def test_invalid_shards_are_refused(kind, tmp_path, samples):
    reader, write = {"parquet": (ParquetReader, write_parquet), "tar": (TarReader, write_tar)}[kind]
    path = tmp_path / "shard"
    path.write_bytes(b"something else" * 100)
    with pytest.raises(SourceError, match="shard is not a "):
        reader([path])
    write([], path)
    with pytest.raises(SourceError, match=r"no (rows|samples) in 1"):
        reader([path])
    write(samples, path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 3])
    with pytest.raises(SourceError, match="damaged"):
        reader([path])


def test_parquet_with_other_columns_is_refused(tmp_path):
    import pyarrow

    pyarrow.parquet.write_table(pyarrow.table({"id": ["a"], "messages": ["x"]}), tmp_path / "x.parquet")
    with pytest.raises(SourceError, match="lacks the columns images, pictures, source, text_bytes"):
        ParquetReader([tmp_path / "x.parquet"])


def test_tar_with_incomplete_samples_is_refused(tmp_path):
    with tarfile.open(tmp_path / "x.tar", "w") as tar:
        tar.addfile(tarfile.TarInfo("a.json"))
        tar.addfile(tarfile.TarInfo("a.1.jpg"))
    with pytest.raises(SourceError, match=r"the members a\.\* are not"):
        TarReader([tmp_path / "x.tar"])


def test_damaged_tar_never_loses_samples_silently(tmp_path, samples):
    """Any changed byte of a header, padding or the end is an error of the file or of a sample."""
    path = tmp_path / "x.tar"
    write_tar(samples[:4], path)
    whole = path.read_bytes()
    headers = [at for at in range(0, len(whole), 512) if whole[at + 257 : at + 262] == b"ustar"]
    for at in headers:
        for place in (at, at + 100, at + 124, at + 135, at + 148, at + 156, at + 257):
            path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
            with pytest.raises(SourceError, match=r"damaged|are not one"):
                TarReader([path])
    for size in range(0, len(whole), 500):
        path.write_bytes(whole[:size])
        try:
            reader = TarReader([path])
        except SourceError:
            continue
        assert len(reader) == 4
    path.write_bytes(whole + whole)  # concatenated with `cat`: tarfile reads only the first
    with pytest.raises(SourceError, match="or later is lost"):
        TarReader([path])
    record = whole.find(b'"messages"')
    path.write_bytes(whole[:record] + b"\xff" + whole[record + 1 :])
    with pytest.raises(SampleError):
        TarReader([path])[0]


def test_tar_members_with_unsupported_names_are_reported(tmp_path):
    turns = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]
    with tarfile.open(tmp_path / "x.tar", "w") as tar:
        for name, data in (
            ("a/0.json", json.dumps({"id": "0", "source": "s", "messages": turns}).encode()),
            ("a/0.mp4", b"a video"),
            ("a/1.json", json.dumps({"id": "1", "source": "s", "messages": turns}).encode()),
            ("a/1.txt", b"a caption"),
        ):
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    reader = TarReader([tmp_path / "x.tar"])
    with pytest.raises(SampleError, match=r"a/0\.mp4: images must be named KEY\.jpg, or KEY\.0\.jpg") as caught:
        reader[0]
    assert (caught.value.issue, caught.value.id) == (SampleIssue.UNREAD_MEDIA, "0")
    assert reader[1].id == "1"


def test_missing_pyarrow_names_the_extra(monkeypatch, tmp_path):
    monkeypatch.setitem(__import__("sys").modules, "pyarrow.parquet", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'minigemini\[data\]'"):
        parquet.ParquetReader([tmp_path / "x"])


BROKEN = {
    "an object": ('{"a": 1}', r"has '\{' at byte 0, expected '\['"),
    "nothing": ("  ", "ends at byte 2"),
    "truncated between records": ('[{"id": 1}, ', "ends at byte 12"),
    "truncated in a record": ('[{"id": 1}, {"id', "the record at byte 12 is not JSON"),
    "missing comma": ('[{"id": 1} {"id": 2}]', "has '{' at byte 11, expected ','"),
    "surplus comma": ('[{"id": 1},]', "the record at byte 11 is not JSON"),
    "not JSON": (
        '[{"é": 1},\n {"id": 01}]',
        r"the record at byte 13 is not JSON \(Expecting ',' delimiter at byte 21\)",
    ),
    "no record": ("[ ]", "has no records"),
    "nested too deep": ("[" + "[" * 100_000, "the record at byte 1 is not JSON"),
}


@pytest.mark.parametrize("block", [3, 2**20])
@pytest.mark.parametrize("name", BROKEN)
def test_invalid_lists_are_refused(name, block, tmp_path, monkeypatch):
    monkeypatch.setattr(json_files, "BLOCK_BYTES", block)
    content, message = BROKEN[name]
    (tmp_path / "x.json").write_text(content, encoding="utf-8")
    with pytest.raises(SourceError, match=message):
        JsonListReader(tmp_path / "x.json")


BOM = "\ufeff"
AS_LIST, AS_LINES = json.dumps(RECORDS), "\n".join(map(json.dumps, RECORDS))
BY_CONTENT = {
    "a list": AS_LIST,
    "an indented list": json.dumps(RECORDS, indent=1),
    "a list after a byte order mark": BOM + AS_LIST,
    "a list after blank lines": "\n \n" + AS_LIST,
    "lines": AS_LINES,
    "lines after a byte order mark": BOM + AS_LINES,
    "lines after blank lines": "\n\n" + AS_LINES + "\n",
}


@pytest.mark.parametrize("block", [7, 2**20])
@pytest.mark.parametrize("suffix", [".json", ".jsonl"])
@pytest.mark.parametrize("name", BY_CONTENT)
def test_json_is_read_by_content(name, suffix, block, root, samples, tmp_path, monkeypatch):
    monkeypatch.setattr(json_files, "BLOCK_BYTES", block)
    path = tmp_path / f"x{suffix}"
    path.write_text(BY_CONTENT[name], encoding="utf-8")
    for skip_broken in (False, True):
        reader = open_reader(path, root, "all", skip_broken=skip_broken)
        assert [reader[row].messages for row in range(len(reader))] == [sample.messages for sample in samples]
    assert [reader[row].origin for row in (0, 40)] == [f"x{suffix}#0", f"x{suffix}#40"]


def test_json_of_other_forms_is_refused(tmp_path):
    path = tmp_path / "x.json"
    for encoding in ("utf-16", "utf-16-be", "utf-32"):
        path.write_text(BOM * ("be" in encoding) + AS_LIST, encoding=encoding)
        with pytest.raises(SourceError, match="encoded as UTF-16 or UTF-32: save it as UTF-8"):
            open_reader(path)
    path.write_text(json.dumps({"data": RECORDS}, indent=1))
    with pytest.raises(SourceError, match="starts with a JSON object on several lines"):
        open_reader(path)
    (tmp_path / "x.jsonl").write_text('{"id": \n' + AS_LINES)  # one broken line
    assert len(open_reader(tmp_path / "x.jsonl")) == 1 + len(RECORDS)


def test_missing_image_folder_is_detected(root, tmp_path):
    assert lacks_images(open_reader(write_lines(tmp_path / "x.jsonl")))
    assert not lacks_images(open_reader(tmp_path / "x.jsonl", root))
    (tmp_path / "text.json").write_text(json.dumps([RECORDS[0]]))
    assert not lacks_images(open_reader(tmp_path / "text.json"))


def test_broken_list_is_not_read_to_its_end(tmp_path, monkeypatch):
    monkeypatch.setattr(json_files, "BLOCK_BYTES", 100)
    monkeypatch.setattr(json_files, "MAX_RECORD_BYTES", 1000)
    (tmp_path / "x.json").write_text('[{"id": 1}, {"text": "' + "x" * 10**6)
    with pytest.raises(SourceError, match="the record at byte 12 is not JSON"):
        JsonListReader(tmp_path / "x.json")


def test_invalid_records_keep_their_rows(tmp_path):
    good = json.dumps(RECORDS[0])
    (tmp_path / "x.jsonl").write_text(f'{good}\n{{"id": \n[1]\n{good}')
    reader = JsonLinesReader(tmp_path / "x.jsonl")
    assert len(reader) == 4
    assert reader[3].id == "r0"
    for row, issue in ((1, SampleIssue.NOT_JSON), (2, SampleIssue.MALFORMED)):
        with pytest.raises(SampleError) as caught:
            reader[row]
        assert (caught.value.issue, caught.value.id, caught.value.source) == (issue, f"row {row}", "x.jsonl")


def test_long_list_is_not_held_in_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(json_files, "BLOCK_BYTES", 2**18)
    path = tmp_path / "x.json"
    with path.open("w") as file:
        file.write("[" + ",".join(json.dumps(RECORDS[n % 30]) for n in range(60_000)) + "]")
    tracemalloc.start()
    reader = JsonListReader(path)
    held, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 20 * len(reader) + 10_000
    assert peak < held + 2**21 < path.stat().st_size / 3
