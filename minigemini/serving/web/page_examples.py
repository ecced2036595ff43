"""What an empty page offers: a model's example images with questions, and a line on what the model knows.

A checkpoint folder declares them in examples.json:

    {"about": "Knows … but not …", "examples": [{"image": "examples/cat.jpg", "question": "What is this?"}]}
"""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...io.errors import CheckpointError
from ...io.untrusted import read_json

FILE = "examples.json"
MOST_EXAMPLES, MOST_CHARS, MOST_BYTES = 8, 300, 4 * 2**20
"""Limits on examples, on the length of each text, and on the size of each image."""
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")


@dataclass(frozen=True)
class PageExample:
    """A question about an image."""

    image: Path
    question: str


@dataclass(frozen=True)
class PageExamples:
    """What an empty page offers; `about` says what the model knows and what it does not."""

    about: str = ""
    examples: tuple[PageExample, ...] = ()

    def copied_to(self, folder: Path) -> "PageExamples":
        """Copy the images into a folder, under the names of their places in the list."""
        folder.mkdir(exist_ok=True)
        copies = []
        for number, example in enumerate(self.examples, 1):
            copy = folder / f"{number}{example.image.suffix}"
            shutil.copyfile(example.image, copy)
            copies.append(PageExample(copy, example.question))
        return PageExamples(self.about, tuple(copies))


NO_EXAMPLES = PageExamples()


def read_examples(folder: Path) -> PageExamples:
    """Read the examples of a checkpoint folder; none if it declares none.

    Raises:
        CheckpointError: The file is malformed, or names an image that is not in the folder.
    """
    if not (folder / FILE).is_file():
        return NO_EXAMPLES
    content = read_json(folder / FILE, str(folder))
    listed = content.get("examples", [])
    if not isinstance(listed, list) or len(listed) > MOST_EXAMPLES:
        raise CheckpointError(f"{folder / FILE}: examples must be a list of at most {MOST_EXAMPLES}; shorten it")
    return PageExamples(
        _text(content.get("about", ""), folder), tuple(_read_example(entry, folder) for entry in listed)
    )


def _read_example(entry: Any, folder: Path) -> PageExample:
    fields = entry if isinstance(entry, dict) else {}
    name = _text(fields.get("image"), folder)
    image = (folder / name).resolve()
    inside = image.is_relative_to(folder.resolve()) and image.suffix.lower() in SUFFIXES and image.is_file()
    if not inside or image.stat().st_size > MOST_BYTES:
        raise CheckpointError(
            f"{folder / FILE}: image {name!r} is not an image of at most {MOST_BYTES:,} bytes in the folder; correct it"
        )
    return PageExample(image, _text(fields.get("question"), folder))


def _text(value: Any, folder: Path) -> str:
    if not isinstance(value, str) or len(value) > MOST_CHARS or not value.replace("\n", "").isprintable():
        raise CheckpointError(
            f"{folder / FILE}: a text is missing, longer than {MOST_CHARS} characters or not printable; correct it"
        )
    return value
