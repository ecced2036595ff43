"""Bar charts, line charts and pies, with value labels or axes alone."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from minigemini.inference.text_layout import layout_text

from ...scenes.colors import pick
from .document import Document
from .document_page import Page
from .document_words import (
    ANIMALS,
    CITIES,
    COLORS,
    COUNTRIES,
    DAYS,
    DISHES,
    FIRST,
    GOODS,
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
ENERGY = words("Coal Gas Oil Wind Solar Water Nuclear Wood")
VEHICLES = words("Bus Train Car Bike Tram Ferry Scooter")
MONTH_LABELS = tuple(month[:3] for month in MONTHS)
DAY_LABELS = tuple(day[:3] for day in DAYS)
YEARS = tuple(str(year) for year in range(2004, 2026))
LABELS: tuple[tuple[str, ...], ...] = (
    MONTH_LABELS,
    DAY_LABELS,
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
    YEARS,
)
IN_ORDER = ("Jan", "Mon", "Q1", "A", "2004")
"""First labels of the groups that keep their order."""
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


@dataclass(frozen=True)
class Topic:
    """What a chart is about, and what people ask about it.

    Wordings are separated by "|"; {x} is a label as it is called in a sentence, {a} and {b} are two of them.

    Attributes:
        titles: of the chart.
        labels: groups of labels, of which a chart shows one.
        ask: ask for the value of a label.
        most, least: ask for the label with the largest and the smallest value.
        more: ask whether {a} has more than {b}.
        trend: what rises or falls over time, for instance "the price"; empty if labels are no times.
        unit: form of a printed value.
        low, high: smallest and largest value.
    """

    titles: str
    labels: tuple[tuple[str, ...], ...]
    ask: str
    most: str
    least: str
    more: str
    trend: str = ""
    unit: str = "{:,}"
    low: int = 1
    high: int = 100


TIMES = (MONTH_LABELS, DAY_LABELS, YEARS)
PLACES = (CITIES, COUNTRIES)
TOPICS = (
    Topic(
        "Visitors|Museum visitors|Guests|Zoo visitors|Visitors per {period}",
        TIMES,
        "How many visitors came {x}?|How many people visited {x}?|How many visitors were there {x}?",
        "Which {period} had the most visitors?|When did the most people come?|What was the busiest {period}?",
        "Which {period} had the fewest visitors?|When did the fewest people come?|What was the quietest {period}?",
        "Did more people come {a} than {b}?|Were there more visitors {a} than {b}?",
        "the number of visitors",
        high=9000,
    ),
    Topic(
        "Rain|Rainfall (mm)|Rain in mm|Rain per {period}",
        (MONTH_LABELS, DAY_LABELS),
        "How much rain fell {x}?|How much did it rain {x}?|How many millimeters of rain fell {x}?",
        "Which {period} was the wettest?|When did it rain most?|Which {period} had the most rain?",
        "Which {period} was the driest?|When did it rain least?|Which {period} had the least rain?",
        "Did it rain more {a} than {b}?|Was it wetter {a} than {b}?",
        "the rainfall",
        high=160,
    ),
    Topic(
        "Temperature|Temperature (°C)|Average temperature|Weather",
        (MONTH_LABELS, DAY_LABELS),
        "How warm was it {x}?|What was the temperature {x}?|How many degrees was it {x}?",
        "Which {period} was the warmest?|When was it warmest?|Which {period} was the hottest?",
        "Which {period} was the coldest?|When was it coldest?|Which {period} was the coolest?",
        "Was it warmer {a} than {b}?",
        "the temperature",
        "{}°C",
        high=36,
    ),
    Topic(
        "Ticket price|Price of bread|Price of a stamp|Rent|Price per {period}",
        (YEARS, MONTH_LABELS),
        "How much was it {x}?|What was the price {x}?|What did it cost {x}?",
        "In which {period} was the price highest?|Which {period} was the most expensive?|When did it cost most?",
        "In which {period} was the price lowest?|Which {period} was the cheapest?|When did it cost least?",
        "Was it more expensive {a} than {b}?",
        "the price",
        "${}",
    ),
    Topic(
        "Sales|Cars sold|Sales per {period}|Bikes sold|Tickets sold",
        (*TIMES, ("Q1", "Q2", "Q3", "Q4")),
        "How many were sold {x}?|How much was sold {x}?|What were the sales {x}?",
        "Which was the best {period}?|When was most sold?|Which {period} had the best sales?",
        "Which was the worst {period}?|When was least sold?|Which {period} had the worst sales?",
        "Was more sold {a} than {b}?|Were sales better {a} than {b}?",
        "the number of sales",
        high=900,
    ),
    Topic(
        "Scores|Points|Quiz results|Test scores|Final scores|Game results",
        (FIRST,),
        "How many points did {x} get?|What did {x} score?|What is {x}'s score?|How did {x} do?",
        "Who did best?|Who got the most points?|Who scored highest?|Who has the best result?",
        "Who did worst?|Who got the fewest points?|Who scored lowest?",
        "Did {a} do better than {b}?|Did {a} get more points than {b}?",
    ),
    Topic(
        "Books read|Books per reader|Summer reading",
        (FIRST,),
        "How many books did {x} read?|How many books has {x} read?",
        "Who read the most books?|Who read most?",
        "Who read the fewest books?|Who read least?",
        "Did {a} read more books than {b}?|Did {a} read more than {b}?",
        high=40,
    ),
    Topic(
        "Distance (km)|Kilometers run|Distance walked",
        (FIRST,),
        "How far did {x} go?|How many kilometers did {x} do?",
        "Who went farthest?|Who covered the greatest distance?",
        "Who went the shortest way?|Who covered the least distance?",
        "Did {a} go farther than {b}?",
        high=60,
    ),
    Topic(
        "Favorite {things}|Votes|Class vote|Our favorite {things}|Survey",
        (FRUIT, ANIMALS, COLORS, SPORTS, SUBJECTS, DISHES),
        "How many people chose {x}?|How many votes did {x} get?|How many people like {x} best?",
        "What is the most popular choice?|What do most people like?|What got the most votes?",
        "What is the least popular choice?|What do the fewest people like?|What got the fewest votes?",
        "Is {a} more popular than {b}?|Did {a} get more votes than {b}?",
        high=60,
    ),
    Topic(
        "Sold today|Items sold|Fruit stand|Shop sales|Stock",
        (FRUIT, tuple(f"{name}s" for name in GOODS)),
        "How many {x} were there?|How many {x} does the chart show?|What is the number of {x}?",
        "What was there most of?|Which was the most common?|What is number one?",
        "What was there least of?|Which was the rarest?",
        "Were there more {a} than {b}?",
        high=400,
    ),
    Topic(
        "Population (thousands)|People|Population",
        PLACES,
        "How many people live in {x}?|What is the population of {x}?",
        "Where do the most people live?|Which place is the largest?|Which has the most people?",
        "Where do the fewest people live?|Which place is the smallest?|Which has the fewest people?",
        "Do more people live in {a} than in {b}?|Is {a} larger than {b}?",
        high=9000,
    ),
    Topic(
        "Snow (cm)|Hours of sun|Rainy days",
        PLACES,
        "How much is it in {x}?|What is the value for {x}?|How many are there in {x}?",
        "Where is it most?|Which place has the most?",
        "Where is it least?|Which place has the least?",
        "Is it more in {a} than in {b}?",
        high=200,
    ),
    Topic(
        "Salaries|Average pay|Wages",
        (tuple(f"{job}s" for job in JOBS if job != "Chef"),),
        "How much do {x} earn?|What are {x} paid?|How much money do {x} make?",
        "Who earns the most?|Who is paid best?|Which job pays best?",
        "Who earns the least?|Who is paid worst?|Which job pays least?",
        "Do {a} earn more than {b}?",
        unit="${:,}",
        low=1000,
        high=9000,
    ),
)
SHARES = (
    Topic(
        "Household budget|Where the money goes|Spending|Our budget|Costs",
        (SPENDING,),
        "What share goes to {x}?|How much of the money is spent on {x}?|What percentage is spent on {x}?",
        "What is most money spent on?|What takes the largest share?|What costs the most?",
        "What is least money spent on?|What takes the smallest share?|What costs the least?",
        "Is more spent on {a} than on {b}?",
    ),
    Topic(
        "How we get to work|Way to school|Traffic|Means of travel",
        (VEHICLES,),
        "What percentage goes by {x}?|How many percent take the {x}?|What share uses the {x}?",
        "How do most people travel?|What do most people take?|What is used most?",
        "How do the fewest people travel?|What do the fewest people take?|What is used least?",
        "Do more people go by {a} than by {b}?",
    ),
    Topic(
        "Energy mix|Where our power comes from|Power sources|Electricity",
        (ENERGY,),
        "What share comes from {x}?|How much of the power comes from {x}?|What percentage is {x}?",
        "Where does most of the power come from?|What is the largest source?|What gives the most power?",
        "What is the smallest source?|What gives the least power?",
        "Does more come from {a} than from {b}?",
    ),
    Topic(
        "Favorite {things}|Survey|What people like best|Class vote",
        (FRUIT, ANIMALS, COLORS, SPORTS, SUBJECTS),
        "What percentage likes {x} best?|How many percent chose {x}?|What share voted for {x}?",
        "What do most people like?|What is the most popular?|What is the favorite?",
        "What do the fewest people like?|What is the least popular?",
        "Is {a} more popular than {b}?|Did more people choose {a} than {b}?",
    ),
    Topic(
        "Votes|Election|Who should be captain|Result of the vote",
        (FIRST,),
        "What share of the votes did {x} get?|How many percent voted for {x}?|What was {x}'s result?",
        "Who won?|Who got the most votes?|Who came first?",
        "Who got the fewest votes?|Who came last?",
        "Did {a} get more votes than {b}?|Did {a} beat {b}?",
    ),
    Topic(
        "Visitors by country|Where our guests come from|Exports",
        (COUNTRIES,),
        "What share comes from {x}?|How many percent come from {x}?|How much is {x}'s share?",
        "Where do most come from?|Which country has the largest share?",
        "Where do the fewest come from?|Which country has the smallest share?",
        "Do more come from {a} than from {b}?",
    ),
)
"""Topics of pies."""


def bar_chart(rng: np.random.Generator, perfect: bool = False) -> Document:
    """Upright or lying bars; the values stand at the bars, or must be estimated from the axis."""
    page = Page(rng, 640, 480, perfect)
    document = Document("a bar chart", page)
    topic = pick(rng, TOPICS) if chance(rng, 0.7) else None
    labels, values, texts = _series(rng, topic)
    title = _title(rng, document, topic, labels)
    has_values, lies = chance(rng, 0.8), chance(rng, 0.25)
    step, top = _tick_step(max(values)), _tick_step(max(values)) * (int(max(values) // _tick_step(max(values))) + 1)
    color = pick(rng, BARS)
    place = _place_lying if lies else _place_upright
    pairs = place(rng, page, labels, values, texts if has_values else None, top, step, color)
    _name_axis(rng, document, topic, labels, lies)
    lines = _lines_of(page, pairs)
    _ask_about_values(rng, document, labels, values, texts, lines, "bar")
    _ask_about_topic(rng, document, topic, labels, values, texts, lines if has_values else None)
    if not has_values:
        document.lack(rng, f"What is the exact value of {pick(rng, labels)}?|Exactly how much is {pick(rng, labels)}?")
        document.lack(rng, "Which bar is the tallest?|What is the highest value?")
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
    times = [topic for topic in TOPICS if topic.trend]
    topic = pick(rng, times) if chance(rng, 0.75) else None
    labels, values, texts = _series(rng, topic)
    _title(rng, document, topic, labels)
    top = _tick_step(max(values)) * (int(max(values) // _tick_step(max(values))) + 1)
    pairs = _place_upright(rng, page, labels, values, texts, top, _tick_step(max(values)), None)
    _name_axis(rng, document, topic, labels, False)
    lines = _lines_of(page, pairs)
    _ask_about_values(rng, document, labels, values, texts, lines, "point")
    _ask_about_topic(rng, document, topic, labels, values, texts, lines)
    return document


def pie_chart(rng: np.random.Generator, perfect: bool = False) -> Document:
    """A pie with a label outside and a percentage inside each part."""
    page = Page(rng, 640, 480, perfect)
    document = Document("a pie chart", page)
    count = int(rng.integers(2, 6))
    topic = pick(rng, SHARES) if chance(rng, 0.75) else None
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
    _ask_about_values(rng, document, labels, numbers, texts, lines, "part")
    _ask_about_topic(rng, document, topic, labels, numbers, texts, lines)
    names = [name for name, _ in read]
    document.ask(rng, "count", "How many parts does the pie have?|How many parts are there?", str(count), *names)
    return document


def _lines_of(page: Page, pairs: list[tuple[str | None, str | None]]) -> list[str | None]:
    """The line of the layout that tells each value, None where OCR missed it or the layout puts it elsewhere."""
    told = layout_text(page.boxes).split("\n")
    return [next((f"{a}{j}{b}" for j in (": ", " | ") if a and b and f"{a}{j}{b}" in told), None) for a, b in pairs]


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


def _period(labels: list[str]) -> str:
    """What labels that are times are: years, months, days or quarters."""
    first = labels[0]
    return "year" if first in YEARS else "day" if first in DAY_LABELS else "quarter" if first[0] == "Q" else "month"


THINGS = {
    FRUIT: "fruit",
    ANIMALS: "animals",
    COLORS: "colors",
    SPORTS: "sports",
    SUBJECTS: "subjects",
    DISHES: "dishes",
}


def _title(rng: np.random.Generator, document: Document, topic: Topic | None, labels: list[str]) -> str | None:
    if chance(rng, 0.15):
        return None
    measure = pick(rng, MEASURES)
    if topic:
        things = next((name for group, name in THINGS.items() if labels[0] in group), "things")
        measure = pick(rng, topic.titles.split("|")).format(period=_period(labels), things=things)
    title = measure
    if chance(rng, 0.5) and " " not in measure:
        ends = ("this year", "in 2024", "this week", "last month", f"in {pick(rng, CITIES)}")
        title = f"{measure} {pick(rng, ends if topic is None else ends[-1:])}"
    read = document.page.add(title, 350, 30, 20, "mm", bold=chance(rng, 0.5))
    document.ask(
        rng,
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
        name = document.page.add(_period(labels).title(), 350, 456, 16, "ma")
        document.ask(rng, "axis", "What is on the x axis?|What does the x axis show?|What stands below the axis?", name)


def _ask_about_topic(
    rng: np.random.Generator,
    document: Document,
    topic: Topic | None,
    labels: list[str],
    values: list[float],
    texts: list[str],
    lines: list[str | None] | None,
) -> None:
    """Ask as people do who read the title; without lines, nobody can answer.

    Args:
        lines: of each value in the layout; None if values are not printed.
    """
    order = rng.permutation(len(labels)).tolist()
    kind = document.kind
    other = "a bar chart" if kind == "a pie chart" else "a pie chart"
    pair = pick(rng, (f"{kind} or {other}", f"{other} or {kind}"))
    document.ask(
        rng,
        "kind",
        f"What kind of chart is this, {pair}?|Is this {pair}?|What type of chart is it, {pair}?",
        f"It is {kind}.",
        *labels,
    )
    if topic is None:
        return
    period = _period(labels)

    def fill(wordings: str, **names: str) -> str:
        return "|".join(wording.format(period=period, **names) for wording in wordings.split("|"))

    calls = [_call(label, topic) for label in labels]
    if lines is None:
        document.lack(rng, fill(topic.ask, x=calls[order[0]]))
        document.lack(rng, fill(topic.most))
        document.lack(rng, fill(topic.more, a=calls[order[0]], b=calls[order[1]]))
        return
    for number, (call, text, line) in enumerate(zip(calls, texts, lines, strict=True)):
        document.ask(rng, f"ask {number % 2}", fill(topic.ask, x=call), text, line)
    document.ask(rng, "most", fill(topic.most), labels[values.index(max(values))], *lines)
    document.ask(rng, "least", fill(topic.least), labels[values.index(min(values))], *lines)
    one, two = order[:2]
    answer = "Yes." if values[one] > values[two] else "No."
    document.ask(rng, "more", fill(topic.more, a=calls[one], b=calls[two]), answer, lines[one], lines[two])
    if topic.trend and len(values) > 2:
        rises = [b > a for a, b in pairwise(values)]
        trend = "It goes up." if all(rises) else "It goes down." if not any(rises) else "It goes up and down."
        wordings = (
            f"Does {topic.trend} rise or fall?|Is {topic.trend} going up or down?|How does {topic.trend} change?|"
            f"How does {topic.trend} develop over time?"
        )
        document.ask(rng, "trend", wordings, trend, *lines)
    strangers = [label for group in topic.labels if labels[0] in group for label in group if label not in labels]
    if strangers:
        document.lack(rng, fill(topic.ask, x=_call(pick(rng, strangers), topic)))


def _call(label: str, topic: Topic) -> str:
    """A label in a sentence: with its preposition if it is a time, in lower case if it is no name."""
    if topic.trend:
        return f"on {_long(label)}" if label in DAY_LABELS else f"in {_long(label)}"
    is_common = any(label in group for group in (FRUIT, SPENDING, VEHICLES, ENERGY, ANIMALS, COLORS, DISHES, SPORTS))
    return label.lower() if is_common or (label.endswith("s") and label[:-1] in (*GOODS, *JOBS)) else label


def _long(label: str) -> str:
    """The full name of a month or day, as people say it."""
    return next((name for name in (*MONTHS, *DAYS) if name[:3] == label), label)


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
