"""Plots of reports: names of axes, round ticks, text that is only text, and the same file each time."""

import re

import pytest

pytest.importorskip("matplotlib")

from minigemini.io.plots import Bar, draw_bars, draw_curve


def texts(svg: str) -> list[str]:
    return re.findall(r"<text[^>]*>([^<]*)</text>", svg)


def test_a_curve_has_named_axes_and_round_ticks(tmp_path):
    steps = list(range(1, 301))
    for suffix in ("svg", "png"):
        draw_curve(tmp_path / f"loss.{suffix}", steps, [3 / step for step in steps], "small-answers", "loss, nats")
    shown = texts((tmp_path / "loss.svg").read_text())
    assert {"small-answers", "optimizer step", "loss, nats", "mean of 6 steps"} <= set(shown)
    assert {"0", "50", "100", "300", "0.5", "1.0"} <= set(shown)
    assert (tmp_path / "loss.png").read_bytes().startswith(b"\x89PNG")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["loss.png", "loss.svg"]


def test_a_run_of_one_step_is_a_point(tmp_path):
    draw_curve(tmp_path / "loss.svg", [7], [2.5], "short", "loss")
    svg = (tmp_path / "loss.svg").read_text()
    assert "<use" in svg, "a marker"
    assert "mean of" not in svg


def test_bars_name_runs_categories_and_the_score(tmp_path):
    runs = [
        ("a$x^2$", [Bar("read <b>signs", 70.5, 60, 80), Bar("count", 20, 10, 30)]),
        ("other", [None, Bar("count", 40, 35, 45)]),
    ]
    for name in ("one", "two"):
        draw_bars(tmp_path / f"{name}.svg", "", "score, %", runs)
    svg = (tmp_path / "one.svg").read_text()
    shown = texts(svg)
    assert {"a$x^2$", "other", "count", "read &lt;b&gt;signs", "score, %", "70.5", "0", "20", "100"} <= set(shown)
    assert svg == (tmp_path / "two.svg").read_text()


def test_scores_above_a_hundred_fit(tmp_path):
    draw_bars(tmp_path / "mme.svg", "", "score, points", [("m", [Bar("perception", 1523, 1490, 1560)])])
    assert {"0", "1000", "1600"} <= {text.strip() for text in texts((tmp_path / "mme.svg").read_text())}
