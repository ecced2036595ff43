"""Samples for the HTML report: image or attention heatmap, question, answer and ground truth."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from ..images.safe_images import ImageError
from ..inference.attention_maps import explain_images
from ..inference.engine import Engine
from ..io.atomic_write import atomic_write
from .evaluate import Result
from .task import Grade, Question, open_image_input, spread

FOLDER, WIDTH_PX = "pictures", 640


@dataclass(frozen=True)
class Card:
    """One sample of the gallery; `image` is relative to the run's folder, None without one."""

    task: str
    model: str
    id: str
    prompt: str
    answer: str
    read_as: str
    truth: str
    value: float
    category: str
    image: str | None


def make_cards(folder: Path, result: Result, engine: Engine | None, limit: int) -> list[Card]:
    """Choose up to half wrong samples and the rest right ones, and write their images into the folder."""
    graded = [(question, answer, grade) for question, answer, grade in result.samples if grade is not None]
    wrong = spread([sample for sample in graded if sample[2].value < 1], limit // 2)
    right = spread([sample for sample in graded if sample[2].value >= 1], limit - len(wrong))
    chosen = {sample[0].id for sample in (*wrong, *right)}
    return [
        _card(folder, result, engine, question, answer, grade)
        for question, answer, grade in graded
        if question.id in chosen
    ]


def _card(folder: Path, result: Result, engine: Engine | None, question: Question, answer: str, grade: Grade) -> Card:
    category = next((", ".join(names) for names in question.categories.values()), question.facts.get("skill", ""))
    return Card(
        task=result.task,
        model=result.model,
        id=question.id,
        prompt=question.prompt,
        answer=answer,
        read_as=grade.read_as,
        truth=question.truth,
        value=grade.value,
        category=str(category),
        image=_write_image(folder, result.model, question, engine),
    )


def _write_image(folder: Path, model: str, question: Question, engine: Engine | None) -> str | None:
    """Write the heatmap if the model has mining, else the first image, under a name that hashes its content."""
    if not question.images:
        return None
    try:
        images = [open_image_input(image) for image in question.images]
    except ImageError:
        return None
    has_mining = engine is not None and engine.model.model.patch_info_mining is not None
    name = hashlib.sha256(f"{model if has_mining else ''}\0{question.id}\0{question.prompt}".encode()).hexdigest()[:16]
    path = folder / FOLDER / f"{name}.webp"
    if not path.exists():
        image = explain_images(engine, images) if engine is not None and has_mining else images[0]
        path.parent.mkdir(exist_ok=True)
        with atomic_write(path) as partial:
            _shrink(image).save(partial, "WEBP", quality=80)
    return f"{FOLDER}/{path.name}"


def _shrink(image: Image.Image) -> Image.Image:
    scale = min(1.0, WIDTH_PX / image.width)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image.resize(size, Image.Resampling.LANCZOS) if scale < 1 else image
