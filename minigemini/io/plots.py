"""Plots by matplotlib, which the extras `train` and `eval` install; a report without it says so in a line."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import accumulate
from math import isfinite, nan
from pathlib import Path
from typing import Any

from .atomic_write import atomic_write

NO_PLOTS = "No plots: matplotlib is not installed (pip install matplotlib)."
COLORS = ("#285abe", "#d6722c", "#4a8f4a", "#8a56a8", "#7d7d7d")
PALE, GRID = "#b0c4e8", "#d7d7d7"
_DOTS_PER_INCH = 150
_SETTINGS: Any = {
    "text.parse_math": False,  # names can contain dollar signs
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "minigemini",  # the same plot is the same file
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "legend.frameon": False,
    "font.size": 9,
}


@dataclass(frozen=True)
class Bar:
    """A bar with its interval."""

    name: str
    score: float
    low: float
    high: float


def can_plot() -> bool:
    """Return whether matplotlib is installed."""
    return find_spec("matplotlib") is not None


@contextmanager
def plot(
    path: Path, title: str, x_label: str, y_label: str = "", size_inches: tuple[float, float] = (7.2, 3.6)
) -> Iterator[Any]:
    """Yield matplotlib's `Axes` to draw on, and write the plot atomically at the end of the block.

    Args:
        path: ends in `.png` or `.svg`.
        title: says what is shown.
        x_label, y_label: names of the axes with units.
        size_inches: width and height, of 150 pixels each in a PNG.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure  # not pyplot, which keeps figures and needs a display in some settings

    with rc_context(_SETTINGS):
        figure = Figure(size_inches, dpi=_DOTS_PER_INCH, layout="constrained")
        axes = figure.subplots()
        axes.set_title(title, loc="left")
        axes.set_xlabel(x_label)
        axes.set_ylabel(y_label)
        yield axes
        kind = path.suffix.removeprefix(".")
        with atomic_write(path) as partial:
            figure.savefig(partial, format=kind, metadata={"Date": None} if kind == "svg" else {"Software": None})


def draw_curve(path: Path, steps: Sequence[int], values: Sequence[float], title: str, y_label: str) -> None:
    """Plot values over optimizer steps in a pale color, with their running mean over 2 % of the run."""
    window = max(1, len(values) // 50)
    means = _running_means(values, window)
    with plot(path, title, "optimizer step", y_label) as axes:
        axes.plot(steps, values, color=PALE, marker="." if len(values) == 1 else None, label="one step")
        if window > 1:
            axes.plot(steps, means, color=COLORS[0], label=f"mean of {window} steps")
            axes.legend()
        axes.xaxis.get_major_locator().set_params(integer=True)


def _running_means(values: Sequence[float], window: int) -> list[float]:
    """Mean of each value and those before it, `window` in all; NaN if one of them is not finite."""
    sums = list(accumulate((value if isfinite(value) else 0.0 for value in values), initial=0.0))
    invalid = list(accumulate((not isfinite(value) for value in values), initial=0))
    means = []
    for end in range(1, len(sums)):
        start = max(0, end - window)
        means.append(nan if invalid[end] > invalid[start] else (sums[end] - sums[start]) / (end - start))
    return means


def draw_bars(path: Path, title: str, x_label: str, runs: Sequence[tuple[str, Sequence[Bar | None]]]) -> None:
    """Plot horizontal bars with their intervals: a group per category, a color per run.

    Args:
        path, title, x_label: see `plot`.
        runs: names of runs, and their bars, one per category, None where a run lacks one.
    """
    bars = [bar for _, row in runs for bar in row if bar is not None]
    groups = len(runs[0][1])
    names = [next(bar.name for _, row in runs if (bar := row[group]) is not None) for group in range(groups)]
    thickness = 0.8 / len(runs)
    with plot(path, title, x_label, size_inches=(7.6, 0.9 + (0.08 + 0.2 * len(runs)) * groups)) as axes:
        for number, (name, row) in enumerate(runs):
            at = [group + (number + 0.5) * thickness - 0.4 for group, bar in enumerate(row) if bar is not None]
            shown = [bar for bar in row if bar is not None]
            scores = [bar.score for bar in shown]
            errors = [[bar.score - bar.low for bar in shown], [bar.high - bar.score for bar in shown]]
            axes.barh(at, scores, thickness * 0.9, xerr=errors, color=COLORS[number % len(COLORS)], label=name)
            for y, bar in zip(at, shown, strict=True):
                axes.annotate(f"{bar.score:.1f}", (bar.high, y), (4, 0), textcoords="offset points", va="center")
        axes.set_yticks(range(groups), names)
        axes.set_xlim(0, 1.06 * max([100.0, *(bar.high for bar in bars)]))
        axes.grid(visible=False, axis="y")
        axes.invert_yaxis()
        if len(runs) > 1:
            axes.figure.legend(loc="outside lower center", ncols=3)
