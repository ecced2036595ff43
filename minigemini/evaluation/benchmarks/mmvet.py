"""MM-Vet: free answers scored in tenths by a judge; without one, the share of the wanted words that occur."""

import re
from pathlib import Path

from ..scorers.vqa import normalized
from ..task import Grade, Graded, Measure, Question, Task, by_question, spread, user
from .official_files import field, folder_of, read_json, the_file

FILE = "mm-vet.json"
# The rules are the benchmark's, the words ours: scores differ with the judge in any case.
INSTRUCTION = """Score how right a prediction is against the ground truth, from 0.0 (wrong in everything) to 1.0 (right
in everything), in steps of 0.1. Where the ground truth says <AND>, everything it joins must be in the prediction for
1.0, and each part counts its share; where it says <OR>, any one of what it joins is enough.

Question: What is x in the equation?
Ground truth: -1 <AND> -5
Prediction: x = -5 or 5
Score: 0.5

Question: {question}
Ground truth: {truth}
Prediction: {said}
Score:"""


class MMVet(Task):
    """A mean of scores from 0 to 1, in points."""

    name, title = "mmvet", "MM-Vet"
    files = f"{FILE} and images/"
    max_new_tokens = 512
    judge_role = "scores each answer from 0.0 to 1.0; without it the wanted words are looked for, which is stricter"

    def questions(self, data: Path | None, limit: int | None = None) -> list[Question]:
        folder = folder_of(data, "mmvet", self.files)
        path = the_file(folder, [FILE])
        rows = list(read_json(path, dict).items())
        return [self._question(name, row, folder, path) for name, row in spread(rows, limit)]

    def sources(self, data: Path) -> list[Path]:
        return [the_file(folder_of(data, "mmvet", self.files), [FILE])]

    def grade(self, question: Question, said: str) -> Grade:
        return Grade(wanted_words(question.truth, said), said)

    def ask_judge(self, question: Question, said: str) -> str | None:
        return INSTRUCTION.format(question=question.facts["question"], truth=question.truth, said=said)

    def read_verdict(self, question: Question, said: str, verdict: str) -> Grade | None:
        found = re.fullmatch(r"(?:score:?\s*)?([01](?:\.\d)?)\.?", verdict.strip().lower())
        value = float(found.group(1)) if found else 2.0
        return Grade(value, f"judged {value:.1f}") if value <= 1 else None

    def measures(self, graded: Graded) -> list[Measure]:
        return [Measure("score", tuple(by_question(graded)), paper="MM-Vet")]

    def _question(self, name: str, row: dict[str, object], folder: Path, path: Path) -> Question:
        where = f"{path}, {name}"
        text, capabilities = str(field(row, "question", where)), field(row, "capability", where)
        return Question(
            id=name,
            messages=user(text, folder / "images" / str(field(row, "imagename", where))),
            truth=str(field(row, "answer", where)),
            facts={"question": text},
            categories={"capability": tuple(capabilities), "combination": (" + ".join(sorted(capabilities)),)},
        )


def wanted_words(truth: str, said: str) -> float:
    """The best share, over what <OR> joins, of what <AND> joins that occurs in the answer as whole words."""
    answer = f" {normalized(said)} "
    ways = [[normalized(part) for part in way.split("<AND>")] for way in truth.split("<OR>")]
    return max(sum(f" {part} " in answer for part in way) / len(way) for way in ways)
