"""Conversion of records to samples, and the issues of invalid records."""

import pickle
from pathlib import Path

import pytest

from minigemini.data.schema import SampleError, SampleIssue, from_published, from_record

ROOT = Path("/pictures")
IMAGE = {"type": "image"}


def text(value):
    return {"type": "text", "text": value}


def published(*values, image="a/b.jpg", speakers=("human", "gpt"), **fields):
    turns = [{"from": speakers[n % 2], "value": value} for n, value in enumerate(values)]
    record = {"id": "7", "image": image, "conversations": turns, **fields}
    return {name: value for name, value in record.items() if value is not None}


def test_published_record():
    sample = from_published(published("What?\n<image>", "A cat.", " And? ", " A dog. "), "coco", ROOT)
    assert (sample.id, sample.source, sample.images) == ("7", "coco", (ROOT / "a/b.jpg",))
    assert [(m["role"], m["content"]) for m in sample.messages] == [
        ("user", [IMAGE, text("What?")]),
        ("assistant", [text("A cat.")]),
        ("user", [text(" And? ")]),
        ("assistant", [text(" A dog. ")]),
    ]


def test_listed_images_follow_the_order_of_tags():
    record = published("<image>\n<image> Which?", "This.", "<image>", "No.", image=["1.png", "2.png", "3.png"])
    sample = from_published(record, "s", ROOT)
    assert [path.name for path in sample.images] == ["1.png", "2.png", "3.png"]
    assert [m["content"] for m in sample.messages[::2]] == [[IMAGE, IMAGE, text("Which?")], [IMAGE]]


@pytest.mark.parametrize("image", [None, [], ""])
def test_text_only_needs_no_folder(image):
    sample = from_published(published("Hello", "Hi.", image=image, id=12), "s", None)
    assert (sample.id, sample.images) == ("12", ())


PUBLISHED_ISSUES = {
    "no record": ("text", SampleIssue.MALFORMED, "object with an id"),
    "no id": (published("<image>", "a", id=""), SampleIssue.MALFORMED, "object with an id"),
    "no turns": (published(), SampleIssue.MALFORMED, "conversations must be a list of at least one"),
    "a turn without text": (published("<image>", None), SampleIssue.MALFORMED, "turn 2"),
    "an unknown speaker": (
        published("<image>", "a", speakers=("human", "bot")),
        SampleIssue.UNKNOWN_SPEAKER,
        "2 is from 'b",
    ),
    "answers alone": (
        published("q", "a", image=None, speakers=("gpt", "human")),
        SampleIssue.ROLE_ORDER,
        "assistant, user",
    ),
    "no last answer": (published("<image>", "a", "b"), SampleIssue.ROLE_ORDER, "user, assistant, user"),
    "an empty answer": (published("<image>", " \n"), SampleIssue.EMPTY_ANSWER, "message 2"),
    "an empty question": (published(" ", "a", image=None), SampleIssue.EMPTY_QUESTION, "message 1"),
    "tag without image": (
        published("<image>", "a", image=None),
        SampleIssue.DANGLING_TAG,
        "1 image tags, but 0 images",
    ),
    "two tags": (published("<image>", "a", "<image>", "b"), SampleIssue.DANGLING_TAG, "2 image tags, but 1 images"),
    "image without tag": (published("q", "a"), SampleIssue.SURPLUS_IMAGE, "0 image tags, but 1 images"),
    "a tag in an answer": (
        published("<image>", "an <image>"),
        SampleIssue.TAG_IN_ANSWER,
        "message 2 is from assistant",
    ),
    "an image that is a number": (published("<image>", "a", image=3), SampleIssue.MALFORMED, "image is 3"),
    "a path that is a number": (published("<image>", "a", image=[3]), SampleIssue.MALFORMED, "an image is 3"),
    "a path upwards": (published("<image>", "a", image="a/../../b"), SampleIssue.UNSAFE_PATH, "'a/../../b'"),
    "a path from the root": (published("<image>", "a", image="/etc/passwd"), SampleIssue.UNSAFE_PATH, "'/etc/passwd'"),
}


@pytest.mark.parametrize("name", PUBLISHED_ISSUES)
def test_issues_of_published_records(name):
    record, issue, message = PUBLISHED_ISSUES[name]
    with pytest.raises(SampleError, match=message) as caught:
        from_published(record, "mix", ROOT)
    assert caught.value.issue is issue
    if "object" not in message:
        assert (caught.value.id, caught.value.source) == ("7", "mix")
        assert str(caught.value).startswith(f"mix: sample '7': {issue}: ")
    again = pickle.loads(pickle.dumps(caught.value))
    assert (str(again), again.issue) == (str(caught.value), issue)


def ours(*messages, **fields):
    return {"id": "7", "source": "lima", "messages": list(messages), **fields}


def message(role, content):
    return {"role": role, "content": content}


def test_our_record():
    record = ours(
        message("system", "Be brief."),
        message("user", [{**IMAGE, "text": None}, {**text("What?"), "more": 1}]),
        message("assistant", "A cat."),
    )
    sample = from_record(record, [b"png"], None)
    assert (sample.source, sample.images) == ("lima", (b"png",))
    assert [m["content"] for m in sample.messages] == [[text("Be brief.")], [IMAGE, text("What?")], [text("A cat.")]]
    assert from_record(record, ["x.png"], ROOT).images == (ROOT / "x.png",)


OUR_ISSUES = {
    "no source": (ours(source=""), [], SampleIssue.MALFORMED, "source is ''"),
    "a message that is a text": (ours("hello"), [], SampleIssue.MALFORMED, "message 1"),
    "an unknown role": (ours(message("tool", "x")), [], SampleIssue.UNKNOWN_SPEAKER, "from 'tool'"),
    "a video": (
        ours(message("user", [{"type": "video"}]), message("assistant", "x")),
        [],
        SampleIssue.VIDEO_TAGS,
        "1 video tags, but 0 videos",
    ),
    "another part": (
        ours(message("user", [{"type": "table"}])),
        [],
        SampleIssue.MALFORMED,
        "neither text, image nor video",
    ),
    "a system message alone": (ours(message("system", "x")), [], SampleIssue.ROLE_ORDER, "none"),
    "a tag in the text": (
        ours(message("user", "<image>"), message("assistant", "x")),
        [],
        SampleIssue.MALFORMED,
        "image part",
    ),
    "a path without a folder": (
        ours(message("user", [IMAGE])),
        ["x.png"],
        SampleIssue.NO_FOLDER,
        "no folder of pictures",
    ),
    "an image in a system message": (
        ours(message("system", [IMAGE]), message("user", "q"), message("assistant", "a")),
        [b"png"],
        SampleIssue.TAG_IN_ANSWER,
        "is from system",
    ),
}


@pytest.mark.parametrize("name", OUR_ISSUES)
def test_issues_of_our_records(name):
    record, images, issue, words = OUR_ISSUES[name]
    with pytest.raises(SampleError, match=words) as caught:
        from_record(record, images, None)
    assert (caught.value.issue, caught.value.id) == (issue, "7")
