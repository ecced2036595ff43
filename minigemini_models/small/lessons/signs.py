"""Signs, posters, labels and book covers: a few large strings."""

import numpy as np

from ...scenes.colors import pick
from .document import Document
from .document_page import Page
from .document_words import (
    CITIES,
    COUNTRIES,
    DAYS,
    DISHES,
    SIGN_LINES,
    address,
    chance,
    date,
    money,
    options,
    person,
    phone,
    pick_some,
    shop_name,
    site,
    time_of_day,
    title,
)

NATIONAL_EVENTS = options("Festival|Food Fair|Film Night|Concert|Cup")
CITY_EVENTS = options("Marathon|Jazz Night|Book Fair|Science Day|Flea Market|Orchestra")
PLAIN = options("white|#f4f1e6|#e8eef4|#fff8dc")
DARK = options("#204080|#b00020|#0a5c36|#222222|#5b2a86|#004d61|#7a3b00")


def sign(rng: np.random.Generator, perfect: bool = False) -> Document:
    """A shop, door or road sign with one to four lines."""
    page = Page(rng, 512, int(pick(rng, (320, 400, 512))), perfect, pick(rng, DARK))
    document = Document("a sign", page)
    style = int(rng.integers(4))
    if style == 0:
        _shop_sign(rng, document)
    elif style == 1:
        _road_sign(rng, document)
    else:
        lines = [pick(rng, SIGN_LINES)]
        if chance(rng, 0.4):
            lines.append(pick(rng, (pick(rng, SIGN_LINES), f"CALL {phone(rng)}", f"Room {rng.integers(1, 400)}")))
        lines = [line.capitalize() for line in lines] if chance(rng, 0.3) else lines
        read = _stack(rng, page, lines)
        _ask_to_read(rng, document, read)
        if len(lines) > 1:
            document.ask(rng, "line", "What is the first line?|What does the top line say?", read[0])
            document.ask(rng, "line", "What is in the second line?|What does the bottom line say?", read[1])
    document.lack(rng, "Who put up this sign?|How old is the sign?|What is the phone number of the owner's mother?")
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
    read = _stack(rng, document.page, lines)
    document.ask(
        rng,
        "shop",
        "What is the name of the shop?|Which shop is this?|Whose sign is this?|What is this place called?|"
        "What is the name on the sign?",
        read[0],
    )
    if has_hours:
        document.ask(rng, "hours", "When is it open?|What are the opening hours?|What hours does it keep?", hours)
        document.ask(rng, "opens", "When does it open?|At what time does the shop open?", opening, hours)
        document.ask(rng, "closes", "When does it close?|At what time does the shop close?", closing, hours)
    else:
        document.lack(rng, "When is it open?|What are the opening hours?|When does it close?")
    if has_phone:
        document.ask(
            rng, "phone", "What is the phone number?|Which number can I call?|What is their telephone number?", number
        )
    else:
        document.lack(rng, "What is the phone number?|Which number can I call?")
    _ask_to_read(rng, document, read)


def _road_sign(rng: np.random.Generator, document: Document) -> None:
    page = document.page
    places = pick_some(rng, CITIES, int(rng.integers(2, 5)))
    distances = [str(int(distance)) for distance in rng.choice(np.arange(2, 400), len(places), replace=False)]
    unit = pick(rng, ("", " km", " mi"))
    for number, (place, distance) in enumerate(zip(places, distances, strict=True)):
        y = page.height * (number + 1) / (len(places) + 1)
        name = page.add(place, 50, y, 44, "lm", "white", True)
        length = page.add(distance + unit, 460, y, 44, "rm", "white", True)
        if name and length:
            row = f"{name} | {length}"
            document.ask(
                rng,
                "distance",
                f"How far is {place}?|How far is it to {place}?|What is the distance to {place}?",
                length,
                row,
            )
            document.ask(
                rng, "which place", f"Which place is {distance}{unit} away?|What is {distance}{unit} away?", name, row
            )
    other = pick(rng, [city for city in CITIES if city not in places])
    document.lack(rng, f"How far is {other}?|How far is it to {other}?")
    if not any(float(a) == float(b) for a in distances for b in distances if a is not b):
        nearest = min(zip(distances, places, strict=True), key=lambda pair: float(pair[0]))[1]
        document.ask(rng, "nearest", "Which place is the nearest?|Which town is closest?", nearest, *places, *distances)


def poster(rng: np.random.Generator, perfect: bool = False) -> Document:
    """A poster of an event, a ticket, or a notice of something for sale."""
    page = Page(rng, 512, 640, perfect, pick(rng, PLAIN))
    kind = pick(rng, ("a poster", "a ticket", "a flyer"))
    document = Document(kind, page)
    what = pick(
        rng,
        (
            f"{pick(rng, COUNTRIES)} {pick(rng, NATIONAL_EVENTS)}",
            title(rng),
            f"{pick(rng, CITIES)} {pick(rng, CITY_EVENTS)}",
        ),
    )
    when, at, where = date(rng), time_of_day(rng), address(rng)
    price = money(rng, int(rng.integers(3, 120)) * 50, int(rng.integers(6)))
    seat = f"{pick(rng, 'ABCDEFGHJK')}{rng.integers(1, 40)}"
    y, read = 60.0, page.add(what, 256, 60, max(20, min(46, 850 // len(what))), "ma", "black", True)
    document.ask(rng, "title", "What is this about?|What is the title?|Which event is it?|What does it announce?", read)
    fields = [
        ("when", pick(rng, ("{}", "Date: {}", "on {}")), when, "When is it?|What is the date?|On which day is it?"),
        (
            "time",
            pick(rng, ("{}", "Time: {}", "Doors {}", "at {}")),
            at,
            "At what time does it start?|What time is it?|When does it begin?",
        ),
        (
            "where",
            pick(rng, ("{}", "Place: {}", "at {}")),
            where,
            "Where is it?|What is the address?|Where does it take place?",
        ),
        (
            "price",
            pick(rng, ("{}", "Price: {}", "Tickets {}", "Entry {}")),
            price,
            "How much is it?|What does it cost?|What is the price?|What does a ticket cost?",
        ),
        ("seat", "Seat {}", seat, "Which seat is it?|What is the seat?"),
    ]
    shown = set(rng.permutation(len(fields))[: int(rng.integers(2, 5))].tolist())
    for number, (skill, form, value, wordings) in enumerate(fields):
        if number in shown:
            y += 80
            read = page.add(form.format(value), 256, y + 60, 28, "ma")
            document.ask(rng, skill, wordings, value, read)
        else:
            document.lack(rng, wordings)
    document.lack(rng, "How many people will come?|Who made it?")
    return document


def book_cover(rng: np.random.Generator, perfect: bool = False) -> Document:
    """A book cover: title, author, sometimes a publisher."""
    page = Page(rng, 420, 640, perfect, pick(rng, PLAIN))
    document = Document("a book cover", page)
    name, author, publisher = title(rng), person(rng), f"{pick(rng, CITIES)} {pick(rng, ('Press', 'Books', 'House'))}"
    words = name.split()
    lines = [" ".join(words[: (len(words) + 1) // 2]), " ".join(words[(len(words) + 1) // 2 :])]
    read = [page.add(line, 210, 120 + 60 * index, 38, "ma", "black", True) for index, line in enumerate(lines) if line]
    by = page.add(pick(rng, ("{}", "by {}")).format(author), 210, 420, 28, "ma")
    if None not in read:
        document.ask(
            rng,
            "title",
            "What is the title?|What is the book called?|What is the name of the book?",
            " ".join(map(str, read)),
            *read,
        )
    document.ask(rng, "author", "Who wrote it?|Who is the author?|Who wrote the book?", author, by)
    wordings = "Who published it?|Who is the publisher?"
    if chance(rng, 0.5):
        document.ask(rng, "publisher", wordings, page.add(publisher, 210, 580, 18, "ma"))
    else:
        document.lack(rng, wordings)
    document.lack(rng, "How many pages does it have?|What does the book cost?|When was it printed?")
    return document


def menu(rng: np.random.Generator, perfect: bool = False) -> Document:
    """A menu or price list: items with prices."""
    page = Page(rng, 512, 720, perfect, pick(rng, PLAIN))
    document = Document(pick(rng, ("a menu", "a price list")), page)
    name, style = shop_name(rng), int(rng.integers(6))
    read = page.add(
        pick(rng, (name, "MENU", f"{name} Menu", "Today's Specials", f"{pick(rng, DAYS)} Menu")),
        256,
        30,
        34,
        "ma",
        bold=True,
    )
    document.ask(rng, "heading", "What is the heading?|What does the first line say?|What is at the top?", read)
    dishes = pick_some(rng, DISHES, int(rng.integers(3, 10)))
    cents = [int(value) * 5 for value in rng.choice(np.arange(30, 600), len(dishes), replace=False)]
    rows = []
    for number, (dish, amount) in enumerate(zip(dishes, cents, strict=True)):
        y, price = 110 + number * 56, money(rng, amount, style)
        found, cost = page.add(dish, 40, y, 24), page.add(price, 470, y, 24, "ra")
        if found and cost:
            row = f"{found} | {cost}"
            rows.append(row)
            document.ask(
                rng,
                "price",
                f"How much is the {dish}?|What does the {dish} cost?|What is the price of {dish}?|{dish}: how much?",
                cost,
                row,
            )
            document.ask(
                rng,
                "what costs",
                f"What costs {price}?|Which item costs {price}?|What can I get for {price}?",
                found,
                row,
            )
    if len(rows) == len(dishes):
        cheapest, dearest = dishes[cents.index(min(cents))], dishes[cents.index(max(cents))]
        document.ask(
            rng,
            "cheapest",
            "What is the cheapest item?|Which item costs the least?|What is cheapest?",
            cheapest,
            cheapest,
            *rows,
        )
        document.ask(
            rng,
            "most expensive",
            "What is the most expensive item?|Which item costs the most?",
            dearest,
            dearest,
            *rows,
        )
        document.ask(rng, "count", "How many items are listed?|How many items are on it?", str(len(rows)), *rows)
    other = pick(rng, [dish for dish in DISHES if dish not in dishes])
    document.lack(rng, f"How much is the {other}?|What does the {other} cost?|What is the price of {other}?")
    web = site(rng)
    if chance(rng, 0.3):
        document.ask(rng, "site", "What is the web address?|What is the website?", page.add(web, 256, 680, 18, "ma"))
    return document


def _stack(rng: np.random.Generator, page: Page, lines: list[str]) -> list[str | None]:
    """Centered lines, the first the largest."""
    read = []
    for number, line in enumerate(lines):
        size = int(min(72 if number == 0 else 40, 880 / max(4, len(line))))
        y = page.height * (number + 1) / (len(lines) + 1)
        read.append(page.add(line, page.width / 2, y, size, "mm", "white", number == 0, droppable=number > 0))
    return read


def _ask_to_read(rng: np.random.Generator, document: Document, read: list[str | None]) -> None:
    if None not in read:
        wordings = (
            "What does the sign say?|Read the sign.|What is written on the sign?|Read the text.|What does it say?|"
            "Read it to me."
        )
        document.ask(rng, "read", wordings, ", ".join(map(str, read)), *read)
