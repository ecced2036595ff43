"""Sample documents of 512 pixels: lines of text, bar charts and tables; and text-only scenes of 256 pixels."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate, islice

import numpy as np

from .colors import COLORS, background, contrasting, luminance, pick, shade
from .layouts import Box
from .lettering import CAP_HEIGHTS_PX, Color, text_width
from .scene import PAGE_PX, SCENE_PX, Bar, Block, Scene, Sign
from .splits import SceneDomain

PAGE_KINDS = ("lines", "chart", "table")
ONE_LINE = "line"
"""A page with a single line of two words: the first lesson in reading documents."""
_LINE_RANGE_AND_MAX_WORDS = {ONE_LINE: ((1, 1), 2), "lines": ((1, 3), 4), "text": ((3, 6), 4)}
"""Minimum and maximum number of lines, and the maximum number of words per line."""
_GAP_PX = 12
_LABEL_WIDTH_PX = 150
"""Width reserved for the labels of horizontal bars."""


def compose_document(rng: np.random.Generator, kind: str, domain: SceneDomain, seed: int) -> Scene:
    """Sample a document of a kind with `rng`; `seed` places its noise."""
    ground = background(rng, [])
    font, cap_height = pick(rng, domain.fonts), int(rng.integers(CAP_HEIGHTS_PX[0], CAP_HEIGHTS_PX[1] + 1))
    size_px = SCENE_PX if kind == "text" else PAGE_PX
    pen = _TextStyle(rng, domain, ground, contrasting(rng, ground), font, cap_height, size_px)
    noise = max(0.0, float(rng.uniform(-6, 6)))
    match kind:
        case "line" | "lines" | "text":
            line_range, max_words = _LINE_RANGE_AND_MAX_WORDS[kind]
            lines, blocks = _sample_lines(pen, line_range, max_words)
            kind = "lines" if kind == ONE_LINE else kind
            return Scene(kind, ground, lines=lines, blocks=blocks, size_px=size_px, noise=noise, seed=seed)
        case "chart":
            bars, blocks = _sample_chart(pen)
            return Scene(kind, ground, bars=bars, blocks=blocks, size_px=PAGE_PX, noise=noise, seed=seed)
        case _:
            cells, blocks = _sample_table(pen)
            return Scene(kind, ground, cells=cells, blocks=blocks, size_px=PAGE_PX, noise=noise, seed=seed)


class _TextStyle:
    """The font, size and ink that all text of a document shares."""

    def __init__(
        self,
        rng: np.random.Generator,
        domain: SceneDomain,
        ground: Color,
        ink: Color,
        font: str,
        cap_height_px: int,
        side_px: int,
    ) -> None:
        self.rng, self.domain, self.ground, self.ink = rng, domain, ground, ink
        self.font, self.cap_height_px, self.side_px = font, cap_height_px, side_px

    def width(self, text: str) -> float:
        return text_width(text, self.font, self.cap_height_px)

    def write(self, text: str, left: float, top: float) -> Sign:
        """Place a text with its upper left corner at a point."""
        box = (round(left), round(top), round(left + self.width(text)), round(top) + self.cap_height_px)
        return Sign(text, box, self.ground, self.ink, self.font, self.cap_height_px, "bare")

    def texts(self, count: int, room_px: float, taken: Sequence[str] = (), names: bool = False) -> list[str]:
        """Sample distinct texts no wider than `room_px` and not in `taken`; without numbers if they are `names`."""
        source = replace(self.domain.texts, numbers=0.0) if names else self.domain.texts
        found: list[str] = []
        longest = 8
        while len(found) < count:
            text = source.draw(self.rng, longest)
            if text not in (*found, *taken) and self.width(text) <= room_px:
                found.append(text)
            elif self.width(text) > room_px:
                longest = max(3, longest - 1)
        return found


def _sample_lines(
    pen: _TextStyle, line_range: tuple[int, int], max_words: int
) -> tuple[tuple[Sign, ...], tuple[Block, ...]]:
    """Sample lines of one to `max_words` words, on a panel or directly on the background."""
    rng = pen.rng
    panel = bool(rng.random() < 0.5)
    if panel:
        pen.ground = background(rng, [])
        pen.ink = contrasting(rng, pen.ground)
    count = int(rng.integers(line_range[0], line_range[1] + 1))
    max_line_words = int(rng.integers(2, 5)) if count == 1 else int(rng.integers(1, 4))
    texts = [_sample_line(pen, min(max_line_words, max_words)) for _ in range(count)]
    pitch, pad = round(pen.cap_height_px * rng.uniform(1.7, 2.4)), int(rng.integers(8, 20))
    count = min(count, 1 + (pen.side_px - 4 - pen.cap_height_px - 2 * pad) // pitch)
    texts = texts[:count]
    width = max(map(pen.width, texts)) + 2 * pad
    height = pitch * (count - 1) + pen.cap_height_px + 2 * pad
    left, top = rng.uniform(2, pen.side_px - width - 2), rng.uniform(2, pen.side_px - height - 2)
    centered = rng.random() < 0.5
    lines = []
    for number, text in enumerate(texts):
        indent = (width - 2 * pad - pen.width(text)) / 2 if centered else 0
        lines.append(pen.write(text, left + pad + indent, top + pad + number * pitch))
    box = (round(left), round(top), round(left + width), round(top + height))
    return tuple(lines), (Block(box, pen.ground),) if panel else ()


def _sample_line(pen: _TextStyle, max_line_words: int) -> str:
    words = [pen.domain.texts.draw(pen.rng) for _ in range(max_line_words)]
    while pen.width(" ".join(words)) > pen.side_px - 60:
        words.pop()
    return " ".join(words)


def _sample_chart(pen: _TextStyle) -> tuple[tuple[Bar, ...], tuple[Block, ...]]:
    """Sample three to six vertical or horizontal bars with distinct labels and values; values are at the bars' ends."""
    rng, count = pen.rng, int(pen.rng.integers(3, 7))
    horizontal = pick(rng, pen.domain.layouts.charts) == "lying"
    pitch = int(rng.integers(44, 70)) if horizontal else (PAGE_PX - 40) // count
    labels = pen.texts(count, _LABEL_WIDTH_PX - 20 if horizontal else pitch - 8, names=True)
    values, colors = _sample_values(pen, count), _sample_bar_colors(pen, count)
    scale = rng.uniform(180, 240 if horizontal else 300) / max(values)
    x = int(rng.integers(10, 30)) + (_LABEL_WIDTH_PX if horizontal else 0)
    y = int(rng.integers(20, 60)) if horizontal else int(rng.integers(380, 440))
    bars = []
    for number, (label, value, color) in enumerate(zip(labels, values, colors, strict=True)):
        length, start = max(3, round(value * scale)), number * pitch
        if horizontal:
            bars.append(_horizontal_bar(pen, label, value, color, (x, y + start, x + length, y + start + 26)))
        else:
            bars.append(_vertical_bar(pen, label, value, color, (x + start, y - length, x + start + pitch * 3 // 5, y)))
    axis: Box = (x - 2, y - 10, x, y + count * pitch) if horizontal else (6, y, PAGE_PX - 6, y + 2)
    return tuple(bars), (Block(axis, pen.ink),)


def _vertical_bar(pen: _TextStyle, label: str, value: int, color: Color, box: Box) -> Bar:
    """A bar with its label below and its value above."""
    left, top, right, bottom = box
    middle = (left + right) / 2
    below = pen.write(label, middle - pen.width(label) / 2, bottom + _GAP_PX)
    above = pen.write(str(value), middle - pen.width(str(value)) / 2, top - pen.cap_height_px - 6)
    return Bar(below, above, Block(box, color))


def _horizontal_bar(pen: _TextStyle, label: str, value: int, color: Color, box: Box) -> Bar:
    """A bar with its label to the left and its value to the right."""
    left, top, right, bottom = box
    line = (top + bottom - pen.cap_height_px) / 2
    before, behind = pen.write(label, left - 8 - pen.width(label), line), pen.write(str(value), right + 6, line)
    return Bar(before, behind, Block(box, color))


def _sample_values(pen: _TextStyle, count: int) -> list[int]:
    """Sample values of two or three digits, far enough apart for the bars to differ visibly."""
    short, long = (
        [v for v in values if pen.domain.texts.allows(str(v))] for values in (range(10, 100), range(100, 1000))
    )
    allowed = short if len(short) > 10 * count and pen.rng.random() < 0.6 else long
    while True:
        values = [pick(pen.rng, allowed) for _ in range(count)]
        if np.diff(sorted(values)).min() >= max(allowed) / 50:
            return values


def _sample_bar_colors(pen: _TextStyle, count: int) -> list[Color]:
    """Sample one color for all bars or one for each, excluding colors close to the background."""
    names = [n for n, c in COLORS.items() if abs(luminance(c) - luminance(pen.ground)) > 30]
    chosen = [pick(pen.rng, names)] * count if pen.rng.random() < 0.5 else [pick(pen.rng, names) for _ in range(count)]
    return [shade(pen.rng, name) for name in chosen]


def _sample_table(pen: _TextStyle) -> tuple[tuple[tuple[Sign, ...], ...], tuple[Block, ...]]:
    """Sample a table of two to four columns and two to five rows below the header; no text occurs twice."""
    rng = pen.rng
    columns, rows = int(rng.integers(2, 5)), int(rng.integers(2, 6)) + 1
    room = (PAGE_PX - 40) / columns - 2 * _GAP_PX
    names = pen.texts(columns + rows - 1, room, names=True)
    texts = iter(pen.texts((columns - 1) * (rows - 1), room, taken=names))
    grid = [names[:columns], *([name, *islice(texts, columns - 1)] for name in names[columns:])]
    widths = [max(pen.width(row[column]) for row in grid) + 2 * _GAP_PX for column in range(columns)]
    height = round(pen.cap_height_px * rng.uniform(2.0, 2.6))
    left, top = rng.uniform(8, PAGE_PX - sum(widths) - 8), rng.uniform(8, PAGE_PX - rows * height - 8)
    lefts = [left, *(left + width for width in accumulate(widths))]
    inset = (height - pen.cap_height_px) / 2
    cells = tuple(
        tuple(pen.write(text, x + _GAP_PX, top + row * height + inset) for text, x in zip(line, lefts, strict=False))
        for row, line in enumerate(grid)
    )
    box = (round(left), round(top), round(lefts[-1]), round(top + rows * height))
    return cells, _rules(pen, pick(rng, pen.domain.layouts.tables), box, height, lefts)


def _rules(pen: _TextStyle, layout: str, box: Box, height: int, lefts: list[float]) -> tuple[Block, ...]:
    """Return lines between all cells, one line below the header, or stripes behind every other row."""
    left, top, right, bottom = box
    if layout == "plain":
        return (Block((left, top + height - 1, right, top + height), pen.ink),)
    if layout == "striped":
        step = 24 if luminance(pen.ink) < luminance(pen.ground) else -24
        red, green, blue = (min(max(channel + step, 0), 255) for channel in pen.ground)
        stripes = range(top, bottom, 2 * height)
        return tuple(Block((left, y, right, min(y + height, bottom)), (red, green, blue)) for y in stripes)
    across = [Block((left, y, right, y), pen.ink) for y in range(top, bottom + 1, height)]
    return (*across, *(Block((round(x), top, round(x), bottom), pen.ink) for x in lefts))
