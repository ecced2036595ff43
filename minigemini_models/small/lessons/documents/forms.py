"""Forms and business cards."""

import numpy as np

from ....scenes.colors import pick
from .document import Document
from .document_page import Page
from .document_words import CITIES, COMPANIES, COUNTRIES, JOBS, LAST, NOUNS, address, chance, date, email, person, phone


def form(rng: np.random.Generator, perfect: bool = False) -> Document:
    """A form of labels with values, or a business card."""
    if chance(rng, 0.4):
        return _business_card(rng, Page(rng, 640, 400, perfect))
    page = Page(rng, 640, 480, perfect)
    document = Document(pick(rng, ("a form", "a card")), page)
    heading = pick(
        rng,
        (
            "Registration",
            "Application Form",
            "Member Card",
            "Order Form",
            "Library Card",
            "Contact",
            "Guest List",
            "ID Card",
        ),
    )
    document.ask(
        "heading",
        "What is the heading?|What is the title of this form?|What is written at the top?",
        page.add(heading, 40, 24, 30, bold=True),
    )
    fields: list[tuple[str, str, str]] = [
        ("Name", person(rng), "What is the name?|Whose is this?|Who filled this in?"),
        ("Phone", phone(rng), "What is the phone number?|Which phone number is given?"),
        ("Email", email(rng), "What is the e-mail address?|What is the email?"),
        ("Address", address(rng), "What is the address?|Where does the person live?"),
        ("Date of birth", date(rng), "What is the date of birth?|When was the person born?"),
        ("City", pick(rng, CITIES), "Which city is given?|What is the city?"),
        ("Job", pick(rng, JOBS), "What is the job?|What does the person do?"),
        ("Member no.", str(rng.integers(10000, 999999)), "What is the member number?|Which member number is it?"),
        ("Nationality", pick(rng, COUNTRIES), "Which nationality is given?|Which country is the person from?"),
    ]
    shown, apart = set(rng.permutation(len(fields))[: int(rng.integers(3, 8))].tolist()), chance(rng, 0.5)
    y = 90
    for number, (label, value, wordings) in enumerate(fields):
        if number not in shown:
            document.lack(wordings)
            continue
        if apart:
            _, right, row = page.add_pair(label, value, y, 20, (40, 260), ("la", "la"))
            document.ask("field", wordings, right, row)
        else:
            text = page.add(f"{label}: {value}", 40, y, 20)
            document.ask("field", wordings, (text and text.partition(": ")[2]) or None, text)
        y += 46
    return document


def _business_card(rng: np.random.Generator, page: Page) -> Document:
    """A name, a job and a company without labels."""
    document = Document("a business card", page)
    name, job, company = person(rng), pick(rng, JOBS), f"{pick(rng, (*NOUNS, *LAST))} {pick(rng, COMPANIES)}"
    first = name.split()[0]
    lines = [
        (name, "name", f"Whose card is it?|What is the name?|Who works for {company}?"),
        (
            job,
            "job",
            f"What does {first} do?|What is {first}'s job?|What does {name} work as?|What is the job of {name}?",
        ),
        (
            company,
            "company",
            f"Which company does {first} work for?|Where does {first} work?|What is the company called?",
        ),
    ]
    if chance(rng, 0.3):
        lines = [lines[2], *lines[:2]]
    for value, skill, wordings in (
        (phone(rng), "phone", f"How can I call {first}?|What is {first}'s phone number?|Which number do I call?"),
        (email(rng), "email", f"What is {first}'s e-mail address?|Where can I write to {first}?"),
        (address(rng), "address", f"Where is the office?|What is the address of {company}?|Where can I visit {first}?"),
    ):
        if chance(rng, 0.7):
            lines.append((value, skill, wordings))
        else:
            document.lack(wordings)
    for number, (value, skill, wordings) in enumerate(lines):
        text = page.add(value, 40, 40 + 56 * number, 28 if number == 0 else 20, bold=number == 0)
        document.ask(skill, wordings, value if text == value else None, text)
    document.lack(f"How old is {first}?|When was {first} born?|What does {first} earn?|Who is the boss of {first}?")
    document.lack(f"When is {first} in the office?|How many people work for {company}?|Is {first} married?")
    return document
