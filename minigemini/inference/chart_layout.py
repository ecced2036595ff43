"""Finds axes, bars with their labels, and shares of pies among the strings that OCR finds."""

import re
from collections.abc import Sequence
from itertools import pairwise, permutations
from statistics import fmean, median

from .text_boxes import SAME_COLUMN, Block, Row, TextBox, group_rows, is_number, is_year, number_of, split_tilted

LINEARITY = 0.03
"""How far the numbers of an axis may be off a straight line, as a fraction of their range."""
CENTERING = 0.15
"""How far the middle of a label's values may be off, as a fraction of the distance between labels."""
MAX_TICKS = 40
"""Numbers on an axis; more are no axis. Bounds the time."""
MAX_SERIES = 4
"""Values per label of a chart."""
MAX_SHARES = 7
"""Shares of a pie: all orders are compared, 5040 at most."""
_PERCENT = re.compile(r"\d{1,3}([.,]\d+)?\s?%")


def find_chart_blocks(boxes: Sequence[TextBox]) -> tuple[list[Block], list[TextBox]]:
    """Return the lines of what belongs to charts, and the other strings."""
    blocks: list[Block] = []
    rest = list(boxes)
    for find in (_find_y_axis, _find_columns, _find_shares, _find_x_axis):
        block, used = find(rest)
        if block is not None:
            blocks.append(block)
            rest = [box for box in rest if not any(box is other for other in used)]
    return blocks, rest


Found = tuple[Block | None, Sequence[TextBox]]
"""Lines, and the strings that they replace."""
NOTHING: Found = (None, ())


def _find_y_axis(boxes: Sequence[TextBox]) -> Found:
    """Numbers in one column that grow upwards in proportion to their height, most of them alone in their row."""
    numbers = [box for box in boxes if is_number(box.text)]
    is_alone = {id(row[0]): len(row) == 1 for row in group_rows(boxes)}
    for edge in ("right", "x", "left"):
        for first in numbers:
            column = [box for box in numbers if abs(getattr(box, edge) - getattr(first, edge)) < SAME_COLUMN / 2]
            ticks = _on_a_line([(box.y, box) for box in column], growing=False)
            if len(ticks) >= 3 and 2 * sum(is_alone.get(id(box), False) for box in ticks) >= len(ticks):
                return Block(ticks[-1].y, (f"y axis: {ticks[-1].text} to {ticks[0].text}",)), ticks
    return NOTHING


def _find_x_axis(boxes: Sequence[TextBox]) -> Found:
    """The only row of at least four numbers that grow in proportion to their distance from the left."""
    rows = [row for row in group_rows(boxes) if len(row) >= 4 and all(is_number(box.text) for box in row)]
    if len(rows) != 1:
        return NOTHING
    ticks = _on_a_line([(box.x, box) for box in rows[0]], growing=True)
    if len(ticks) < max(4, len(rows[0]) - 1):
        return NOTHING
    return Block(ticks[0].y, (f"x axis: {ticks[0].text} to {ticks[-1].text}",)), rows[0]


def _on_a_line(places: Sequence[tuple[float, TextBox]], growing: bool) -> list[TextBox]:
    """The numbers that are a linear function of their place, in order of place; empty if fewer than 70 % are.

    The slope is the median of all slopes between two numbers, so single misread numbers do not matter.
    """
    points = sorted(((place, number_of(box.text), box) for place, box in places), key=lambda point: point[:2])
    if not 3 <= len(points) <= MAX_TICKS:
        return []
    slopes = [(b[1] - a[1]) / (b[0] - a[0]) for k, a in enumerate(points) for b in points[k + 1 :] if b[0] > a[0]]
    if not slopes or (median(slopes) > 0) != growing or not median(slopes):
        return []
    slope = median(slopes)
    offset = median(value - slope * place for place, value, _ in points)
    tolerance = LINEARITY * abs(slope) * (points[-1][0] - points[0][0])
    line = [box for place, value, box in points if abs(slope * place + offset - value) <= tolerance]
    return line if len(line) >= 0.7 * len(points) else []


def _find_columns(boxes: Sequence[TextBox]) -> Found:
    """A row of labels with values above them at different heights: a bar chart, or a line with values at its points."""
    for labels in _label_rows(boxes):
        if any(is_number(box.text) for box in labels) and not all(is_number(box.text) for box in labels):
            continue
        top = min(box.top for box in labels)
        values = [box for box in boxes if is_number(box.text) and box.bottom <= top + 0.3 * box.height]
        years = [box for box in values if is_year(box.text)]
        if 2 * len(years) < len(values):  # a legend, as in "2023" and "2024"
            values = [box for box in values if not is_year(box.text)]
        for anchor in (lambda box: box.x, lambda box: box.right):
            columns = _assign(values, labels, [anchor(box) for box in labels])
            if columns:
                lines = tuple(
                    f"{label.text}: {', '.join(box.text for box in column) or '?'}"
                    for label, column in zip(labels, columns, strict=True)
                )
                return Block(labels[0].y, lines), [*labels, *(box for column in columns for box in column)]
    return NOTHING


def _label_rows(boxes: Sequence[TextBox]) -> list[Row]:
    """Rows that could be the labels of an axis, from the lowest: level strings, or tilted ones with level tops."""
    upright, tilted = split_tilted(boxes)
    rows = [row for row in group_rows(upright) if len(row) >= 2]
    for box in tilted:
        row = [other for other in tilted if abs(other.top - box.top) < SAME_COLUMN]
        if len(row) >= 2:
            rows.append(sorted(row, key=lambda box: box.x))
            break
    return sorted(rows, key=lambda row: -row[0].y)


def _assign(values: Sequence[TextBox], labels: Row, places: Sequence[float]) -> list[Row]:
    """The values of each label, from left to right or top to bottom; empty if this is no chart.

    Two thirds of the labels must have values, none more than `MAX_SERIES`, and the values must not form the rows of
    a table.
    """
    spacing = min(b - a for a, b in pairwise(places))
    columns: list[Row] = [[] for _ in labels]
    for box in values:
        nearest = min(range(len(places)), key=lambda index: abs(places[index] - box.x))
        if abs(places[nearest] - box.x) < 0.45 * spacing:
            columns[nearest].append(box)
    filled = [column for column in columns if column]
    most = max(map(len, columns))
    if len(filled) < max(2, 2 * len(labels) / 3) or most > MAX_SERIES:
        return []
    offsets = [fmean(box.x for box in c) - place for c, place in zip(columns, places, strict=True) if len(c) == most]
    if any(abs(offset - median(offsets)) > CENTERING * spacing for offset in offsets):
        return []
    if len(group_rows([box for column in columns for box in column])) <= most:
        return []
    return [sorted(column, key=lambda box: _series_order(column, box, spacing)) for column in columns]


def _series_order(column: Row, box: TextBox, spacing: float) -> float:
    is_stacked = max(other.x for other in column) - min(other.x for other in column) < 0.1 * spacing
    return box.y if is_stacked else box.x


def _find_shares(boxes: Sequence[TextBox]) -> Found:
    """Percentages that add up to 100 and are not in rows with their labels: each belongs to the label near it."""
    shares = [box for box in boxes if _PERCENT.fullmatch(box.text.strip())]
    if not 2 <= len(shares) <= MAX_SHARES or not 97 <= sum(number_of(box.text) for box in shares) <= 103:
        return NOTHING
    if all(len(row) > 1 for row in group_rows(boxes) if any(box in shares for box in row)):
        return NOTHING
    labels = [box for box in boxes if box not in shares and not is_number(box.text)]
    nearest = [min(labels, key=lambda label: _distance(label, share), default=None) for share in shares]
    candidates = [label for label in dict.fromkeys(nearest) if label is not None]
    others = sorted(
        (label for label in labels if label not in candidates),
        key=lambda label: min(_distance(label, share) for share in shares),
    )
    candidates += others[: len(shares) - len(candidates)]
    if len(candidates) < len(shares):
        return NOTHING
    best = min(
        permutations(candidates),
        key=lambda order: sum(_distance(a, b) for a, b in zip(order, shares, strict=True)),
    )
    pairs = list(zip(best, shares, strict=True))
    if max(_distance(label, share) for label, share in pairs) > 0.3:
        return NOTHING
    pairs.sort(key=lambda pair: -number_of(pair[1].text))
    return Block(max(box.y for box in shares), tuple(f"{a.text}: {b.text}" for a, b in pairs)), [*best, *shares]


def _distance(a: TextBox, b: TextBox) -> float:
    return float(((a.x - b.x) ** 2 + (a.y - b.y) ** 2) ** 0.5)
