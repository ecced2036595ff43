"""Scenes of 512 pixels for nano-HD: lines of text, a bar chart, a table. And small ones full of text to learn from."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate, islice

import numpy as np

from .colors import COLORS, background, contrasting, luminance, pick, shade
from .layouts import Box
from .lettering import CAP_HEIGHTS_PX, Colour, text_width
from .scene import PAGE_PX, SCENE_PX, Bar, Block, Scene, Sign
from .splits import SceneDomain

PAGE_KINDS = ("lines", "chart", "table")
ONE_LINE = "line"
"""A page with one line of two words on it and nothing else: what reading pages begins with."""
_LINES_AND_WORDS = {ONE_LINE: ((1, 1), 2), "lines": ((1, 3), 4), "text": ((3, 6), 4)}
"""Least and most lines, and most words of a line."""
_GAP_PX = 12
_LABELS_PX = 150
"""Room for labels before lying bars."""


def compose(rng: np.random.Generator, kind: str, domain: SceneDomain, seed: int) -> Scene:
    """A page of the kind, from a generator that stands at the page's seed."""
    ground = background(rng, [])
    font, cap_height = pick(rng, domain.fonts), int(rng.integers(CAP_HEIGHTS_PX[0], CAP_HEIGHTS_PX[1] + 1))
    size_px = SCENE_PX if kind == "text" else PAGE_PX
    pen = _Pen(rng, domain, ground, contrasting(rng, ground), font, cap_height, size_px)
    noise = max(0.0, float(rng.uniform(-6, 6)))
    match kind:
        case "line" | "lines" | "text":
            least_and_most, most_words = _LINES_AND_WORDS[kind]
            lines, blocks = _lines(pen, least_and_most, most_words)
            kind = "lines" if kind == ONE_LINE else kind
            return Scene(kind, ground, lines=lines, blocks=blocks, size_px=size_px, noise=noise, seed=seed)
        case "chart":
            bars, blocks = _chart(pen)
            return Scene(kind, ground, bars=bars, blocks=blocks, size_px=PAGE_PX, noise=noise, seed=seed)
        case _:
            cells, blocks = _table(pen)
            return Scene(kind, ground, cells=cells, blocks=blocks, size_px=PAGE_PX, noise=noise, seed=seed)


class _Pen:
    """One font, size and ink, in which all of a page is written."""

    def __init__(
        self,
        rng: np.random.Generator,
        domain: SceneDomain,
        ground: Colour,
        ink: Colour,
        font: str,
        cap_height_px: int,
        side_px: int,
    ) -> None:
        self.rng, self.domain, self.ground, self.ink = rng, domain, ground, ink
        self.font, self.cap_height_px, self.side_px = font, cap_height_px, side_px

    def width(self, text: str) -> float:
        return text_width(text, self.font, self.cap_height_px)

    def write(self, text: str, left: float, top: float) -> Sign:
        box = (round(left), round(top), round(left + self.width(text)), round(top) + self.cap_height_px)
        return Sign(text, box, self.ground, self.ink, self.font, self.cap_height_px, "bare")

    def texts(self, count: int, room_px: float, taken: Sequence[str] = (), names: bool = False) -> list[str]:
        """Different texts, each no wider than `room_px` and none of `taken`; no numbers if they are to be `names`."""
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


def _lines(pen: _Pen, least_and_most: tuple[int, int], most_words: int) -> tuple[tuple[Sign, ...], tuple[Block, ...]]:
    """So many lines of one to `most_words` words, on a panel or straight on the ground."""
    rng = pen.rng
    panel = bool(rng.random() < 0.5)
    if panel:
        pen.ground = background(rng, [])
        pen.ink = contrasting(rng, pen.ground)
    count = int(rng.integers(least_and_most[0], least_and_most[1] + 1))
    most = int(rng.integers(2, 5)) if count == 1 else int(rng.integers(1, 4))
    texts = [_line(pen, min(most, most_words)) for _ in range(count)]
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


def _line(pen: _Pen, most: int) -> str:
    words = [pen.domain.texts.draw(pen.rng) for _ in range(most)]
    while pen.width(" ".join(words)) > pen.side_px - 60:
        words.pop()
    return " ".join(words)


def _chart(pen: _Pen) -> tuple[tuple[Bar, ...], tuple[Block, ...]]:
    """Three to six bars of different labels and values, upright or lying, each with its value at its end."""
    rng, count = pen.rng, int(pen.rng.integers(3, 7))
    lying = pick(rng, pen.domain.layouts.charts) == "lying"
    pitch = int(rng.integers(44, 70)) if lying else (PAGE_PX - 40) // count
    labels = pen.texts(count, _LABELS_PX - 20 if lying else pitch - 8, names=True)
    values, colors = _values(pen, count), _bar_colors(pen, count)
    scale = rng.uniform(180, 240 if lying else 300) / max(values)
    x = int(rng.integers(10, 30)) + (_LABELS_PX if lying else 0)
    y = int(rng.integers(20, 60)) if lying else int(rng.integers(380, 440))
    bars = []
    for number, (label, value, color) in enumerate(zip(labels, values, colors, strict=True)):
        length, start = max(3, round(value * scale)), number * pitch
        if lying:
            bars.append(_lying(pen, label, value, color, (x, y + start, x + length, y + start + 26)))
        else:
            bars.append(_upright(pen, label, value, color, (x + start, y - length, x + start + pitch * 3 // 5, y)))
    axis: Box = (x - 2, y - 10, x, y + count * pitch) if lying else (6, y, PAGE_PX - 6, y + 2)
    return tuple(bars), (Block(axis, pen.ink),)


def _upright(pen: _Pen, label: str, value: int, color: Colour, box: Box) -> Bar:
    """Its label below, its value above."""
    left, top, right, bottom = box
    middle = (left + right) / 2
    below = pen.write(label, middle - pen.width(label) / 2, bottom + _GAP_PX)
    above = pen.write(str(value), middle - pen.width(str(value)) / 2, top - pen.cap_height_px - 6)
    return Bar(below, above, Block(box, color))


def _lying(pen: _Pen, label: str, value: int, color: Colour, box: Box) -> Bar:
    """Its label before it, its value behind."""
    left, top, right, bottom = box
    line = (top + bottom - pen.cap_height_px) / 2
    before, behind = pen.write(label, left - 8 - pen.width(label), line), pen.write(str(value), right + 6, line)
    return Bar(before, behind, Block(box, color))


def _values(pen: _Pen, count: int) -> list[int]:
    """Different values of two or three digits, far enough apart for the bars to differ."""
    short, long = (
        [v for v in values if pen.domain.texts.allows(str(v))] for values in (range(10, 100), range(100, 1000))
    )
    allowed = short if len(short) > 10 * count and pen.rng.random() < 0.6 else long
    while True:
        values = [pick(pen.rng, allowed) for _ in range(count)]
        if np.diff(sorted(values)).min() >= max(allowed) / 50:
            return values


def _bar_colors(pen: _Pen, count: int) -> list[Colour]:
    """One colour for all bars or one for each; what is hard to tell from the ground is not taken."""
    names = [n for n, c in COLORS.items() if abs(luminance(c) - luminance(pen.ground)) > 30]
    chosen = [pick(pen.rng, names)] * count if pen.rng.random() < 0.5 else [pick(pen.rng, names) for _ in range(count)]
    return [shade(pen.rng, name) for name in chosen]


def _table(pen: _Pen) -> tuple[tuple[tuple[Sign, ...], ...], tuple[Block, ...]]:
    """Two to four columns and two to five rows below the heads; no text comes twice."""
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


def _rules(pen: _Pen, layout: str, box: Box, height: int, lefts: list[float]) -> tuple[Block, ...]:
    """Lines between all cells, one below the heads only, or every other row on a darker or lighter stripe."""
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
