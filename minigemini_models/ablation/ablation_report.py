"""The report of the ablation: a section for each group of variants, with the paper's numbers beside ours."""

import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path

from minigemini.io.plots import NO_PLOTS, can_plot
from minigemini.training.run_report import environment

from .ablation_plots import draw_findings, draw_grid
from .ablation_settings import Ablation
from .measurements import COLUMNS, SKILLS
from .results import Results, differences, enough, figures, gains, shows
from .variants import FINDINGS, GRID, GRID_SIZES_PX, GRID_TOKENS, MINING, WITHOUT, Finding, Variant

REPORT, FINDINGS_PLOT, GRID_PLOT = "report.md", "findings.png", "grid.png"
GRID_COLUMN = "reading"
"""What the grid shows: resolution and tokens matter most for what is small."""


def write_report(folder: Path, results: Results, ablation: Ablation) -> Path:
    """Write `report.md`, and its plots if matplotlib is installed; returns the path of the report.

    Args:
        folder: exists.
        results: the scores of every variant and seed.
        ablation: the settings of the run.
    """
    sections = {"findings": _findings, "grid": _grid, "data": _data, "encoders": _encoders}
    lines = [
        "# Ablation",
        "",
        f"    minigemini train ablation {' '.join(ablation.words())}",
        "",
        ", ".join(f"{name} {value}" for name, value in environment().items()),
        "",
        f"Means and standard deviations of {ablation.seeds} seeds, in percent, on numbers and scenes held out from "
        "training.",
        *(line for group in ablation.groups() for line in ("", *sections[group](folder, results, ablation))),
        "",
    ]
    (folder / REPORT).write_text("\n".join(lines), encoding="utf-8")
    return folder / REPORT


def _findings(folder: Path, results: Results, ablation: Ablation) -> list[str]:
    if can_plot():
        draw_findings(folder / FINDINGS_PLOT, results)
    return [
        "## The paper's findings",
        "",
        *_variants(ablation.groups()["findings"], results),
        "",
        "Does each finding of the paper hold at this scale? Yes: the better variant scores higher with every seed.",
        "",
        *_table(
            ("finding", "in the paper", "here", "by seed", "holds"),
            (_finding_row(finding, results) for finding in FINDINGS),
        ),
        "",
        _plot(FINDINGS_PLOT, "Gains of every seed, their means, and the paper's gains"),
    ]


def _grid(folder: Path, results: Results, ablation: Ablation) -> list[str]:
    if can_plot():
        draw_grid(folder / GRID_PLOT, results, GRID_COLUMN, ablation.gain)

    def mean(size: int, tokens: int) -> float:
        return statistics.mean(figures(GRID[size, tokens], GRID_COLUMN, results))

    rows = []
    for size in GRID_SIZES_PX:
        points = [(tokens, mean(size, tokens)) for tokens in GRID_TOKENS if (size, tokens) in GRID]
        cells = [_cell(GRID.get((size, tokens)), GRID_COLUMN, results) for tokens in GRID_TOKENS]
        rows.append((f"{size} pixels", *cells, _enough(points, ablation.gain)))
    last = [
        _enough([(size, mean(size, tokens)) for size in GRID_SIZES_PX if (size, tokens) in GRID], ablation.gain)
        for tokens in GRID_TOKENS
    ]
    return [
        "## Resolution and visual tokens",
        "",
        f"{GRID_COLUMN.capitalize()}, %, by the side of the high-resolution image and the number of visual tokens. "
        f"Enough is the first value after which another doubling brings less than {ablation.gain:g} points.",
        "",
        *_table(("", *(f"{tokens} tokens" for tokens in GRID_TOKENS), "enough"), [*rows, ("enough", *last, "")]),
        "",
        _plot(GRID_PLOT, f"{GRID_COLUMN.capitalize()} over visual tokens, a line per resolution"),
    ]


def _data(folder: Path, results: Results, ablation: Ablation) -> list[str]:
    rows = [(part, *(_change(variant, skill, results) for skill in SKILLS)) for part, variant in WITHOUT.items()]
    return [
        "## Data of stage 2",
        "",
        "Change in points when a part is left out, and its standard deviation; first the scores with all parts.",
        "",
        *_table(("left out", *SKILLS), [("nothing", *(_cell(MINING, skill, results) for skill in SKILLS)), *rows]),
    ]


def _encoders(folder: Path, results: Results, ablation: Ablation) -> list[str]:
    return ["## High-resolution encoders", "", *_variants(ablation.groups()["encoders"], results)]


def _variants(group: Iterable[Variant], results: Results) -> list[str]:
    rows = ((one.name, *(_cell(one, column, results) for column in COLUMNS)) for one in group)
    return _table(("variant", *COLUMNS), rows)


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    return [
        f"| {' | '.join(header)} |",
        "|---|" + "---|" * (len(header) - 1),
        *(f"| {' | '.join(row)} |" for row in rows),
    ]


def _cell(variant: Variant | None, column: str, results: Results) -> str:
    return "" if variant is None else _with_spread(figures(variant, column, results), ".1f")


def _change(variant: Variant, column: str, results: Results) -> str:
    return _with_spread(differences(MINING, variant, column, results), "+.1f")


def _with_spread(values: Sequence[float], form: str) -> str:
    spread = f" ± {statistics.stdev(values):.1f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):{form}}{spread}"


def _enough(points: Sequence[tuple[int, float]], gain: float) -> str:
    size = enough(points, gain)
    return "not reached" if size is None else str(size)


def _finding_row(finding: Finding, results: Results) -> tuple[str, ...]:
    where, worse, better = finding.paper
    ours = (statistics.mean(figures(one, finding.column, results)) for one in (finding.worse, finding.better))
    here = " → ".join(f"{value:.1f}" for value in ours)
    by_seed = ", ".join(f"{gain:+.1f}" for gain in gains(finding, results))
    answer = "yes" if shows(finding, results) else "no"
    return finding.name, f"{where}: {worse} → {better}", f"{finding.column}: {here}", by_seed, answer


def _plot(name: str, title: str) -> str:
    return f"![{title}]({name})" if can_plot() else NO_PLOTS
