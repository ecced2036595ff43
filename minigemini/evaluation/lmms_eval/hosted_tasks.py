"""Our tasks for lmms-eval's chat models, with the same questions, rules and scores as `minigemini eval`.

`lmms-eval --include_path $(python -c 'import minigemini.evaluation.lmms_eval as s; print(s.__path__[0])')/tasks \\
--tasks minigemini_mme …`, with MINIGEMINI_EVAL_DATA set to the folder of the official files.
"""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import datasets
from lmms_eval.api.task import ConfigurableMessagesTask

from ..registry import tasks
from ..statistics import figure
from ..task import Grade, Question, open_image_input

DATA, LIMIT = "MINIGEMINI_EVAL_DATA", "MINIGEMINI_EVAL_LIMIT"


class HostedTask(ConfigurableMessagesTask):
    """One of our tasks in lmms-eval; a document is a question's number with its text."""

    task_name: ClassVar[str]

    def __init__(self, config: dict[str, Any] | None = None) -> None:
        self.task = tasks()[self.task_name]
        folder, limit = os.environ.get(DATA), os.environ.get(LIMIT)
        self.all_questions = self.task.questions(Path(folder) if folder else None, int(limit) if limit else None)
        all_right = [(question, Grade(1.0)) for question in self.all_questions]
        self.measure_names = [measure.name for measure in self.task.measures(all_right)]
        super().__init__(
            config={
                "task": f"minigemini_{self.task_name}",
                "test_split": "test",
                "output_type": "generate_until",
                "generation_kwargs": {"max_new_tokens": self.task.max_new_tokens, "do_sample": False, "until": []},
                "doc_to_text": "prompt",
                "doc_to_target": "truth",
                "process_results": self._grade,
                "metric_list": [
                    {"metric": name, "aggregation": self._aggregation(name), "higher_is_better": True}
                    for name in self.measure_names
                ],
                "metadata": {"version": self.task.version},
            }
        )

    def download(self, dataset_kwargs: Any = None) -> None:
        """Put the questions into a dataset; nothing is downloaded."""
        columns = {
            "number": list(range(len(self.all_questions))),
            "id": [question.id for question in self.all_questions],
            "prompt": [question.prompt for question in self.all_questions],
            "truth": [question.truth for question in self.all_questions],
        }
        self.dataset = self.dataset_no_image = datasets.DatasetDict({"test": datasets.Dataset.from_dict(columns)})

    def doc_to_messages(self, doc: Any, **_: Any) -> list[dict[str, Any]]:
        """Chat messages in lmms-eval's format, with opened images."""
        question = self.all_questions[doc["number"]]
        opened = {image: open_image_input(image) for image in question.images}
        return [
            {
                "role": message["role"],
                "content": [
                    {"type": "image", "url": part["image"]} if part["type"] == "image" else part
                    for part in message["content"]
                ],
            }
            for message in question.messages_with(opened)
        ]

    def _grade(self, doc: Any, results: Sequence[str]) -> dict[str, Any]:
        grade = self.task.grade(self.all_questions[doc["number"]], results[0])
        result = [doc["number"], grade.value, grade.read_as, grade.parsed, grade.weight]
        return dict.fromkeys(self.measure_names, result)

    def _aggregation(self, name: str) -> Callable[[Sequence[list[Any]]], float]:
        def score(results: Sequence[list[Any]]) -> float:
            graded: list[tuple[Question, Grade]] = [
                (self.all_questions[number], Grade(*grade)) for number, *grade in results
            ]
            measure = next(measure for measure in self.task.measures(graded) if measure.name == name)
            return figure(measure).score

        return score


def _hosted_task(name: str) -> type[HostedTask]:
    return type(name.title().replace("_", "").replace("-", ""), (HostedTask,), {"task_name": name})


SyntheticBasic, Synthetic, SyntheticDocuments = (
    _hosted_task(name) for name in ("synthetic-basic", "synthetic", "synthetic-documents")
)
TextVQA, TextVQAWithOCR, MMBench, MME = (_hosted_task(name) for name in ("textvqa", "textvqa_ocr", "mmbench", "mme"))
MMVet, MMMUVal, MathVista = (_hosted_task(name) for name in ("mmvet", "mmmu_val", "mathvista"))
