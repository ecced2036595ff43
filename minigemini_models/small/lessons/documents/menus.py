"""Menus and price lists."""

import numpy as np

from ....scenes.colors import pick
from .document import Document
from .document_page import PAPERS, Page
from .document_words import DAYS, DISHES, chance, money, pick_some, shop_name, site


def menu(rng: np.random.Generator, perfect: bool = False) -> Document:
    """A menu or price list: items with prices."""
    page = Page(rng, 512, 720, perfect, pick(rng, PAPERS))
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
    document.ask("heading", "What is the heading?|What does the first line say?|What is at the top?", read)
    dishes = pick_some(rng, DISHES, int(rng.integers(3, 10)))
    cents = [int(value) * 5 for value in rng.choice(np.arange(30, 600), len(dishes), replace=False)]
    rows = []
    for number, (dish, amount) in enumerate(zip(dishes, cents, strict=True)):
        y, price = 110 + number * 56, money(amount, style)
        found, cost, row = page.add_pair(dish, price, y, 24)
        if row:
            rows.append(row)
            document.ask(
                "price",
                f"How much is the {dish}?|What does the {dish} cost?|What is the price of {dish}?|{dish}: how much?",
                cost,
                row,
            )
            document.ask(
                "what costs", f"What costs {price}?|Which item costs {price}?|What can I get for {price}?", found, row
            )
    if len(rows) == len(dishes):
        cheapest, dearest = dishes[cents.index(min(cents))], dishes[cents.index(max(cents))]
        document.ask(
            "cheapest",
            "What is the cheapest item?|Which item costs the least?|What is cheapest?",
            cheapest,
            cheapest,
            *rows,
        )
        document.ask(
            "most expensive", "What is the most expensive item?|Which item costs the most?", dearest, dearest, *rows
        )
        document.ask("count", "How many items are listed?|How many items are on it?", str(len(rows)), *rows)
    other = pick(rng, [dish for dish in DISHES if dish not in dishes])
    document.lack(f"How much is the {other}?|What does the {other} cost?|What is the price of {other}?")
    web = site(rng)
    if chance(rng, 0.3):
        document.ask("site", "What is the web address?|What is the website?", page.add(web, 256, 680, 18, "ma"))
    return document
