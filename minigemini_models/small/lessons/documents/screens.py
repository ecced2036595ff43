"""Screens of programs and telephones: settings, a login, a dialog, a chat."""

import numpy as np

from ....scenes.colors import pick
from .document import Document
from .document_page import Page
from .document_words import CITIES, DISHES, FIRST, JOBS, NOUNS, STOPS, chance, email, pick_some, shop_name, time_of_day
from .sketches import Sketch, line, set_lines


def screen(rng: np.random.Generator, perfect: bool = False) -> Document:
    """A screen of a program or telephone."""
    page = Page(rng, 480, 640, perfect, pick(rng, ("white", "#202024")))
    color = "black" if page.background == "white" else "white"
    document = Document("a screenshot", page)
    if chance(rng, 0.55):
        set_lines(document, pick(rng, (_login, _dialog, _chat))(rng), 20, color)
        return document
    app = pick(
        rng,
        ("Settings", "Messages", "Weather", "Calendar", "Alarm", "Music", "Mail", "Photos", "Maps", "Notes", "Wallet"),
    )
    document.ask(
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
        _, right, row = page.add_pair(label, value, 110 + 58 * number, 22, (30, 450), color=color)
        document.ask(
            "setting",
            f"What is the {label.lower()}?|What does it say for {label}?|Which value does {label} have?|{label}?",
            right,
            row,
        )
        if value in ("On", "Off"):
            answer = {"On": "Yes.", "Off": "No."}[value]
            document.ask("is on", f"Is {label} on?|Is {label} switched on?", answer if right == value else None, row)
    for index in order[count:]:
        label = fields[index][0]
        document.lack(f"What is the {label.lower()}?|What does it say for {label}?|Which value does {label} have?")
    return document


def _login(rng: np.random.Generator) -> Sketch:
    """Where somebody logs in; the password is hidden."""
    app, mail, button = (
        pick(rng, (shop_name(rng), f"{pick(rng, NOUNS)} Mail", f"{pick(rng, NOUNS)} Bank")),
        email(rng),
        pick(rng, ("Sign in", "Log in", "Login", "Continue", "Next", "Enter")),
    )
    other, help_link = (
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
            line(
                help_link, ("help", "What can I press if I do not know the password?|Which link helps me?", help_link)
            ),
            line(other, ("new", "What can I press if I have no account?|What do I press if I am new?", other)),
        ),
        (
            "What is the password?|Which password is it?|What password was typed in?",
            "Is the password right?|When was the last visit?|How many people use it?",
        ),
    )


def _dialog(rng: np.random.Generator) -> Sketch:
    """A window about one file."""
    name, size = (
        f"{pick(rng, NOUNS).lower()}{rng.integers(1, 99)}.{pick(rng, ('txt', 'pdf', 'jpg', 'doc', 'zip'))}",
        f"{rng.integers(2, 900)} MB",
    )
    heading, verb, yes = pick(
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
            heading,
            (
                "title",
                "What is the title of the window?|What is the heading?|What does the window say at the top?",
                heading,
            ),
        ),
        line(
            f"{name} {verb}.",
            ("file", f"Which file {verb}?|Which file is it about?|What is the file called?", name),
            ("happens", f"What happens to {name}?|What about {name}?", f"It {verb}."),
        ),
        line(f"Size: {size}", ("size", "How large is the file?|What is the size of the file?", size)),
    ]
    if heading in ("Download", "Copy"):
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
    """A chat of two people who are about to meet."""
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
