"""Questions about documents, charts and diagrams: a conversation for each picture, with all questions about it."""

import csv
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from ...data.readers import MemoryReader, SourceError
from ...data.readers.json_files import iterate_list
from ..source_spec import SourceSpec
from .qa_records import LETTER_ANSWER, SHORT_ANSWER, conversation, each, load_json
from .seeded_choice import seeded_choice

Asked = tuple[str, str, str]
"""Picture, question, answer."""


def open_docvqa(source: SourceSpec, data: Path, seed: int) -> MemoryReader:
    """DocVQA: `{"data": [{"image", "question", "answers", …}]}`; of several answers the first.

    Raises:
        SourceError: It is no such file.
    """
    path = data / source.records[0].path
    document = load_json(path)
    if not isinstance(document, dict) or not isinstance(document.get("data"), list):
        raise SourceError(f"{path} has no list `data`: is it the annotations of Task 1?")
    return _by_image(
        source, data, each(path, iter(document["data"]), lambda q: (q["image"], q["question"], q["answers"][0]))
    )


def open_chartqa(source: SourceSpec, data: Path, seed: int) -> MemoryReader:
    """ChartQA: `[{"imgname", "query", "label"}]`.

    Raises:
        SourceError: It is no such file.
    """
    path = data / source.records[0].path
    return _by_image(source, data, each(path, iterate_list(path), lambda q: (q["imgname"], q["query"], q["label"])))


def open_dvqa(source: SourceSpec, data: Path, seed: int) -> MemoryReader:
    """DVQA: `[{"image", "question", "answer", …}]`, 2.3M of them: read twice, so that only what is drawn is kept.

    Raises:
        SourceError: It is no such file.
    """
    path = data / source.records[0].path
    charts = sorted({chart for _, chart in each(path, iterate_list(path), lambda q: str(q["image"]))})
    take = min(source.take or len(charts), len(charts))
    chosen = {charts[n] for n in seeded_choice(len(charts), take, seed, source.name)}
    asked = each(path, iterate_list(path), lambda q: (q["image"], q["question"], q["answer"]))
    return _by_image(source, data, ((origin, q) for origin, q in asked if q[0] in chosen))


def open_ai2d(source: SourceSpec, data: Path, seed: int) -> MemoryReader:
    """AI2D: a file a diagram, `questions/7.png.json`, with the letters A to D before its answers.

    Where questions name parts by letters, they are about the picture in which letters stand for the parts' names
    (`abc_images`); such questions are taken where a diagram has no others.

    Raises:
        SourceError: A file is of another form, or there is none.
    """
    root, ids = data / str(source.images), data / source.records[0].path
    with ids.open(newline="", encoding="utf-8") as file:
        test = {row[0].removesuffix(".png") for row in csv.reader(file) if row}
    files = sorted((root / "questions").glob("*.json"), key=lambda path: (len(path.name), path.name))
    if not files:
        raise SourceError(f"{root / 'questions'}: no files of questions: unpack ai2d-all.zip into {root}")
    training = [path for path in files if path.name.partition(".")[0] not in test]
    return MemoryReader(
        (record for path in training if (record := _diagram(path))), root, source.name, licence=source.licence
    )


def _diagram(path: Path) -> dict[str, Any] | None:
    [(_, (name, asked))] = each(path, iter([load_json(path)]), lambda d: (d["imageName"], _choices(d["questions"])))
    letters = not any(not of_letters for of_letters, _, _ in asked)
    turns = [(question, answer) for of_letters, question, answer in asked if of_letters == letters]
    if not turns:
        return None
    folder = "abc_images" if letters else "images"
    image = PurePosixPath(folder, PurePosixPath(name).name).as_posix()
    return conversation(f"ai2d-{PurePosixPath(name).stem}", turns, path.name, [image], LETTER_ANSWER)


def _choices(questions: dict[str, Any]) -> list[tuple[bool, str, str]]:
    """Whether a question names letters; the question with its choices; the letter of the right one."""
    asked = []
    for question, entry in questions.items():
        lines = [question, *(f"{'ABCDEFGH'[n]}. {text}" for n, text in enumerate(entry["answerTexts"]))]
        asked.append((bool(entry["abcLabel"]), "\n".join(lines), "ABCDEFGH"[int(entry["correctAnswer"])]))
    return asked


def _by_image(source: SourceSpec, data: Path, asked: Iterable[tuple[str, Asked]]) -> MemoryReader:
    """A conversation for each picture, in the order in which pictures first appear."""
    return MemoryReader(_grouped(source.name, asked), data / str(source.images), source.name, licence=source.licence)


def _grouped(name: str, asked: Iterable[tuple[str, Asked]]) -> Iterator[dict[str, Any]]:
    images: dict[str, tuple[str, list[tuple[str, str]]]] = {}
    for origin, (image, question, answer) in asked:
        images.setdefault(PurePosixPath(image).name, (origin, []))[1].append((str(question), str(answer)))
    for image, (origin, turns) in images.items():
        yield conversation(f"{name}-{PurePosixPath(image).stem}", turns, origin, [image], SHORT_ANSWER)
