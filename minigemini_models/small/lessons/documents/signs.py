"""Signs of shops and roads, and signs of one or two strings."""

import numpy as np

from ....scenes.colors import pick
from .document import Document
from .document_page import Page
from .document_words import CITIES, SIGN_LINES, chance, options, phone, pick_some, shop_name, time_of_day
from .notices import NOTICES
from .sketches import set_lines

DARK = options("#204080|#b00020|#0a5c36|#222222|#5b2a86|#004d61|#7a3b00")


def sign(rng: np.random.Generator, perfect: bool = False) -> Document:
    """A shop, door or road sign with one to four lines."""
    page = Page(rng, 512, int(pick(rng, (320, 400, 512))), perfect, pick(rng, DARK))
    document = Document("a sign", page)
    style = int(rng.integers(9))
    if style <= 1:
        _shop_sign(rng, document)
    elif style == 2:
        _road_sign(rng, document)
    elif style <= 6:
        set_lines(document, pick(rng, NOTICES)(rng), 28, "white")
    else:
        lines = [pick(rng, SIGN_LINES)]
        if chance(rng, 0.4):
            lines.append(pick(rng, (pick(rng, SIGN_LINES), f"CALL {phone(rng)}", f"Room {rng.integers(1, 400)}")))
        lines = [text.capitalize() for text in lines] if chance(rng, 0.3) else lines
        read = _stack(page, lines)
        _ask_to_read(document, read)
        if len(lines) > 1:
            document.ask("line", "What is the first line?|What does the top line say?", read[0])
            document.ask("line", "What is in the second line?|What does the bottom line say?", read[1])
    document.lack("Who put up this sign?|How old is the sign?|What is the phone number of the owner's mother?")
    return document


def _shop_sign(rng: np.random.Generator, document: Document) -> None:
    name, opening, closing = shop_name(rng), time_of_day(rng), time_of_day(rng)
    hours = f"{opening} - {closing}"
    days = pick(rng, ("Mon - Fri", "Daily", "Tue - Sun", "Every day", "Mon - Sat"))
    number = phone(rng)
    lines = [name]
    has_hours, has_phone = chance(rng, 0.6), chance(rng, 0.4)
    lines += [pick(rng, (f"Open {hours}", f"{days} {hours}", hours))] if has_hours else []
    lines += [pick(rng, (number, f"Tel. {number}", f"Call {number}"))] if has_phone else []
    read = _stack(document.page, lines)
    document.ask(
        "shop",
        "What is the name of the shop?|Which shop is this?|Whose sign is this?|What is this place called?|"
        "What is the name on the sign?",
        read[0],
    )
    if has_hours:
        document.ask("hours", "When is it open?|What are the opening hours?|What hours does it keep?", hours)
        document.ask("opens", "When does it open?|At what time does the shop open?", opening, hours)
        document.ask("closes", "When does it close?|At what time does the shop close?", closing, hours)
    else:
        document.lack("When is it open?|What are the opening hours?|When does it close?")
    if has_phone:
        document.ask(
            "phone", "What is the phone number?|Which number can I call?|What is their telephone number?", number
        )
    else:
        document.lack("What is the phone number?|Which number can I call?")
    _ask_to_read(document, read)


def _road_sign(rng: np.random.Generator, document: Document) -> None:
    page = document.page
    places = pick_some(rng, CITIES, int(rng.integers(2, 5)))
    distances = [str(int(distance)) for distance in rng.choice(np.arange(2, 400), len(places), replace=False)]
    unit = pick(rng, ("", " km", " mi"))
    for number, (place, distance) in enumerate(zip(places, distances, strict=True)):
        y = page.height * (number + 1) / (len(places) + 1)
        name, length, row = page.add_pair(place, distance + unit, y, 44, (50, 460), ("lm", "rm"), "white", True)
        if row:
            document.ask(
                "distance",
                f"How far is {place}?|How far is it to {place}?|What is the distance to {place}?|"
                f"How long is the way to {place}?|How far away is {place}?",
                length,
                row,
            )
            document.ask(
                "which place", f"Which place is {distance}{unit} away?|What is {distance}{unit} away?", name, row
            )
    other = pick(rng, [city for city in CITIES if city not in places])
    document.lack(f"How far is {other}?|How far is it to {other}?")
    if not any(float(a) == float(b) for a in distances for b in distances if a is not b):
        order = sorted(range(len(places)), key=lambda index: float(distances[index]))
        everything = (*places, *distances)
        document.ask(
            "nearest",
            "Which place is the nearest?|Which town is closest?|Where is it shortest to go?",
            places[order[0]],
            *everything,
        )
        document.ask(
            "farthest", "Which place is the farthest?|Which town is farthest away?", places[order[-1]], *everything
        )
        one, two = pick_some(rng, range(len(places)), 2)
        farther = one if float(distances[one]) > float(distances[two]) else two
        document.ask("either", f"Which is farther, {places[one]} or {places[two]}?", places[farther], *everything)


def _stack(page: Page, lines: list[str]) -> list[str | None]:
    """Centered lines, the first the largest."""
    read = []
    for number, text in enumerate(lines):
        size = int(min(72 if number == 0 else 40, 880 / max(4, len(text))))
        y = page.height * (number + 1) / (len(lines) + 1)
        read.append(page.add(text, page.width / 2, y, size, "mm", "white", number == 0, droppable=number > 0))
    return read


def _ask_to_read(document: Document, read: list[str | None]) -> None:
    if None not in read:
        wordings = (
            "What does the sign say?|Read the sign.|What is written on the sign?|Read the text.|What does it say?|"
            "Read it to me."
        )
        document.ask("read", wordings, ", ".join(map(str, read)), *read)
