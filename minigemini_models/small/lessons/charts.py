"""Bar charts, line charts and pies, with value labels or axes alone."""

import numpy as np

from ...scenes.colors import pick
from .document import Document
from .document_page import Page
from .document_words import (
    ANIMALS,
    CITIES,
    COLORS,
    COUNTRIES,
    DAYS,
    FIRST,
    JOBS,
    MONTHS,
    SPORTS,
    SUBJECTS,
    chance,
    pick_some,
    words,
)

FRUIT = words("Apples Pears Plums Cherries Grapes Lemons Oranges Figs Dates Limes Kiwis Peaches Bananas Mangos")
SPENDING = words("Rent Food Travel Clothes Books Savings Music Sports Insurance Phone Power Water Other Gifts Fuel")
LABELS: tuple[tuple[str, ...], ...] = (
    tuple(month[:3] for month in MONTHS),
    tuple(day[:3] for day in DAYS),
    tuple(CITIES),
    tuple(COUNTRIES),
    tuple(FRUIT),
    tuple(FIRST),
    tuple(SPORTS),
    tuple(ANIMALS),
    tuple(COLORS),
    tuple(SUBJECTS),
    tuple(JOBS),
    tuple(SPENDING),
    ("Q1", "Q2", "Q3", "Q4"),
    tuple("ABCDEFGH"),
    ("North", "South", "East", "West"),
    ("Bus", "Train", "Car", "Bike", "Walk", "Tram"),
    tuple(str(year) for year in range(2014, 2026)),
)
MEASURES = (
    "Sales",
    "Visitors",
    "Rain (mm)",
    "Temperature",
    "Votes",
    "Goals",
    "Books read",
    "Hours",
    "Cars sold",
    "Score",
    "Income",
    "Number of pets",
    "Orders",
    "Students",
    "Steps",
    "Calls",
    "Cost",
    "Population",
    "Tickets",
    "Emails",
    "Points",
    "Births",
)
BARS = ("#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd", "#8c564b", "#555555", "#17becf")


def bar_chart(rng: np.random.Generator, perfect: bool = False) -> Document:
    """Upright or lying bars; the values stand at the bars, or must be estimated from the axis."""
    page = Page(rng, 640, 480, perfect)
    document = Document("a bar chart", page)
    labels, values, texts = _series(rng)
    title = _title(rng, document)
    has_values, lies = chance(rng, 0.8), chance(rng, 0.25)
    step, top = _tick_step(max(values)), _tick_step(max(values)) * (int(max(values) // _tick_step(max(values))) + 1)
    color = pick(rng, BARS)
    place = _place_lying if lies else _place_upright
    pairs = place(rng, page, labels, values, texts if has_values else None, top, step, color)
    joint = " | " if lies else ": "
    _ask_about_values(
        rng, document, labels, values, texts, [f"{a}{joint}{b}" if a and b else None for a, b in pairs], "bar"
    )
    if not has_values:
        document.lack(rng, f"What is the exact value of {pick(rng, labels)}?|Exactly how much is {pick(rng, labels)}?")
    if title is None:
        document.lack(rng, "What is the title of the chart?|What is the title?")
    names = [label for label, _ in pairs]
    document.ask(rng, "count", "How many bars are there?|How many bars does the chart have?", str(len(labels)), *names)
    document.ask(
        rng,
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
    labels, values, texts = _series(rng)
    _title(rng, document)
    top = _tick_step(max(values)) * (int(max(values) // _tick_step(max(values))) + 1)
    pairs = _place_upright(rng, page, labels, values, texts, top, _tick_step(max(values)), None)
    _ask_about_values(
        rng, document, labels, values, texts, [f"{a}: {b}" if a and b else None for a, b in pairs], "point"
    )
    return document


def pie_chart(rng: np.random.Generator, perfect: bool = False) -> Document:
    """A pie with a label outside and a percentage inside each part."""
    page = Page(rng, 640, 480, perfect)
    document = Document("a pie chart", page)
    count = int(rng.integers(2, 6))
    labels = pick_some(rng, pick(rng, [group for group in LABELS if len(group) >= 6 and not group[0].isdigit()]), count)
    cuts = sorted(int(cut) for cut in rng.choice(np.arange(6, 95, 7), count - 1, replace=False))
    values = [b - a for a, b in zip([0, *cuts], [*cuts, 100], strict=True)]
    _title(rng, document)
    read, start = [], 0
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
    _ask_about_values(
        rng, document, labels, [float(value) for value in values], texts, [f"{a}: {b}" for a, b in read], "part"
    )
    return document


def _series(rng: np.random.Generator) -> tuple[list[str], list[float], list[str]]:
    """Labels, values and the values as text: whole numbers, tenths, percent or thousands."""
    group = pick(rng, LABELS)
    count = int(rng.integers(2, min(7, len(group)) + 1))
    if group[0] in ("Jan", "Mon", "Q1", "A", "2014"):
        start = int(rng.integers(len(group) - count + 1))
        labels = list(group[start : start + count])
    else:
        labels = pick_some(rng, group, count)
    most = int(pick(rng, (10, 20, 60, 100, 500, 2000)))
    numbers = [int(value) for value in rng.choice(np.arange(1, most + 8), count, replace=False)]
    kind = pick(rng, ("whole", "whole", "whole", "tenths", "percent", "dollars"))
    if kind == "tenths":
        values = [number + int(rng.integers(10)) / 10 for number in numbers]
        return labels, values, [f"{value:.1f}" for value in values]
    values = [float(number) for number in numbers]
    forms = {"whole": "{:,}", "percent": "{}%", "dollars": "${:,}"}
    return labels, values, [forms[kind].format(number) for number in numbers]


def _title(rng: np.random.Generator, document: Document) -> str | None:
    if chance(rng, 0.2):
        return None
    measure = pick(rng, MEASURES)
    title = pick(
        rng,
        (
            f"{measure} {pick(rng, ('by group', 'per year', 'in 2024', 'this week', 'last month'))}",
            f"{measure} in {pick(rng, CITIES)}",
            measure,
        ),
    )
    read = document.page.add(title, 350, 30, 20, "mm", bold=chance(rng, 0.5))
    document.ask(
        rng,
        "title",
        "What is the title of the chart?|What is the chart about?|What does the chart show?|What is the title?",
        read,
    )
    return read


def _tick_step(highest: float) -> float:
    for step in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000):
        if highest / step <= 7:
            return float(step)
    return 5000.0


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


def _ask_about_values(
    rng: np.random.Generator,
    document: Document,
    labels: list[str],
    values: list[float],
    texts: list[str],
    lines: list[str | None],
    part: str,
) -> None:
    for label, text, line in zip(labels, texts, lines, strict=True):
        answer = None if line is None else line.split(": " if ": " in line else " | ")[-1]
        document.ask(
            rng,
            "value",
            f"What is the value of {label}?|How high is {label}?|What is {label} at?|How much is {label}?|"
            f"What number does {label} have?|Which value does the {part} {label} have?",
            answer,
            line,
        )
        document.ask(
            rng,
            "which",
            f"Which {part} has the value {text}?|What has the value {text}?|Which {part} is at {text}?",
            label,
            label,
            line,
        )
    if None not in lines:
        high, low = labels[values.index(max(values))], labels[values.index(min(values))]
        document.ask(
            rng,
            "highest",
            f"Which {part} is the highest?|Which {part} is the largest?|What has the highest value?|"
            "Which one is the biggest?|Where is the maximum?",
            high,
            high,
            *lines,
        )
        document.ask(
            rng,
            "lowest",
            f"Which {part} is the lowest?|Which {part} is the smallest?|What has the lowest value?|"
            "Which one is the smallest?|Where is the minimum?",
            low,
            low,
            *lines,
        )
        document.ask(
            rng,
            "highest value",
            "What is the highest value?|What is the largest number in the chart?",
            texts[values.index(max(values))],
            *lines,
        )
        one, other = (int(index) for index in rng.permutation(len(labels))[:2])
        more = "Yes." if values[one] > values[other] else "No."
        document.ask(
            rng,
            "compare",
            f"Is {labels[one]} higher than {labels[other]}?|Is {labels[one]} more than {labels[other]}?|"
            f"Does {labels[one]} have a higher value than {labels[other]}?",
            more,
            str(lines[one]),
            str(lines[other]),
        )
    strangers = [label for group in LABELS for label in group if label not in labels]
    document.lack(rng, f"What is the value of {pick(rng, strangers)}?|How high is {pick(rng, strangers)}?")
    document.lack(rng, "Who made this chart?|Where does the data come from?|What will it be next year?")
