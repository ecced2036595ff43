"""Web pages: articles, shops, news, weather and recipes."""

import numpy as np

from ....scenes.colors import pick
from .document import Document
from .document_page import Page
from .document_words import (
    CITIES,
    COLORS,
    DAYS,
    DISHES,
    GOODS,
    ITEMS_TO_DO,
    JOBS,
    STOPS,
    TOPICS,
    chance,
    date,
    email,
    money,
    person,
    phone,
    pick_some,
    sentence,
    shop_name,
    site,
    title,
)
from .sketches import Sketch, line, set_lines


def web_page(rng: np.random.Generator, perfect: bool = False) -> Document:
    """A web page or an article: title, author, paragraphs, a list, a contact; or of a shop, the news, the weather."""
    if chance(rng, 0.65):
        kind, sketch = pick(
            rng, (("a recipe", _recipe), ("an article", _news), ("a web page", _shop), ("a web page", _forecast))
        )
        document = Document(kind, Page(rng, 640, 640, perfect))
        set_lines(document, sketch(rng))
        return document
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
        document.ask("links", "Which links are at the top?|What is in the menu at the top?", read)
        y += 40
    name, author, when, topic = title(rng), person(rng), date(rng), pick(rng, TOPICS)
    heading = page.add(name, 20, y, 34, bold=True)
    document.ask(
        "title",
        "What is the title?|What is the heading of the page?|What is the page about?|"
        "What is the first heading?|What is the headline?",
        heading,
    )
    y += 60
    wordings = "Who wrote it?|Who is the author?|Who is the article by?"
    if chance(rng, 0.65):
        by = page.add(f"By {author}" + (f", {when}" if chance(rng, 0.6) else ""), 20, y, 17)
        document.ask("author", wordings, author, by)
        if by and when in by:
            document.ask("date", "When was it published?|What is the date?|When was it written?", when, by)
        y += 36
    else:
        document.lack(wordings)
        document.lack("When was it published?|What is the date of the article?")
    page.lines([sentence(rng, topic) for _ in range(int(rng.integers(1, 3)))], 20, y, 17)
    y += 80
    if chance(rng, 0.6):
        y = _add_list(rng, document, y)
    _add_contacts(rng, document, y)
    document.lack("How many people have read it?|What does it cost to join?")
    return document


def _add_list(rng: np.random.Generator, document: Document, y: int) -> int:
    """Set a second heading with a list below it; returns where the page continues."""
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
        "second heading",
        "What is the second heading?|What is the subheading?|Which heading comes after the title?",
        document.page.add(second, 20, y, 25, bold=True),
    )
    items = pick_some(rng, ITEMS_TO_DO, int(rng.integers(2, 5)))
    found = document.page.lines([pick(rng, ("• ", "- ", "")) + item for item in items], 40, y + 44, 17)
    if len(found) == len(items):
        document.ask(
            "first item", "What is the first item of the list?|What comes first in the list?", items[0], items[0]
        )
        document.ask(
            "last item", "What is the last item of the list?|What comes last in the list?", items[-1], items[-1]
        )
        document.ask(
            "items", f"How many items does the list have?|How many points are under {second}?", str(len(items)), *items
        )
    return y + 50 + 28 * len(items)


def _add_contacts(rng: np.random.Generator, document: Document, y: int) -> None:
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
                skill,
                wordings,
                text,
                document.page.add(pick(rng, ("{}", "Contact: {}", "More: {}")).format(text), 20, y, 17),
            )
            y += 30
        else:
            document.lack(wordings)


def _recipe(rng: np.random.Generator) -> Sketch:
    """Quantities, time and heat of a dish."""
    dish, minutes, people, heat = (
        pick(rng, DISHES[:34]),
        int(rng.integers(2, 25)) * 5,
        int(rng.integers(1, 9)),
        int(rng.integers(14, 25)) * 10,
    )
    counted = pick_some(rng, ("eggs", "onions", "tomatoes", "carrots", "lemons", "apples", "potatoes", "bananas"), 2)
    weighed = pick_some(rng, ("flour", "sugar", "butter", "rice", "cheese", "pasta", "cream", "milk"), 2)
    lines = [
        line(dish, ("what", "What is the recipe for?|What can I cook with it?|What is the dish?", dish)),
        line(
            pick(rng, (f"Time: {minutes} minutes", f"Takes {minutes} minutes", f"Ready in {minutes} minutes")),
            ("long", "How long does it take?|How much time do I need?", f"{minutes} minutes"),
        ),
        line(
            pick(rng, (f"Serves {people}", f"For {people} people", f"Servings: {people}")),
            ("people", "How many people is it for?|How many does it serve?|For how many people is it?", str(people)),
        ),
    ]
    for name in counted:
        number = str(rng.integers(2, 9))
        lines.append(
            line(
                f"{number} {name}",
                (
                    "how many",
                    f"How many {name} do I need?|How many {name} go in?|How many {name} does it take?",
                    number,
                ),
            )
        )
    for name in weighed:
        weight = f"{int(rng.integers(1, 20)) * 50} {'ml' if name in ('cream', 'milk') else 'g'}"
        lines.append(
            line(
                f"{weight} {name}" if chance(rng, 0.5) else f"{name} | {weight}",
                ("how much", f"How much {name} do I need?|How much {name} goes in?", weight),
            )
        )
    if chance(rng, 0.6):
        lines.append(
            line(
                f"Bake at {heat}°C", ("heat", "How hot must the oven be?|At what temperature is it baked?", f"{heat}°C")
            )
        )
    return Sketch(
        tuple(lines),
        (
            f"How many {pick(rng, ('peppers', 'pears', 'sausages', 'olives'))} do I need?|How much salt do I need?",
            "Who wrote the recipe?|How many calories does it have?|What does it cost?|Who is the cook?",
        ),
    )


def _news(rng: np.random.Generator) -> Sketch:
    """A headline, what happened, and who said something about it."""
    place, city, day, who = pick(rng, STOPS).lower(), pick(rng, CITIES), pick(rng, DAYS), person(rng)
    number, job = int(rng.integers(3, 900)), pick(rng, JOBS).lower()
    paper = f"{city} {pick(rng, ('Times', 'Post', 'News', 'Herald', 'Daily', 'Mirror'))}"
    headline, body = pick(
        rng,
        (
            (
                f"New {place} opens in {city}",
                (
                    f"The new {place} was opened on {day}.",
                    "opened",
                    f"What was opened on {day}?|What is new in {city}?",
                    f"When did the {place} open?|When was the {place} opened?",
                ),
            ),
            (
                f"Fire in the {place}",
                (
                    f"The {place} burned on {day}.",
                    "burned",
                    f"What burned on {day}?|Where was the fire?",
                    f"When did the {place} burn?|When was the fire?",
                ),
            ),
            (
                f"{place.capitalize()} closes its doors",
                (
                    f"The {place} was closed on {day}.",
                    "closed",
                    f"What was closed on {day}?|What is closed?",
                    f"When was the {place} closed?|Since when is the {place} closed?",
                ),
            ),
            (
                f"Storm hits {city}",
                (
                    f"The {place} lost its roof on {day}.",
                    "lost",
                    f"What lost its roof?|What was damaged on {day}?",
                    f"When did the {place} lose its roof?|When was the storm?",
                ),
            ),
            (
                f"Work on the {place} begins",
                (
                    f"Work on the {place} began on {day}.",
                    "began",
                    f"What is being worked on?|What began on {day}?",
                    "When did the work begin?|Since when do they work?",
                ),
            ),
        ),
    )
    text, _, what, when = body
    answer = f"Work on the {place}" if what.startswith("What is being") and "What began" in what else f"The {place}"
    answer = answer if answer in text else f"the {place}"
    return Sketch(
        (
            line(
                paper,
                ("paper", "Which newspaper is it?|What is the paper called?|What is the name of the page?", paper),
            ),
            line(headline, ("headline", "What is the headline?|What is the news?|What is it about?", headline)),
            line(text, ("what", what, answer), ("when", when, day)),
            line(
                f"{number} people came to see it.",
                ("how many", "How many people came?|How many people saw it?", str(number)),
            ),
            line(
                f'"I am proud of {city}," said {job} {who}.',
                ("who", f"Who is proud of {city}?|Who is quoted?|Who said something?", who),
                ("job", f"What is {who}'s job?|What does {who} do?", job),
            ),
        ),
        (
            "What did it cost?|Who wrote the article?|How long did it take?",
            f"How old is {who}?|Was anybody hurt?|Who is the mayor of {city}?",
        ),
    )


def _shop(rng: np.random.Generator) -> Sketch:
    """A product with its price, stock and delivery."""
    thing, style, shop = f"{pick(rng, COLORS)} {pick(rng, GOODS)}", int(rng.integers(5)), shop_name(rng)
    price, stars, days = (
        money(int(rng.integers(200, 30000)), style),
        f"{rng.integers(1, 5)}.{rng.integers(1, 10)}",
        int(rng.integers(2, 15)),
    )
    stock, button = (
        int(rng.integers(2, 60)),
        pick(rng, ("Add to cart", "Buy now", "Add to basket", "Order", "Add to bag")),
    )
    called = f"the {thing.lower()}"
    return Sketch(
        (
            line(shop, ("shop", "Which shop is it?|What is the shop called?|Who sells it?", shop)),
            line(thing, ("thing", "What is sold here?|What can I buy here?|Which product is it?", thing)),
            line(
                price,
                ("price", f"How much is {called}?|What does {called} cost?|How much is it?|What is the price?", price),
            ),
            line(f"{stars} stars", ("stars", "How many stars does it have?|How is it rated?", stars)),
            line(
                f"{stock} in stock" if chance(rng, 0.5) else f"Only {stock} left",
                ("stock", "How many are left?|How many do they have?|How many are in stock?", str(stock)),
            ),
            line(
                f"Delivery in {days} days",
                (
                    "delivery",
                    "How long does the delivery take?|When will it arrive?|How fast is it delivered?",
                    f"{days} days",
                ),
            ),
            line(
                button,
                (
                    "button",
                    "What does the button say?|What is written on the button?|What do I press to buy it?",
                    button,
                ),
            ),
        ),
        (
            "How heavy is it?|Who made it?|Where is it made?|How large is it?",
            "What does the delivery cost?|Who bought it?|What did it cost last year?",
        ),
    )


def _forecast(rng: np.random.Generator) -> Sketch:
    """The weather of one city over some days."""
    city, days = pick(rng, CITIES), list(DAYS)
    start = int(rng.integers(7))
    days = (days + days)[start : start + int(rng.integers(2, 6))]
    skies = [pick(rng, ("Rain", "Sun", "Clouds", "Snow", "Wind", "Fog", "Storm")) for _ in days]
    degrees = [int(value) for value in rng.choice(np.arange(1, 36), len(days), replace=False)]
    lines = [
        line(
            pick(rng, (f"Weather in {city}", f"Weather {city}", city)),
            ("where", "Which city is the weather for?|Where is this weather?|For which place is it?", city),
        )
    ]
    asks = {
        "Rain": "does it rain",
        "Sun": "is it sunny",
        "Clouds": "is it cloudy",
        "Snow": "does it snow",
        "Wind": "is it windy",
        "Fog": "is it foggy",
        "Storm": "is there a storm",
    }
    for day, sky, degree in zip(days, skies, degrees, strict=True):
        told = [
            ("sky", f"What is the weather on {day}?|How is the weather on {day}?|What will {day} be like?", sky),
            (
                "warm",
                f"How warm does it get on {day}?|What is the temperature on {day}?|How many degrees is it on {day}?",
                f"{degree}°C",
            ),
        ]
        if skies.count(sky) == 1:
            told.append(("which day", f"On which day {asks[sky]}?|When {asks[sky]}?", day))
        lines.append(line(f"{day} | {sky}, {degree}°C" if chance(rng, 0.5) else f"{day}: {sky} | {degree}°C", *told))
    absent = pick(rng, [day for day in DAYS if day not in days])
    return Sketch(
        tuple(lines),
        (
            f"What is the weather on {absent}?|How warm does it get on {absent}?",
            "How strong is the wind?|When does the sun rise?|How cold is the sea?",
        ),
    )
