"""Writes files in the native format of each source, at any size."""

import csv
import gzip
import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from minigemini.dataprep.sources import SOURCES

MIX = {"coco/train2017": 364_100, "gqa/images": 72_140, "ocr_vqa/images": 80_000, "textvqa/train_images": 21_953}
MIX |= {"vg/VG_100K": 86_417, "": 40_688}
"""Samples of LLaVA-1.5's mix by image folder; the last is text only."""


def published(id: str, image: str | None, *texts: str) -> dict:
    tag = "<image>\n" if image else ""
    turns = [{"from": ("human", "gpt")[n % 2], "value": (tag if not n else "") + text} for n, text in enumerate(texts)]
    return {"id": id, **({"image": image} if image else {}), "conversations": turns}


def write_list(path: Path, records: Iterable[dict]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as file:
        file.write("[")
        for number, record in enumerate(records):
            file.write((", " if number else "") + json.dumps(record, ensure_ascii=False))
        file.write("]")


def _at(data: Path, name: str, number: int = 0) -> Path:
    path = data / SOURCES[name].records[number].path
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def llava_pretrain(data: Path, count: int) -> None:
    ids = (f"{n:09d}" for n in range(count))
    records = (published(id, f"{id[:5]}/{id}.jpg", "Give a brief description.", f"thing {id}") for id in ids)
    write_list(_at(data, "llava-pretrain"), records)


def allava(data: Path, name: str, laion: int, vflan: int) -> None:
    kind = "cap" if "captions" in name else "inst"
    for number, (part, folder, count) in enumerate(
        [("laion", "images", laion), ("vflan", "images/images_191task_1k", vflan)]
    ):
        records = (
            published(f"allava_{part}_{kind}_{n}", f"allava_{part}/{folder}/{n}.jpeg", "What is it?", f"It is {n}.")
            | ({"original_caption": "a ring", "url": f"https://example.org/{n}.jpg"} if part == "laion" else {})
            for n in range(count)
        )
        write_list(_at(data, name, number), records)


def mix665k(data: Path, scale: float = 1.0) -> None:
    """In the order of folders; the real file's order is another, which no rule looks at."""

    def records() -> Iterator[dict]:
        for folder, count in MIX.items():
            for n in range(round(count * scale)):
                image = f"{folder}/{n:012d}.jpg" if folder else None
                yield published(f"{folder}{n}", image, f"What is {n}?", f"{n}", "And now?", "The same.")

    write_list(_at(data, "llava-mix665k"), records())


def sharegpt4v(data: Path, count: int) -> None:
    folders = ("coco/train2017", "sam/images", "llava/llava_pretrain/images/00001", "share_textvqa/images")
    ids = (f"{n:07d}" for n in range(count))
    records = (published(id, f"{folders[int(id) % 4]}/{id}.jpg", "Describe it.", f"In it: {id}.") for id in ids)
    write_list(_at(data, "sharegpt4v"), records)


def laion_gpt4v(data: Path, count: int, dead: Iterable[int] = ()) -> None:
    import pyarrow.parquet

    links = [f"https://cdn.example.org/{n}.{('png', 'jpg')[n % 2]}" for n in range(count)]
    columns = {"caption": [f"A caption of {n}." for n in range(count)], "link": links}
    columns |= {"message_id": [str(n) for n in range(count)], "timestamp": ["2023-11-08"] * count}
    pyarrow.parquet.write_table(pyarrow.table(columns), _at(data, "laion-gpt4v"))
    images = data / str(SOURCES["laion-gpt4v"].images)
    images.mkdir(parents=True, exist_ok=True)
    gone = set(dead)
    for n, link in enumerate(links):
        if n not in gone:
            (images / f"{n}{Path(link).suffix}").touch()


def lima(data: Path, count: int) -> None:
    with _at(data, "lima").open("w") as file:
        for n in range(count):
            said = [f"question {n}", f"answer {n}", "and?", f"more {n}", "unanswered"][: 2 + n % 4]
            file.write(json.dumps({"conversations": said, "source": "stackexchange"}) + "\n")


def _message(id: str, role: str, replies: list[dict], **fields) -> dict:
    return {"message_id": id, "text": f"said {id}", "role": role, "lang": "en", "replies": replies, **fields}


def oasst2(data: Path, english: int, others: int = 0) -> None:
    """Trees of three answers, of which the second ranks first, goes on, and is answered once more."""
    with gzip.open(_at(data, "oasst2"), "wt", compresslevel=1) as file:
        for n in range(english + others):
            last = _message(f"{n}.d", "assistant", [], rank=None)
            asked = _message(f"{n}.c", "prompter", [last])
            unanswered = _message(f"{n}.e", "prompter", [])
            replies = [
                _message(f"{n}.a", "assistant", [], rank=1),
                _message(f"{n}.b", "assistant", [asked, unanswered], rank=0),
                _message(f"{n}.x", "assistant", [], rank=0, deleted=True),
                _message(f"{n}.y", "assistant", [], rank=None),
            ]
            prompt = _message(f"{n}.q", "prompter", replies) | {"lang": "en" if n < english else "de"}
            file.write(json.dumps({"message_tree_id": f"tree-{n}", "tree_state": "ready", "prompt": prompt}) + "\n")


def docvqa(data: Path, pages: int, questions: int = 4) -> None:
    asked = [
        {
            "questionId": n,
            "question": f"What is line {n}?",
            "image": f"documents/p{n % pages}_1.png",
            "docId": n % pages,
        }
        | {"answers": [f"{n}/8/93", f"{n}"], "data_split": "train"}
        for n in range(pages * questions)
    ]
    _at(data, "docvqa").write_text(json.dumps({"dataset_name": "docvqa", "dataset_split": "train", "data": asked}))


def chartqa(data: Path, charts: int) -> None:
    records = ({"imgname": f"{n // 2}.png", "query": f"How high is {n}?", "label": f"{n}.5"} for n in range(2 * charts))
    write_list(_at(data, "chartqa"), records)


def dvqa(data: Path, charts: int, questions: int = 2) -> None:
    records = (
        {"image": f"bar_train_{n:08d}.png", "question": f"How many bars {q}?", "answer": f"{n}", "question_id": n}
        | {"template_id": "structure", "answer_bbox": []}
        for n in range(charts)
        for q in range(questions)
    )
    write_list(_at(data, "dvqa"), records)


def ai2d(data: Path, diagrams: int, test: int) -> None:
    root = _at(data, "ai2d").parent
    (root / "questions").mkdir(exist_ok=True)
    with _at(data, "ai2d").open("w", newline="") as file:
        csv.writer(file).writerows([n] for n in range(test))
    for n in range(diagrams):
        choices = {"answerTexts": ["leaf", "stem", "root", "eye"], "correctAnswer": n % 4}
        questions = {f"What is {n}?": {**choices, "abcLabel": n % 5 == 0, "questionId": f"{n}.png-0"}}
        if n % 5 == 1:
            questions["What does C show?"] = {**choices, "abcLabel": True, "questionId": f"{n}.png-1"}
        text = json.dumps({"imageName": f"{n}.png", "questions": questions})
        (root / "questions" / f"{n}.png.json").write_text(text)
