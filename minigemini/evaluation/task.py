"""The interface of a task: its questions, the grades of answers, and the measures that reports show."""

from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from PIL import Image

from ..images.safe_images import open_image

ImageInput = Path | bytes | Callable[[], Image.Image]
"""A path, encoded bytes, or a function that returns the image; opened only when the question is asked."""
Message = Mapping[str, Any]
T = TypeVar("T")


class DataError(ValueError):
    """A missing or invalid official file; the message is one line and names the fix."""


@dataclass(frozen=True)
class Question:
    """One question to a model.

    Attributes:
        id: unique within the task, and the same in every run.
        messages: Transformers' chat format, where an image may be any `ImageInput`; the last message is the user's.
        truth: the correct answer, for display; empty if it is secret (MMMU test).
        facts: data that grading needs.
        categories: the question's categories in each breakdown, e.g. `{"category": ("OCR",)}`.
        unit: questions that are scored together share a unit (MME's two per image); defaults to the id.
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
        """All messages as text with images as `<image>`, for display and for the cache key."""
        return "\n".join(f"{message['role']}: {_text(message)}" for message in self.messages)

    @property
    def images(self) -> list[ImageInput]:
        return [part["image"] for message in self.messages for part in _parts(message) if part["type"] == "image"]

    def messages_with(self, opened: Mapping[ImageInput, Any]) -> list[dict[str, Any]]:
        """The messages with each image replaced by its opened form."""
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
    """The grade of one answer.

    Attributes:
        value: 0 to 1.
        read_as: how the rules parsed the answer.
        parsed: False if the rules could not parse the answer.
        weight: weight of the value in a mean.
    """

    value: float
    read_as: str = ""
    parsed: bool = True
    weight: float = 1.0


@dataclass(frozen=True)
class UnitScore:
    """The score of one unit, which is what intervals resample and paired tests compare."""

    unit: str
    value: float
    weight: float = 1.0
    stratum: str = ""


@dataclass(frozen=True)
class Measure:
    """One figure of a report: `scale` times the sum over strata of the weighted mean of their unit scores.

    Attributes:
        paper: column of the paper's table to compare with.
        max_value: the highest value that a unit score can have.
        aim: the score that was hoped for, for the report; None without one.
    """

    name: str
    unit_scores: tuple[UnitScore, ...]
    scale: float = 100.0
    paper: str | None = None
    max_value: float = 1.0
    aim: float | None = None


Graded = Sequence[tuple[Question, Grade]]


class Task(ABC):
    """A benchmark with its official rules: files to questions, answers to grades, grades to measures.

    Attributes:
        version: part of every cache key; change it when the questions or prompts change.
        files: description of the official files, for error messages and lists.
        judge_role: what a judge does for this task; empty if the task uses none.
    """

    name: str
    title: str
    version: str = "1"
    files: str = ""
    max_new_tokens: int = 64
    judge_role: str = ""

    @abstractmethod
    def questions(self, data: Path | None, limit: int | None = None) -> list[Question]:
        """All questions in file order, or `limit` units of them, evenly spaced. Raises `DataError`."""

    def sources(self, data: Path) -> list[Path]:
        """The official files that define the questions; reports list their hashes. Raises `DataError`."""
        return []

    @abstractmethod
    def grade(self, question: Question, answer: str) -> Grade:
        """Grade an answer by rules alone."""

    def ask_judge(self, question: Question, answer: str) -> str | None:
        """The prompt for the judge; None if the rules suffice for this answer."""
        return None

    def read_verdict(self, question: Question, answer: str, verdict: str) -> Grade | None:
        """Parse the judge's reply; None if it is invalid."""
        raise NotImplementedError

    def measures(self, graded: Graded) -> list[Measure]:
        """The measures of the task; the first is the headline."""
        return [Measure("accuracy", tuple(question_scores(graded)))]

    def breakdowns(self, graded: Graded) -> dict[str, list[Measure]]:
        """The headline measure of each category, by breakdown, in order of appearance."""
        measures = self.measures(graded)
        if not measures:
            return {}
        scores, scale = {score.unit: score for score in measures[0].unit_scores}, measures[0].scale
        found: dict[str, dict[str, dict[str, UnitScore]]] = defaultdict(lambda: defaultdict(dict))
        for question, _ in graded:
            for breakdown, names in question.categories.items():
                for name in names if question.unit in scores else ():
                    score = scores[question.unit]
                    found[breakdown][name][score.unit] = UnitScore(score.unit, score.value, score.weight)
        return {
            breakdown: [Measure(name, tuple(units.values()), scale) for name, units in names.items()]
            for breakdown, names in found.items()
        }

    def submission(self, answers: Sequence[tuple[Question, str]]) -> dict[str, Any] | None:
        """The file that the benchmark's server expects, if the answers are secret."""
        return None


def user(text: str, *images: ImageInput) -> tuple[Message, ...]:
    """A user turn with images before the text."""
    content = [*({"type": "image", "image": image} for image in images), {"type": "text", "text": text}]
    return ({"role": "user", "content": content},)


def spread(items: Sequence[T], limit: int | None) -> list[T]:
    """`limit` evenly spaced items in their order; all items without a limit."""
    if limit is None or limit >= len(items):
        return list(items)
    return [items[number * len(items) // limit] for number in range(limit)]


def question_scores(graded: Graded) -> list[UnitScore]:
    return [UnitScore(question.unit, grade.value, grade.weight) for question, grade in graded]


def complete_units(graded: Graded) -> dict[str, list[tuple[Question, Grade]]]:
    """Group by unit; a unit with an ungraded question is left out, because part of a unit has no score."""
    units: dict[str, list[tuple[Question, Grade]]] = defaultdict(list)
    for question, grade in graded:
        units[question.unit].append((question, grade))
    return {unit: group for unit, group in units.items() if len(group) == group[0][0].facts.get("of_unit", len(group))}


def _parts(message: Message) -> list[Any]:
    content = message["content"]
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _text(message: Message) -> str:
    return "".join("<image>" if part["type"] == "image" else part["text"] for part in _parts(message))


def open_image_input(image: ImageInput) -> Image.Image:
    """Open or generate an image. Raises `ImageError`."""
    return open_image(image() if callable(image) else image)
