"""Data files as arguments of `minigemini eval`: tell them from names of tasks, and read their questions."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..data.schema import Sample
    from ..evaluation.data_file_task import DataFileTask
    from ..evaluation.task import Question

_ISSUES_NAMED = 3


class Metric(StrEnum):
    """Metrics of `evaluation.data_file_task`, repeated here so that --help need not import them."""

    exact = "exact"
    contains = "contains"
    anls = "anls"
    vqa = "vqa"
    judge = "judge"


def split_arguments(arguments: Sequence[str]) -> tuple[list[str], list[Path]]:
    """Split the arguments into names of tasks and paths: what has a suffix or a slash is a path."""
    paths = [Path(argument) for argument in arguments if Path(argument).suffix or "/" in argument or "\\" in argument]
    return [argument for argument in arguments if Path(argument) not in paths], paths


def read_data_file(path: Path, images: Path | None, metric: str | None) -> "DataFileTask":
    """Read a file's conversations as questions.

    Raises:
        SourceError: The file does not exist or is not a source of samples.
        DataError: A sample is invalid.
        RequestError: There is no sample.
        ModuleNotFoundError: The package that reads the format is not installed.
    """
    from ..data.readers.opening import open_reader
    from ..data.schema import SampleError
    from ..evaluation.data_file_task import DataFileTask
    from ..evaluation.response_cache import key_of
    from ..evaluation.task import DataError

    reader = open_reader(path, images or path.parent)
    questions: list[Question] = []
    issues: list[str] = []
    for row in range(len(reader)):
        try:
            questions.append(question_of(row, reader[row]))
        except SampleError as error:
            issues.append(str(error))
    if issues:
        raise DataError(
            f"{path}: {len(issues)} of {len(reader)} samples are invalid ({'; '.join(issues[:_ISSUES_NAMED])}); "
            f"`minigemini data validate {path} --fix {path.stem}.manifest` leaves them out"
        )
    content_hash = key_of(questions=[(question.prompt, question.truth) for question in questions])
    return DataFileTask(path, content_hash, questions, metric)


def question_of(row: int, sample: "Sample") -> "Question":
    """Return the last question of a sample, after its earlier turns as they are in the data."""
    from ..data.schema import text_of
    from ..evaluation.task import DataError, Question

    if sample.videos:
        raise DataError(f"sample {sample.id!r} has a video; evaluation takes images only")
    images = iter([image if isinstance(image, Path | bytes) else lambda image=image: image for image in sample.images])

    def with_image(part: Mapping[str, Any]) -> dict[str, Any]:
        return {"type": "image", "image": next(images)} if part["type"] == "image" else dict(part)

    messages = [
        {"role": message["role"], "content": [with_image(part) for part in message["content"]]}
        for message in sample.messages[:-1]
    ]
    return Question(f"{row + 1}: {sample.id}", tuple(messages), text_of(sample.messages[-1]).strip())
