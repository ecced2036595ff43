"""Writes small datasets in the official file formats of the paper's benchmarks."""

import base64
import io
import json
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
from PIL import Image

COLORS = ("red", "green", "blue", "white", "black", "yellow")


def image(number: int = 0) -> bytes:
    """A PNG of one colour."""
    buffer = io.BytesIO()
    Image.new("RGB", (24 + number, 20), COLORS[number % len(COLORS)]).save(buffer, "PNG")
    return buffer.getvalue()


def textvqa(data: Path, answers: dict[str, list[str]]) -> None:
    """Write ten answers for each question id; question n is about image n."""
    folder = data / "textvqa"
    (folder / "train_images").mkdir(parents=True)
    rows, strings = [], []
    for number, (name, given) in enumerate(answers.items()):
        (folder / "train_images" / f"p{number}.jpg").write_bytes(image(number))
        row = {"question_id": name, "image_id": f"p{number}", "question": f"what is in {name}?", "answers": given}
        rows.append(row)
        strings.append({"image_id": f"p{number}", "ocr_tokens": ["NOKIA", f"{number}"]})
    (folder / "TextVQA_0.5.1_val.json").write_text(json.dumps({"data": rows}))
    (folder / "TextVQA_Rosetta_OCR_v0.2_val.json").write_text(json.dumps({"data": strings}))


def mmbench(data: Path, rows: list[dict[str, Any]], name: str = "mmbench_dev_20230712.tsv") -> None:
    """Write rows as in the official file; rows without an image get one."""
    (data / "mmbench").mkdir(parents=True)
    columns = ["index", "question", "hint", "A", "B", "C", "D", "answer", "category", "image", "l2-category"]
    encoded = base64.b64encode(image()).decode()
    lines = ["\t".join(columns)]
    lines += ["\t".join(str(({"image": encoded} | row).get(column, "")) for column in columns) for row in rows]
    (data / "mmbench" / name).write_text("\n".join(lines) + "\n")


def mme(data: Path, categories: dict[str, int]) -> None:
    """Write a number of images per category, each with a Yes and a No question."""
    for category, count in categories.items():
        folder = data / "mme" / "MME_Benchmark_release_version" / category
        texts = folder / "questions_answers_YN" if category == "posters" else folder
        image_folder = folder / "images" if category == "posters" else folder
        texts.mkdir(parents=True)
        image_folder.mkdir(exist_ok=True)
        for number in range(count):
            (image_folder / f"{number:04d}.png").write_bytes(image(number))
            lines = [
                f"Is it {word}? Please answer yes or no.\t{answer}" for word, answer in (("so", "Yes"), ("not", "No"))
            ]
            (texts / f"{number:04d}.txt").write_text("\n".join(lines) + "\n")


def mmvet(data: Path, answers: dict[str, tuple[str, list[str]]]) -> None:
    """Write the truth and capabilities of each question name."""
    (data / "mmvet" / "images").mkdir(parents=True)
    rows = {}
    for number, (name, (truth, capabilities)) in enumerate(answers.items()):
        (data / "mmvet" / "images" / f"{name}.png").write_bytes(image(number))
        rows[name] = {"imagename": f"{name}.png", "question": f"{name}?", "answer": truth, "capability": capabilities}
    (data / "mmvet" / "mm-vet.json").write_text(json.dumps(rows))


def mmmu(data: Path, subjects: dict[str, list[dict[str, Any]]], split: str = "validation") -> None:
    """Write the rows of each subject; each row gets two images."""
    for subject, rows in subjects.items():
        folder = data / "mmmu" / subject
        folder.mkdir(parents=True)
        images = {f"image_{number}": {"bytes": image(number), "path": None} for number in (1, 2)}
        table = pyarrow.Table.from_pylist([{**images, "image_3": None, **row} for row in rows])
        pyarrow.parquet.write_table(table, folder / f"{split}-00000-of-00001.parquet")


def mathvista(data: Path, rows: dict[str, dict[str, Any]], parquet: bool = False) -> None:
    """Write questions by pid, given their differences from a question without choices."""
    folder = data / "mathvista"
    (folder / "images").mkdir(parents=True)
    usual = {"choices": None, "unit": None, "precision": None, "question_type": "free_form", "answer_type": "integer"}
    metadata = {"task": "figure question answering", "skills": ["arithmetic reasoning", "numeric commonsense"]}
    whole = {}
    for pid, row in rows.items():
        (folder / "images" / f"{pid}.png").write_bytes(image(int(pid)))
        path = f"images/{pid}.png"
        whole[pid] = {
            **usual,
            "pid": pid,
            "question": f"How many in {pid}?",
            "image": path,
            "metadata": metadata,
            **row,
        }
    if parquet:
        listed = [{**row, "decoded_image": {"bytes": image(int(pid)), "path": None}} for pid, row in whole.items()]
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(listed), folder / "testmini-00000-of-00001.parquet")
    else:
        (folder / "testmini.json").write_text(json.dumps(whole))
