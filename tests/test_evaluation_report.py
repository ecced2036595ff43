"""Confidence intervals, paired tests, and the Markdown and HTML reports."""

import re
from dataclasses import replace

import benchmark_files as files
import nano_results
import numpy as np
import pytest
from test_benchmarks import TASKS, ScriptedAnswerer

from minigemini.evaluation.evaluate import Result, evaluate, load_results, save_results
from minigemini.evaluation.gallery import make_cards
from minigemini.evaluation.html_report import write_page
from minigemini.evaluation.report import Reproduction, labels, score_table, table_cell, write_report
from minigemini.evaluation.response_cache import ResponseCache
from minigemini.evaluation.statistics import compare, figure, wilson
from minigemini.evaluation.task import Measure, UnitScore


def measure_of(values, name="accuracy") -> Measure:
    return Measure(name, tuple(UnitScore(f"u{n}", float(value)) for n, value in enumerate(values)))


def test_wilson_contains_the_proportion_and_narrows():
    assert wilson(5, 10) == pytest.approx((0.2366, 0.7634), abs=1e-4)  # as tabulated for 5 of 10
    for right, total in ((0, 10), (10, 10), (500, 1000)):
        low, high = wilson(right, total)
        assert -1e-9 < low <= right / total + 1e-9
        assert right / total - 1e-9 <= high < 1 + 1e-9
    assert wilson(500, 1000)[1] - wilson(500, 1000)[0] < 0.07


def test_a_figure_is_the_sum_over_strata_of_weighted_means():
    scores = (UnitScore("a", 1.0, 3.0, "x"), UnitScore("b", 0.0, 1.0, "x"), UnitScore("c", 1.5, 1.0, "y"))
    found = figure(Measure("m", scores))
    assert found.score == pytest.approx(100 * (0.75 + 1.5))
    assert found.low <= found.score <= found.high
    assert figure(measure_of([1] * 5 + [0] * 5)).low == pytest.approx(23.66, abs=0.01)  # Wilson's, not the bootstrap's


def test_few_units_use_wilsons_interval():
    """With two correct units, every bootstrap resample is fully correct."""
    two = Measure("m", (UnitScore("a", 1.0, 2.0), UnitScore("b", 1.0, 2.0)))
    assert figure(two) == figure(measure_of([1, 1]))
    assert (figure(two).low, figure(two).high) == pytest.approx((34.24, 100.0), abs=0.01)
    apart = Measure("m", (UnitScore("a", 1.0, stratum="x"), UnitScore("b", 1.0, stratum="y")))
    one = figure(measure_of([1]))
    assert figure(apart).low == pytest.approx(200 - 2**0.5 * (100 - one.low))
    assert figure(apart).high == pytest.approx(200)
    unequal = Measure("m", (UnitScore("a", 1.0, 9.0), UnitScore("b", 1.0, 1.0)))
    assert one.low < figure(unequal).low < figure(two).low, "little more than one effective unit"
    soft = figure(measure_of([0.9, 1.0, 0.3]))
    assert 0 < soft.low < soft.score < soft.high < 100
    none_right = figure(Measure("m", (UnitScore("a", 0.0, stratum="x"),), max_value=2.0))
    assert none_right.high == pytest.approx(2 * figure(measure_of([0])).high)


@pytest.mark.parametrize("units", [30, 1000])
def test_many_equal_units_have_an_interval(units):
    found = figure(Measure("m", tuple(UnitScore(f"u{n}", 1.0, 2.0) for n in range(units))))
    assert found == figure(measure_of([1] * units))
    assert 80 < found.low < found.high == 100


@pytest.mark.parametrize("share", [0.5, 0.9])
def test_intervals_of_few_units_cover_the_true_value(share):
    """Intervals from six units in two strata with random weights cover the true value in over 95 % of 400 trials."""
    rng, covered = np.random.default_rng(0), 0
    for _ in range(400):
        scores = tuple(
            UnitScore(f"u{n}", float(rng.binomial(4, share)) / 4, float(rng.integers(1, 4)), "xy"[n % 2])
            for n in range(6)
        )
        found = figure(Measure("m", scores))
        covered += found.low <= 200 * share <= found.high
    assert covered / 400 > 0.95


def test_bootstrap_agrees_with_theory():
    """For 400 values of 0.25 and 0.75, the standard error of the mean is 0.25 / 20."""
    found = figure(measure_of([0.25, 0.75] * 200))
    assert found.high - found.low == pytest.approx(2 * 1.96 * 100 * 0.25 / 20, rel=0.08)


def test_paired_test_detects_significant_differences_only():
    better, worse = [1] * 90 + [0] * 10, [1] * 60 + [0] * 40
    assert compare(measure_of(worse), measure_of(better)).p < 0.001
    assert compare(measure_of(worse), measure_of(better)).points == pytest.approx(30.0)
    assert compare(measure_of(better), measure_of(better)).p == 1.0
    assert compare(measure_of([1, 0]), measure_of([0, 1])).p == 1.0
    one_better = compare(measure_of([0, 1, 1]), measure_of([1, 1, 1]))
    assert one_better.p == pytest.approx(1.0)  # one differing unit is not significant
    heavier = Measure("m", tuple(UnitScore(f"u{n}", float(n > 0), 2.0 if n == 0 else 1.0) for n in range(9)))
    assert compare(heavier, measure_of([1] * 9)).p == pytest.approx(1.0)  # still one differing unit
    six = compare(measure_of([0] * 6 + [1] * 4), measure_of([1] * 10))
    assert six.p == pytest.approx(2 / 64, abs=0.008)  # sign test: 2 of 64 outcomes
    assert compare(measure_of([1]), Measure("m", (UnitScore("other", 1.0),))) is None


def evaluated(tmp_path, model: str, wrong: tuple[str, ...] = ()) -> Result:
    task = TASKS["mme"]
    asked = task.questions(tmp_path)
    answerer = ScriptedAnswerer({q.id: "perhaps <b>" if q.id in wrong else q.truth for q in asked})
    answerer.name, answerer.identity = model, {"weights": model}
    return evaluate(task, asked, answerer, ResponseCache(tmp_path / "run"), batch_size=4)


def test_reports_show_the_paper_and_escape_answers(tmp_path):
    files.mme(tmp_path, {"count": 4})
    (tmp_path / "mme/MME_Benchmark_release_version/count/0003.png").write_bytes(b"broken")
    ours, other = (
        evaluated(tmp_path, "here/mgm-7b"),
        evaluated(tmp_path, "<script>|x", ("count/0001#1", "count/0002#2")),
    )
    repeat = Reproduction("minigemini eval mme", {"limit": "none"}, {"mme/a.txt": "ab" * 32})
    report = write_report(tmp_path, [ours, other], [], repeat).read_text()
    assert "| perception | 200.0 (87.7 to 200.0, n=3) | 1523 |" in report
    assert "**2 questions without a grade, left out of the scores**" in report
    assert "`count/0003#1`: " in report
    assert "- &lt;script>\\|x: 6 of 8 questions graded, scored by rules, no judge; 2 answers could not" in report
    assert "| perception | &lt;script>\\|x | +100.0 |" in report
    assert "    minigemini eval mme" in report
    assert "abab" in report
    cards = [card for result in (ours, other) for card in make_cards(tmp_path, result, None, 4)]
    assert {card.value for card in cards} == {0.0, 1.0}
    page = write_page(tmp_path, [ours, other], [], cards).read_text()
    assert "MGM-7B: 1523" in page
    assert "&lt;script&gt;|x" in page
    assert page.count("<script>") == 1  # the page's own script
    assert "perhaps &lt;b&gt;" in page
    assert all((tmp_path / name).exists() for name in re.findall(r'src="([^"]+)"', page))
    assert "http" not in re.sub(r"http-equiv", "", page)


def test_runs_of_the_same_name_have_separate_columns(tmp_path):
    files.mme(tmp_path, {"count": 1})
    result = evaluated(tmp_path, "mgm-7b")
    head, rule, row = score_table([result, result]).splitlines()
    assert head.count("|") == rule.count("|") == row.count("|") == 6


def test_aims_are_beside_the_scores_and_kept_with_them(tmp_path):
    files.mme(tmp_path, {"count": 1})
    ours = evaluated(tmp_path, "nano")
    assert "aim" not in score_table([ours])
    measures = (replace(measure_of([1, 0], "reads"), aim=90), measure_of([1, 1], "counts"))
    results = [replace(ours, measures=measures), replace(ours, model="twin", measures=measures[1:])]
    save_results(tmp_path, results)
    for shown in (results, load_results(tmp_path)):
        head, _, reads, counts = score_table(shown).splitlines()
        assert head.endswith("| nano | twin | aim |")
        assert reads.endswith("| - | 90 |")
        assert counts.endswith("| - |")
    page = write_page(tmp_path, results, [], []).read_text()
    assert "<th>aim</th>" in page
    assert "<td>90</td>" in page


def test_table_cells_are_escaped_and_on_one_line():
    assert table_cell("a|b\n\x1b[31m<i>`c`") == "a\\|b [31m&lt;i>'c'"


def test_model_labels_are_short_if_unambiguous(tmp_path):
    files.mme(tmp_path, {"count": 1})
    results = [evaluated(tmp_path, name) for name in ("nano", "a/nano-twin/", "b/other")]
    assert labels(results) == ["nano", "nano-twin", "other"]
    assert labels([evaluated(tmp_path, name) for name in ("nano", "a/nano")]) == ["nano", "a/nano"]
    runs = [evaluated(tmp_path, name) for name in ("runs/tuned/model", "runs/lora/adapter/", "model")]
    assert labels(runs) == ["tuned", "lora", "model"]
    table = score_table(results)
    report = write_report(tmp_path, results, [], Reproduction("minigemini eval mme", {}, {})).read_text()
    assert "| nano | nano-twin | other |" in table
    assert "a/nano-twin/" in report  # the identity table has the full name
    assert nano_results.tables(report) == table + "\n"
