"""Data files as evaluation tasks, and the comparison of two runs."""

import json
from pathlib import Path

import benchmark_files as files
import pytest
from test_benchmarks import ScriptedAnswerer
from typer.testing import CliRunner

from minigemini.cli.app import app
from minigemini.cli.eval_file import Metric, read_data_file, split_arguments
from minigemini.evaluation.data_file_task import METRICS
from minigemini.evaluation.evaluate import Result, evaluate, load_results, save_results
from minigemini.evaluation.response_cache import ResponseCache
from minigemini.evaluation.run_comparison import changed_samples, compare_runs
from minigemini.evaluation.task import DataError
from minigemini.inference import RequestError

ANSWERS = ("red", "a green car", "seven people")
SAID = {"1: a": "Red.", "2: b": "It is a green car", "3: c": "7 people"}


@pytest.fixture
def data(tmp_path) -> Path:
    (tmp_path / "photos").mkdir()
    rows = []
    for number, (name, answer) in enumerate(zip("abc", ANSWERS, strict=True)):
        (tmp_path / "photos" / f"{name}.png").write_bytes(files.image(number))
        turns = [{"from": "human", "value": "<image>\nWhat is it?"}, {"from": "gpt", "value": answer}]
        rows.append({"id": name, "image": f"photos/{name}.png", "conversations": turns})
    path = tmp_path / "questions.json"
    path.write_text(json.dumps(rows))
    return path


def run(data: Path, folder: Path, metric: str | None, said: dict[str, str]) -> Result:
    task = read_data_file(data, None, metric)
    result = evaluate(task, task.questions(None), ScriptedAnswerer(said), ResponseCache(folder), batch_size=8)
    save_results(folder, [result])
    return result


def test_cli_metrics_are_those_of_the_task() -> None:
    assert tuple(Metric) == METRICS


def test_files_and_names_are_told_apart() -> None:
    names, paths = split_arguments(["mme", "my.jsonl", "data/shards", "mmvet"])
    assert names == ["mme", "mmvet"]
    assert paths == [Path("my.jsonl"), Path("data/shards")]


@pytest.mark.parametrize(
    ("metric", "expected"), [("exact", 100 / 3), ("contains", 200 / 3), ("vqa", 200 / 3), ("anls", None)]
)
def test_each_metric_scores_the_last_answers(data, tmp_path, metric, expected) -> None:
    (measure,) = run(data, tmp_path / "run", metric, SAID).measures
    assert measure.name == metric
    values = [score.value for score in measure.unit_scores]
    if (
        expected is None
    ):  # "a green car" of "it is a green car": 6 of 17 characters more; "seven" for "7": 5 of 12 wrong
        assert values == pytest.approx([1, 11 / 17, 7 / 12], abs=1e-6)
    else:
        assert 100 * sum(values) / len(values) == pytest.approx(expected)


def test_the_questions_have_images_and_earlier_turns(tmp_path) -> None:
    messages = [
        {"role": "user", "content": "Hello."},
        {"role": "assistant", "content": "Hi."},
        {"role": "user", "content": "What is two and two?"},
        {"role": "assistant", "content": "4"},
    ]
    path = tmp_path / "talk.jsonl"
    path.write_text(json.dumps({"id": "x", "messages": messages}))
    (question,) = read_data_file(path, None, None).questions(None)
    assert question.prompt == "user: Hello.\nassistant: Hi.\nuser: What is two and two?"
    assert (question.truth, question.images) == ("4", [])


def test_answers_of_a_changed_file_are_asked_again(data) -> None:
    before = read_data_file(data, None, None).version
    data.write_text(data.read_text().replace("red", "blue"))
    assert read_data_file(data, None, None).version != before


def test_invalid_samples_and_empty_files_are_errors(data, tmp_path) -> None:
    rows = json.loads(data.read_text())
    rows[1]["conversations"].pop()
    data.write_text(json.dumps(rows))
    with pytest.raises(DataError, match=r"1 of 3 samples are invalid .*wrong order of roles.*data validate"):
        read_data_file(data, None, None)
    empty = tmp_path / "empty.jsonl"
    empty.write_text("")
    with pytest.raises((RequestError, ValueError), match=r"empty\.jsonl"):
        read_data_file(empty, None, None)


def test_metric_judge_without_a_judge_is_an_error(data) -> None:
    result = CliRunner().invoke(app, ["eval", str(data), "--metric", "judge"])
    assert result.exit_code == 2
    assert "--metric judge needs a judge; give --judge URL" in result.output


def test_two_files_of_one_name_are_an_error(data) -> None:
    result = CliRunner().invoke(app, ["eval", str(data), f"other/{data.name}"])
    assert result.exit_code == 2
    assert "two files have the same name" in result.output


def test_a_judge_reads_question_truth_and_answer(data) -> None:
    task = read_data_file(data, None, "judge")
    question = task.questions(None)[0]
    prompt = task.ask_judge(question, "Crimson.")
    assert "What is it?" in prompt
    assert "Ground truth: red\nPrediction: Crimson." in prompt
    assert task.read_verdict(question, "Crimson.", "Score: 0.8").value == 0.8
    assert task.read_verdict(question, "Crimson.", "good") is None


def test_comparison_lists_what_changed(data, tmp_path) -> None:
    run(data, tmp_path / "one", "exact", SAID)
    run(data, tmp_path / "two", "exact", SAID | {"1: a": "blue", "3: c": "seven people"})
    (one,), (two,) = load_results(tmp_path / "one"), load_results(tmp_path / "two")
    changed = changed_samples(one, two)
    assert [(sample.id, sample.answers, sample.values) for sample in changed] == [
        ("1: a", ("Red.", "blue"), (1.0, 0.0)),
        ("3: c", ("7 people", "seven people"), (0.0, 1.0)),
    ]
    page = compare_runs(tmp_path / "one", tmp_path / "two", shown=1)
    assert "2 samples with another score: 1 better in the second run, 1 worse." in page
    assert "| 1: a | red | Red. | blue | 1 -> 0 |" in page
    assert "and 1 more" in page
    assert "| exact | 33.3 (" in page


def test_runs_without_a_common_task_are_an_error(data, tmp_path) -> None:
    run(data, tmp_path / "one", "exact", SAID)
    other = data.rename(tmp_path / "other.json")
    run(other, tmp_path / "two", "exact", SAID)
    result = CliRunner().invoke(app, ["compare", str(tmp_path / "one"), str(tmp_path / "two")])
    assert result.exit_code == 2
    assert "have no task in common" in result.output
    assert CliRunner().invoke(app, ["compare", str(tmp_path / "one"), str(tmp_path)]).exit_code == 2


def test_command_line_from_file_to_comparison(data, tmp_path) -> None:
    folder = tmp_path / "nano"
    command = ["eval", str(data), "--limit", "2", "--workers", "0", "--gallery", "0", "--metric", "exact"]
    result = CliRunner().invoke(app, [*command, "--output", str(folder)])
    assert result.exit_code == 0, result.output
    assert "| task questions.json | nano |" in result.output
    assert f"minigemini eval {data} --model nano" in (folder / "report.md").read_text()
    same = CliRunner().invoke(app, ["compare", str(folder), str(folder)])
    assert same.exit_code == 0, same.output
    assert "0 samples with another score" in same.output
