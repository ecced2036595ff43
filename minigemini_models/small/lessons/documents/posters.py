"""Posters of events, tickets, notices of something lost, and book covers."""

import numpy as np

from ....scenes.colors import pick
from .document import Document
from .document_page import PAPERS, Page
from .document_words import (
    CITIES,
    COLORS,
    COUNTRIES,
    DAYS,
    FIRST,
    PETS,
    STOPS,
    address,
    chance,
    date,
    money,
    options,
    person,
    phone,
    pick_some,
    time_of_day,
    title,
)
from .sketches import Sketch, line, set_lines, some_lines

NATIONAL_EVENTS = options("Festival|Food Fair|Film Night|Concert|Cup")
CITY_EVENTS = options("Marathon|Jazz Night|Book Fair|Science Day|Flea Market|Orchestra")


def poster(rng: np.random.Generator, perfect: bool = False) -> Document:
    """A poster of an event, a ticket, or a notice of something that is lost."""
    if chance(rng, 0.5):
        kind, sketch = pick(rng, (("a ticket", _trip), ("a poster", _lost)))
        document = Document(kind, Page(rng, 512, 512, perfect, pick(rng, PAPERS)))
        set_lines(document, sketch(rng), 22)
        return document
    page = Page(rng, 512, 640, perfect, pick(rng, PAPERS))
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
    price = money(int(rng.integers(3, 120)) * 50, int(rng.integers(6)))
    seat = f"{pick(rng, 'ABCDEFGHJK')}{rng.integers(1, 40)}"
    y, read = 60.0, page.add(what, 256, 60, max(20, min(46, 850 // len(what))), "ma", "black", True)
    document.ask("title", "What is this about?|What is the title?|Which event is it?|What does it announce?", read)
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
            document.ask(skill, wordings, value, read)
        else:
            document.lack(wordings)
    document.lack("How many people will come?|Who made it?")
    return document


def _trip(rng: np.random.Generator) -> Sketch:
    """A ticket for a trip between two cities."""
    start, end = pick_some(rng, CITIES, 2)
    vehicle, name, when, style = (
        pick(rng, ("Train", "Bus", "Flight", "Ferry")),
        person(rng),
        date(rng),
        int(rng.integers(6)),
    )
    leaves, arrives = f"{rng.integers(6, 12)}:{rng.integers(10, 60)}", f"{rng.integers(13, 23)}:{rng.integers(10, 60)}"
    number, seat, price = (
        f"{pick(rng, 'ABCDK')}{rng.integers(10, 999)}",
        f"{rng.integers(1, 60)}{pick(rng, 'ABCD')}",
        money(int(rng.integers(8, 900)) * 50, style),
    )
    lower = vehicle.lower()
    lines = [
        line(f"{vehicle} {number}", ("number", f"Which {lower} is it?|What is the number of the {lower}?", number)),
        line(
            f"{start} to {end}",
            ("from", f"Where does the {lower} start?|From where does it go?|Where does the trip begin?", start),
            ("to", f"Where does the {lower} go?|What is the destination?|Where does the trip end?", end),
        ),
    ]
    missing = [
        "Was it late?|How long is the way in kilometers?",
        "Who sold the ticket?|What is the name of the driver?|Who sits in the next seat?",
    ]
    optional = (
        (
            line(f"Date {when}", ("when", "When is the trip?|What is the date?|On which day is it?", when)),
            "When is the trip?|What is the date?",
        ),
        (
            line(
                f"Departure {leaves}",
                (
                    "leaves",
                    f"When does the {lower} leave?|At what time does it start?|What time is the departure?",
                    leaves,
                ),
            ),
            f"When does the {lower} leave?",
        ),
        (
            line(
                f"Arrival {arrives}",
                (
                    "arrives",
                    f"When does the {lower} arrive?|When will I be in {end}?|At what time does it get to {end}?",
                    arrives,
                ),
            ),
            f"When does the {lower} arrive?|When will I be in {end}?",
        ),
        (
            line(f"Seat {seat}", ("seat", "Which seat is it?|Where do I sit?|What is the seat?", seat)),
            "Which seat is it?|Where do I sit?",
        ),
        (
            line(
                f"Passenger {name}",
                ("name", "Who is traveling?|Whose ticket is it?|What is the name of the passenger?", name),
            ),
            "Who is traveling?|Whose ticket is it?",
        ),
        (
            line(
                f"Price {price}",
                ("price", "How much was the ticket?|What did the ticket cost?|What is the price?", price),
            ),
            "How much was the ticket?|What did the ticket cost?",
        ),
    )
    chosen, open_questions = some_lines(rng, 0.7, optional)
    return Sketch((*lines, *chosen), (*missing, *open_questions))


def _lost(rng: np.random.Generator) -> Sketch:
    """A lost pet, with a reward."""
    animal, name, day, place, color = (
        pick(rng, PETS),
        pick(rng, FIRST),
        pick(rng, DAYS),
        pick(rng, STOPS).lower(),
        pick(rng, COLORS).lower(),
    )
    number, reward, lower = phone(rng), f"${rng.integers(1, 50) * 10}", animal.lower()
    return Sketch(
        (
            line(f"Lost: {lower}", ("what", "What is lost?|Which animal is lost?|What are they looking for?", lower)),
            line(f"Name: {name}", ("name", f"What is the {lower} called?|What is the name of the {lower}?", name)),
            line(f"Color: {color}", ("color", f"What color is the {lower}?|What does the {lower} look like?", color)),
            line(
                f"Last seen {day} at the {place}",
                ("when", f"When was the {lower} last seen?|On which day was {name} last seen?", day),
                ("where", f"Where was the {lower} last seen?|Where was {name} last seen?", f"the {place}"),
            ),
            line(f"Reward {reward}", ("reward", "How high is the reward?|How much do I get if I find it?", reward)),
            line(f"Call {number}", ("phone", "Which number do I call?|What is the phone number?", number)),
        ),
        (
            f"How old is {name}?|Where is {name} now?|Who is the owner?",
            f"Who found the {lower}?|How heavy is the {lower}?",
        ),
    )


def book_cover(rng: np.random.Generator, perfect: bool = False) -> Document:
    """A book cover: title, author, sometimes a publisher."""
    page = Page(rng, 420, 640, perfect, pick(rng, PAPERS))
    document = Document("a book cover", page)
    name, author, publisher = title(rng), person(rng), f"{pick(rng, CITIES)} {pick(rng, ('Press', 'Books', 'House'))}"
    words = name.split()
    lines = [" ".join(words[: (len(words) + 1) // 2]), " ".join(words[(len(words) + 1) // 2 :])]
    read = [page.add(part, 210, 120 + 60 * index, 38, "ma", "black", True) for index, part in enumerate(lines) if part]
    by = page.add(pick(rng, ("{}", "by {}")).format(author), 210, 420, 28, "ma")
    if None not in read:
        document.ask(
            "title",
            "What is the title?|What is the book called?|What is the name of the book?",
            " ".join(map(str, read)),
            *read,
        )
    document.ask("author", "Who wrote it?|Who is the author?|Who wrote the book?", author, by)
    wordings = "Who published it?|Who is the publisher?"
    if chance(rng, 0.5):
        document.ask("publisher", wordings, page.add(publisher, 210, 580, 18, "ma"))
    else:
        document.lack(wordings)
    document.lack("How many pages does it have?|What does the book cost?|When was it printed?")
    return document
