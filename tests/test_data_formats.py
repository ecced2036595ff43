"""Data as people have it: every format of docs/data.md gives the same conversation, and what is unsafe is refused."""

import base64
import csv
import io
import json
import pickle
import re
import tarfile
from pathlib import Path

import pyarrow.parquet
import pytest
from PIL import Image
from typer.testing import CliRunner

from minigemini.cli.app import app
from minigemini.data.readers import SourceError, json_files, open_reader, tables, write_tar
from minigemini.data.record_forms import CAPTION_QUESTION, count_images, read_record
from minigemini.data.schema import SampleError, SampleIssue, text_of

ROOT = Path(__file__).parent.parent
ROWS = re.findall(r"^\| ([^|]+) \| [^|]+ \| `(\{.*\})` \|$", (ROOT / "docs" / "data.md").read_text(), re.MULTILINE)
EXAMPLES = {name: json.loads(record) for name, record in ROWS}


def png(color: str = "gray") -> bytes:
    data = io.BytesIO()
    Image.new("RGB", (8, 8), color).save(data, "PNG")
    return data.getvalue()


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "cat.png").write_bytes(png())
    return tmp_path


def check(sample, image: "Path | bytes") -> None:
    """The conversation of the documented examples."""
    turns = [message for message in sample.messages if message["role"] != "system"]
    assert [message["role"] for message in turns] == ["user", "assistant"]
    assert turns[0]["content"][0] == {"type": "image"}
    expected = {CAPTION_QUESTION: "A cat on a mat.", "What is it?": "A cat."}
    assert expected[text_of(turns[0])] == text_of(turns[1])
    assert list(sample.images) == [image]


def test_every_documented_format_is_here():
    assert len(EXAMPLES) == 10


@pytest.mark.parametrize("name", EXAMPLES)
def test_documented_examples_are_read(name, folder):
    record = EXAMPLES[name]
    (folder / "x.json").write_text(json.dumps([record, record]))
    (folder / "metadata.jsonl").write_text("".join(json.dumps(record) + "\n" for _ in range(2)))
    for reader in (open_reader(folder / "x.json", folder), open_reader(folder)):
        assert reader.images.tolist() == [1, 1]
        check(reader[1], folder / "cat.png")
        assert reader[1].id == str(record.get("id", "row-1"))
        assert pickle.loads(pickle.dumps(reader))[0].messages == reader[0].messages


@pytest.mark.parametrize("name", [name for name in EXAMPLES if name.split()[0] not in ("Label", "OpenAI")])
def test_tables_hold_the_same(name, folder):
    table = pyarrow.Table.from_pylist([EXAMPLES[name]] * 5)
    pyarrow.parquet.write_table(table, folder / "x.parquet", row_group_size=2)
    reader = pickle.loads(pickle.dumps(open_reader(folder / "x.parquet", folder)))
    assert (len(reader), reader.images.tolist()) == (5, [1] * 5)
    for row in (4, 0, 3):
        check(reader[row], folder / "cat.png")
    with pytest.raises(IndexError):
        reader[5]


@pytest.mark.parametrize("splits", [False, True])
def test_a_saved_data_set(splits, folder):
    import datasets

    records = {key: [EXAMPLES["TRL, `messages` and `images`"][key]] * 3 for key in ("messages",)}
    records["images"] = [[{"bytes": png(color), "path": None}] for color in ("red", "green", "blue")]
    one = datasets.Dataset.from_dict(records).cast_column("images", datasets.List(datasets.Image()))
    saved = datasets.DatasetDict({"train": one, "test": one.select([0])}) if splits else one
    saved.save_to_disk(folder / "saved")
    reader = pickle.loads(pickle.dumps(open_reader(folder / "saved")))
    assert len(reader) == 3
    for row, color in enumerate(("red", "green", "blue")):
        check(reader[row], png(color))
    state = folder / "saved" / ("train" if splits else "") / "state.json"
    (data,) = state.parent.glob("*.arrow")
    data.write_bytes(data.read_bytes()[:300])
    with pytest.raises(SourceError, match="damaged"):
        open_reader(folder / "saved")
    state.write_text(json.dumps({"_data_files": [{"filename": "../../../etc/passwd"}]}))
    with pytest.raises(SourceError, match="passwd"):
        open_reader(folder / "saved")


def test_a_folder_of_images_with_a_table(folder):
    with (folder / "metadata.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerows([["file_name", "question", "answer"], ["cat.png", "What is it?", "A cat."]])
    for path in (folder, folder / "metadata.csv"):
        check(open_reader(path)[0], folder / "cat.png")
    for text, words in (("a,b\n1,2,3\n", "more cells"), ("a,b\n", "no rows"), ('a\n"x', "not CSV")):
        (folder / "metadata.csv").write_text(text)
        with pytest.raises(SourceError, match=words):
            open_reader(folder)


def add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(data)
    tar.addfile(member, io.BytesIO(data))


def test_web_dataset_of_others(folder):
    record = {key: EXAMPLES["OpenAI fine-tuning"][key] for key in ("messages",)}
    plain = {"question": "What is it?", "answer": "A cat."}
    for number in range(2):
        with tarfile.open(folder / f"{number}.tar", "w") as tar:
            add(tar, "a.png", png())
            add(tar, "a.txt", b"A cat on a mat.")
            add(tar, "b.json", json.dumps(plain).encode())
            add(tar, "b.png", png())
            add(tar, "c.txt", b"\xff")
            add(tar, "c.jpeg", png())
    reader = open_reader(folder)
    assert reader.images.tolist() == [1] * 6
    for row in (0, 1, 3, 4):
        check(reader[row], png())
    with pytest.raises(SampleError, match="not UTF-8"):
        reader[2]
    with tarfile.open(folder / "paths.tar", "w") as tar:
        add(tar, "a.json", json.dumps(record).encode())
    with pytest.raises(SampleError) as caught:  # a tar has no folder that its paths could be in
        open_reader(folder / "paths.tar")[0]
    assert caught.value.issue is SampleIssue.NO_FOLDER


def test_web_dataset_library_reads_our_shards(folder):
    webdataset = pytest.importorskip("webdataset")
    sample = read_record(EXAMPLES["LLaVA"], "mine", folder, 0)
    write_tar([sample, sample], folder / "x.tar")
    found = list(webdataset.WebDataset(str(folder / "x.tar"), shardshuffle=False).decode("pil"))
    assert [one["__key__"] for one in found] == ["000000000", "000000001"]
    assert found[1]["json"]["messages"] == [dict(message) for message in sample.messages]
    assert found[1]["0.png"].size == (8, 8)


def test_datasets_reads_our_tar_shards(folder):
    import datasets

    sample = read_record(EXAMPLES["LLaVA"], "mine", folder, 0)
    write_tar([sample, sample], folder / "x.tar")
    table = datasets.load_dataset(
        "webdataset", data_files=str(folder / "x.tar"), split="train", cache_dir=str(folder / "cache")
    )
    assert table[1]["json"]["source"] == "mine"
    assert table[1]["0.png"].size == (8, 8)


def messages(*contents: object) -> list[dict]:
    return [{"role": role, "content": c} for role, c in zip(("user", "assistant") * 3, contents, strict=False)]


URI = "data:image/png;base64," + base64.b64encode(png()).decode()
READ = {
    "numbered parts": (
        {
            "images": [b"first", b"second"],
            "messages": messages([{"type": "image", "index": 1}, {"type": "image", "index": 0, "text": None}], "A"),
        },
        [b"second", b"first"],
    ),
    "data URIs": ({"messages": messages([{"type": "image_url", "image_url": {"url": URI}}], "A")}, [png()]),
    "bytes in a part": ({"messages": messages([{"type": "image", "image": {"bytes": b"x"}}], "A")}, [b"x"]),
    "several images, no parts": (
        {"images": ["a.png", {"path": "b.png", "bytes": None}], "messages": messages("Q", "A")},
        2,
    ),
    "a developer": ({"messages": [{"role": "developer", "content": "Be brief."}, *messages("Q", "A")]}, []),
    "ShareGPT's other names": (
        {"conversations": [{"from": "user", "value": "Q"}, {"from": "assistant", "value": "A"}]},
        [],
    ),
    "conversations with roles": ({"conversations": messages("Q", "A"), "image": "a.png"}, 1),
    "alpaca": ({"instruction": "Q", "input": "context", "output": "A"}, []),
    "a text as completion": ({"prompt": messages("Q"), "completion": "A"}, []),
    "the same answers": ({"question": "Q", "answers": ["A", "A"], "image": "a.png"}, 1),
    "a number": ({"question": "How many?", "answer": 3, "image": "a.png"}, 1),
    "no images": ({"images": [], "videos": None, "messages": messages("Q", "A")}, []),
}


@pytest.mark.parametrize("name", READ)
def test_variants(name, tmp_path):
    record, images = READ[name]
    sample = read_record(record, "mine", tmp_path, 5)
    assert sample.id == "row-5"
    assert count_images(record) == len(sample.images)
    assert (len(sample.images) if isinstance(images, int) else list(sample.images)) == images


REFUSED = {
    "nothing known": ({"a": 1, "b": 2}, SampleIssue.MALFORMED, "keys id, a, b|keys a, b"),
    "half a pair": ({"question": "Q", "image": "a.png"}, SampleIssue.MALFORMED, "question without answer or answers"),
    "two pairs": (
        {"question": "Q", "answer": "A", "query": "Q", "response": "A"},
        SampleIssue.MALFORMED,
        "question and answer or query and response could be question and answer",
    ),
    "different answers": ({"question": "Q", "answers": ["A", "B"]}, SampleIssue.MALFORMED, "answers is .* one text"),
    "a caption alone": ({"caption": "A cat."}, SampleIssue.MALFORMED, "caption without an image"),
    "an image alone": ({"image": "a.png"}, SampleIssue.MALFORMED, "an image without a text"),
    "audio": (
        {"audios": ["a.mp3"], "messages": messages("Q", "A")},
        SampleIssue.UNREAD_MEDIA,
        "audios is .*: audio is not supported",
    ),
    "videos of ShareGPT without tags": (
        {"videos": ["a.mp4"], "conversations": [{"from": "human", "value": "Q"}, {"from": "gpt", "value": "A"}]},
        SampleIssue.VIDEO_TAGS,
        "0 video tags, but 1 videos",
    ),
    "a URL": ({"image": "https://example.org/a.png", "caption": "x"}, SampleIssue.UNREAD_MEDIA, "is a URL"),
    "a path upwards": ({"image": {"path": "../a.png"}, "caption": "x"}, SampleIssue.UNSAFE_PATH, "stay in the folder"),
    "an absolute path": ({"file_name": "/etc/a.png", "text": "x"}, SampleIssue.UNSAFE_PATH, "stay in the folder"),
    "a tool's turn": (
        {"messages": [*messages("Q", "A"), {"role": "tool", "content": "x"}]},
        SampleIssue.UNKNOWN_SPEAKER,
        "tool",
    ),
    "texts of another kind": ({"texts": ["a"], "images": ["a.png"]}, SampleIssue.MALFORMED, "texts must be"),
    "an id of another kind": ({"id": ["a"], "question": "Q", "answer": "A"}, SampleIssue.MALFORMED, "with an id"),
    "messages of another kind": ({"messages": [1, None]}, SampleIssue.MALFORMED, "message 1 must be"),
    "a video and no turns": ({"video": "a.mp4", "conversations": 5}, SampleIssue.MALFORMED, "keys id, video|no known"),
    "not an object": ([1], SampleIssue.MALFORMED, "must be an object"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(name, tmp_path):
    record, issue, words = REFUSED[name]
    with pytest.raises(SampleError, match=words) as caught:
        read_record(record, "mine", tmp_path, 5)
    assert caught.value.issue is issue
    count_images(record)


def task(*results: dict, **fields) -> dict:
    return {
        "id": 3,
        "data": {"photo": "/data/local-files/?d=a%2Fb.png"},
        "annotations": [{"result": list(results)}],
        **fields,
    }


def result(name: str, kind: str, **value: object) -> dict:
    return {"from_name": name, "to_name": "image", "type": kind, "value": value}


def test_label_studio(tmp_path):
    record = task(result("caption", "textarea", text=["A cat."]), result("animal", "choices", choices=["cat", "pet"]))
    sample = read_record(record, "mine", tmp_path, 0)
    assert [text_of(message) for message in sample.messages] == [
        "Describe the image.",
        "A cat.",
        "What is the animal?",
        "cat, pet",
    ]
    assert sample.images == (tmp_path / "a/b.png",)
    chosen = [{"result": [result("n", "number", number=n)], "ground_truth": n == 2} for n in (1, 2)]
    assert text_of(read_record(task(annotations=chosen), "mine", tmp_path, 0).messages[-1]) == "2"
    for broken, words in (
        (task(result("box", "rectanglelabels", x=1)), "type 'rectanglelabels': expected textarea"),
        (task(annotations=[{"was_cancelled": True, "result": [{}]}]), "without a finished annotation"),
        (task(annotations="x"), "without a finished annotation"),
        (task(result("a", "choices", choices=["x"]), data={"image": "/data/upload/../../a.png"}), "stay in the folder"),
        (task(result("a", "choices", choices=["x"]), data={"image": "a.png", "images": "b.png"}), "keep one"),
    ):
        with pytest.raises(SampleError, match=words):
            read_record(broken, "mine", tmp_path, 0)


def test_what_a_small_file_can_claim_is_bounded(folder, monkeypatch):
    pyarrow.parquet.write_table(pyarrow.table({"question": ["x" * 10**6], "answer": ["A"]}), folder / "x.parquet")
    monkeypatch.setattr(tables, "MAX_GROUP_BYTES", 10**5)
    with pytest.raises(SourceError, match="smaller row_group_size"):
        open_reader(folder / "x.parquet")
    (folder / "y.parquet").write_bytes(b"PAR1" + bytes(100) + b"PAR1")
    with pytest.raises(SourceError, match="not a Parquet file or is damaged"):
        open_reader(folder / "y.parquet")
    monkeypatch.setattr(json_files, "MAX_RECORD_BYTES", 100)
    (folder / "x.jsonl").write_text('{"question": "' + "x" * 200 + '", "answer": "A"}')
    with pytest.raises(SourceError, match="over 100 bytes"):
        open_reader(folder / "x.jsonl")


def test_compressed_arrow_is_refused(folder):
    table = pyarrow.table({"question": ["x" * 10**6] * 3, "answer": ["A"] * 3})
    options = pyarrow.ipc.IpcWriteOptions(compression="zstd")
    with pyarrow.ipc.new_stream(str(folder / "data.arrow"), table.schema, options=options) as stream:
        stream.write_table(table)
    (folder / "state.json").write_text(json.dumps({"_data_files": [{"filename": "data.arrow"}]}))
    with pytest.raises(SourceError, match="is compressed"):
        open_reader(folder)


def test_commands_accept_them(folder):
    record = {
        "messages": messages([{"type": "image_url", "image_url": {"url": URI}}, {"type": "text", "text": "Q"}], "A")
    }
    (folder / "x.jsonl").write_text("".join(json.dumps(record) + "\n" for _ in range(3)))
    words = [["validate"], ["preview", "--page", str(folder / "x.html")], ["build", str(folder / "built")]]
    for verb, *more in words:
        arguments = ["data", verb, str(folder / "x.jsonl"), *more]
        done = CliRunner().invoke(app, arguments, catch_exceptions=False)
        assert done.exit_code == 0, done.output
        assert "3 samples" in done.stdout
    built = open_reader(folder / "built")
    assert sorted(built[row].id for row in range(3)) == ["row-0", "row-1", "row-2"]
    assert built[0].images == (png(),)
