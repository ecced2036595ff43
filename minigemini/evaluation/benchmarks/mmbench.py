"""MMBench dev of 2023-07-12: one letter is asked for; a question counts when it is right in every order of options."""

from collections import defaultdict
from pathlib import Path

from ..scorers.choices import LETTERS, matched_option
from ..task import DataError, Grade, Graded, Measure, Question, Task, UnitScore, by_unit, spread, user
from .official_files import decoded, folder_of, read_tsv, the_file

FILES = ("mmbench_dev_20230712.tsv", "mmbench_dev_en_20231003.tsv", "MMBench_DEV_EN.tsv")
COLUMNS = ("index", "question", "A", "B", "answer", "image")
CATEGORIES = {"category": "category", "l2-category": "ability", "L2-category": "ability"}
ROUND = 1_000_000
"""The file numbers the further orders of question i as i + 1,000,000, i + 2,000,000, …"""
ASK_LETTER = "Answer with the option's letter from the given choices directly."


class MMBench(Task):
    """Circular accuracy; the orders are the file's, or made here where it has none."""

    name, title = "mmbench", "MMBench dev"
    files = FILES[0]
    max_new_tokens = 16
    judge_role = "matches answers that the rules cannot read to an option"

    def questions(self, data: Path | None, limit: int | None = None) -> list[Question]:
        path = the_file(folder_of(data, self.name, self.files), FILES)
        rows = {}
        for row in read_tsv(path, COLUMNS):
            if not row["index"].isdigit():
                raise DataError(f"{path}: {row['index']!r} is no index of a question; fetch the file again")
            rows[int(row["index"])] = row
        units: dict[int, list[int]] = defaultdict(list)
        for index in rows:
            units[index % ROUND].append(index)
        asked = []
        for unit in spread(list(units), limit):
            first = rows.get(unit)
            if first is None:
                raise DataError(
                    f"{path}: question {units[unit][0]} lacks its first order, {unit}; fetch the file again"
                )
            in_file = [rows[index] for index in sorted(units[unit])]
            orders = in_file if len(in_file) > 1 else _rotated(first)
            asked += [self._question(first, row, number, len(orders), path) for number, row in enumerate(orders)]
        return asked

    def sources(self, data: Path) -> list[Path]:
        return [the_file(folder_of(data, self.name, self.files), FILES)]

    def grade(self, question: Question, said: str) -> Grade:
        letter = matched_option(said, question.facts["options"])
        return Grade(float(letter == question.facts["answer"]), letter or "", letter is not None)

    def ask_judge(self, question: Question, said: str) -> str | None:
        options = question.facts["options"]
        if matched_option(said, options) is not None:
            return None
        listed = "\n".join(f"{letter}. {text}" for letter, text in options.items())
        return (
            f"Which option does the answer mean?\n\nQuestion: {question.facts['question']}\nOptions:\n{listed}\n"
            f"Answer: {said}\n\nReply with one letter of the options, or with Z if it means none of them."
        )

    def read_verdict(self, question: Question, said: str, verdict: str) -> Grade | None:
        letter = verdict.strip().strip(".").upper()
        if letter not in {*question.facts["options"], "Z"}:
            return None
        return Grade(float(letter == question.facts["answer"]), letter, letter != "Z")

    def measures(self, graded: Graded) -> list[Measure]:
        circular, plain = [], []
        for unit, group in by_unit(graded).items():
            circular.append(UnitScore(unit, float(all(grade.value == 1 for _, grade in group))))
            plain += [UnitScore(unit, grade.value) for question, grade in group if question.facts["order"] == 0]
        return [
            Measure("circular accuracy", tuple(circular), paper="MMB"),
            Measure("accuracy in the first order", tuple(plain)),
        ]

    def _question(self, first: dict[str, str], row: dict[str, str], order: int, of_unit: int, path: Path) -> Question:
        where = f"{path}, question {row['index']}"
        options = {letter: row[letter] for letter in LETTERS[:5] if _said(row.get(letter))}
        if row["answer"] not in options:
            raise DataError(f"{where}: the answer {row['answer']!r} is no option of {list(options)}")
        listed = "".join(f"\n{letter}. {text}" for letter, text in options.items())
        hint = f"{row['hint']}\n" if _said(row.get("hint")) else ""
        # Further orders may leave the picture out, or give the index of the row that has it.
        image = row["image"] if len(row["image"] or "") > 16 else first["image"]
        facts = {"options": options, "answer": row["answer"], "order": order, "of_unit": of_unit}
        return Question(
            id=row["index"],
            messages=user(f"{hint}{row['question']}{listed}\n{ASK_LETTER}", decoded(image, where)),
            truth=f"{row['answer']}. {options[row['answer']]}",
            facts=facts | {"question": row["question"]},
            categories={name: (row[column],) for column, name in CATEGORIES.items() if _said(row.get(column))},
            unit=first["index"],
        )


def _rotated(row: dict[str, str]) -> list[dict[str, str]]:
    """The orders of a file that has only the first: in each, every option takes the place of the one before it."""
    letters = [letter for letter in LETTERS[:5] if _said(row.get(letter))]
    orders = []
    for shift in range(len(letters)):
        moved = {letter: row[letters[(at + shift) % len(letters)]] for at, letter in enumerate(letters)}
        answer = letters[(letters.index(row["answer"]) - shift) % len(letters)] if row["answer"] in letters else "?"
        index = f"{row['index']}+{shift}" if shift else row["index"]
        orders.append({**row, **moved, "answer": answer, "index": index})
    return orders


def _said(cell: str | None) -> bool:
    return cell is not None and cell.strip() not in ("", "nan")
