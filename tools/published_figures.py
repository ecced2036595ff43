"""Write `minigemini/inference/published_figures.json` from the tables of the published models. Needs no weights."""

import json

from minigemini.conversion import PUBLISHED
from minigemini.inference.published_figures import FIGURES, as_figures


def figures() -> dict[str, object]:
    """Compute the figures of each published model by name."""
    return {name: as_figures(model.report(name)) for name, model in PUBLISHED.items()}


def as_text(figures_by_model: dict[str, object]) -> str:
    """Format as JSON with one model per line."""
    lines = (f"{json.dumps(name)}: {json.dumps(each)}" for name, each in figures_by_model.items())
    return "{\n" + ",\n".join(lines) + "\n}\n"


if __name__ == "__main__":
    FIGURES.write_text(as_text(figures()))
