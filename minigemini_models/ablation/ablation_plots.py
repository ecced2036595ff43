"""Plots of the ablation: the paper's findings, and the grid of resolutions and visual tokens."""

import statistics
from collections.abc import Sequence
from pathlib import Path

from minigemini.io.plots import COLORS, PALE, plot

from .results import Results, enough, figures, gains
from .variants import FINDINGS, GRID, GRID_SIZES_PX, GRID_TOKENS


def draw_findings(path: Path, results: Results) -> None:
    """Draw one row per finding: the gain of each seed as a dot, their mean as a bar, the paper's gain as a diamond."""
    ours = [gains(finding, results) for finding in FINDINGS]
    papers = [better - worse for _, worse, better in (finding.paper for finding in FINDINGS)]
    rows = range(len(FINDINGS))
    with plot(path, "", "gain of the better over the worse variant, points", size_inches=(8.6, 3.4)) as axes:
        axes.barh(rows, [statistics.mean(one) for one in ours], 0.3, color=PALE, label="mean of the seeds")
        seeds = [(gain, row) for row, one in zip(rows, ours, strict=True) for gain in one]
        axes.scatter(*zip(*seeds, strict=True), 24, color="white", edgecolor=COLORS[0], zorder=3, label="one seed")
        axes.scatter(papers, rows, 36, color=COLORS[1], marker="D", zorder=3, label="the paper")
        axes.axvline(0, color="black", linewidth=0.8)
        axes.set_yticks(rows, [finding.name for finding in FINDINGS])
        axes.grid(visible=False, axis="y")
        axes.invert_yaxis()
        axes.legend()


def draw_grid(path: Path, results: Results, column: str, gain: float) -> None:
    """Draw a line per resolution over the number of visual tokens, with a ring where more tokens no longer pay off.

    Args:
        path: of the plot.
        results: of all variants of the grid.
        column: what to plot.
        gain: points that another doubling has to bring, see `results.enough`.
    """
    rings: list[tuple[int, float]] = []
    with plot(path, "", "visual tokens of an image", f"{column}, %") as axes:
        for size, color in zip(GRID_SIZES_PX, COLORS, strict=False):
            scores = scores_by_tokens(size, column, results)
            tokens, means = [*scores], [statistics.mean(values) for values in scores.values()]
            axes.plot(tokens, means, color=color, marker="o", markersize=4, label=f"{size} pixels")
            seeds = [(count, value) for count, values in scores.items() for value in values]
            axes.scatter(*zip(*seeds, strict=True), 14, color="white", edgecolor=color, zorder=3)
            if (count := enough(list(zip(tokens, means, strict=True)), gain)) is not None:
                rings.append((count, means[tokens.index(count)]))
        if rings:
            axes.scatter(
                *zip(*rings, strict=True),
                130,
                color="none",
                edgecolor="black",
                zorder=4,
                label=f"another doubling brings less than {gain:g} points",
            )
        axes.set_xscale("log", base=2)
        axes.set_xticks(GRID_TOKENS, [str(count) for count in GRID_TOKENS])
        axes.legend()


def scores_by_tokens(size: int, column: str, results: Results) -> dict[int, Sequence[float]]:
    """Return the scores of a resolution by number of visual tokens, seed by seed."""
    return {tokens: figures(variant, column, results) for (side, tokens), variant in GRID.items() if side == size}
