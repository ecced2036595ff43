"""The paper's benchmarks from official file formats to scores; expected scores are computed by hand."""

import json
import random
from collections.abc import Iterable, Iterator, Mapping

import benchmark_files as files
import pytest

from minigemini.evaluation.evaluate import Result, evaluate
from minigemini.evaluation.registry import tasks
from minigemini.evaluation.response_cache import ResponseCache
from minigemini.evaluation.runner import Batch, Failure
from minigemini.evaluation.task import DataError, Question, Task, open_image_input

TASKS = tasks()


class ScriptedAnswerer:
    """Opens the images and gives scripted answers."""

    name = "scripted"
    identity: Mapping[str, str] = {"weights": "none"}

    def __init__(self, replies: Mapping[str, str]) -> None:
        self.replies, self.asked = replies, []

    def answers(
        self, batches: Iterable[Batch], max_new_tokens: int
    ) -> Iterator[tuple[Batch, dict[str, str | Failure]]]:
        for batch in batches:
            out: dict[str, str | Failure] = {}
            for question in batch.questions:
                try:
                    for image in question.images:
                        open_image_input(image)
                    out[question.id] = self.replies[question.id]
                    self.asked.append(question.id)
                except ValueError as error:
                    out[question.id] = Failure(str(error))
            yield batch, out


def run(name: str, tmp_path, said: Mapping[str, str], judge=None) -> tuple[Result, list[Question]]:
    task: Task = TASKS[name]
    questions = task.questions(tmp_path)
    cache = ResponseCache(tmp_path / "run")
    return evaluate(task, questions, ScriptedAnswerer(said), cache, batch_size=4, judge=judge), questions


def scores(result: Result) -> dict[str, float]:
    return {measure.name: figure.score for measure, figure in zip(result.measures, result.figures, strict=True)}


def test_textvqa_with_and_without_ocr(tmp_path):
    people = {"q0": ["nokia"] * 2 + ["a phone"] * 8, "q1": ["two"] * 10, "q2": ["stop"] * 3 + ["go"] * 7}
    files.textvqa(tmp_path, people)
    said = {"q0": "Nokia", "q1": "2.", "q2": ""}
    result, questions = run("textvqa_ocr", tmp_path, said)
    assert scores(result) == {"soft accuracy": pytest.approx(100 * (0.6 + 1 + 0) / 3)}
    asked = "what is in q1?\nReference OCR token: NOKIA, 1\nAnswer the question using a single word or phrase."
    assert questions[1].prompt == f"user: <image>{asked}"
    plain, questions = run("textvqa", tmp_path, said)
    assert "OCR" not in questions[1].prompt
    assert scores(plain) == scores(result)
    assert result.measures[0].paper == "TextVQA"
    assert plain.measures[0].paper is None


CAT = {"index": 7, "question": "What is it?", "A": "a cat", "B": "a dog", "answer": "A", "category": "animals"}


def test_mmbench_requires_correct_answers_in_every_order(tmp_path):
    """Question 7 is correct in both orders, 8 in the first only: 1 of 2 circular, 2 of 2 in the first order."""
    second = {**CAT, "index": 1_000_007, "A": "a dog", "B": "a cat", "answer": "B"}
    files.mmbench(tmp_path, [CAT, {**CAT, "index": 8, "hint": "Look."}, second, {**second, "index": 1_000_008}])
    said = {"7": "A", "1000007": "B. a cat", "8": "a cat", "1000008": "A"}
    result, questions = run("mmbench", tmp_path, said)
    assert scores(result) == {"circular accuracy": 50.0, "accuracy in the first order": 100.0}
    ask = "Answer with the option's letter from the given choices directly."
    assert {q.id: q for q in questions}["8"].prompt == f"user: <image>Look.\nWhat is it?\nA. a cat\nB. a dog\n{ask}"
    assert [m.name for m in result.breakdowns["category"]] == ["animals"]


def test_mmbench_generates_missing_orders(tmp_path):
    files.mmbench(tmp_path, [{**CAT, "C": "a fox", "answer": "B"}])
    questions = TASKS["mmbench"].questions(tmp_path)
    assert [list(q.facts["options"].values()) for q in questions] == [
        ["a cat", "a dog", "a fox"],
        ["a dog", "a fox", "a cat"],
        ["a fox", "a cat", "a dog"],
    ]
    assert [q.facts["answer"] for q in questions] == ["B", "A", "C"]
    assert len({q.id for q in questions}) == 3
    result, _ = run("mmbench", tmp_path, {q.id: q.facts["answer"] for q in questions})
    assert scores(result)["circular accuracy"] == 100.0


def test_mme_sums_acc_and_acc_plus_over_categories(tmp_path):
    """count: 3 of 4 questions, 1 of 2 images: 75 + 50. posters: 1 of 2, 0 of 1: 50 + 0. code: 2 of 2, 1 of 1: 200."""
    files.mme(tmp_path, {"count": 2, "posters": 1, "code_reasoning": 1})
    said = {
        **{"count/0000#1": "Yes", "count/0000#2": "No, it is not.", "count/0001#1": "yes", "count/0001#2": "Yes"},
        **{"posters/0000#1": "I cannot say", "posters/0000#2": "no"},
        **{"code_reasoning/0000#1": "YES.", "code_reasoning/0000#2": "n"},
    }
    result, questions = run("mme", tmp_path, said)
    assert scores(result) == {"perception": pytest.approx(175.0), "cognition": pytest.approx(200.0)}
    assert result.unparsed == 1
    assert questions[0].prompt == "user: <image>Is it so?\nAnswer the question using a single word or phrase."
    assert [m.name for m in result.breakdowns["category"]] == ["count", "posters", "code_reasoning"]


def test_mmvet_by_rules_and_by_capability(tmp_path):
    files.mmvet(tmp_path, {"v0": ("-1 <AND> -5", ["math", "ocr"]), "v1": ("cat <OR> kitten", ["rec"])})
    result, _ = run("mmvet", tmp_path, {"v0": "It is -5", "v1": "A kitten!"})
    assert scores(result) == {"score": 75.0}
    assert {m.name: m.unit_scores[0].value for m in result.breakdowns["capability"]} == {
        "math": 0.5,
        "ocr": 0.5,
        "rec": 1.0,
    }


def mmmu_row(name: str, **changes):
    options = "['red', 'blue car']"
    usual = {"question": "What is <image 1>?", "options": options, "answer": "A", "question_type": "multiple-choice"}
    return {"id": name, **usual, **changes}


def test_mmmu_replaces_unparsed_answers_by_random_options_of_seed_42(tmp_path):
    art = [mmmu_row("a0"), mmmu_row("a1"), mmmu_row("a2", answer="B", question="<image 2> or <image 1>?")]
    free = mmmu_row("m0", options="[]", answer="['1200', '1,2k']", question_type="open")
    files.mmmu(tmp_path, {"Math": [free], "Art": art})
    said = {"a0": "(A)", "a1": "I cannot tell", "a2": "¿?", "m0": "so it is 1,200.0 m"}
    result, questions = run("mmmu_val", tmp_path, said)
    rng = random.Random(42)
    drawn = [rng.choice("AB") == answer for answer in "AB"]
    assert scores(result) == {
        "accuracy, unread answers drawn at random": 100 * (2 + sum(drawn)) / 4,
        "accuracy, unread answers wrong": 50.0,
    }
    assert result.unparsed == 2
    assert [q.id for q in questions] == ["a0", "a1", "a2", "m0"]  # in the benchmark's order of disciplines
    assert [len(q.images) for q in questions] == [1, 1, 2, 1]
    assert questions[0].prompt.endswith(
        "(A) red\n(B) blue car\n\nAnswer with the option's letter from the given choices directly."
    )
    means = {
        m.name: sum(mark.value for mark in m.unit_scores) / len(m.unit_scores) for m in result.breakdowns["subject"]
    }
    assert means == {"Art": (1 + sum(drawn)) / 3, "Math": 1.0}
    assert list(dict.fromkeys(m.name for m in result.breakdowns["discipline"])) == ["Art & Design", "Science"]


def test_mmmu_test_writes_a_submission(tmp_path):
    rows = [mmmu_row("t0", answer="?"), mmmu_row("t1", answer="?"), mmmu_row("t2", answer="?", question_type="open")]
    files.mmmu(tmp_path, {"Art": rows}, split="test")
    result, _ = run("mmmu_test", tmp_path, {"t0": "B", "t1": "no idea", "t2": "a cat"})
    assert result.measures == ()
    assert result.submission == {"t0": "B", "t1": random.Random(42).choice("AB"), "t2": "a cat"}


MATHS = {
    "1": {"answer": "14"},
    "2": {"answer": "1.2", "answer_type": "float", "precision": 1.0},
    "3": {"answer": "elm", "choices": ["oak", "elm"], "question_type": "multi_choice", "answer_type": "text"},
    "4": {"answer": "[1, 2]", "answer_type": "list"},
    "5": {"answer": "145", "unit": "kg"},
}


@pytest.mark.parametrize("parquet", [False, True])
def test_mathvista_extracts_rounds_and_compares(tmp_path, parquet):
    """Right: 14 of a sentence, 1.25 to 1.2, (B); wrong: another list; unread: a refusal. 3 of 5."""
    files.mathvista(tmp_path, MATHS, parquet)
    said = {"1": "There are 14.", "2": "1.25", "3": "The answer is (B).", "4": "[2, 1]", "5": "I'm sorry, I can't."}
    result, questions = run("mathvista", tmp_path, said)
    assert scores(result) == {"accuracy": 60.0}
    assert result.unparsed == 1
    assert questions[4].prompt.endswith("e.g., 1, 2, 3, at the end.\nQuestion: How many in 5? (Unit: kg)")
    assert questions[2].prompt.endswith("Question: How many in 3?\nChoices:\n(A) oak\n(B) elm")
    assert [m.name for m in result.breakdowns["skill"]] == ["arithmetic reasoning", "numeric commonsense"]


def test_missing_image_is_reported_and_the_rest_scored(tmp_path):
    files.mme(tmp_path, {"count": 2})
    (tmp_path / "mme/MME_Benchmark_release_version/count/0001.png").unlink()
    result, _ = run("mme", tmp_path, {q.id: q.truth for q in TASKS["mme"].questions(tmp_path)})
    assert scores(result) == {"perception": 200.0}  # of the remaining image
    assert set(result.issues) == {"count/0001#1", "count/0001#2"}
    assert all("0001.jpg: no such file" in reason for reason in result.issues.values())


def test_incomplete_units_are_left_out(tmp_path):
    """An MMBench question counts only if all its orders are graded."""
    files.mmbench(tmp_path, [CAT, {**CAT, "index": 8}])
    questions = TASKS["mmbench"].questions(tmp_path)
    graded = [(q, TASKS["mmbench"].grade(q, q.facts["answer"])) for q in questions if q.id != "8+1"]
    assert [len(m.unit_scores) for m in TASKS["mmbench"].measures(graded)] == [1, 1]


@pytest.mark.parametrize("name", ["textvqa", "mmbench", "mme", "mmvet", "mmmu_val", "mmmu_test", "mathvista"])
def test_empty_folder_error_names_the_expected_files(name, tmp_path):
    with pytest.raises(DataError, match=r"found none of|no MME category|no subject with"):
        TASKS[name].questions(tmp_path)


def broken(tmp_path, path: str, text: str) -> None:
    (tmp_path / path).write_text(text)


@pytest.mark.parametrize(
    ("name", "path", "text", "message"),
    [
        ("textvqa", "textvqa/TextVQA_0.5.1_val.json", "{", "invalid JSON"),
        ("textvqa", "textvqa/TextVQA_0.5.1_val.json", "[]", "expected a dict, got a list"),
        ("textvqa", "textvqa/TextVQA_0.5.1_val.json", "{}", "missing 'data'"),
        ("textvqa", "textvqa/TextVQA_0.5.1_val.json", json.dumps({"data": [{"image_id": 1}]}), "missing 'answers'"),
        ("textvqa_ocr", "textvqa/TextVQA_Rosetta_OCR_v0.2_val.json", '{"data": []}', "image p0 is not in"),
        ("mmbench", "mmbench/mmbench_dev_20230712.tsv", "index\tquestion\n", "missing columns A, B, answer, image"),
        (
            "mme",
            "mme/MME_Benchmark_release_version/count/0000.txt",
            "Is it?\tMaybe\n",
            "expected two lines of question, tab",
        ),
        ("mmmu_val", "mmmu/Art/validation-00000-of-00001.parquet", "PAR0", "invalid Parquet"),
    ],
)
def test_invalid_files_are_reported(name, path, text, message, tmp_path):
    files.textvqa(tmp_path, {"q0": ["a"] * 10})
    files.mmbench(tmp_path, [CAT])
    files.mme(tmp_path, {"count": 1})
    files.mmmu(tmp_path, {"Art": [mmmu_row("a0")]})
    broken(tmp_path, path, text)
    with pytest.raises(DataError, match=message):
        TASKS[name].questions(tmp_path)


def test_limit_is_evenly_spaced_and_keeps_units_complete(tmp_path):
    files.mme(tmp_path, {"existence": 4, "code_reasoning": 4})
    ids = [q.id for q in TASKS["mme"].questions(tmp_path, 2)]
    assert ids == ["existence/0000#1", "existence/0000#2", "code_reasoning/0000#1", "code_reasoning/0000#2"]
