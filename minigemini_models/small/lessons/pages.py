"""Letters, e-mails, web pages, lists and screens: running text with headings."""

import numpy as np

from ...scenes.colors import pick
from .document import Document
from .document_page import Page
from .document_words import (
    CITIES,
    DAYS,
    FIRST,
    ITEMS_TO_DO,
    JOBS,
    TOPICS,
    address,
    chance,
    date,
    email,
    options,
    person,
    phone,
    pick_some,
    shop_name,
    site,
    time_of_day,
    title,
)

SENTENCES = options(
    "The {job} said that {topic} are easier to find in {city} than before.|"
    "Many people like {topic} because they are quiet.|"
    "In {city} you can see {topic} on almost every corner.|Every {day} we meet at {time} to talk about {topic}.|"
    "Nobody in {city} had expected so many visitors.|{first} has worked as a {job} for ten years.|"
    "It takes patience to learn about {topic}, but it is worth it.|"
    "The first shop for {topic} opened in {city} last {day}.|"
    "Please remember to bring warm clothes and something to drink.|You will find more about {topic} on our page.|"
    "{first} and {other} have written a small book on {topic}.|We will be closed next {day}."
)


def letter(rng: np.random.Generator, perfect: bool = False) -> Document:
    """A letter or an e-mail about one thing."""
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
    topics = (
        (
            f"Meeting on {day}",
            f"The meeting is on {day} at {at}, not as planned before.",
            f"It says that the meeting is on {day} at {at}.",
        ),
        (
            f"Visit to {city}",
            f"I will come to {city} on {day} and stay for three days.",
            f"It says that {sender.split()[0]} will come to {city} on {day}.",
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
    subject, body, summary = pick(rng, topics)
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
                document.ask(rng, skill, wordings, sender if skill == "from" else value, text)
                y += 32
            else:
                document.lack(rng, wordings)
        y += 10
    else:
        document.ask(
            rng,
            "date",
            "What is the date of the letter?|When was it written?|What is the date?",
            page.add(when, 680, y, 20, "ra"),
        )
        y += 50
    greeting = page.add(f"{pick(rng, ('Dear', 'Hello', 'Hi'))} {receiver},", 30, y, 20)
    document.ask(rng, "greeting", "Who is addressed?|Who is greeted?|To whom is it written?", receiver, greeting)
    text = page.add(body, 30, y + 44, 20)
    document.ask(
        rng,
        "summary",
        "What does it say, in a sentence?|Summarize it.|What is it about?|Sum it up in a sentence.",
        summary,
        text,
    )
    if chance(rng, 0.5):
        page.add(_sentence(rng), 30, y + 76, 20)
    page.add(pick(rng, ("Best wishes,", "Yours,", "Kind regards,", "See you soon,", "Love,")), 30, y + 130, 20)
    name = page.add(sender if chance(rng, 0.5) else sender.split()[0], 30, y + 162, 20)
    document.ask(rng, "signed", "Who signed it?|Which name is at the end?|Who wrote it?", name)
    document.lack(rng, "What is the phone number of the sender?|How old is the sender?|What was the answer?")
    return document


def web_page(rng: np.random.Generator, perfect: bool = False) -> Document:
    """A web page or an article: title, author, paragraphs, a list, a contact."""
    page = Page(rng, 768, 640, perfect)
    document = Document(pick(rng, ("a web page", "an article")), page)
    y = 16
    if chance(rng, 0.5):
        links = pick_some(
            rng,
            ("Home", "News", "Shop", "About", "Contact", "Blog", "Help", "Products", "Sign in", "Events"),
            int(rng.integers(3, 6)),
        )
        read = page.add(" ".join(links), 20, y, 16)
        document.ask(rng, "links", "Which links are at the top?|What is in the menu at the top?", read)
        y += 40
    name, author, when, topic = title(rng), person(rng), date(rng), pick(rng, TOPICS)
    heading = page.add(name, 20, y, 34, bold=True)
    document.ask(
        rng,
        "title",
        "What is the title?|What is the heading of the page?|What is the page about?|"
        "What is the first heading?|What is the headline?",
        heading,
    )
    y += 60
    wordings = "Who wrote it?|Who is the author?|Who is the article by?"
    if chance(rng, 0.65):
        by = page.add(f"By {author}" + (f", {when}" if chance(rng, 0.6) else ""), 20, y, 17)
        document.ask(rng, "author", wordings, author, by)
        if by and when in by:
            document.ask(rng, "date", "When was it published?|What is the date?|When was it written?", when, by)
        y += 36
    else:
        document.lack(rng, wordings)
        document.lack(rng, "When was it published?|What is the date of the article?")
    page.lines([_sentence(rng, topic) for _ in range(int(rng.integers(1, 3)))], 20, y, 17)
    y += 80
    if chance(rng, 0.6):
        second = pick(
            rng,
            (
                "What you need",
                "How it began",
                "Before you start",
                "Opening hours",
                "In short",
                "Our team",
                "Questions",
                "Next steps",
                "Tips",
            ),
        )
        document.ask(
            rng,
            "second heading",
            "What is the second heading?|What is the subheading?|Which heading comes after the title?",
            page.add(second, 20, y, 25, bold=True),
        )
        items = pick_some(rng, ITEMS_TO_DO, int(rng.integers(2, 5)))
        found = page.lines([pick(rng, ("• ", "- ", "")) + item for item in items], 40, y + 44, 17)
        if len(found) == len(items):
            document.ask(
                rng,
                "first item",
                "What is the first item of the list?|What comes first in the list?",
                items[0],
                items[0],
            )
            document.ask(
                rng,
                "last item",
                "What is the last item of the list?|What comes last in the list?",
                items[-1],
                items[-1],
            )
            document.ask(
                rng,
                "items",
                f"How many items does the list have?|How many points are under {second}?",
                str(len(items)),
                *items,
            )
        y += 50 + 28 * len(items)
    for shown, text, skill, wordings in (
        (
            chance(rng, 0.5),
            email(rng),
            "email",
            "What is the e-mail address?|Where can I write to?|How can I contact them by e-mail?",
        ),
        (chance(rng, 0.3), phone(rng), "phone", "What is the phone number?|Which number can I call?"),
        (chance(rng, 0.3), site(rng), "site", "What is the web address?|Which website is named?"),
    ):
        if shown:
            document.ask(
                rng,
                skill,
                wordings,
                text,
                page.add(pick(rng, ("{}", "Contact: {}", "More: {}")).format(text), 20, y, 17),
            )
            y += 30
        else:
            document.lack(rng, wordings)
    document.lack(rng, "How many people have read it?|What does it cost to join?")
    return document


def to_do_list(rng: np.random.Generator, perfect: bool = False) -> Document:
    """A list of things to do, a note or a recipe."""
    page = Page(rng, 480, 560, perfect, pick(rng, ("white", "#fff7b0", "#e9f5e9")))
    document = Document(pick(rng, ("a list", "a note")), page)
    heading = pick(
        rng, ("To do", "Today", f"For {pick(rng, FIRST)}", "Shopping", pick(rng, DAYS), "Do not forget", "Weekend")
    )
    document.ask(
        rng,
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
            rng,
            "items",
            "How many things are on the list?|How many items are there?|How many lines are below the heading?",
            str(len(items)),
            *texts,
        )
        document.ask(
            rng,
            "first",
            "What is the first thing on the list?|What comes first?|What is at the top of the list?",
            items[0],
        )
        document.ask(
            rng,
            "last",
            "What is the last thing on the list?|What comes last?|What is at the bottom of the list?",
            items[-1],
        )
        document.ask(rng, "list", "Read the list.|What is on the list?|What has to be done?", ", ".join(items), *texts)
        place = int(rng.integers(len(items)))
        document.ask(
            rng, "number", f"What is number {place + 1} on the list?|What is item {place + 1}?", items[place], *texts
        )
        if place + 1 < len(items):
            document.ask(
                rng, "after", f'What comes after "{items[place]}"?', items[place + 1], *texts[place : place + 2]
            )
    document.lack(rng, "Who wrote the list?|Which things are done already?|When must it be finished?")
    return document


def screen(rng: np.random.Generator, perfect: bool = False) -> Document:
    """A dialog or settings of a program or telephone."""
    page = Page(rng, 480, 640, perfect, pick(rng, ("white", "#202024")))
    color = "black" if page.background == "white" else "white"
    document = Document("a screenshot", page)
    app = pick(
        rng,
        ("Settings", "Messages", "Weather", "Calendar", "Alarm", "Music", "Mail", "Photos", "Maps", "Notes", "Wallet"),
    )
    document.ask(
        rng,
        "app",
        "Which app is this?|What is the title of the screen?|What is shown at the top?",
        page.add(app, 30, 30, 32, color=color, bold=True),
    )
    fields = [
        ("Wi-Fi", pick(rng, ("On", "Off", f"{pick(rng, FIRST)}Net", "Guest"))),
        ("Battery", f"{rng.integers(1, 101)}%"),
        ("Bluetooth", pick(rng, ("On", "Off"))),
        ("Language", pick(rng, ("English", "German", "French", "Spanish", "Italian"))),
        ("Storage", f"{rng.integers(2, 250)} GB"),
        ("Version", f"{rng.integers(1, 20)}.{rng.integers(0, 10)}.{rng.integers(0, 10)}"),
        ("Volume", f"{rng.integers(0, 101)}%"),
        ("Alarm", time_of_day(rng)),
        ("Location", pick(rng, CITIES)),
        ("Temperature", f"{rng.integers(-10, 38)}°C"),
        ("Account", pick(rng, FIRST)),
        ("Dark mode", pick(rng, ("On", "Off"))),
        ("Time", time_of_day(rng)),
        ("Next event", pick(rng, (f"Lunch with {pick(rng, FIRST)}", shop_name(rng), pick(rng, JOBS)))),
    ]
    order = rng.permutation(len(fields)).tolist()
    count = int(rng.integers(3, 8))
    for number, index in enumerate(order[:count]):
        label, value = fields[index]
        left, right = (
            page.add(label, 30, 110 + 58 * number, 22, color=color),
            page.add(value, 450, 110 + 58 * number, 22, "ra", color=color),
        )
        line = f"{left} | {right}" if left and right else None
        document.ask(
            rng,
            "setting",
            f"What is the {label.lower()}?|What does it say for {label}?|Which value does {label} have?|{label}?",
            right,
            line,
        )
        if value in ("On", "Off"):
            answer = {"On": "Yes.", "Off": "No."}[value]
            document.ask(
                rng, "is on", f"Is {label} on?|Is {label} switched on?", answer if right == value else None, line
            )
    for index in order[count:]:
        label = fields[index][0]
        document.lack(rng, f"What is the {label.lower()}?|What does it say for {label}?|Which value does {label} have?")
    return document


def _sentence(rng: np.random.Generator, topic: str = "") -> str:
    first, other = pick_some(rng, FIRST, 2)
    return pick(rng, SENTENCES).format(
        job=pick(rng, JOBS).lower(),
        topic=topic or pick(rng, TOPICS),
        city=pick(rng, CITIES),
        day=pick(rng, DAYS),
        time=time_of_day(rng),
        first=first,
        other=other,
    )
