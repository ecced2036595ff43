"""MM-Vet: free-form answers that a judge scores in tenths; without a judge, the share of expected words that occur."""

import re
from pathlib import Path

from ..scorers.vqa import normalize_answer
from ..task import Grade, Graded, Measure, Question, Task, question_scores, spread, user
from .official_files import benchmark_folder, find_file, read_json, required_field

FILE = "mm-vet.json"
# The benchmark's rules in our own words: scores depend on the judge in any case.
INSTRUCTION = """Score how right a prediction is against the ground truth, from 0.0 (wrong in everything) to 1.0 (right
in everything), in steps of 0.1. Where the ground truth says <AND>, everything it joins must be in the prediction for
1.0, and each part counts its share; where it says <OR>, any one of what it joins is enough.

Question: What is x in the equation?
Ground truth: -1 <AND> -5
Prediction: x = -5 or 5
Score: 0.5

Question: {question}
Ground truth: {truth}
Prediction: {answer}
Score:"""


class MMVet(Task):
    """Mean score in points."""

    name, title = "mmvet", "MM-Vet"
    files = f"{FILE} and images/"
    max_new_tokens = 512
    judge_role = "scores each answer from 0.0 to 1.0; without a judge, rules look for the expected words"

    def questions(self, data: Path | None, limit: int | None = None) -> list[Question]:
        folder = benchmark_folder(data, "mmvet", self.files)
        path = find_file(folder, [FILE])
        rows = list(read_json(path, dict).items())
        return [self._question(name, row, folder, path) for name, row in spread(rows, limit)]

    def sources(self, data: Path) -> list[Path]:
        return [find_file(benchmark_folder(data, "mmvet", self.files), [FILE])]

    def grade(self, question: Question, answer: str) -> Grade:
        return Grade(expected_words_share(question.truth, answer), answer)

    def ask_judge(self, question: Question, answer: str) -> str | None:
        return INSTRUCTION.format(question=question.facts["question"], truth=question.truth, answer=answer)

    def read_verdict(self, question: Question, answer: str, verdict: str) -> Grade | None:
        return read_score(verdict)

    def measures(self, graded: Graded) -> list[Measure]:
        return [Measure("score", tuple(question_scores(graded)), paper="MM-Vet")]

    def _question(self, name: str, row: dict[str, object], folder: Path, path: Path) -> Question:
        where = f"{path}, {name}"
        text, capabilities = str(required_field(row, "question", where)), required_field(row, "capability", where)
        return Question(
            id=name,
            messages=user(text, folder / "images" / str(required_field(row, "imagename", where))),
            truth=str(required_field(row, "answer", where)),
            facts={"question": text},
            categories={"capability": tuple(capabilities), "combination": (" + ".join(sorted(capabilities)),)},
        )


def read_score(verdict: str) -> Grade | None:
    """Parse a judge's score from 0.0 to 1.0; None if it is something else."""
    found = re.fullmatch(r"(?:score:?\s*)?([01](?:\.\d)?)\.?", verdict.strip().lower())
    value = float(found.group(1)) if found else 2.0
    return Grade(value, f"judged {value:.1f}") if value <= 1 else None


def expected_words_share(truth: str, answer: str) -> float:
    """Share of the <AND> parts that occur in the answer as whole words; the best over the <OR> alternatives."""
    text = f" {normalize_answer(answer)} "
    alternatives = [
        [normalize_answer(part) for part in alternative.split("<AND>")] for alternative in truth.split("<OR>")
    ]
    return max(sum(f" {part} " in text for part in parts) / len(parts) for parts in alternatives)
