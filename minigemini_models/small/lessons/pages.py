"""Letters, e-mails, web pages, lists and screens: running text with headings."""

from dataclasses import dataclass

import numpy as np

from ...scenes.colors import pick
from .document import Document
from .document_page import Page
from .document_words import (
    CITIES,
    COLORS,
    DAYS,
    DISHES,
    FIRST,
    GOODS,
    ITEMS_TO_DO,
    JOBS,
    NOUNS,
    STOPS,
    TOPICS,
    address,
    chance,
    date,
    email,
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


Line = tuple[str, tuple[tuple[str, str, str], ...]]
"""A line of a page, with " | " between its two ends, and what it tells: skill, questions separated by "|", answer."""


@dataclass(frozen=True)
class Sketch:
    """The lines of a page from the top, and questions that it does not answer."""

    lines: tuple[Line, ...]
    missing: tuple[str, ...]


def line(text: str, *told: tuple[str, str, str]) -> Line:
    """A line with what it tells."""
    return text, told


def set_lines(
    rng: np.random.Generator, document: Document, sketch: Sketch, size: int = 20, color: str = "black"
) -> None:
    """Set a sketch on the page of a document, the first line large, and ask about its lines."""
    page = document.page
    step = min(2.2 * size, (page.height - 100) / max(1, len(sketch.lines)))
    for number, (text, told) in enumerate(sketch.lines):
        left, _, right = text.partition(" | ")
        y, is_heading = 30 + number * step + (20 if number else 0), number == 0
        height = int(min(1.5 * size, 1.7 * page.width / max(4, len(left)))) if is_heading else size
        read = page.add(left, 30, y, height, color=color, bold=is_heading)
        if right:
            end = page.add(right, page.width - 30, y, height, "ra", color=color)
            read = f"{read} | {end}" if read and end else None
        for skill, wordings, answer in told:
            document.ask(rng, skill, wordings, answer, read)
    for wordings in sketch.missing:
        document.lack(rng, wordings)


def _order(rng: np.random.Generator) -> Sketch:
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


def _recipe(rng: np.random.Generator) -> Sketch:
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
    thing, style, shop = f"{pick(rng, COLORS)} {pick(rng, GOODS)}", int(rng.integers(5)), shop_name(rng)
    price, stars, days = (
        money(rng, int(rng.integers(200, 30000)), style),
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


def opening_hours(rng: np.random.Generator) -> Sketch:
    """Opening hours of every day of a week."""
    name, groups = shop_name(rng), pick(rng, ((1,) * 7, (5, 1, 1), (1, 4, 1, 1), (4, 1, 1, 1)))
    lines, first = [line(name, ("shop", "Which shop is it?|Whose hours are these?|What is the place called?", name))], 0
    for count in groups:
        days, is_closed = DAYS[first : first + count], first > 4 and chance(rng, 0.5)
        is_closed = is_closed or (count == 1 and chance(rng, 0.1))
        start, end = (
            f"{rng.integers(6, 12)}:{pick(rng, ('00', '30'))}",
            f"{rng.integers(14, 24)}:{pick(rng, ('00', '30'))}",
        )
        label = days[0] if count == 1 else f"{days[0]} {pick(rng, ('-', 'to'))} {days[-1]}"
        day, first = pick(rng, days), first + count
        told = [
            (
                "is open",
                f"Is it open on {day}?|Are they open on {day}?|Can I go there on {day}?",
                "No." if is_closed else "Yes.",
            )
        ]
        if is_closed:
            told.append(
                ("closed", "On which day is it closed?|When is it closed?", label)
                if count == 1 and not any("closed" in text for text, _ in lines)
                else told[0]
            )
        else:
            told += [
                (
                    "opens",
                    f"When does it open on {day}?|From when is it open on {day}?|When do they open on {day}?",
                    start,
                ),
                (
                    "closes",
                    f"When does it close on {day}?|Until when is it open on {day}?|When do they close on {day}?",
                    end,
                ),
                ("hours", f"What are the hours on {day}?|When can I come on {day}?", f"{start} - {end}"),
            ]
        lines.append(line(f"{label} | {'closed' if is_closed else f'{start} - {end}'}", *told))
    if sum(text.endswith("| closed") for text, _ in lines) > 1:  # "the day on which it is closed" is not one
        lines = [line(text, *(one for one in told if one[0] != "closed")) for text, told in lines]
    return Sketch(
        tuple(lines),
        (
            "Is it open at Christmas?|When is it open on holidays?",
            "What is the phone number?|Who works there?|What do they sell at noon?",
        ),
    )


def _login(rng: np.random.Generator) -> Sketch:
    app, mail, button = (
        pick(rng, (shop_name(rng), f"{pick(rng, NOUNS)} Mail", f"{pick(rng, NOUNS)} Bank")),
        email(rng),
        pick(rng, ("Sign in", "Log in", "Login", "Continue", "Next", "Enter")),
    )
    other, help_ = (
        pick(rng, ("Create account", "Register", "Sign up", "New here? Join us")),
        pick(rng, ("Forgot password?", "Forgot your password?", "Need help?")),
    )
    return Sketch(
        (
            line(app, ("app", "Which site is it?|Where can I log in here?|What is the page called?", app)),
            line(
                f"{pick(rng, ('Email', 'User', 'E-mail'))}: {mail}",
                ("email", "Which e-mail is filled in?|Who is logging in?|What is the user name?", mail),
            ),
            line(pick(rng, ("Password: ********", "Password", "Password: ......"))),
            line(
                button,
                (
                    "button",
                    "What does the button say?|What is written on the button?|What do I press to get in?",
                    button,
                ),
            ),
            line(help_, ("help", "What can I press if I do not know the password?|Which link helps me?", help_)),
            line(other, ("new", "What can I press if I have no account?|What do I press if I am new?", other)),
        ),
        (
            "What is the password?|Which password is it?|What password was typed in?",
            "Is the password right?|When was the last visit?|How many people use it?",
        ),
    )


def _dialog(rng: np.random.Generator) -> Sketch:
    name, size = (
        f"{pick(rng, NOUNS).lower()}{rng.integers(1, 99)}.{pick(rng, ('txt', 'pdf', 'jpg', 'doc', 'zip'))}",
        f"{rng.integers(2, 900)} MB",
    )
    title_, verb, yes = pick(
        rng,
        (
            ("Delete file", "will be deleted", "Delete"),
            ("Save file", "has changed", "Save"),
            ("Download", "is being downloaded", "Pause"),
            ("Error", "cannot be opened", "Try again"),
            ("Update", "will be replaced", "Replace"),
            ("Copy", "is being copied", "Stop"),
        ),
    )
    no, done, rest = (
        pick(rng, ("Cancel", "Back", "Close", "Not now")),
        int(rng.integers(1, 100)),
        int(rng.integers(2, 60)),
    )
    lines = [
        line(
            title_,
            (
                "title",
                "What is the title of the window?|What is the heading?|What does the window say at the top?",
                title_,
            ),
        ),
        line(
            f"{name} {verb}.",
            ("file", f"Which file {verb}?|Which file is it about?|What is the file called?", name),
            ("happens", f"What happens to {name}?|What about {name}?", f"It {verb}."),
        ),
        line(f"Size: {size}", ("size", "How large is the file?|What is the size of the file?", size)),
    ]
    if title_ in ("Download", "Copy"):
        lines.append(
            line(
                f"{done}% done, {rest} minutes left",
                ("done", "How much is done?|How far is it?|How many percent are done?", f"{done}%"),
                ("left", "How long will it take?|How much time is left?", f"{rest} minutes"),
            )
        )
    lines.append(
        line(
            f"{no} | {yes}",
            ("buttons", "Which buttons are there?|What are the buttons?|What can I press?", f"{no}, {yes}"),
        )
    )
    return Sketch(
        tuple(lines),
        (
            "Who made the file?|When was the file made?|Where is the file?",
            "What is in the file?|Which computer is it?|What will the user press?",
        ),
    )


def _chat(rng: np.random.Generator) -> Sketch:
    one, two = pick_some(rng, FIRST, 2)
    minutes, place, at, food = (
        int(rng.integers(5, 50)),
        pick(rng, STOPS).lower(),
        time_of_day(rng),
        pick(rng, DISHES).lower(),
    )
    return Sketch(
        (
            line(pick(rng, ("Messages", "Chat", f"Chat with {two}", "Today"))),
            line(f"{one}: Where are you?", ("asks", "Who asks a question?|Who writes first?", one)),
            line(
                f"{two}: I am at the {place}.",
                ("where", f"Where is {two}?|At which place is {two}?", f"the {place}"),
                ("who", f"Who is at the {place}?", two),
            ),
            line(
                f"{one}: I am {minutes} minutes late.",
                ("late", f"How late is {one}?|How many minutes is {one} late?", f"{minutes} minutes"),
                ("who late", "Who is late?", one),
            ),
            line(
                f"{two}: I will wait until {at}.",
                ("until", f"How long will {two} wait?|Until when does {two} wait?", at),
            ),
            line(f"{one}: I bring {food}.", ("bring", f"What does {one} bring?", food)),
        ),
        (
            f"Where does {one} live?|How old is {two}?|Why is {one} late?",
            f"What does {two} bring?|What will {two} say next?",
        ),
    )


def _call_note(rng: np.random.Generator) -> Sketch:
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
    units = (
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
    lines = [line(pick(rng, ("Shopping list", "To buy", "Groceries", "Supermarket")))]
    chosen = pick_some(rng, units, int(rng.integers(3, 7)))
    for unit, food in chosen:
        count = str(rng.integers(2, 13))
        lines.append(
            line(
                f"{count} {unit} of {food}",
                ("how many", f"How many {unit} of {food} are needed?|How many {unit} of {food} should I buy?", count),
            )
        )
    absent = pick(rng, [food for _, food in units if food not in [food for _, food in chosen]])
    return Sketch(
        tuple(lines),
        (
            f"How much {absent} do we need?|How much {absent} should I buy?",
            "Who goes shopping?|What will it cost?|Which shop is it?",
        ),
    )


def letter(rng: np.random.Generator, perfect: bool = False) -> Document:
    """A letter or an e-mail about one thing: an order, a complaint, an invitation or news."""
    if chance(rng, 0.5):
        document = Document("a letter", Page(rng, 720, 640, perfect))
        set_lines(rng, document, pick(rng, (_order, _complaint, _invitation))(rng))
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
    """A web page or an article: title, author, paragraphs, a list, a contact; or of a shop, the news, the weather."""
    if chance(rng, 0.65):
        kind, sketch = pick(
            rng,
            (("a recipe", _recipe), ("an article", _news), ("a web page", _shop), ("a web page", _forecast)),
        )
        document = Document(kind, Page(rng, 640, 640, perfect))
        set_lines(rng, document, sketch(rng))
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
    if chance(rng, 0.45):
        kind, sketch = pick(rng, (("a note", _call_note), ("a list", _groceries)))
        document = Document(kind, page)
        set_lines(rng, document, sketch(rng), 22)
        return document
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
    if chance(rng, 0.55):
        set_lines(rng, document, pick(rng, (_login, _dialog, _chat))(rng), 20, color)
        return document
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
