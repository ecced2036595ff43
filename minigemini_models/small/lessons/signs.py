"""Signs, posters, labels and book covers: a few large strings."""

import numpy as np

from ...scenes.colors import pick
from .document import Document
from .document_page import Page
from .document_words import (
    CITIES,
    COLORS,
    COUNTRIES,
    DAYS,
    DISHES,
    FIRST,
    GOODS,
    LAST,
    NOUNS,
    PETS,
    SIGN_LINES,
    STOPS,
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
from .pages import Sketch, line, opening_hours, set_lines

BANS = options(
    "parking|smoking|swimming|fishing|camping|cycling|photography|ball games|"
    "dogs|food|diving|entry|littering|loud music|"
    "phones|running|climbing|skating|drones|barbecues|glass bottles|trespassing|stopping|horses"
)
OFFICE_JOBS = options("Doctor|Nurse|Teacher|Lawyer|Editor|Clerk|Judge|Engineer|Designer|Manager|Librarian|Dentist")
DEPARTMENTS = options(
    "Reception|Radiology|Toys|Shoes|Books|Restaurant|Cafe|Pharmacy|Surgery|Children|Furniture|Sportswear|Lost Property|"
    "Archive|Kitchen|Offices|Gym|Library|Electronics|Bedding|Cloakroom|Bank|Dentist|Garden|Cinema|Music|Gifts|Laboratory"
)
DANGERS = options(
    "Wet floor|Falling rocks|High voltage|Deep water|Thin ice|Hot surface|Wild animals|Low ceiling|Steep stairs|"
    "Loose dog|Strong current|Slippery road|Open pit|Moving machines|Poison|Sharp edges|Trains|Avalanches"
)
NATIONAL_EVENTS = options("Festival|Food Fair|Film Night|Concert|Cup")
CITY_EVENTS = options("Marathon|Jazz Night|Book Fair|Science Day|Flea Market|Orchestra")
PLAIN = options("white|#f4f1e6|#e8eef4|#fff8dc")
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
        sketch = pick(rng, (_room, _ban, _ban, _directory, _warning, _speed, _offer, opening_hours))
        set_lines(rng, document, sketch(rng), 28, "white")
    else:
        lines = [pick(rng, SIGN_LINES)]
        if chance(rng, 0.4):
            lines.append(pick(rng, (pick(rng, SIGN_LINES), f"CALL {phone(rng)}", f"Room {rng.integers(1, 400)}")))
        lines = [text.capitalize() for text in lines] if chance(rng, 0.3) else lines
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
                f"How far is {place}?|How far is it to {place}?|What is the distance to {place}?|"
                f"How long is the way to {place}?|How far away is {place}?",
                length,
                row,
            )
            document.ask(
                rng, "which place", f"Which place is {distance}{unit} away?|What is {distance}{unit} away?", name, row
            )
    other = pick(rng, [city for city in CITIES if city not in places])
    document.lack(rng, f"How far is {other}?|How far is it to {other}?")
    if not any(float(a) == float(b) for a in distances for b in distances if a is not b):
        order = sorted(range(len(places)), key=lambda index: float(distances[index]))
        everything = (*places, *distances)
        document.ask(
            rng,
            "nearest",
            "Which place is the nearest?|Which town is closest?|Where is it shortest to go?",
            places[order[0]],
            *everything,
        )
        document.ask(
            rng, "farthest", "Which place is the farthest?|Which town is farthest away?", places[order[-1]], *everything
        )
        one, two = pick_some(rng, range(len(places)), 2)
        farther = one if float(distances[one]) > float(distances[two]) else two
        document.ask(rng, "either", f"Which is farther, {places[one]} or {places[two]}?", places[farther], *everything)


def _room(rng: np.random.Generator) -> Sketch:
    number, name, job = str(rng.integers(1, 500)), person(rng), pick(rng, OFFICE_JOBS)
    called = pick(rng, (name, f"Dr. {pick(rng, LAST)}", f"Ms. {pick(rng, LAST)}", f"Mr. {pick(rng, LAST)}"))
    start, end = f"{rng.integers(7, 12)}:00", f"{rng.integers(13, 19)}:00"
    lines = [
        line(
            f"Room {number}",
            ("room", "Which room is it?|What is the number of the room?|Which room number is it?", number),
        ),
        line(called, ("whose", "Whose room is it?|Who works here?|Who sits in this room?|Whose door is it?", called)),
    ]
    missing = [
        f"Is {called} in?|Is {called} there now?|Who is inside?|Is the room empty?",
        "How large is the room?|Who was here before?|What is the phone number?",
    ]
    if chance(rng, 0.6):
        lines.append(line(job, ("job", f"What does {called} do?|What is {called}'s job?|What is {called}?", job)))
    else:
        missing.append(f"What does {called} do?|What is {called}'s job?")
    if chance(rng, 0.5):
        told = (
            ("from", f"From when can I see {called}?|When do the visits begin?", start),
            ("until", f"Until when can I see {called}?|When do the visits end?", end),
            ("hours", f"When can I see {called}?|When are the visiting hours?", f"{start} - {end}"),
        )
        lines.append(line(f"{start} - {end}", *told))
    else:
        missing.append(f"When can I see {called}?|When are the visiting hours?")
    return Sketch(tuple(lines), tuple(missing))


def _ban(rng: np.random.Generator) -> Sketch:
    """What is forbidden, sometimes with the time and the fine."""
    activity = pick(rng, BANS)
    head = f"{pick(rng, ('No', 'No', 'Strictly no'))} {activity}"
    verb = "Are" if activity.endswith("s") else "Is"
    is_loud = chance(rng, 0.5)
    activity, head = (activity.upper(), head.upper()) if is_loud else (activity, head)
    start, end = f"{rng.integers(6, 12)}:00", f"{rng.integers(13, 23)}:00"
    days, fine, place = (
        pick(rng, ("Mon - Fri", "Mon - Sat", "on Sundays", "on weekends")),
        f"${rng.integers(2, 60) * 10}",
        pick(rng, STOPS),
    )
    wordings = (
        "What is forbidden here?|What must I not do here?|What is not allowed here?|What does the sign forbid?|"
        "What are you not allowed to do?"
    )
    lines = [
        line(
            head,
            ("ban", wordings, activity),
            (
                "allowed",
                f"{verb} {activity.lower()} allowed here?|Does the sign allow {activity.lower()}?",
                "No.",
            ),
        )
    ]
    missing = ["Who put up the sign?|Since when is it forbidden?", "Why is it forbidden?|Who is watching?"]
    for part, wordings in (
        (
            line(
                f"{start} - {end}",
                ("from", "From when is it forbidden?|At what time does it begin?", start),
                ("until", "Until when is it forbidden?|When does it end?", end),
            ),
            "Until when is it forbidden?",
        ),
        (
            line(days, ("days", "On which days is it forbidden?|Which days does it count for?", days)),
            "On which days is it forbidden?",
        ),
        (
            line(
                f"Fine {fine}",
                ("fine", "How high is the fine?|What does it cost to do it anyway?|How much is the fine?", fine),
            ),
            "How high is the fine?|How much is the fine?",
        ),
        (
            line(f"{place} only", ("only", "Which place is it only for?|What is it reserved for?", place)),
            "Which street is it?",
        ),
    ):
        if chance(rng, 0.4):
            lines.append(part)
        else:
            missing.append(wordings)
    return Sketch(tuple(lines), tuple(missing))


def _directory(rng: np.random.Generator) -> Sketch:
    """What is on which floor."""
    name = pick(
        rng, ("Directory", "Floor plan", "Welcome", f"{pick(rng, CITIES)} Hospital", f"{pick(rng, NOUNS)} House")
    )
    count = int(rng.integers(3, 6))
    things = pick_some(rng, DEPARTMENTS, count + 1)
    lines = [line(name, ("name", "What is written at the top?|What is the heading?", name))]
    for number, thing in enumerate(things[:count], start=1):
        told = (
            (
                "floor",
                f"On which floor do I find {thing}?|Which floor do I go to for {thing}?|Where do I find {thing}?",
                f"Floor {number}",
            ),
            ("what", f"What is on floor {number}?|What do I find on floor {number}?", thing),
        )
        lines.append(line(f"Floor {number} | {thing}", *told))
    return Sketch(
        tuple(lines),
        (
            f"On which floor do I find {things[count]}?|Where do I find {things[count]}?",
            "How many people work here?|Who owns the house?|Is it open?",
        ),
    )


def _warning(rng: np.random.Generator) -> Sketch:
    head, danger = pick(rng, ("Caution", "Danger", "Warning", "Attention", "Beware")), pick(rng, DANGERS)
    advice = pick(
        rng, ("Keep out", "Walk slowly", "Do not touch", "Wear a helmet", "Stay behind the line", "Hold on to the rail")
    )
    return Sketch(
        (
            line(head, ("first", "What is the first word?|What does the first line say?", head)),
            line(
                danger,
                (
                    "danger",
                    "What does the sign warn of?|What is the danger?|What is dangerous here?|Why must I be careful?",
                    danger,
                ),
            ),
            line(advice, ("advice", "What should I do?|What does the sign ask for?|What must I do here?", advice)),
        ),
        (
            "How long will it last?|Who put up the sign?",
            "Was anybody hurt?|Since when is it dangerous?|Whom can I call?",
        ),
    )


def _speed(rng: np.random.Generator) -> Sketch:
    limit, place, distance = str(rng.integers(2, 13) * 10), pick(rng, STOPS), f"{rng.integers(1, 20) * 50} m"
    return Sketch(
        (
            line("Speed limit", ("what", "What does the first line say?|What kind of limit is it?", "Speed limit")),
            line(limit, ("limit", "How fast may I drive?|What is the speed limit?|How fast can one go here?", limit)),
            line(
                f"{place} {distance}",
                ("far", f"How far is the {place.lower()}?|How far is it to the {place.lower()}?", distance),
                ("what place", f"What is {distance} away?|Which place comes in {distance}?", place),
            ),
        ),
        (
            "How fast am I going?|What is the fine?|Where does the limit end?",
            "Which road is it?|Is there a camera?|Who drives too fast?",
        ),
    )


def _offer(rng: np.random.Generator) -> Sketch:
    thing, price, number = pick(rng, GOODS), f"${rng.integers(2, 900)}", phone(rng)
    percent, day = f"{rng.integers(1, 19) * 5}%", pick(rng, DAYS)
    if chance(rng, 0.5):
        return Sketch(
            (
                line(pick(rng, ("SALE", "Big sale", "Special offer", "Clearance"))),
                line(
                    f"{percent} off all {thing.lower()}s",
                    ("off", "How many percent off is it?|How large is the discount?|How much do I save?", percent),
                    ("thing", "What is on sale?|What is cheaper now?", f"{thing.lower()}s"),
                ),
                line(
                    f"until {day}", ("until", "How long does the sale last?|Until when is it?|When does it end?", day)
                ),
            ),
            (
                f"What does one {thing.lower()} cost?|What is the price?",
                "When did the sale begin?|Which shop is it?|How many are left?",
            ),
        )
    return Sketch(
        (
            line(f"{thing} for sale", ("thing", "What is for sale?|What is being sold?|What can I buy?", thing)),
            line(price, ("price", f"What does the {thing.lower()} cost?|How much is it?|What is the price?", price)),
            line(
                f"Call {number}",
                ("phone", "Which number do I call?|What is the phone number?|How can I reach the seller?", number),
            ),
        ),
        (
            f"How old is the {thing.lower()}?|Who sells it?|What color is the {thing.lower()}?",
            "Where is it?|Is it still there?|Why is it sold?",
        ),
    )


def _trip(rng: np.random.Generator) -> Sketch:
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
        money(rng, int(rng.integers(8, 900)) * 50, style),
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
    for part, wordings in (
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
    ):
        if chance(rng, 0.7):
            lines.append(part)
        else:
            missing.append(wordings)
    return Sketch(tuple(lines), tuple(missing))


def _lost(rng: np.random.Generator) -> Sketch:
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
            line(
                f"Call {number}",
                ("phone", "Which number do I call?|What is the phone number?", number),
            ),
        ),
        (
            f"How old is {name}?|Where is {name} now?|Who is the owner?",
            f"Who found the {lower}?|How heavy is the {lower}?",
        ),
    )


def poster(rng: np.random.Generator, perfect: bool = False) -> Document:
    """A poster of an event, a ticket, or a notice of something that is lost."""
    if chance(rng, 0.5):
        kind, sketch = pick(rng, (("a ticket", _trip), ("a poster", _lost)))
        document = Document(kind, Page(rng, 512, 512, perfect, pick(rng, PLAIN)))
        set_lines(rng, document, sketch(rng), 22)
        return document
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
    read = [page.add(part, 210, 120 + 60 * index, 38, "ma", "black", True) for index, part in enumerate(lines) if part]
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
    for number, text in enumerate(lines):
        size = int(min(72 if number == 0 else 40, 880 / max(4, len(text))))
        y = page.height * (number + 1) / (len(lines) + 1)
        read.append(page.add(text, page.width / 2, y, size, "mm", "white", number == 0, droppable=number > 0))
    return read


def _ask_to_read(rng: np.random.Generator, document: Document, read: list[str | None]) -> None:
    if None not in read:
        wordings = (
            "What does the sign say?|Read the sign.|What is written on the sign?|Read the text.|What does it say?|"
            "Read it to me."
        )
        document.ask(rng, "read", wordings, ", ".join(map(str, read)), *read)
