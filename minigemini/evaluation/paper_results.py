"""Results that the paper reports for its models (arXiv 2403.18814, tables 1 and 2)."""

COLUMNS = ("TextVQA", "MMB", "MME-P", "MME-C", "MM-Vet", "MMMU val", "MMMU test", "MathVista")

_TABLE = """
MGM-2B     56.2 59.8 1341 312 31.1 31.7 29.1 29.4
MGM-7B     65.2 69.3 1523 316 40.8 36.1 32.8 31.4
MGM-13B    65.9 68.5 1565 322 46.0 38.1 33.5 37.0
MGM-8B     67.6 72.7 1606 341 47.3 38.2 36.3 -
MGM-8x7B   69.2 75.6 1639 379 45.8 41.8 37.1 41.8
MGM-34B    70.1 79.6 1666 439 53.0 48.7 43.6 38.9
MGM-7B-HD  68.4 65.8 1546 319 41.3 36.8 32.9 32.2
MGM-13B-HD 70.2 68.6 1597 320 50.5 37.3 35.1 37.0
MGM-8x7B-HD 71.9 74.7 1633 356 53.5 40.0 37.0 43.1
MGM-34B-HD 74.1 80.6 1659 482 59.3 48.0 44.9 43.3
"""

PAPER: dict[str, dict[str, float]] = {
    name: {column: float(cell) for column, cell in zip(COLUMNS, cells, strict=True) if cell != "-"}
    for name, *cells in (line.split() for line in _TABLE.split("\n") if line)
}
"""Scores by model and column."""


def row_of(model: str) -> str | None:
    """The paper's row for a model, by the last component of its name, ignoring case; None if there is none."""
    last = model.rstrip("/").rsplit("/", 1)[-1].lower()
    return next((name for name in PAPER if last == name.lower()), None)
