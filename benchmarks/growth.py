"""How time and memory grow with the size of what is put in, beside the growth that counting operations predicts.

    python benchmarks/growth.py                   # all parts with nano, some minutes
    python benchmarks/growth.py images clients    # measure these parts; keep the results of the others
    python benchmarks/growth.py report            # plots and tables from the results

Counts are written to the results before anything is measured. A slope is that of a straight line through the upper half
of the points, both axes logarithmic: 1 is linear, 2 quadratic. Seconds are of the processor, on one thread, except for
`clients`.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(Path(__file__).parent), str(ROOT / "tests")]
from growth_parts import PARTS, Part  # noqa: E402

RESULTS = ROOT / "benchmarks/results"
KEPT = RESULTS / "growth.json"
SLOWER = 0.15
"""A measured slope that is this much above the counted one is marked."""


def slope(sizes: Sequence[float], values: Sequence[float | None]) -> float:
    """Slope of a line through the upper half of the points, at least three, both axes logarithmic."""
    points = [(size, value) for size, value in zip(sizes, values, strict=True) if value]
    points = points[-max(3, len(points) // 2) :]
    x, y = np.log(np.array(points, dtype=float)).T
    return float(np.polyfit(x, y, 1)[0])


def measure(part: Part) -> None:
    """Write down what counting expects of a part, then measure it size by size."""
    found: dict[str, Any] = {
        "sizes": list(part.sizes),
        "commit": command("git", "describe", "--always", "--dirty=+"),
        "date": date.today().isoformat(),
        "series": {
            series.name: {
                "counted": series.counted,
                "unit": series.unit,
                "counts": [float(series.count(size)) for size in part.sizes],
                "measured": [None] * len(part.sizes),
            }
            for series in part.series
        },
    }
    save(part.name, found)
    with part.prepared() as measure_size:
        for number, size in enumerate(part.sizes):
            values = measure_size(size)
            for name, series in found["series"].items():
                series["measured"][number] = values.get(name)
            shown = ", ".join(f"{name} {value:.4g}" for name, value in values.items())
            print(f"{part.name} {size:,}: {shown}", flush=True)
            save(part.name, found)


def kept() -> dict[str, Any]:
    """The results so far, by part."""
    return json.loads(KEPT.read_text()) if KEPT.exists() else {}


def save(name: str, found: dict[str, Any]) -> None:
    KEPT.write_text(json.dumps(kept() | {name: found}, indent=1) + "\n")


def command(*words: str) -> str:
    return subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()


def slopes(found: dict[str, Any], name: str) -> tuple[float, float]:
    """The counted and the measured slope of a series, over the sizes that were measured."""
    series = found["series"][name]
    measured = series["measured"]
    counts = [count if value else None for count, value in zip(series["counts"], measured, strict=True)]
    return slope(found["sizes"], counts), slope(found["sizes"], measured)


def report(keep: dict[str, Any]) -> None:
    """Write a plot of each part, and the tables between the markers of the page."""
    tables = []
    for part in PARTS.values():
        if part.name not in keep:
            continue
        found = keep[part.name]
        draw(RESULTS / f"growth-{part.name}.svg", part, found)
        sizes = found["sizes"]
        tables += [
            f"## {part.title}",
            "",
            f"![Seconds and memory of {part.name} over their size](growth-{part.name}.svg)",
            "",
            f"Commit {found['commit']}, {found['date']}.",
            "",
            f"| | {part.x_label}: {sizes[0]:,} | {sizes[-1]:,} | counted | slope expected | measured | |",
            "|---|---|---|---|---|---|---|",
        ]
        for name, series in found["series"].items():
            expected, measured = slopes(found, name)
            first, *_, last = (value for value in series["measured"] if value is not None)
            mark = "**above**" if measured > expected + SLOWER else ""
            ends = f"{first:.3g} {series['unit']} | {last:.3g} {series['unit']}"
            ends += " *" if series["measured"][-1] is None else ""
            tables.append(f"| {name} | {ends} | {series['counted']} | {expected:.2f} | {measured:.2f} | {mark} |")
        tables.append("")
    page = RESULTS / "growth.md"
    before, _, rest = page.read_text().partition("<!-- tables -->\n")
    after = rest.partition("<!-- end -->")[2]
    page.write_text(f"{before}<!-- tables -->\n\n" + "\n".join(tables) + f"\n<!-- end -->{after}")


def draw(path: Path, part: Part, found: dict[str, Any]) -> None:
    """Plot what was measured as points, and the counts as lines that are scaled to the largest size."""
    from minigemini.io.plots import COLORS, plot

    colors = (*COLORS, "#000000")
    with plot(path, part.title, part.x_label, "seconds", (8.4, 4.6)) as axes:
        right = axes.twinx()
        for number, (name, series) in enumerate(found["series"].items()):
            shown = [
                (size, value, count)
                for size, value, count in zip(found["sizes"], series["measured"], series["counts"], strict=True)
                if value
            ]
            sizes, values, counts = np.array(shown, dtype=float).T
            is_time = series["unit"] == "s"
            side = axes if is_time else right
            expected, measured = slopes(found, name)
            label = f"{name}: expected {expected:.2f}, measured {measured:.2f}"
            look = {"color": colors[number], "marker": "o" if is_time else "s", "linestyle": "none"}
            side.plot(sizes, values, label=label, **look)
            side.plot(sizes, counts * values[-1] / counts[-1], color=look["color"], linestyle="-" if is_time else ":")
        for side in (axes, right):
            side.set_xscale("log")
            side.set_yscale("log")
            for axis in (side.xaxis, side.yaxis):
                axis.set_major_formatter(lambda value, _: f"{value:g}" if value < 1000 else f"{value:,.0f}")
                axis.set_minor_formatter(lambda *_: "")
        low, high = right.get_ylim()
        right.set_ylim(low / 3, high * 3)  # at least a decade, or ticks have no labels
        right.grid(visible=False)
        right.set_ylabel("MB (squares, dotted)")
        right.spines["right"].set_visible(True)
        axes.figure.legend(loc="outside lower center", ncols=2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join([*PARTS, 'report'])}; default: all")
    names = parser.parse_args().parts or [*PARTS, "report"]
    if unknown := set(names) - {*PARTS, "report"}:
        parser.error(f"no part {', '.join(unknown)}; choose from {', '.join([*PARTS, 'report'])}")
    for name in names:
        if name == "report":
            report(kept())
        else:
            measure(PARTS[name])


if __name__ == "__main__":
    main()
