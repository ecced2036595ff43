"""Write `minigemini/inference/published.json` anew, from the tables of the published models. Builds on no weights."""

import json

from minigemini.conversion import PUBLISHED
from minigemini.inference.published_figures import FIGURES, as_figures


def figures() -> dict[str, object]:
    """Of each published model, by its name."""
    return {name: as_figures(model.report(name)) for name, model in PUBLISHED.items()}


def as_text(of_all: dict[str, object]) -> str:
    """One model a line."""
    lines = (f"{json.dumps(name)}: {json.dumps(one)}" for name, one in of_all.items())
    return "{\n" + ",\n".join(lines) + "\n}\n"


if __name__ == "__main__":
    FIGURES.write_text(as_text(figures()))
