"""What is asked and what an answer earns: the shapes in which every task gives its questions, grades and measures."""

from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from PIL import Image

from ..images.safe_images import open_image

ImageInput = Path | bytes | Callable[[], Image.Image]
"""A file, its bytes, or what draws it; opened only when it is asked about."""
Message = Mapping[str, Any]
T = TypeVar("T")


class DataError(ValueError):
    """Official files that are missing or not what they should be; the message is one line that says what to do."""


@dataclass(frozen=True)
class Question:
    """One thing that a model is asked.

    Attributes:
        id: its name within the task, the same in every run.
        messages: in Transformers' chat format, but that an image may be any `Picture`; the last is the user's.
        truth: the right answer as a reader may see it; empty where nobody knows it (MMMU test).
        facts: what grading needs to know.
        categories: the names of each breakdown that it belongs to, e.g. `{"category": ("OCR",)}`.
        unit: questions that count together share one (MME's two of a picture); by itself the id.
    """

    id: str
    messages: tuple[Message, ...]
    truth: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    categories: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    unit: str = ""

    def __post_init__(self) -> None:
        if not self.unit:
            object.__setattr__(self, "unit", self.id)

    @property
    def prompt(self) -> str:
        """All that is said to the model, pictures as `<image>`: what a reader sees and an answer's key depends on."""
        return "\n".join(f"{message['role']}: {_text(message)}" for message in self.messages)

    @property
    def images(self) -> list[ImageInput]:
        return [part["image"] for message in self.messages for part in _parts(message) if part["type"] == "image"]

    def messages_with(self, opened: Mapping[ImageInput, Any]) -> list[dict[str, Any]]:
        """The messages with each picture as it has been opened."""
        return [
            {
                "role": message["role"],
                "content": [
                    {"type": "image", "image": opened[part["image"]]} if part["type"] == "image" else dict(part)
                    for part in _parts(message)
                ],
            }
            for message in self.messages
        ]


@dataclass(frozen=True)
class Grade:
    """What one answer earned.

    Attributes:
        value: 0 to 1.
        read_as: what the rules took the answer for.
        parsed: False where the rules could not read it.
        weight: of its value in a mean.
    """

    value: float
    read_as: str = ""
    parsed: bool = True
    weight: float = 1.0


@dataclass(frozen=True)
class UnitScore:
    """The value of one unit: what is counted, resampled for intervals, and compared in pairs."""

    unit: str
    value: float
    weight: float = 1.0
    stratum: str = ""


@dataclass(frozen=True)
class Measure:
    """One figure of a report: `scale` times the sum over strata of the weighted mean of their marks.

    Attributes:
        paper: the column of the paper's table that it stands beside.
        most: the highest value that a mark can have.
    """

    name: str
    marks: tuple[UnitScore, ...]
    scale: float = 100.0
    paper: str | None = None
    most: float = 1.0


Graded = Sequence[tuple[Question, Grade]]


class Task(ABC):
    """A benchmark by its official rules: files to questions, answers to grades, grades to measures.

    Attributes:
        version: part of every answer's key; it changes when what is asked, or how, changes.
        files: the official files that it reads, for a reader.
        judge_role: what a judge does, empty where none is of use.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    version: ClassVar[str] = "1"
    files: ClassVar[str] = ""
    max_new_tokens: ClassVar[int] = 64
    judge_role: ClassVar[str] = ""

    @abstractmethod
    def questions(self, data: Path | None, limit: int | None = None) -> list[Question]:
        """All questions in the order of the files, or `limit` units of them spread evenly. Raises `DataError`."""

    def sources(self, data: Path) -> list[Path]:
        """The official files that say what is asked, for their hashes. Raises `DataError`."""
        return []

    @abstractmethod
    def grade(self, question: Question, said: str) -> Grade:
        """By rules alone."""

    def ask_judge(self, question: Question, said: str) -> str | None:
        """What to ask a judge about an answer; None where the rules suffice."""
        return None

    def read_verdict(self, question: Question, said: str, verdict: str) -> Grade | None:
        """The grade by a judge's words; None if they are nonsense."""
        raise NotImplementedError

    def measures(self, graded: Graded) -> list[Measure]:
        """The figures of the task, the first of them the headline."""
        return [Measure("accuracy", tuple(by_question(graded)))]

    def breakdowns(self, graded: Graded) -> dict[str, list[Measure]]:
        """By the name of the breakdown the headline's figure of each category, in order of appearance."""
        measures = self.measures(graded)
        if not measures:
            return {}
        marks, scale = {mark.unit: mark for mark in measures[0].marks}, measures[0].scale
        found: dict[str, dict[str, dict[str, UnitScore]]] = defaultdict(lambda: defaultdict(dict))
        for question, _ in graded:
            for breakdown, names in question.categories.items():
                for name in names if question.unit in marks else ():
                    mark = marks[question.unit]
                    found[breakdown][name][mark.unit] = UnitScore(mark.unit, mark.value, mark.weight)
        return {
            breakdown: [Measure(name, tuple(units.values()), scale) for name, units in names.items()]
            for breakdown, names in found.items()
        }

    def submission(self, answers: Sequence[tuple[Question, str]]) -> dict[str, Any] | None:
        """What the benchmark's server takes, where the answers are secret."""
        return None


def user(text: str, *images: ImageInput) -> tuple[Message, ...]:
    """One turn about pictures."""
    content = [*({"type": "image", "image": image} for image in images), {"type": "text", "text": text}]
    return ({"role": "user", "content": content},)


def spread(items: Sequence[T], limit: int | None) -> list[T]:
    """`limit` of the items at even distances, in their order; all of them without a limit."""
    if limit is None or limit >= len(items):
        return list(items)
    return [items[number * len(items) // limit] for number in range(limit)]


def by_question(graded: Graded) -> list[UnitScore]:
    return [UnitScore(question.unit, grade.value, grade.weight) for question, grade in graded]


def by_unit(graded: Graded) -> dict[str, list[tuple[Question, Grade]]]:
    """Units that are whole: one of whose questions got no answer is left out, for half of it says nothing."""
    units: dict[str, list[tuple[Question, Grade]]] = defaultdict(list)
    for question, grade in graded:
        units[question.unit].append((question, grade))
    return {unit: group for unit, group in units.items() if len(group) == group[0][0].facts.get("of_unit", len(group))}


def _parts(message: Message) -> list[Any]:
    content = message["content"]
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _text(message: Message) -> str:
    return "".join("<image>" if part["type"] == "image" else part["text"] for part in _parts(message))


def open_one(image: ImageInput) -> Image.Image:
    """Read or draw it. Raises `ImageError`."""
    return open_image(image() if callable(image) else image)
