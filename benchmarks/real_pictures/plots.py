"""Charts by matplotlib: bars, lines and pies."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib

matplotlib.use("agg")

from matplotlib import font_manager
from matplotlib import pyplot as plt


@dataclass(frozen=True)
class Chart:
    """One chart; `values` has one list per series.

    Attributes:
        kind: `bar`, `barh`, `line` or `pie`.
        labels: of the bars, points or pieces.
        marked: whether the values are printed beside their marks.
    """

    kind: str
    title: str
    labels: Sequence[str]
    values: Mapping[str, Sequence[float]]
    unit: str = ""
    colors: Sequence[str] = ()
    marked: bool = True
    font: str = "DejaVu Sans"
    size_inches: tuple[float, float] = (6.4, 4.4)


def use_fonts(folder: Path) -> None:
    """Make the fonts in a folder known to matplotlib."""
    for file in sorted((*folder.rglob("*.ttf"), *folder.rglob("*.otf"))):
        font_manager.fontManager.addfont(file)


def draw(chart: Chart, path: Path) -> None:
    """Write a PNG of 100 dots per inch."""
    with plt.rc_context({"font.family": chart.font, "font.size": 13}):
        figure, axes = plt.subplots(figsize=chart.size_inches, dpi=100)
        colors = list(chart.colors) or None
        if chart.kind == "pie":
            (values,) = chart.values.values()
            axes.pie(
                values, labels=chart.labels, colors=colors, autopct="%d%%" if chart.marked else None, startangle=90
            )
        elif chart.kind == "line":
            for number, (name, values) in enumerate(chart.values.items()):
                axes.plot(chart.labels, values, marker="o", label=name, color=colors[number] if colors else None)
                for x, value in enumerate(values if chart.marked else ()):
                    axes.annotate(f"{value:g}", (x, value), textcoords="offset points", xytext=(0, 8), ha="center")
            axes.margins(y=0.15)
        else:
            (values,) = chart.values.values()
            bars = (axes.bar if chart.kind == "bar" else axes.barh)(chart.labels, values, color=colors)
            if chart.marked:
                axes.bar_label(bars, padding=3)
            axes.margins(**{"y" if chart.kind == "bar" else "x": 0.15})
        if len(chart.values) > 1:
            axes.legend()
        if chart.unit and chart.kind != "pie":
            (axes.set_xlabel if chart.kind == "barh" else axes.set_ylabel)(chart.unit)
        axes.set_title(chart.title)
        figure.tight_layout()
        figure.savefig(path, metadata={"Software": None})
        plt.close(figure)
