"""The samples that a page shows: what the model saw, where mining looked, what was asked, said and right."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from ..images.safe_images import ImageError
from ..inference.attention_maps import explain_images
from ..inference.engine import Engine
from .evaluate import Result
from .task import Grade, Question, open_one, spread

FOLDER, WIDTH_PX = "pictures", 640


@dataclass(frozen=True)
class Card:
    """One sample of the gallery; `picture` is relative to the run's folder, None where there is none to show."""

    task: str
    model: str
    id: str
    prompt: str
    said: str
    read_as: str
    truth: str
    value: float
    category: str
    image: str | None


def cards_of(folder: Path, result: Result, engine: Engine | None, most: int) -> list[Card]:
    """Half of them wrong where there are as many, the rest right; their pictures are drawn into the folder."""
    graded = [(question, said, grade) for question, said, grade in result.samples if grade is not None]
    wrong = spread([sample for sample in graded if sample[2].value < 1], most // 2)
    right = spread([sample for sample in graded if sample[2].value >= 1], most - len(wrong))
    shown = {sample[0].id for sample in (*wrong, *right)}
    return [
        _card(folder, result, engine, question, said, grade) for question, said, grade in graded if question.id in shown
    ]


def _card(folder: Path, result: Result, engine: Engine | None, question: Question, said: str, grade: Grade) -> Card:
    category = next((", ".join(names) for names in question.categories.values()), question.facts.get("skill", ""))
    return Card(
        task=result.task,
        model=result.model,
        id=question.id,
        prompt=question.prompt,
        said=said,
        read_as=grade.read_as,
        truth=question.truth,
        value=grade.value,
        category=str(category),
        image=_drawn(folder, result.model, question, engine),
    )


def _drawn(folder: Path, model: str, question: Question, engine: Engine | None) -> str | None:
    """The heat map where there is mining, else the first picture; under a name that depends on what it shows."""
    if not question.images:
        return None
    try:
        images = [open_one(image) for image in question.images]
    except ImageError:
        return None
    mines = engine is not None and engine.model.model.patch_info_mining is not None
    name = hashlib.sha256(f"{model if mines else ''}\0{question.id}\0{question.prompt}".encode()).hexdigest()[:16]
    path = folder / FOLDER / f"{name}.webp"
    if not path.exists():
        drawn = explain_images(engine, images) if engine is not None and mines else images[0]
        path.parent.mkdir(exist_ok=True)
        aside = path.with_name(f".{path.name}.{os.getpid()}")
        _narrowed(drawn).save(aside, "WEBP", quality=80)
        aside.replace(path)
    return f"{FOLDER}/{path.name}"


def _narrowed(image: Image.Image) -> Image.Image:
    scale = min(1.0, WIDTH_PX / image.width)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image.resize(size, Image.Resampling.LANCZOS) if scale < 1 else image
