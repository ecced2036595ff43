"""Images under every supported key; unsupported media is reported, never trained on as text only."""

import base64
import io
import json
import pickle

import pytest
from PIL import Image
from typer.testing import CliRunner

from minigemini.cli.app import app
from minigemini.data.media_keys import image_count
from minigemini.data.readers import open_reader, write_parquet
from minigemini.data.schema import SampleError, SampleIssue, from_published, from_record


def encoded() -> bytes:
    data = io.BytesIO()
    Image.new("RGB", (40, 30), "red").save(data, "PNG")
    return data.getvalue()


PNG = encoded()
URI = "data:image/png;base64," + base64.b64encode(PNG).decode()


def conversation(question="What is it?", **more):
    """A published record; the question is a text or content parts."""
    turns = [{"from": "human", "value": question}, {"from": "gpt", "value": "A sign."}]
    return {"id": "7", "conversations": turns, **more}


def chat(question="What is it?", **more):
    turns = [{"role": "user", "content": question}, {"role": "assistant", "content": "A sign."}]
    return {"id": "7", "messages": turns, **more}


def url(value):
    return {"type": "image_url", "image_url": value}


TEXT = {"type": "text", "text": "What is it?"}
IMAGE = {"type": "image"}
SUPPORTED = {
    "image": (conversation("<image>\nWhat is it?", image="a.png"), ["a.png"]),
    "image, a list": (conversation("<image>\nWhat is it?", image=["a.png"]), ["a.png"]),
    "images": (conversation("<image>\nWhat is it?", images=["a.png"]), ["a.png"]),
    "images, one path": (conversation("<image>\nWhat is it?", images="a.png"), ["a.png"]),
    "both, the same": (conversation("<image>\nWhat is it?", image="a.png", images=["a.png"]), ["a.png"]),
    "two": (conversation("<image><image>\nWhat is it?", images=["a.png", "b.png"]), ["a.png", "b.png"]),
    "messages": (chat("<image>What is it?", images=["a.png"]), ["a.png"]),
    "messages, parts": (chat([IMAGE, TEXT], images=["a.png"]), ["a.png"]),
    "a part with its path": (chat([{"type": "image", "image": "a.png"}, TEXT]), ["a.png"]),
    "the path named twice": (chat([{"type": "image", "image": "a.png"}, TEXT], images=["a.png"]), ["a.png"]),
    "OpenAI's parts": (chat([url({"url": "a.png"}), TEXT]), ["a.png"]),
    "OpenAI's parts in a conversation": (conversation([url({"url": "a.png"}), TEXT]), ["a.png"]),
    "a plain image_url": (chat([url("a.png"), TEXT]), ["a.png"]),
    "a data URI": (chat([url({"url": URI}), TEXT]), [PNG]),
    "a data URI in lines, unpadded": (
        conversation("<image>\nWhat is it?", image=URI[:60] + "\n" + URI[60:].rstrip("=")),
        [PNG],
    ),
    "in order": (chat([url("b.png"), IMAGE, TEXT], images=["a.png"]), ["b.png", "a.png"]),
    "where it comes from": (
        conversation("<image>\nWhat is it?", image="a.png", url="https://example.org/a.png", image_url="x"),
        ["a.png"],
    ),
    "numbers about images": (conversation(image_id=4, image_size=[3, 4], width=3), []),
    "nothing": (conversation(image="", images=[], video=None, videos=[]), []),
    "HTML": (conversation("<video>\n<source src='a.mp4'>\n</video>\nWhat is it?"), []),
    "tag within text": (conversation("What does the <video> tag do?"), []),
}


@pytest.mark.parametrize("name", SUPPORTED)
def test_images_are_read(name, tmp_path):
    record, expected = SUPPORTED[name]
    sample = from_published(record, "mix", tmp_path)
    assert list(sample.images) == [one if isinstance(one, bytes) else tmp_path / one for one in expected]
    assert image_count(record) == len(expected)
    parts = [part for message in sample.messages for part in message["content"]]
    assert [part["type"] for part in parts] == ["image"] * len(expected) + ["text", "text"]
    assert all(part == IMAGE for part in parts[:-2])  # only the sample's images keep the names


UNSUPPORTED = {
    "a video's URL": (conversation("<video>\nx", video="https://example.org/a.mp4"), "is a URL: download it"),
    "audio": (chat(audio={"path": "a.wav"}), "audio is"),
    "a video's path": (conversation(video_path="a"), "video_path is 'a'"),
    "a tag": (conversation("<video>\nWhat happens?"), "turn 1 has <video>: no video is named"),
    "a tag at the end": (chat("What happens?\n<audio>"), "turn 1 has <audio>"),
    "image_url": (conversation(image_url="a.png"), "image_url is 'a.png': name images under image or images"),
    "image_paths": (conversation(image_paths=["a.png"]), "image_paths is"),
    "img": (conversation(img={"bytes": "aaaa"}), "img is"),
    "any name": (conversation(shown="pictures/a.JPG"), "shown is 'pictures/a.JPG'"),
    "any name, a list": (conversation(frames=[{"path": "a.png"}]), "frames is"),
    "any name, a data URI": (conversation(shown=URI), "shown is 'data:image/png;base64,"),
    "a URL": (
        conversation("<image>\nWhat is it?", image="https://example.org/a.png"),
        "is a URL: download it and name the file",
    ),
    "a URL in a part": (chat([url({"url": "https://example.org/a.png"}), TEXT]), "is a URL"),
    "an audio part": (
        conversation([{"type": "input_audio", "input_audio": {"data": ""}}, TEXT]),
        "a part of type input_audio",
    ),
}


@pytest.mark.parametrize("name", UNSUPPORTED)
def test_unsupported_media_is_reported(name, tmp_path):
    record, words = UNSUPPORTED[name]
    with pytest.raises(SampleError) as caught:
        from_published(record, "mix", tmp_path)
    assert (caught.value.issue, caught.value.id, caught.value.source) == (SampleIssue.UNREAD_MEDIA, "7", "mix")
    assert words in str(caught.value)
    assert "\n" not in str(pickle.loads(pickle.dumps(caught.value)))
    assert len(str(caught.value)) < 300


INVALID = {
    "different ones": (
        conversation("<image>\nx", image="a.png", images=["b.png"]),
        SampleIssue.MALFORMED,
        "image and images name different",
    ),
    "videos without tags": (conversation(videos=["a.mp4"]), SampleIssue.VIDEO_TAGS, "0 video tags, but 1 videos"),
    "images without tags": (conversation(images=["a.png"]), SampleIssue.SURPLUS_IMAGE, "0 image tags, but 1 images"),
    "a part that names nothing": (chat([url({}), TEXT]), SampleIssue.DANGLING_TAG, "1 image tags, but 0"),
    "a number": (conversation("<image>\nx", images=7), SampleIssue.MALFORMED, "images is 7"),
    "a part with a number": (chat([{"type": "image", "image": 7}, TEXT]), SampleIssue.MALFORMED, "an image is 7"),
    "a path upwards": (chat([url("../a.png"), TEXT]), SampleIssue.UNSAFE_PATH, "'../a.png'"),
    "broken base64": (chat([url("data:image/png;base64,@@@"), TEXT]), SampleIssue.IMAGE, "invalid base64"),
}


@pytest.mark.parametrize("name", INVALID)
def test_invalid_images(name, tmp_path):
    record, issue, words = INVALID[name]
    with pytest.raises(SampleError, match=words) as caught:
        from_published(record, "mix", tmp_path)
    assert caught.value.issue is issue


def test_shard_without_its_named_images_is_refused():
    record = {**chat(), "source": "mix", "images": ["a.png"]}
    with pytest.raises(SampleError, match="1 images are named, but none is in the shard") as caught:
        from_record(record, [], None)
    assert caught.value.issue is SampleIssue.UNREAD_MEDIA
    with pytest.raises(SampleError, match=r"video is 'a\.mp4': shards hold no videos"):
        from_record({**chat(), "source": "mix", "video": "a.mp4"}, [], None)


def test_unsupported_column_is_reported(tmp_path):
    import pyarrow.parquet

    sample = from_record({**chat(), "source": "mix"}, [], None)
    write_parquet([sample, sample], tmp_path / "x.parquet")
    table = pyarrow.parquet.read_table(tmp_path / "x.parquet").append_column("video", [["a.mp4", None]])
    pyarrow.parquet.write_table(table, tmp_path / "x.parquet")
    reader = open_reader(tmp_path / "x.parquet")
    with pytest.raises(SampleError, match=r"video is 'a\.mp4'"):
        reader[0]
    assert reader[1].messages == sample.messages


def test_validation_reports_unsupported_media(tmp_path):
    (tmp_path / "a.png").write_bytes(PNG)
    records = [{**record, "id": name} for name, (record, _) in UNSUPPORTED.items()]
    records += [conversation("<image>\nWhat is it?", images=["a.png"]), chat([url({"url": URI}), TEXT], more=1)]
    (tmp_path / "x.json").write_text(json.dumps(records))
    words = ["data", "doctor", str(tmp_path / "x.json"), "--images", str(tmp_path), "--json", str(tmp_path / "f.json")]
    done = CliRunner().invoke(app, words, catch_exceptions=False)
    assert f"{len(UNSUPPORTED)}  media that is not read" in done.stdout
    found = json.loads((tmp_path / "f.json").read_text())
    assert {issue["id"] for issue in found["issues"] if issue["kind"] == "media that is not read"} == UNSUPPORTED.keys()
    assert found["references"] == 2
    reader = open_reader(tmp_path / "x.json", tmp_path)
    assert reader.images[-2:].tolist() == [1, 1]
