"""Bar charts, line charts and pies, with value labels or axes alone."""

import numpy as np

from minigemini.inference.text_layout import layout_text

from ....scenes.colors import pick
from .chart_questions import ask_about_topic, ask_about_values
from .chart_topics import CHART_TOPICS, IN_ORDER, LABELS, MEASURES, PIE_TOPICS, THINGS, YEARS, Topic, period_of
from .document import Document
from .document_page import Page
from .document_words import CITIES, chance, options, pick_some

BARS = ("#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd", "#8c564b", "#555555", "#17becf")


def bar_chart(rng: np.random.Generator, perfect: bool = False) -> Document:
    """Upright or lying bars; the values stand at the bars, or must be estimated from the axis."""
    page = Page(rng, 640, 480, perfect)
    document = Document("a bar chart", page)
    topic = pick(rng, CHART_TOPICS) if chance(rng, 0.7) else None
    labels, values, texts = _series(rng, topic)
    title = _title(rng, document, topic, labels)
    has_values, lies = chance(rng, 0.8), chance(rng, 0.25)
    step, top = _axis(max(values))
    color = pick(rng, BARS)
    place = _place_lying if lies else _place_upright
    pairs = place(rng, page, labels, values, texts if has_values else None, top, step, color)
    _name_axis(rng, document, topic, labels, lies)
    lines = _lines_of(page, pairs)
    ask_about_values(rng, document, labels, values, texts, lines, "bar")
    ask_about_topic(rng, document, topic, labels, values, texts, lines if has_values else None)
    if not has_values:
        document.lack(f"What is the exact value of {pick(rng, labels)}?|Exactly how much is {pick(rng, labels)}?")
        document.lack("Which bar is the tallest?|What is the highest value?")
    if title is None:
        document.lack("What is the title of the chart?|What is the title?")
    names = [label for label, _ in pairs]
    document.ask("count", "How many bars are there?|How many bars does the chart have?", str(len(labels)), *names)
    document.ask(
        "labels",
        "Which bars are there?|What are the labels of the bars?|List the labels.",
        ", ".join(map(str, names)),
        *names,
    )
    return document


def line_chart(rng: np.random.Generator, perfect: bool = False) -> Document:
    """A line with values at its points."""
    page = Page(rng, 640, 480, perfect)
    document = Document("a line chart", page)
    times = [topic for topic in CHART_TOPICS if topic.trend]
    topic = pick(rng, times) if chance(rng, 0.75) else None
    labels, values, texts = _series(rng, topic)
    _title(rng, document, topic, labels)
    step, top = _axis(max(values))
    pairs = _place_upright(rng, page, labels, values, texts, top, step, None)
    _name_axis(rng, document, topic, labels, False)
    lines = _lines_of(page, pairs)
    ask_about_values(rng, document, labels, values, texts, lines, "point")
    ask_about_topic(rng, document, topic, labels, values, texts, lines)
    return document


def pie_chart(rng: np.random.Generator, perfect: bool = False) -> Document:
    """A pie with a label outside and a percentage inside each part."""
    page = Page(rng, 640, 480, perfect)
    document = Document("a pie chart", page)
    count = int(rng.integers(2, 6))
    topic = pick(rng, PIE_TOPICS) if chance(rng, 0.75) else None
    groups = topic.labels if topic else [group for group in LABELS if len(group) >= 6 and not group[0].isdigit()]
    labels = pick_some(rng, pick(rng, groups), count)
    cuts = sorted(int(cut) for cut in rng.choice(np.arange(6, 95, 7), count - 1, replace=False))
    values = [b - a for a, b in zip([0, *cuts], [*cuts, 100], strict=True)]
    _title(rng, document, topic, labels)
    read: list[tuple[str | None, str | None]] = []
    start = 0
    for index, (label, value) in enumerate(zip(labels, values, strict=True)):
        angle = 2 * np.pi * (start + value / 2) / 100
        x, y = 320 + np.cos(angle) * 90, 260 - np.sin(angle) * 90
        share = page.add(f"{value}%", x, y, 18, "mm", droppable=False)
        side = "lm" if np.cos(angle) > 0.2 else "rm" if np.cos(angle) < -0.2 else "mm"
        read.append(
            (page.add(label, 320 + np.cos(angle) * 168, 260 - np.sin(angle) * 168, 18, side, droppable=False), share)
        )
        page.shape("pieslice", 170, 110, 470, 410, start=-3.6 * (start + value), end=-3.6 * start, fill=BARS[index])
        start += value
    texts = [f"{value}%" for value in values]
    numbers, lines = [float(value) for value in values], _lines_of(page, read)
    ask_about_values(rng, document, labels, numbers, texts, lines, "part")
    ask_about_topic(rng, document, topic, labels, numbers, texts, lines)
    names = [name for name, _ in read]
    document.ask("count", "How many parts does the pie have?|How many parts are there?", str(count), *names)
    return document


def _lines_of(page: Page, pairs: list[tuple[str | None, str | None]]) -> list[str | None]:
    """The line of the layout that tells each value, None where OCR missed it or the layout puts it elsewhere."""
    rows = layout_text(page.boxes).split("\n")
    return [next((f"{a}{j}{b}" for j in (": ", " | ") if a and b and f"{a}{j}{b}" in rows), None) for a, b in pairs]


def _series(rng: np.random.Generator, topic: Topic | None) -> tuple[list[str], list[float], list[str]]:
    """Labels, values and the values as text: whole numbers, tenths, percent or thousands."""
    group = pick(rng, topic.labels if topic else LABELS)
    count = int(rng.integers(2, min(7, len(group)) + 1))
    if group[0] in IN_ORDER:
        stride = int(pick(rng, (1, 1, 2, 5))) if group is YEARS else 1
        count = min(count, len(group[::stride]))
        start = int(rng.integers(len(group[::stride]) - count + 1))
        labels = list(group[::stride][start : start + count])
    else:
        labels = pick_some(rng, group, count)
    low, most = (topic.low, topic.high) if topic else (1, int(pick(rng, (10, 20, 60, 100, 500, 2000))))
    if topic and most > 200 and chance(rng, 0.5):
        low, most = 1, most // 20
    numbers = [int(value) for value in rng.choice(np.arange(low, most + 8), count, replace=False)]
    if topic and topic.trend and chance(rng, 0.6):
        numbers.sort(reverse=chance(rng, 0.5))
    kind = pick(rng, ("whole", "whole", "whole", "tenths", "percent", "dollars")) if topic is None else "topic"
    if kind == "tenths":
        values = [number + int(rng.integers(10)) / 10 for number in numbers]
        return labels, values, [f"{value:.1f}" for value in values]
    forms = {"whole": "{:,}", "percent": "{}%", "dollars": "${:,}", "topic": topic.unit if topic else ""}
    return labels, [float(number) for number in numbers], [forms[kind].format(number) for number in numbers]


def _title(rng: np.random.Generator, document: Document, topic: Topic | None, labels: list[str]) -> str | None:
    """Set a title and ask for it; returns it as OCR reads it, None if there is none."""
    if chance(rng, 0.15):
        return None
    measure = pick(rng, MEASURES)
    if topic:
        things = next((name for group, name in THINGS.items() if labels[0] in group), "things")
        measure = pick(rng, options(topic.titles)).format(period=period_of(labels), things=things)
    title = measure
    if chance(rng, 0.5) and " " not in measure:
        ends = ("this year", "in 2024", "this week", "last month", f"in {pick(rng, CITIES)}")
        title = f"{measure} {pick(rng, ends if topic is None else ends[-1:])}"
    read = document.page.add(title, 350, 30, 20, "mm", bold=chance(rng, 0.5))
    document.ask(
        "title",
        "What is the title of the chart?|What is the chart about?|What does the chart show?|What is the title?|"
        "What is this chart about?",
        read,
    )
    return read


def _name_axis(
    rng: np.random.Generator, document: Document, topic: Topic | None, labels: list[str], lies: bool
) -> None:
    """Set the name of the axis of labels, if they are times."""
    if topic and topic.trend and not lies and chance(rng, 0.35):
        name = document.page.add(period_of(labels).title(), 350, 456, 16, "ma")
        document.ask("axis", "What is on the x axis?|What does the x axis show?|What stands below the axis?", name)


def _axis(highest: float) -> tuple[float, float]:
    """The step between ticks of an axis, and the value at its end, above the highest."""
    step = next(
        (step for step in (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0) if highest / step <= 7), 5000.0
    )
    return step, step * (int(highest // step) + 1)


def _place_upright(
    rng: np.random.Generator,
    page: Page,
    labels: list[str],
    values: list[float],
    texts: list[str] | None,
    top: float,
    step: float,
    color: str | None,
) -> list[tuple[str | None, str | None]]:
    """Bars from the left to the right, or points if there is no color."""
    if texts is None or chance(rng, 0.7):
        for tick in range(int(top / step) + 1):
            page.add(f"{tick * step:g}", 76, 420 - 360 * tick * step / top, 16, "rm", droppable=tick > 0)
    pairs, width = [], 520 / len(labels)
    for index, (label, value) in enumerate(zip(labels, values, strict=True)):
        x, y = 85 + (index + 0.5) * width, 420 - 360 * value / top
        pairs.append(
            (
                page.add(label, x, 428, 16, "ma", droppable=False),
                page.add(texts[index], x, y - 6, 16, "ms") if texts else None,
            )
        )
        if color:
            page.shape("rectangle", x - width * 0.35, y, x + width * 0.35, 420, fill=color)
        else:
            page.shape("ellipse", x - 4, y - 4, x + 4, y + 4, fill="#1f77b4")
    page.shape("line", 84, 50, 84, 420, 610, 420, fill="black", width=2)
    return pairs


def _place_lying(
    rng: np.random.Generator,
    page: Page,
    labels: list[str],
    values: list[float],
    texts: list[str] | None,
    top: float,
    step: float,
    color: str | None,
) -> list[tuple[str | None, str | None]]:
    """Bars from the top to the bottom."""
    pairs, height = [], 350 / len(labels)
    for index, (label, value) in enumerate(zip(labels, values, strict=True)):
        y, x = 60 + (index + 0.5) * height, 150 + 420 * value / top
        pairs.append(
            (
                page.add(label, 142, y, 16, "rm", droppable=False),
                page.add(texts[index], x + 6, y, 16, "lm") if texts else None,
            )
        )
        page.shape("rectangle", 150, y - height * 0.35, x, y + height * 0.35, fill=color)
    if texts is None or chance(rng, 0.6):
        for tick in range(int(top / step) + 1):
            page.add(f"{tick * step:g}", 150 + 420 * tick * step / top, 428, 16, "ma")
    return pairs
