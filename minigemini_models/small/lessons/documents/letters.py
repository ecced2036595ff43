"""Letters and e-mails."""

import numpy as np

from ....scenes.colors import pick
from .document import Document
from .document_page import Page
from .document_words import (
    CITIES,
    DAYS,
    DISHES,
    FIRST,
    GOODS,
    address,
    chance,
    date,
    email,
    person,
    pick_some,
    sentence,
    shop_name,
    time_of_day,
)
from .sketches import Sketch, line, set_lines


def letter(rng: np.random.Generator, perfect: bool = False) -> Document:
    """A letter or an e-mail about one thing: an order, a complaint, an invitation or news."""
    if chance(rng, 0.5):
        document = Document("a letter", Page(rng, 720, 640, perfect))
        set_lines(document, pick(rng, (_order, _complaint, _invitation))(rng))
        return document
    page = Page(rng, 720, 640, perfect)
    is_mail = chance(rng, 0.5)
    document = Document("an e-mail" if is_mail else "a letter", page)
    sender, receiver, when, day, at, city = (
        person(rng),
        pick(rng, FIRST),
        date(rng),
        pick(rng, DAYS),
        time_of_day(rng),
        pick(rng, CITIES),
    )
    subject, body, summary = _message(rng, sender.split()[0], day, at, city)
    y = 30
    if is_mail:
        for shown, label, value, skill, wordings in (
            (
                True,
                "From",
                pick(rng, (sender, f"{sender} <{email(rng)}>")),
                "from",
                "Who is it from?|Who sent this?|Who wrote the e-mail?|Who is the sender?",
            ),
            (chance(rng, 0.8), "To", person(rng), "to", "Who is it to?|Who is the e-mail for?|Who gets it?"),
            (True, "Subject", subject, "subject", "What is the subject?|What is the e-mail about?"),
            (chance(rng, 0.7), "Date", when, "date", "When was it sent?|What is the date?"),
        ):
            if shown:
                text = page.add(f"{label}: {value}", 30, y, 20)
                document.ask(skill, wordings, sender if skill == "from" else value, text)
                y += 32
            else:
                document.lack(wordings)
        y += 10
    else:
        document.ask(
            "date",
            "What is the date of the letter?|When was it written?|What is the date?",
            page.add(when, 680, y, 20, "ra"),
        )
        y += 50
    greeting = page.add(f"{pick(rng, ('Dear', 'Hello', 'Hi'))} {receiver},", 30, y, 20)
    document.ask("greeting", "Who is addressed?|Who is greeted?|To whom is it written?", receiver, greeting)
    text = page.add(body, 30, y + 44, 20)
    document.ask(
        "summary",
        "What does it say, in a sentence?|Summarize it.|What is it about?|Sum it up in a sentence.",
        summary,
        text,
    )
    if chance(rng, 0.5):
        page.add(sentence(rng), 30, y + 76, 20)
    page.add(pick(rng, ("Best wishes,", "Yours,", "Kind regards,", "See you soon,", "Love,")), 30, y + 130, 20)
    name = page.add(sender if chance(rng, 0.5) else sender.split()[0], 30, y + 162, 20)
    document.ask("signed", "Who signed it?|Which name is at the end?|Who wrote it?", name)
    document.lack("What is the phone number of the sender?|How old is the sender?|What was the answer?")
    return document


def _message(rng: np.random.Generator, writer: str, day: str, at: str, city: str) -> tuple[str, str, str]:
    """A subject, a sentence and its summary."""
    messages = (
        (
            f"Meeting on {day}",
            f"The meeting is on {day} at {at}, not as planned before.",
            f"It says that the meeting is on {day} at {at}.",
        ),
        (
            f"Visit to {city}",
            f"I will come to {city} on {day} and stay for three days.",
            f"It says that {writer} will come to {city} on {day}.",
        ),
        (
            "Thank you",
            "Thank you very much for the lovely present and the flowers.",
            "It thanks for a present and flowers.",
        ),
        (
            f"Dinner on {day}",
            f"Would you like to come to dinner on {day} at {at}?",
            f"It invites to dinner on {day} at {at}.",
        ),
        (
            "Lost keys",
            f"I think I left my keys at your place in {city}.",
            f"It says that the keys were left in {city}.",
        ),
        (
            "Your order",
            f"Your order was sent on {day} and will arrive soon.",
            f"It says that the order was sent on {day}.",
        ),
        ("New address", f"We have moved. From {day} our new address is {address(rng)}.", "It gives a new address."),
        ("Delay", f"The train is late, so I will not be in {city} before {at}.", "It says that the train is late."),
    )
    return pick(rng, messages)


def _order(rng: np.random.Generator) -> Sketch:
    """An order of two kinds of goods."""
    sender, receiver, when, day = person(rng), shop_name(rng), date(rng), pick(rng, DAYS)
    counts, goods, where = (
        pick_some(rng, range(2, 90), 2),
        [f"{name.lower()}s" for name in pick_some(rng, GOODS, 2)],
        address(rng),
    )
    absent = pick(rng, [name.lower() for name in GOODS if f"{name.lower()}s" not in goods])
    return Sketch(
        (
            line(
                f"To {receiver}", ("to", "Who is it to?|Who gets the letter?|To whom is the letter written?", receiver)
            ),
            line(when, ("date", "When was it written?|What is the date of the letter?|When was the order made?", when)),
            line(pick(rng, ("Dear Sir or Madam,", "Hello,", "Good morning,"))),
            line(
                f"please send me {counts[0]} {goods[0]}" + pick(rng, ("", ".", " as soon as you can.")),
                (
                    "how many",
                    f"How many {goods[0]} are ordered?|How many {goods[0]} does {sender.split()[0]} want?",
                    str(counts[0]),
                ),
                ("what", "What is ordered first?", goods[0]),
            ),
            line(
                f"and {counts[1]} {goods[1]}.",
                ("how many", f"How many {goods[1]} are ordered?|How many {goods[1]} should be sent?", str(counts[1])),
            ),
            line(
                f"Send them to {where}.",
                ("where", "Where should it be sent?|What is the address?|Where must they go?", where),
            ),
            line(
                f"I need them by {day}.",
                ("by when", "By when is it needed?|When must it arrive?|On which day is it needed?", day),
            ),
            line(pick(rng, ("Yours,", "Kind regards,", "Thank you,"))),
            line(sender, ("signed", "Who wrote the letter?|Who ordered it?|Who is it from?|Who signed it?", sender)),
        ),
        (
            f"How many {absent}s are ordered?|What does it cost?|Has it been paid?",
            "What is the phone number?|How old is the writer?|When will it arrive?",
        ),
    )


def _complaint(rng: np.random.Generator) -> Sketch:
    """A complaint about something bought."""
    sender, thing, when, where = person(rng), pick(rng, GOODS).lower(), date(rng), shop_name(rng)
    trouble = pick(
        rng, ("is broken", "does not work", "came too late", "is too small", "has the wrong color", "is dirty")
    )
    wish = pick(rng, ("my money back", "a new one", "a repair", "an answer", "a lower price"))
    return Sketch(
        (
            line(f"Dear {where},", ("to", "Who is it to?|To whom is it written?|Who should answer?", where)),
            line(
                f"the {thing} {trouble}.",
                ("trouble", f"What is wrong with the {thing}?|What is the problem?", f"It {trouble}."),
                ("thing", f"What {trouble}?|What is the letter about?", f"the {thing}"),
            ),
            line(f"I bought it on {when}.", ("bought", f"When was the {thing} bought?|When was it bought?", when)),
            line(
                f"I would like {wish}.",
                ("wish", f"What does {sender.split()[0]} want?|What does the writer ask for?", wish),
            ),
            line(sender, ("signed", "Who wrote it?|Who complains?|Who is the letter from?", sender)),
        ),
        (f"What did the {thing} cost?|What did they answer?", "Where does the writer live?|Who sold it?"),
    )


def _invitation(rng: np.random.Generator) -> Sketch:
    """An invitation of a friend."""
    host, when, at, where, dish = pick(rng, FIRST), pick(rng, DAYS), time_of_day(rng), address(rng), pick(rng, DISHES)
    guest, what = (
        pick(rng, FIRST),
        pick(rng, ("birthday", "housewarming", "garden party", "wedding", "farewell", "picnic", "game night")),
    )
    return Sketch(
        (
            line(f"Dear {guest},", ("to", "Who is invited?|Who is it to?|To whom is it written?", guest)),
            line(
                f"please come to my {what}.",
                ("what", "What is the invitation for?|What is celebrated?|What is it about?", what),
            ),
            line(
                f"It is on {when} at {at}.",
                ("day", f"When is the {what}?|On which day is it?", when),
                ("time", "At what time does it start?|What time is it at?", at),
            ),
            line(
                f"We meet at {where}.",
                ("where", f"Where is the {what}?|Where do they meet?|What is the address?", where),
            ),
            line(
                f"Please bring {dish.lower()}.",
                ("bring", f"What should {guest} bring?|What must be brought?", dish.lower()),
            ),
            line(host, ("signed", f"Who invites {guest}?|Who wrote it?|Whose {what} is it?", host)),
        ),
        (f"How old will {host} be?|How many people come?", f"Did {guest} come?|What is the present?|When does it end?"),
    )
