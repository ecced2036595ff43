"""The published models' figures, worked out beforehand, so that `info` tells them at once.

`tools/published_figures.py` works them out of the tables in `conversion/families.py`; a test compares the two.
"""

import json
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

from .model_report import ModelReport

FIGURES = Path(__file__).with_name("published.json")


def published_reports() -> dict[str, ModelReport]:
    """The report of each published model, by its name."""
    return {name: _report(name, figures) for name, figures in json.loads(FIGURES.read_text()).items()}


def as_figures(report: ModelReport) -> dict[str, Any]:
    """A report as it is kept: equal Linears are counted, and what its name says is left out."""
    figures = {name: value for name, value in asdict(report).items() if name not in ("model", "folder")}
    return figures | {"linears": [[*shape, count] for shape, count in sorted(Counter(report.linears).items())]}


def _report(name: str, figures: dict[str, Any]) -> ModelReport:
    linears = [(rows, columns) for rows, columns, count in figures["linears"] for _ in range(count)]
    return ModelReport(model=name, folder=None, **{**figures, "linears": linears})
