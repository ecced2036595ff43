"""Tables, timetables and forms."""

from collections.abc import Callable

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
    LAST,
    PRODUCTS,
    SPORTS,
    SUBJECTS,
    address,
    chance,
    date,
    email,
    person,
    phone,
    pick_some,
)

ROW_NAMES: dict[str, tuple[str, ...]] = {
    "Name": tuple(FIRST),
    "Person": tuple(LAST),
    "City": tuple(CITIES),
    "Country": tuple(COUNTRIES),
    "Product": tuple(PRODUCTS),
    "Team": tuple(f"{color} {animal}" for color in COLORS for animal in ANIMALS),
    "Subject": tuple(SUBJECTS),
    "Day": tuple(DAYS),
    "Sport": tuple(SPORTS),
}
Cell = Callable[[np.random.Generator], str]
COLUMNS: dict[str, Cell] = {
    "Age": lambda rng: str(rng.integers(5, 95)),
    "Score": lambda rng: str(rng.integers(0, 100)),
    "Points": lambda rng: str(rng.integers(0, 500)),
    "City": lambda rng: pick(rng, CITIES),
    "Job": lambda rng: pick(rng, JOBS),
    "Price": lambda rng: f"${rng.integers(1, 90)}.{rng.integers(100):02}",
    "Stock": lambda rng: str(rng.integers(0, 900)),
    "Size": lambda rng: pick(rng, ("S", "M", "L", "XL", "small", "large", "medium")),
    "Color": lambda rng: pick(rng, COLORS),
    "Weight": lambda rng: f"{rng.integers(1, 90)} kg",
    "Height": lambda rng: f"{rng.integers(120, 210)} cm",
    "Room": lambda rng: str(rng.integers(1, 400)),
    "Teacher": lambda rng: pick(rng, LAST),
    "Grade": lambda rng: pick(rng, ("A", "B", "C", "D", "A+", "B-")),
    "Time": lambda rng: f"{rng.integers(6, 23):02}:{int(rng.integers(12)) * 5:02}",
    "Phone": lambda rng: f"555-{rng.integers(1000, 9999)}",
    "Country": lambda rng: pick(rng, COUNTRIES),
    "Wins": lambda rng: str(rng.integers(0, 40)),
    "Temperature": lambda rng: f"{rng.integers(-9, 39)}°C",
    "2022": lambda rng: str(rng.integers(10, 999)),
    "2023": lambda rng: str(rng.integers(10, 999)),
    "2024": lambda rng: str(rng.integers(10, 999)),
    "Sport": lambda rng: pick(rng, SPORTS),
    "Year": lambda rng: str(rng.integers(1950, 2026)),
}
COMPARABLE = ("Age", "Score", "Points", "Stock", "Wins", "2022", "2023", "2024")
"""Columns of plain numbers, which can be compared."""


def table(rng: np.random.Generator, perfect: bool = False) -> Document:
    """A table with a header and row names, with or without rules."""
    head = pick(rng, tuple(ROW_NAMES))
    heads = [name for name in pick_some(rng, tuple(COLUMNS), int(rng.integers(2, 5))) if name != head]
    names = pick_some(rng, ROW_NAMES[head], int(rng.integers(2, 7)))
    cells = [[COLUMNS[name](rng) for name in heads] for _ in names]
    return _grid(rng, Document("a table", Page(rng, 768, 512, perfect)), head, heads, names, cells)


def timetable(rng: np.random.Generator, perfect: bool = False) -> Document:
    """Departures: times, destinations, platforms, status."""
    page = Page(rng, 768, 512, perfect, pick(rng, ("white", "#102040", "#000000")))
    heads = ["Destination", *pick_some(rng, ("Platform", "Status", "Train", "Gate"), int(rng.integers(1, 3)))]
    columns: dict[str, Cell] = {
        "Destination": lambda rng: pick(rng, CITIES),
        "Platform": lambda rng: str(rng.integers(1, 20)),
        "Status": lambda rng: pick(rng, ("On time", "Delayed", "Cancelled", "Boarding")),
        "Train": lambda rng: f"{pick(rng, ('IC', 'RE', 'S', 'ICE'))} {rng.integers(1, 999)}",
        "Gate": lambda rng: f"{pick(rng, 'ABCD')}{rng.integers(1, 40)}",
    }
    minutes = sorted(int(value) for value in rng.choice(np.arange(300, 1430), int(rng.integers(2, 7)), replace=False))
    names = [f"{minute // 60:02}:{minute % 60:02}" for minute in minutes]
    places = pick_some(rng, CITIES, len(names))
    cells = [[place, *(columns[head](rng) for head in heads[1:])] for place in places]
    document = _grid(rng, Document("a timetable", page), "Time", heads, names, cells)
    for name, row in zip(names, cells, strict=True):
        place = row[0]
        line = f"{name} | Destination: {place}"
        document.ask(
            rng,
            "departure",
            f"When does the train to {place} leave?|What time is the train to {place}?|"
            f"When is the departure to {place}?",
            name,
            line,
        )
        document.ask(
            rng,
            "destination",
            f"Where does the train at {name} go?|Where does the {name} go?|What is the destination at {name}?",
            place,
            line,
        )
    other = pick(rng, [city for city in CITIES if city not in places])
    document.lack(rng, f"When does the train to {other} leave?|From which platform does the train to {other} leave?")
    return document


def _grid(
    rng: np.random.Generator, document: Document, head: str, heads: list[str], names: list[str], cells: list[list[str]]
) -> Document:
    page = document.page
    color = "black" if page.background == "white" else pick(rng, ("white", "#ffe060"))
    top, step, size = 40, int(min(64, 420 / (len(names) + 1))), int(rng.integers(18, 25))
    lefts = [40 + index * (700 // (len(heads) + 1)) for index in range(len(heads) + 1)]
    if chance(rng, 0.4):
        caption = f"{pick(rng, ('List of', 'Table of', 'Our', 'Current'))} {head.lower()}s"
        document.ask(
            rng,
            "title",
            "What is the title of the table?|What is the heading?",
            page.add(caption, 40, 14, 26, color=color, bold=True),
        )
        top += 40
    if chance(rng, 0.4):
        _add_rules(page, lefts, top, step, len(names) + 1, color)
    has_corner = chance(rng, 0.85)
    for left, text in zip(lefts, [head if has_corner else "", *heads], strict=True):
        if text:
            page.add(text, left, top, size, color=color, bold=True, droppable=False)
    for number, (name, row) in enumerate(zip(names, cells, strict=True)):
        y = top + (number + 1) * step
        read = page.add(name, lefts[0], y, size, color=color, droppable=False)
        parts = [str(read)]
        for column, (label, cell, left) in enumerate(zip(heads, row, lefts[1:], strict=True)):
            found = page.add(cell, left, y, size, color=color)
            if found is None:
                continue
            parts.append(f"{label}: {found}")
            wording = (
                f"What is the {label.lower()} of {name}?|What {label.lower()} does {name} have?|"
                f"{name}: {label.lower()}?|"
                f"What is in row {name}, column {label}?|Which {label.lower()} is given for {name}?|"
                f"Look up the {label} of {name}."
            )
            document.ask(rng, "cell", wording, found, str(read), f"{label}: {found}", " | ".join(parts))
            values = [other[column] for other in cells]
            if values.count(cell) == 1:
                document.ask(
                    rng,
                    "row",
                    f"Who or what has {label.lower()} {cell}?|"
                    f"Which {head.lower()} has the {label.lower()} {cell}?|"
                    f"Which row has {cell} under {label}?",
                    read,
                    " | ".join(parts),
                )
    for column, label in enumerate(heads):
        values = [row[column] for row in cells]
        every = [f"{label}: {value}" for value in values]
        document.ask(
            rng,
            "column",
            f"List the {label.lower()} column.|What is in the column {label}?|Read the column {label}.",
            ", ".join(values),
            *every,
        )
        if label in COMPARABLE and len(set(values)) == len(values):
            numbers = [int(value) for value in values]
            most, least = names[numbers.index(max(numbers))], names[numbers.index(min(numbers))]
            document.ask(
                rng,
                "highest",
                f"Which {head.lower()} has the highest {label.lower()}?|Who or what has the most {label.lower()}?",
                most,
                most,
                *every,
            )
            document.ask(
                rng,
                "lowest",
                f"Which {head.lower()} has the lowest {label.lower()}?|Who or what has the least {label.lower()}?",
                least,
                least,
                *every,
            )
    many = {"City": "cities", "Country": "countries", "Person": "people"}.get(head, f"{head.lower()}s")
    wordings = (
        f"How many {many} are listed?|How many rows are there below the header?|How many {many} are in the table?"
    )
    document.ask(rng, "rows", wordings, str(len(names)), *names)
    document.ask(
        rng,
        "columns",
        "What are the columns?|Which columns does the table have?|What are the headings of the columns?",
        ", ".join([head, *heads] if has_corner else heads),
        *heads,
    )
    absent = pick(rng, [name for name in COLUMNS if name not in heads and name != head])
    stranger = pick(rng, [name for name in ROW_NAMES.get(head, tuple(CITIES)) if name not in names] or ["Nobody"])
    document.lack(
        rng, f"What is the {absent.lower()} of {pick(rng, names)}?|What {absent.lower()} does {pick(rng, names)} have?"
    )
    document.lack(rng, f"What is the {heads[0].lower()} of {stranger}?|Which {heads[0].lower()} does {stranger} have?")
    return document


def _add_rules(page: Page, lefts: list[int], top: int, step: int, rows: int, color: str) -> None:
    for row in range(rows + 1):
        y = top - 12 + row * step
        page.shape("line", lefts[0] - 10, y, 758, y, fill=color)
    for left in (*lefts, 768):
        page.shape("line", left - 10, top - 12, left - 10, top - 12 + rows * step, fill=color)


def form(rng: np.random.Generator, perfect: bool = False) -> Document:
    """A form, a business card or a name badge: labels with values."""
    page = Page(rng, 640, 480, perfect)
    document = Document(pick(rng, ("a form", "a card")), page)
    heading = pick(
        rng,
        (
            "Registration",
            "Application Form",
            "Member Card",
            "Order Form",
            "Library Card",
            "Contact",
            "Guest List",
            "ID Card",
        ),
    )
    document.ask(
        rng,
        "heading",
        "What is the heading?|What is the title of this form?|What is written at the top?",
        page.add(heading, 40, 24, 30, bold=True),
    )
    fields: list[tuple[str, str, str]] = [
        ("Name", person(rng), "What is the name?|Whose is this?|Who filled this in?"),
        ("Phone", phone(rng), "What is the phone number?|Which phone number is given?"),
        ("Email", email(rng), "What is the e-mail address?|What is the email?"),
        ("Address", address(rng), "What is the address?|Where does the person live?"),
        ("Date of birth", date(rng), "What is the date of birth?|When was the person born?"),
        ("City", pick(rng, CITIES), "Which city is given?|What is the city?"),
        ("Job", pick(rng, JOBS), "What is the job?|What does the person do?"),
        ("Member no.", str(rng.integers(10000, 999999)), "What is the member number?|Which member number is it?"),
        ("Nationality", pick(rng, COUNTRIES), "Which nationality is given?|Which country is the person from?"),
    ]
    shown, apart = set(rng.permutation(len(fields))[: int(rng.integers(3, 8))].tolist()), chance(rng, 0.5)
    y = 90
    for number, (label, value, wordings) in enumerate(fields):
        if number not in shown:
            document.lack(rng, wordings)
            continue
        if apart:
            left, right = page.add(label, 40, y, 20), page.add(value, 260, y, 20)
            document.ask(rng, "field", wordings, right, f"{left} | {right}" if left and right else None)
        else:
            text = page.add(f"{label}: {value}", 40, y, 20)
            document.ask(rng, "field", wordings, (text and text.partition(": ")[2]) or None, text)
        y += 46
    return document
