"""Lays out the strings that OCR finds, so that a language model can look things up without comparing coordinates.

Strings whose middles are level form a row, from left to right, joined by " | "; rows follow from top to bottom. Where
strings line up in columns, this is written out:

- below a header, cells are labeled: "Tom | City: Paris | Age: 8";
- values above the labels of a chart's axis: "Jan: 34", and "Jan: ?" where OCR missed the value;
- shares of a pie: "Rent: 45%";
- the numbers along an axis: "y axis: 0 to 60".
"""

from collections.abc import Sequence

from .chart_layout import find_chart_blocks
from .text_boxes import SAME_COLUMN, Block, Row, TextBox, group_rows, is_number, is_year, split_tilted

MAX_CHARS = 800
"""Maximum length of a layout: about 220 tokens of prose, 350 of numbers."""
MAX_BOXES = 300
"""Strings per picture; the topmost win. Bounds the time, which is quadratic."""


def layout_text(boxes: Sequence[TextBox], max_chars: int = MAX_CHARS) -> str:
    """Lay out strings as text, at most `max_chars` long. See `layout_rows`."""
    return "\n".join(layout_rows(boxes, max_chars))


def layout_rows(boxes: Sequence[TextBox], max_chars: int = MAX_CHARS) -> list[str]:
    """Lay out strings as lines that are together at most `max_chars` long, line breaks included.

    The order of `boxes` does not matter. Strings without a letter or digit are dropped. The first lines win; "…" stands
    for the rest.
    """
    readable = [box for box in boxes if any(char.isalnum() for char in box.text)]
    readable = sorted(readable, key=lambda box: (box.top, box.left, box.text))[:MAX_BOXES]
    blocks, rest = find_chart_blocks(readable)
    upright, tilted = split_tilted(rest)
    blocks += [Block(box.y, (box.text,)) for box in tilted]
    blocks += _label_cells(group_rows(upright))
    blocks.sort(key=lambda block: block.y)
    return _cut([line for block in blocks for line in block.lines], max_chars)


def _label_cells(rows: Sequence[Row]) -> list[Block]:
    """Write rows as lines; the cells of a table with a header are labeled by it."""
    blocks: list[Block] = []
    header: Row = []
    for index, row in enumerate(rows):
        columns = _columns(header, row)
        if header and not columns:
            header = []
        if not header and _is_header(row, rows[index + 1 :]):
            header = row
        labels = [f"{head.text.rstrip(':')}: " if head else "" for head in columns or [None] * len(row)]
        cells = [label + box.text for label, box in zip(labels, row, strict=True)]
        blocks.append(Block(min(box.y for box in row), (" | ".join(cells),)))
    return blocks


def _is_header(row: Row, below: Sequence[Row]) -> bool:
    """Whether the cells of the next rows can be labeled by this one.

    A header has no numbers but years. Two rows below it must fit, or one of three cells with a digit in it.
    """
    if len(row) < 2 or any(is_number(box.text) and not is_year(box.text) for box in row):
        return False
    fitting = []
    for other in below[:2]:
        if not _columns(row, other):
            break
        fitting.append(other)
    has_digits = any(char.isdigit() for other in fitting for box in other for char in box.text)
    widest = max((len(other) for other in fitting), default=0)
    return widest >= 3 and (len(fitting) == 2 or has_digits)


def _columns(header: Row, row: Row) -> list[TextBox | None]:
    """The header of each cell of a row, None for the name of the row; empty if the row does not fit the header."""
    if not header or len(row) < 2:
        return []
    heads: list[TextBox | None] = []
    for number, box in enumerate(row):
        head = min(header, key=lambda head: _misfit(head, box))
        covered = sum(min(other.right, box.right) - max(other.left, box.left) > 0.01 for other in header)
        fits = _misfit(head, box) < SAME_COLUMN and (covered <= 1 or not number)
        if (not fits and number) or head in heads:
            return []
        heads.append(head if fits else None)
    is_named = heads[0] is None or heads[0] is header[0]
    return [None, *heads[1:]] if is_named else heads


def _misfit(head: TextBox, box: TextBox) -> float:
    return min(abs(head.left - box.left), abs(head.x - box.x), abs(head.right - box.right))


def _cut(lines: Sequence[str], max_chars: int) -> list[str]:
    """Keep the first lines that fit, and end with "…" if some do not. A first line that is too long is cut."""
    if sum(map(len, lines)) + len(lines) - 1 <= max_chars:
        return list(lines)
    kept: list[str] = []
    left = max_chars - 2  # for the line break and the ellipsis
    for line in lines:
        if len(line) > left:
            break
        kept.append(line)
        left -= len(line) + 1
    return [*kept, "…"] if kept else [lines[0][: max(0, max_chars - 1)].rstrip() + "…"]
