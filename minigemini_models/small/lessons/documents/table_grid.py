"""Set a table on a page, and find its rows in the layout."""

import numpy as np

from minigemini.inference.text_layout import layout_text

from ....scenes.colors import pick
from .document import Document
from .document_page import Page
from .document_words import chance


def ink(page: Page) -> str:
    """A color that stands out from the background of a page."""
    return "black" if page.background == "white" else "#ffe060"


def capitalized(question: str) -> str:
    """A question with its first letter in upper case; the rest stays as it is."""
    return question[0].upper() + question[1:]


def set_grid(
    rng: np.random.Generator,
    document: Document,
    head: str,
    heads: list[str],
    names: list[str],
    cells: list[list[str]],
    caption: bool = True,
) -> list[str | None]:
    """Set a table, and return the line of the layout for every row, None where an OCR error hides the row."""
    page, color = document.page, ink(document.page)
    top, step, size = 40, int(min(64, 420 / (len(names) + 1))), int(rng.integers(18, 25))
    lefts = [40 + index * (700 // (len(heads) + 1)) for index in range(len(heads) + 1)]
    if not caption:
        top += 20
    elif chance(rng, 0.4):
        text = f"{pick(rng, ('List', 'Table', 'Overview', 'Facts', 'Summary'))} by {head.lower()}"
        document.ask(
            "form",
            "What is the title of the table?|What is the heading?|What is the table about?",
            page.add(text, 40, 14, 26, color=color, bold=True),
        )
        top += 40
    if chance(rng, 0.4):
        _add_rules(page, lefts, top, step, len(names) + 1, color)
    has_corner = chance(rng, 0.8)
    shift = int(caption and len(heads) > 1 and chance(rng, 0.12))  # the names stand in the second column
    labels, rows = [head, *heads], [[name, *row] for name, row in zip(names, cells, strict=True)]
    if shift:
        has_corner = True
        labels, rows = (
            [heads[0], head, *heads[1:]],
            [[row[0], name, *row[1:]] for name, row in zip(names, cells, strict=True)],
        )
    for left, text in zip(lefts, labels if has_corner else ["", *heads], strict=True):
        if text:
            page.add(text, left, top, size, color=color, bold=True, droppable=False)
    complete = []
    for number, row in enumerate(rows):
        read = [
            page.add(text, left, top + (number + 1) * step, size, color=color)
            for left, text in zip(lefts, row, strict=True)
        ]
        complete.append(read == row)
    document.ask(
        "form",
        "What are the columns?|Which columns does the table have?|What are the headings of the columns?",
        ", ".join(labels if has_corner else heads),
        *heads,
    )
    return _lines_of(layout_text(page.boxes), rows, complete, labels)


def _lines_of(text: str, rows: list[list[str]], complete: list[bool], heads: list[str]) -> list[str | None]:
    """The line of each row in a layout, None if a string was misread or cells are not labeled by the heads."""
    found: dict[tuple[str, ...], str] = {}
    for line in text.split("\n"):
        parts = [part.rpartition(": ") for part in line.split(" | ")]
        if {head for head, colon, _ in parts if colon} <= set(heads):
            found[tuple(cell for _, _, cell in parts)] = line
        if line.count(": ") == 1 and " | " not in line:  # two columns that the layout takes for a chart
            found[tuple(line.split(": "))] = line
    return [found.get(tuple(row)) if is_read else None for row, is_read in zip(rows, complete, strict=True)]


def _add_rules(page: Page, lefts: list[int], top: int, step: int, rows: int, color: str) -> None:
    for row in range(rows + 1):
        y = top - 12 + row * step
        page.shape("line", lefts[0] - 10, y, 758, y, fill=color)
    for left in (*lefts, 768):
        page.shape("line", left - 10, top - 12, left - 10, top - 12 + rows * step, fill=color)
