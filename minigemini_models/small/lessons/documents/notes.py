"""Lists of things to do or to buy, and notes about a call."""

import numpy as np

from ....scenes.colors import pick
from .document import Document
from .document_page import Page
from .document_words import DAYS, FIRST, ITEMS_TO_DO, chance, person, phone, pick_some, time_of_day
from .sketches import Sketch, line, set_lines

UNITS = (
    ("bottles", "milk"),
    ("loaves", "bread"),
    ("bags", "rice"),
    ("cans", "corn"),
    ("jars", "honey"),
    ("packs", "butter"),
    ("boxes", "tea"),
    ("bars", "chocolate"),
    ("cups", "yogurt"),
    ("kilos", "flour"),
    ("rolls", "tape"),
)
"""Units in which groceries are bought."""


def to_do_list(rng: np.random.Generator, perfect: bool = False) -> Document:
    """A list of things to do or to buy, or a note."""
    page = Page(rng, 480, 560, perfect, pick(rng, ("white", "#fff7b0", "#e9f5e9")))
    if chance(rng, 0.45):
        kind, sketch = pick(rng, (("a note", _call_note), ("a list", _groceries)))
        document = Document(kind, page)
        set_lines(document, sketch(rng), 22)
        return document
    document = Document(pick(rng, ("a list", "a note")), page)
    heading = pick(
        rng, ("To do", "Today", f"For {pick(rng, FIRST)}", "Shopping", pick(rng, DAYS), "Do not forget", "Weekend")
    )
    document.ask(
        "heading",
        "What is the heading?|What is written at the top?|What is the title of the list?",
        page.add(heading, 40, 30, 36, bold=True),
    )
    items = pick_some(rng, ITEMS_TO_DO, int(rng.integers(2, 8)))
    is_numbered = chance(rng, 0.4)
    texts = [f"{number}. {item}" if is_numbered else item for number, item in enumerate(items, start=1)]
    found = page.lines(texts, 40, 110, 26)
    if found == texts:
        document.ask(
            "items",
            "How many things are on the list?|How many items are there?|How many lines are below the heading?",
            str(len(items)),
            *texts,
        )
        document.ask(
            "first", "What is the first thing on the list?|What comes first?|What is at the top of the list?", items[0]
        )
        document.ask(
            "last", "What is the last thing on the list?|What comes last?|What is at the bottom of the list?", items[-1]
        )
        document.ask("list", "Read the list.|What is on the list?|What has to be done?", ", ".join(items), *texts)
        place = int(rng.integers(len(items)))
        document.ask(
            "number", f"What is number {place + 1} on the list?|What is item {place + 1}?", items[place], *texts
        )
        if place + 1 < len(items):
            document.ask("after", f'What comes after "{items[place]}"?', items[place + 1], *texts[place : place + 2])
    document.lack("Who wrote the list?|Which things are done already?|When must it be finished?")
    return document


def _call_note(rng: np.random.Generator) -> Sketch:
    """Who called, and which number to call back."""
    receiver, caller, number, at, day = pick(rng, FIRST), person(rng), phone(rng), time_of_day(rng), pick(rng, DAYS)
    about = pick(
        rng, ("the rent", "the car", "the tickets", "the meeting", "the dog", "the roof", "the invoice", "the keys")
    )
    return Sketch(
        (
            line(f"For {receiver}", ("for", "Who is the note for?|For whom is it?|Who should read it?", receiver)),
            line(
                f"{caller} called at {at}.",
                ("who", "Who called?|Who was on the phone?", caller),
                ("when", f"When did {caller.split()[0]} call?|At what time was the call?", at),
            ),
            line(
                f"It is about {about}.",
                ("about", "What is it about?|Why did they call?|What was the call about?", about),
            ),
            line(
                f"Call back on {number}",
                ("number", "Which number should be called?|What number must I call?|What is the phone number?", number),
            ),
            line(f"before {day}.", ("before", "By when must one call back?|Before which day?", day)),
        ),
        (
            f"Who wrote the note?|Did {receiver} call back?",
            f"Where does {caller.split()[0]} live?|How long was the call?",
        ),
    )


def _groceries(rng: np.random.Generator) -> Sketch:
    """Things to buy, with their quantities."""
    lines = [line(pick(rng, ("Shopping list", "To buy", "Groceries", "Supermarket")))]
    chosen = pick_some(rng, UNITS, int(rng.integers(3, 7)))
    for unit, food in chosen:
        count = str(rng.integers(2, 13))
        lines.append(
            line(
                f"{count} {unit} of {food}",
                ("how many", f"How many {unit} of {food} are needed?|How many {unit} of {food} should I buy?", count),
            )
        )
    absent = pick(rng, [food for _, food in UNITS if food not in [food for _, food in chosen]])
    return Sketch(
        tuple(lines),
        (
            f"How much {absent} do we need?|How much {absent} should I buy?",
            "Who goes shopping?|What will it cost?|Which shop is it?",
        ),
    )
