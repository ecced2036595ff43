"""Precomputed reports on the published models, so that `info` can show them without importing torch.

`tools/published_figures.py` computes them from the tables in `conversion.published_models`; a test compares the two.
"""

import json
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

from .model_report import ModelReport

FIGURES = Path(__file__).with_name("published_figures.json")


def published_reports() -> dict[str, ModelReport]:
    """Return the report of each published model by name."""
    return {name: _report(name, figures) for name, figures in json.loads(FIGURES.read_text()).items()}


def as_figures(report: ModelReport) -> dict[str, Any]:
    """Convert a report to the stored format: equal Linears are counted, and name and folder are left out."""
    figures = {name: value for name, value in asdict(report).items() if name not in ("model", "folder")}
    return figures | {"linears": [[*shape, count] for shape, count in sorted(Counter(report.linears).items())]}


def _report(name: str, figures: dict[str, Any]) -> ModelReport:
    linears = [(rows, columns) for rows, columns, count in figures["linears"] for _ in range(count)]
    return ModelReport(model=name, folder=None, **{**figures, "linears": linears})
