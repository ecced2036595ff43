"""Composed readers, lists with broken records, and manifests of excluded samples."""

import json
import pickle

import pytest

from minigemini.data.readers import (
    ConcatReader,
    JsonListReader,
    MemoryReader,
    SourceError,
    SubsetReader,
    json_files,
    open_reader,
)
from minigemini.data.readers.manifest import write_manifest
from minigemini.data.schema import SampleError, SampleIssue


def record(number: int) -> dict:
    turns = [{"from": "human", "value": "<image>\n{?"}, {"from": "gpt", "value": f'}}, {{"id": {number}'}]
    return {"id": f"r{number}", "image": f"{number}.jpg", "conversations": turns}


def issues(reader) -> dict[int, SampleIssue]:
    found = {}
    for row in range(len(reader)):
        try:
            assert reader[row].id
        except SampleError as error:
            found[row] = error.issue
    return found


GOOD = [json.dumps(record(n)) for n in range(5)]
BROKEN = {
    "missing quote": (f'[{GOOD[0]}, {{"id": "x, "conversations": []}}, {GOOD[1]}]', 3, [1]),
    "no value": (f'[{GOOD[0]}, {{"id": }}, {GOOD[1]}, {{"id": 1 "image": 2}}, {GOOD[2]}]', 5, [1, 3]),
    "missing comma": (f"[{GOOD[0]} {GOOD[1]}, {GOOD[2]}]", 3, []),
    "text between records": (f"[{GOOD[0]}, oops, {GOOD[1]}]", 3, [1]),
    "text after a record": (f"[{GOOD[0]} oops, {GOOD[1]}]", 3, [1]),
    "truncated in a text": (f"[{GOOD[0]}, {GOOD[1][:60]}", 2, [1]),
    "truncated after a record": (f"[{GOOD[0]}, {GOOD[1]}", 3, [2]),
    "the first": (f'[{{"id": 01}}, {GOOD[1]}]', 2, [0]),
    "a number": (f"[{GOOD[0]}, 17, {GOOD[1]}]", 3, [1]),
}


@pytest.mark.parametrize("block", [5, 100, 2**20])
@pytest.mark.parametrize("name", BROKEN)
def test_broken_record_does_not_affect_others(name, block, tmp_path, monkeypatch):
    monkeypatch.setattr(json_files, "BLOCK_BYTES", block)
    content, rows, broken = BROKEN[name]
    (tmp_path / "x.json").write_text(content)
    reader = JsonListReader(tmp_path / "x.json", tmp_path, skip_broken=True)
    assert len(reader) == rows
    assert list(issues(reader)) == broken
    if not name.startswith(("missing comma", "a number")):
        assert set(issues(reader).values()) == {SampleIssue.NOT_JSON}


def test_skip_broken_reads_a_valid_list_unchanged(tmp_path):
    (tmp_path / "x.json").write_text(json.dumps([record(n) for n in range(50)], indent=1))
    strict, lenient = (JsonListReader(tmp_path / "x.json", tmp_path, skip_broken=skip) for skip in (False, True))
    assert [strict[row] for row in range(50)] == [lenient[row] for row in range(50)]


def memory(name: str, count: int) -> MemoryReader:
    messages = [{"role": "user", "content": "?"}, {"role": "assistant", "content": "!" * 9}]
    return MemoryReader(({"id": f"{name}{n}", "messages": messages, "images": []} for n in range(count)), None, name)


def test_concatenation_and_subset():
    joined = pickle.loads(pickle.dumps(ConcatReader([memory("a", 2), memory("b", 3)], "both")))
    assert [joined[row].id for row in range(len(joined))] == ["a0", "a1", "b0", "b1", "b2"]
    assert joined[4].source == "b"
    assert len(joined.text_bytes) == len(joined.images) == 5
    subset = SubsetReader(joined, [3, 0])
    assert [subset[row].id for row in range(2)] == ["b1", "a0"]
    for reader in (joined, subset):
        with pytest.raises(IndexError):
            reader[len(reader)]
    with pytest.raises(SourceError, match="none of its 5 samples is selected"):
        SubsetReader(joined, [])
    with pytest.raises(SourceError, match="has no samples"):
        memory("none", 0)


@pytest.fixture
def manifest(tmp_path):
    (tmp_path / "pictures").mkdir()
    (tmp_path / "x.json").write_text(json.dumps([record(n) for n in range(5)]))
    lines = [
        {"row": 1, "id": "r1", "fault": "x", "reason": "y"},
        {"row": 3, "id": "r3", "moved": {"3.jpg": "sub/3.png"}},
    ]
    path = tmp_path / "lists" / "x.manifest"
    path.parent.mkdir()
    write_manifest(path, tmp_path / "x.json", tmp_path / "pictures", 5, lines)
    return path


def test_manifest_excludes_and_moves(manifest, tmp_path):
    reader = open_reader(manifest)
    assert [reader[row].id for row in range(len(reader))] == ["r0", "r2", "r3", "r4"]
    assert [reader[row].images[0].resolve() for row in (1, 2)] == [
        tmp_path / "pictures/2.jpg",
        tmp_path / "pictures/sub/3.png",
    ]
    assert not list(manifest.parent.glob(".*"))


def test_manifest_of_a_changed_file_is_refused(manifest, tmp_path):
    (tmp_path / "x.json").write_text(json.dumps([record(n) for n in range(6)]))
    with pytest.raises(SourceError, match=r"with 5 records in .* but it has 6"):
        open_reader(manifest)


@pytest.mark.parametrize(
    "line", ['{"row": 9, "fault": "x"}', '{"row": 1, "moved": {"1.jpg": "../x.png"}}', "{", '{"fault": "x"}']
)
def test_invalid_manifest_lines_are_refused(line, manifest):
    with manifest.open("a") as file:
        file.write(line)
    with pytest.raises(SourceError, match="has an invalid line"):
        open_reader(manifest)


def test_invalid_sources_are_refused(tmp_path):
    (tmp_path / "x.manifest").write_text('{"a": 1}')
    for path, words in (
        ("x.manifest", "is not a manifest"),
        ("y.json", "no such file"),
        ("y.zip", "unknown suffix"),
        (".", "has no index.json, metadata.jsonl"),
    ):
        with pytest.raises(SourceError, match=words):
            open_reader(tmp_path / path)
