"""Intervals, paired tests, and what a report and its page say."""

import re

import benchmark_files as files
import numpy as np
import pytest
import readme_results
from test_benchmarks import TASKS, Scripted

from minigemini.evaluation.evaluate import Result, evaluate
from minigemini.evaluation.gallery import make_cards
from minigemini.evaluation.html_report import write_page
from minigemini.evaluation.report import Reproduction, labels, score_table, table_cell, write_report
from minigemini.evaluation.response_cache import ResponseCache
from minigemini.evaluation.statistics import compare, figure, wilson
from minigemini.evaluation.task import Measure, UnitScore


def shares(values, name="accuracy") -> Measure:
    return Measure(name, tuple(UnitScore(f"u{n}", float(value)) for n, value in enumerate(values)))


def test_wilson_holds_the_share_and_narrows():
    assert wilson(5, 10) == pytest.approx((0.2366, 0.7634), abs=1e-4)  # as tabulated for 5 of 10
    for right, asked in ((0, 10), (10, 10), (500, 1000)):
        low, high = wilson(right, asked)
        assert -1e-9 < low <= right / asked + 1e-9
        assert right / asked - 1e-9 <= high < 1 + 1e-9
    assert wilson(500, 1000)[1] - wilson(500, 1000)[0] < 0.07


def test_a_figure_is_the_sum_over_strata_of_weighted_means():
    marks = (UnitScore("a", 1.0, 3.0, "x"), UnitScore("b", 0.0, 1.0, "x"), UnitScore("c", 1.5, 1.0, "y"))
    found = figure(Measure("m", marks))
    assert found.score == pytest.approx(100 * (0.75 + 1.5))
    assert found.low <= found.score <= found.high
    assert figure(shares([1] * 5 + [0] * 5)).low == pytest.approx(23.66, abs=0.01)  # Wilson's, not the bootstrap's


def test_a_few_units_have_wilsons_interval_whatever_their_values():
    """A bootstrap draws two that are right as right every time."""
    two = Measure("m", (UnitScore("a", 1.0, 2.0), UnitScore("b", 1.0, 2.0)))  # two signs of two letters
    assert figure(two) == figure(shares([1, 1]))
    assert (figure(two).low, figure(two).high) == pytest.approx((34.24, 100.0), abs=0.01)
    apart = Measure("m", (UnitScore("a", 1.0, stratum="x"), UnitScore("b", 1.0, stratum="y")))
    one = figure(shares([1]))
    assert figure(apart).low == pytest.approx(200 - 2**0.5 * (100 - one.low))
    assert figure(apart).high == pytest.approx(200)
    unequal = Measure("m", (UnitScore("a", 1.0, 9.0), UnitScore("b", 1.0, 1.0)))
    assert one.low < figure(unequal).low < figure(two).low, "hardly more than one unit"
    soft = figure(shares([0.9, 1.0, 0.3]))
    assert 0 < soft.low < soft.score < soft.high < 100
    none_right = figure(Measure("m", (UnitScore("a", 0.0, stratum="x"),), max_value=2.0))
    assert none_right.high == pytest.approx(2 * figure(shares([0])).high)


@pytest.mark.parametrize("units", [30, 1000])
def test_many_units_that_are_all_alike_have_an_interval_too(units):
    found = figure(Measure("m", tuple(UnitScore(f"u{n}", 1.0, 2.0) for n in range(units))))
    assert found == figure(shares([1] * units))
    assert 80 < found.low < found.high == 100


@pytest.mark.parametrize("share", [0.5, 0.9])
def test_intervals_of_a_few_units_hold_the_share(share):
    """Of 400 tests of six units in two strata, weighed by chance, the true figure lies in nearly all intervals."""
    rng, held = np.random.default_rng(0), 0
    for _ in range(400):
        marks = tuple(
            UnitScore(f"u{n}", float(rng.binomial(4, share)) / 4, float(rng.integers(1, 4)), "xy"[n % 2])
            for n in range(6)
        )
        found = figure(Measure("m", marks))
        held += found.low <= 200 * share <= found.high
    assert held / 400 > 0.95


def test_the_bootstrap_agrees_with_theory():
    """Of 400 halves, the standard error of the mean is half of theirs over 20."""
    found = figure(shares([0.25, 0.75] * 200))
    assert found.high - found.low == pytest.approx(2 * 1.96 * 100 * 0.25 / 20, rel=0.08)


def test_the_paired_test_tells_luck_from_skill():
    better, worse = [1] * 90 + [0] * 10, [1] * 60 + [0] * 40
    assert compare(shares(worse), shares(better)).p < 0.001
    assert compare(shares(worse), shares(better)).points == pytest.approx(30.0)
    assert compare(shares(better), shares(better)).p == 1.0
    assert compare(shares([1, 0]), shares([0, 1])).p == 1.0
    one_better = compare(shares([0, 1, 1]), shares([1, 1, 1]))
    assert one_better.p == pytest.approx(1.0)  # a single unit that moves says nothing
    heavier = Measure("m", tuple(UnitScore(f"u{n}", float(n > 0), 2.0 if n == 0 else 1.0) for n in range(9)))
    assert compare(heavier, shares([1] * 9)).p == pytest.approx(1.0)  # still a single unit that moves
    six = compare(shares([0] * 6 + [1] * 4), shares([1] * 10))
    assert six.p == pytest.approx(2 / 64, abs=0.008)  # by the sign test: 2 of the 64 ways
    assert compare(shares([1]), Measure("m", (UnitScore("other", 1.0),))) is None


def answered(tmp_path, model: str, wrong: tuple[str, ...] = ()) -> Result:
    task = TASKS["mme"]
    asked = task.questions(tmp_path)
    answerer = Scripted({q.id: "perhaps <b>" if q.id in wrong else q.truth for q in asked})
    answerer.name, answerer.identity = model, {"weights": model}
    return evaluate(task, asked, answerer, ResponseCache(tmp_path / "run"), batch_size=4)


def test_report_and_page_stand_beside_the_paper_and_escape_what_is_said(tmp_path):
    files.mme(tmp_path, {"count": 4})
    (tmp_path / "mme/MME_Benchmark_release_version/count/0003.png").write_bytes(b"broken")
    ours, other = answered(tmp_path, "here/mgm-7b"), answered(tmp_path, "<script>|x", ("count/0001#1", "count/0002#2"))
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
    assert page.count("<script>") == 1  # our own
    assert "perhaps &lt;b&gt;" in page
    assert all((tmp_path / name).exists() for name in re.findall(r'src="([^"]+)"', page))
    assert "http" not in re.sub(r"http-equiv", "", page)


def test_two_runs_of_one_name_have_columns_of_their_own(tmp_path):
    files.mme(tmp_path, {"count": 1})
    result = answered(tmp_path, "mgm-7b")
    head, rule, row = score_table([result, result]).splitlines()
    assert head.count("|") == rule.count("|") == row.count("|") == 6


def test_cells_hold_on_one_line_whatever_they_hold():
    assert table_cell("a|b\n\x1b[31m<i>`c`") == "a\\|b [31m&lt;i>'c'"


def test_models_go_by_the_last_part_of_their_names_where_it_tells_them_apart(tmp_path):
    files.mme(tmp_path, {"count": 1})
    results = [answered(tmp_path, name) for name in ("nano", "a/nano-twin/", "b/other")]
    assert labels(results) == ["nano", "nano-twin", "other"]
    assert labels([answered(tmp_path, name) for name in ("nano", "a/nano")]) == ["nano", "a/nano"]
    table = score_table(results)
    report = write_report(tmp_path, results, [], Reproduction("minigemini eval mme", {}, {})).read_text()
    assert "| nano | nano-twin | other |" in table
    assert "a/nano-twin/" in report  # the identity table has the full name
    assert readme_results.tables(report) == table + "\n"
