"""Our tasks in lmms-eval, for any of its chat models: the same questions, rules and figures as `minigemini eval`.

`lmms-eval --include_path $(python -c 'import minigemini.evaluation.lmms_eval as s; print(s.__path__[0])')/tasks \\
--tasks minigemini_mme …`, with the official files in the folder that MINIGEMINI_EVAL_DATA names.
"""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import datasets
from lmms_eval.api.task import ConfigurableMessagesTask

from ..registry import tasks
from ..statistics import figure
from ..task import Grade, Question, open_one

DATA, LIMIT = "MINIGEMINI_EVAL_DATA", "MINIGEMINI_EVAL_LIMIT"


class Hosted(ConfigurableMessagesTask):
    """One of our tasks; its documents are the questions by number."""

    ours: ClassVar[str]

    def __init__(self, config: dict[str, Any] | None = None) -> None:
        self.task = tasks()[self.ours]
        folder, limit = os.environ.get(DATA), os.environ.get(LIMIT)
        self.asked = self.task.questions(Path(folder) if folder else None, int(limit) if limit else None)
        right = [(question, Grade(1.0)) for question in self.asked]
        self.figures = [measure.name for measure in self.task.measures(right)]
        super().__init__(
            config={
                "task": f"minigemini_{self.ours}",
                "test_split": "test",
                "output_type": "generate_until",
                "generation_kwargs": {"max_new_tokens": self.task.max_new_tokens, "do_sample": False, "until": []},
                "doc_to_text": "prompt",
                "doc_to_target": "truth",
                "process_results": self._graded,
                "metric_list": [
                    {"metric": name, "aggregation": self._aggregation(name), "higher_is_better": True}
                    for name in self.figures
                ],
                "metadata": {"version": self.task.version},
            }
        )

    def download(self, dataset_kwargs: Any = None) -> None:
        """The questions are here already; nothing is fetched."""
        columns = {
            "number": list(range(len(self.asked))),
            "id": [question.id for question in self.asked],
            "prompt": [question.prompt for question in self.asked],
            "truth": [question.truth for question in self.asked],
        }
        self.dataset = self.dataset_no_image = datasets.DatasetDict({"test": datasets.Dataset.from_dict(columns)})

    def doc_to_messages(self, doc: Any, **_: Any) -> list[dict[str, Any]]:
        """Chat messages as the suite has them, pictures opened."""
        question = self.asked[doc["number"]]
        opened = {image: open_one(image) for image in question.images}
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

    def _graded(self, doc: Any, results: Sequence[str]) -> dict[str, Any]:
        grade = self.task.grade(self.asked[doc["number"]], results[0])
        kept = [doc["number"], grade.value, grade.read_as, grade.parsed, grade.weight]
        return dict.fromkeys(self.figures, kept)

    def _aggregation(self, name: str) -> Callable[[Sequence[list[Any]]], float]:
        def score(kept: Sequence[list[Any]]) -> float:
            graded: list[tuple[Question, Grade]] = [(self.asked[number], Grade(*grade)) for number, *grade in kept]
            measure = next(measure for measure in self.task.measures(graded) if measure.name == name)
            return figure(measure).score

        return score


def _hosted(name: str) -> type[Hosted]:
    return type(name.title().replace("_", ""), (Hosted,), {"ours": name})


Nano, Grown, Pages = (_hosted(name) for name in ("nano", "grown", "pages"))
TextVQA, TextVQAWithOCR, MMBench, MME = (_hosted(name) for name in ("textvqa", "textvqa_ocr", "mmbench", "mme"))
MMVet, MMMUVal, MathVista = (_hosted(name) for name in ("mmvet", "mmmu_val", "mathvista"))
