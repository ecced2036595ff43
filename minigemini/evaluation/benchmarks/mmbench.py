"""MMBench dev of 2023-07-12: a question counts as correct if it is answered correctly in every order of options."""

from collections import defaultdict
from pathlib import Path

from ..scorers.choices import LETTERS, match_option
from ..task import DataError, Grade, Graded, Measure, Question, Task, UnitScore, complete_units, spread, user
from .official_files import benchmark_folder, decode_image, find_file, read_tsv

FILES = ("mmbench_dev_20230712.tsv", "mmbench_dev_en_20231003.tsv", "MMBench_DEV_EN.tsv")
COLUMNS = ("index", "question", "A", "B", "answer", "image")
CATEGORIES = {"category": "category", "l2-category": "ability", "L2-category": "ability"}
ORDER_OFFSET = 1_000_000
"""Offset between orders: the file numbers those of question i as i, i + 1,000,000, i + 2,000,000, …"""
ASK_LETTER = "Answer with the option's letter from the given choices directly."


class MMBench(Task):
    """Circular accuracy; the orders come from the file, or are generated if it has only one."""

    name, title = "mmbench", "MMBench dev"
    files = FILES[0]
    max_new_tokens = 16
    judge_role = "matches answers that the rules cannot parse to an option"

    def questions(self, data: Path | None, limit: int | None = None) -> list[Question]:
        path = find_file(benchmark_folder(data, self.name, self.files), FILES)
        rows = {}
        for row in read_tsv(path, COLUMNS):
            if not row["index"].isdigit():
                raise DataError(f"{path}: invalid question index {row['index']!r}; fetch the file again")
            rows[int(row["index"])] = row
        units: dict[int, list[int]] = defaultdict(list)
        for index in rows:
            units[index % ORDER_OFFSET].append(index)
        asked = []
        for unit in spread(list(units), limit):
            first = rows.get(unit)
            if first is None:
                raise DataError(f"{path}: question {units[unit][0]} has no first order {unit}; fetch the file again")
            in_file = [rows[index] for index in sorted(units[unit])]
            orders = in_file if len(in_file) > 1 else _rotate(first)
            asked += [self._question(first, row, number, len(orders), path) for number, row in enumerate(orders)]
        return asked

    def sources(self, data: Path) -> list[Path]:
        return [find_file(benchmark_folder(data, self.name, self.files), FILES)]

    def grade(self, question: Question, answer: str) -> Grade:
        letter = match_option(answer, question.facts["options"])
        return Grade(float(letter == question.facts["answer"]), letter or "", letter is not None)

    def ask_judge(self, question: Question, answer: str) -> str | None:
        options = question.facts["options"]
        if match_option(answer, options) is not None:
            return None
        listed = "\n".join(f"{letter}. {text}" for letter, text in options.items())
        return (
            f"Which option does the answer mean?\n\nQuestion: {question.facts['question']}\nOptions:\n{listed}\n"
            f"Answer: {answer}\n\nReply with one letter of the options, or with Z if it means none of them."
        )

    def read_verdict(self, question: Question, answer: str, verdict: str) -> Grade | None:
        letter = verdict.strip().strip(".").upper()
        if letter not in {*question.facts["options"], "Z"}:
            return None
        return Grade(float(letter == question.facts["answer"]), letter, letter != "Z")

    def measures(self, graded: Graded) -> list[Measure]:
        circular, plain = [], []
        for unit, group in complete_units(graded).items():
            circular.append(UnitScore(unit, float(all(grade.value == 1 for _, grade in group))))
            plain += [UnitScore(unit, grade.value) for question, grade in group if question.facts["order"] == 0]
        return [
            Measure("circular accuracy", tuple(circular), paper="MMB"),
            Measure("accuracy in the first order", tuple(plain)),
        ]

    def _question(self, first: dict[str, str], row: dict[str, str], order: int, of_unit: int, path: Path) -> Question:
        where = f"{path}, question {row['index']}"
        options = {letter: row[letter] for letter in LETTERS[:5] if _has_text(row.get(letter))}
        if row["answer"] not in options:
            raise DataError(
                f"{where}: answer {row['answer']!r} is not one of the options {list(options)}; fetch the file again"
            )
        listed = "".join(f"\n{letter}. {text}" for letter, text in options.items())
        hint = f"{row['hint']}\n" if _has_text(row.get("hint")) else ""
        # Later orders may omit the image, or hold the index of the row that has it.
        image = row["image"] if len(row["image"] or "") > 16 else first["image"]
        facts = {"options": options, "answer": row["answer"], "order": order, "of_unit": of_unit}
        return Question(
            id=row["index"],
            messages=user(f"{hint}{row['question']}{listed}\n{ASK_LETTER}", decode_image(image, where)),
            truth=f"{row['answer']}. {options[row['answer']]}",
            facts=facts | {"question": row["question"]},
            categories={name: (row[column],) for column, name in CATEGORIES.items() if _has_text(row.get(column))},
            unit=first["index"],
        )


def _rotate(row: dict[str, str]) -> list[dict[str, str]]:
    """Generate all rotations of the options of a question."""
    letters = [letter for letter in LETTERS[:5] if _has_text(row.get(letter))]
    orders = []
    for shift in range(len(letters)):
        moved = {letter: row[letters[(at + shift) % len(letters)]] for at, letter in enumerate(letters)}
        answer = letters[(letters.index(row["answer"]) - shift) % len(letters)] if row["answer"] in letters else "?"
        index = f"{row['index']}+{shift}" if shift else row["index"]
        orders.append({**row, **moved, "answer": answer, "index": index})
    return orders


def _has_text(cell: str | None) -> bool:
    return cell is not None and cell.strip() not in ("", "nan")
