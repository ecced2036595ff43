r"""Ships a run of nano: its checkpoint in the package, its logs and scores in benchmarks/results/nano and the docs.

minigemini train nano
minigemini train nano-without-mining
minigemini eval synthetic synthetic-basic refusals --model runs/nano/nano --model runs/nano/nano-without-mining \
    --limit 150 -o runs/eval/nano
python tools/nano_results.py runs/nano runs/eval/nano/report.md
"""

import json
import re
import shutil
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from minigemini.io.hashes import write_sums
from minigemini.io.plots import COLORS, plot
from minigemini_models.nano import NANO_DIR
from minigemini_models.nano.nano_recipes import EXPORT, NAME, PIPELINES

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks/results/nano"
REPORT = RESULTS / "evaluation.md"
PAGES = (ROOT / "docs/results.md",)
BEGIN, END = "<!-- minigemini eval -->\n", "<!-- end -->\n"
LINES = 200
"""Lines of a kept log; each has the means over its share of the steps."""
UNKEPT = ("epoch",)


def main(runs: Path, report: Path) -> None:
    """Copy the checkpoint, the logs and the report, and write the tables."""
    write_tables(report.read_text())
    logs = {step: log for step in trained_steps() if (log := runs / step / "log.jsonl").exists()}
    for old in RESULTS.glob("*.jsonl"):
        old.unlink()
    kept = {step: thinned(map(json.loads, log.read_text().splitlines())) for step, log in logs.items()}
    for step, rows in kept.items():
        (RESULTS / f"{step}.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    draw_losses(kept)
    ship(runs / NAME)


def trained_steps() -> list[str]:
    """Return the steps of nano and its twin, each once."""
    return list(dict.fromkeys(step for steps in PIPELINES.values() for step in steps if step != EXPORT))


def ship(checkpoint: Path) -> None:
    """Copy a checkpoint into the package, beside its card and its examples."""
    for path in checkpoint.iterdir():
        if path.is_file() and path.name != "README.md":
            shutil.copy(path, NANO_DIR / path.name)
    write_sums(NANO_DIR)


def thinned(rows: Iterable[Mapping[str, float]]) -> list[dict[str, float]]:
    """Return at most `LINES` rows of a log, each the means of consecutive ones with the number of the last step."""
    all_rows = [row for row in rows if "loss" in row]
    size = -(-len(all_rows) // LINES)
    return [_mean(all_rows[start : start + size]) for start in range(0, len(all_rows), size)]


def _mean(rows: list[Mapping[str, float]]) -> dict[str, float]:
    names = dict.fromkeys(name for row in rows for name in row if name not in UNKEPT)
    values = {name: [row[name] for row in rows if name in row] for name in names}
    means = {name: float(f"{sum(found) / len(found):.4g}") for name, found in values.items()}
    return means | {"step": int(rows[-1]["step"])}


def draw_losses(kept: Mapping[str, list[dict[str, float]]]) -> None:
    """Plot the loss of every step over its share of the run."""
    with plot(RESULTS / "losses.svg", "Loss of each step", "share of the step's run", "loss") as axes:
        for number, (step, rows) in enumerate(kept.items()):
            shares = [row["step"] / rows[-1]["step"] for row in rows]
            style = "-" if step in PIPELINES[NAME] else ":"
            axes.plot(shares, [row["loss"] for row in rows], style, color=COLORS[number % len(COLORS)], label=step)
        axes.set_yscale("log")
        axes.legend(ncols=2)


def write_tables(report: str) -> None:
    """Keep the report, and put its tables between the markers of `PAGES`."""
    table = tables(report)
    REPORT.write_text(report)
    for path in PAGES:
        page = path.read_text()
        path.write_text(page.replace(BEGIN + between(page) + END, BEGIN + table + END))


def tables(report: str) -> str:
    """The table of scores of each task in a report.

    Raises:
        ValueError: The text is not a report of `minigemini eval`, or it has no scores.
    """
    found = re.findall(r"^## [^\n]+\n\n((?:\|[^\n]+\n)+)(?=\n- )", report, re.MULTILINE)
    if not report.startswith("# Evaluation\n") or not found:
        raise ValueError(
            "not a report.md of `minigemini eval` with scores; run `minigemini eval` and give its report.md"
        )
    return "\n".join(found)


def between(page: str) -> str:
    """The text between the two markers."""
    return page.split(BEGIN)[1].split(END)[0]


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
