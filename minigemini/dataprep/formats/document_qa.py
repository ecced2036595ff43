"""Question answering on documents, charts and diagrams: one conversation per image, with all its questions."""

import csv
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from ...data.readers import MemoryReader, SourceError
from ...data.readers.json_files import iterate_list
from ..source_spec import SourceSpec
from .records import LETTER_ANSWER, SHORT_ANSWER, conversation, each, load_json, seeded_choice

Question = tuple[str, str, str]
"""Image, question, answer."""


def open_docvqa(source: SourceSpec, data: Path, seed: int) -> MemoryReader:
    """DocVQA: `{"data": [{"image", "question", "answers", …}]}`; the first of several answers is used.

    Raises:
        SourceError: The file has another format.
    """
    path = data / source.records[0].path
    document = load_json(path)
    if not isinstance(document, dict) or not isinstance(document.get("data"), list):
        raise SourceError(f"{path} has no list `data`: check that it is the annotation file of Task 1")
    return _by_image(
        source, data, each(path, iter(document["data"]), lambda q: (q["image"], q["question"], q["answers"][0]))
    )


def open_chartqa(source: SourceSpec, data: Path, seed: int) -> MemoryReader:
    """ChartQA: `[{"imgname", "query", "label"}]`.

    Raises:
        SourceError: The file has another format.
    """
    path = data / source.records[0].path
    return _by_image(source, data, each(path, iterate_list(path), lambda q: (q["imgname"], q["query"], q["label"])))


def open_dvqa(source: SourceSpec, data: Path, seed: int) -> MemoryReader:
    """DVQA: `[{"image", "question", "answer", …}]`, 2.3M questions. The file is read twice to keep only those drawn.

    Raises:
        SourceError: The file has another format.
    """
    path = data / source.records[0].path
    charts = sorted({chart for _, chart in each(path, iterate_list(path), lambda q: str(q["image"]))})
    take = min(source.take or len(charts), len(charts))
    chosen = {charts[n] for n in seeded_choice(len(charts), take, seed, source.name)}
    questions = each(path, iterate_list(path), lambda q: (q["image"], q["question"], q["answer"]))
    return _by_image(source, data, ((origin, q) for origin, q in questions if q[0] in chosen))


def open_ai2d(source: SourceSpec, data: Path, seed: int) -> MemoryReader:
    """AI2D: one file per diagram, `questions/7.png.json`; answers are lettered A to D.

    Questions that refer to parts by letters belong to the version of the image in which letters replace labels
    (`abc_images`). They are used only if a diagram has no others.

    Raises:
        SourceError: A file has another format, or there are none.
    """
    root, ids = data / str(source.images), data / source.records[0].path
    with ids.open(newline="", encoding="utf-8") as file:
        test = {row[0].removesuffix(".png") for row in csv.reader(file) if row}
    files = sorted((root / "questions").glob("*.json"), key=lambda path: (len(path.name), path.name))
    if not files:
        raise SourceError(f"{root / 'questions'}: no question files found: unpack ai2d-all.zip into {root}")
    training = [path for path in files if path.name.partition(".")[0] not in test]
    return MemoryReader(
        (record for path in training if (record := _diagram(path))), root, source.name, licence=source.licence
    )


def _diagram(path: Path) -> dict[str, Any] | None:
    [(_, (name, questions))] = each(
        path, iter([load_json(path)]), lambda d: (d["imageName"], _questions(d["questions"]))
    )
    letters = not any(not of_letters for of_letters, _, _ in questions)
    turns = [(question, answer) for of_letters, question, answer in questions if of_letters == letters]
    if not turns:
        return None
    folder = "abc_images" if letters else "images"
    image = PurePosixPath(folder, PurePosixPath(name).name).as_posix()
    return conversation(f"ai2d-{PurePosixPath(name).stem}", turns, path.name, [image], LETTER_ANSWER)


def _questions(questions: dict[str, Any]) -> list[tuple[bool, str, str]]:
    """Whether a question refers to letters, the question with its choices, and the letter of the correct choice."""
    listed = []
    for question, entry in questions.items():
        lines = [question, *(f"{'ABCDEFGH'[n]}. {text}" for n, text in enumerate(entry["answerTexts"]))]
        listed.append((bool(entry["abcLabel"]), "\n".join(lines), "ABCDEFGH"[int(entry["correctAnswer"])]))
    return listed


def _by_image(source: SourceSpec, data: Path, questions: Iterable[tuple[str, Question]]) -> MemoryReader:
    """Group questions into one conversation per image, ordered by first appearance."""
    return MemoryReader(
        _grouped(source.name, questions), data / str(source.images), source.name, licence=source.licence
    )


def _grouped(name: str, questions: Iterable[tuple[str, Question]]) -> Iterator[dict[str, Any]]:
    images: dict[str, tuple[str, list[tuple[str, str]]]] = {}
    for origin, (image, question, answer) in questions:
        images.setdefault(PurePosixPath(image).name, (origin, []))[1].append((str(question), str(answer)))
    for image, (origin, turns) in images.items():
        yield conversation(f"{name}-{PurePosixPath(image).stem}", turns, origin, [image], SHORT_ANSWER)
