"""Receipts and invoices: items, amounts, a total."""

import numpy as np

from ....scenes.colors import pick
from .document import Document
from .document_page import Page
from .document_words import (
    FIRST,
    PRODUCTS,
    address,
    chance,
    date,
    money,
    person,
    phone,
    pick_some,
    shop_name,
    time_of_day,
)

PAYMENTS = ("VISA", "Cash", "Mastercard", "Debit card", "Gift card", "Apple Pay", "Amex")


def receipt(rng: np.random.Generator, perfect: bool = False) -> Document:
    """A receipt of a shop."""
    page = Page(rng, 512, int(pick(rng, (640, 720, 768))), perfect, pick(rng, ("white", "#f7f7f2")))
    document = Document("a receipt", page)
    name, when, at, where, style = shop_name(rng), date(rng), time_of_day(rng), address(rng), int(rng.integers(6))
    size = int(rng.integers(18, 24))
    shop = page.add(name, 256, 24, 28, "ma", bold=True)
    document.ask(
        "shop",
        "Which shop is this receipt from?|Where was this bought?|What is the name of the shop?|Who is it from?",
        shop,
    )
    cashier, table = pick(rng, FIRST), str(rng.integers(1, 40))
    answers = {"date": when, "cashier": cashier, "table": table}
    y = 62
    for shown, text, skill, wordings in (
        (chance(rng, 0.6), where, "address", "What is the address?|Where is the shop?"),
        (
            chance(rng, 0.8),
            f"{when} {at}" if chance(rng, 0.5) else when,
            "date",
            "What is the date?|When was it bought?|What date is on the receipt?",
        ),
        (chance(rng, 0.3), phone(rng), "phone", "What is the phone number of the shop?|What is the phone number?"),
        (
            chance(rng, 0.3),
            pick(rng, (f"Served by {cashier}", f"Cashier: {cashier}", f"You were served by {cashier}")),
            "cashier",
            "Who was the cashier?|Who served the customer?|Who sold it?|Who worked at the till?",
        ),
        (chance(rng, 0.15), f"Table {table}", "table", "Which table was it?|At which table did they sit?"),
    ):
        if shown:
            read = page.add(text, 256, y, size, "ma")
            document.ask(skill, wordings, answers.get(skill, read), read)
            y += int(1.5 * size)
        else:
            document.lack(wordings)
    total = _items(rng, document, y + 20, size, style, int(rng.integers(2, 8)))
    document.lack("Who bought this?|What is the weather?|How old is the customer?|Who is the owner of the shop?")
    if total is not None and chance(rng, 0.5):
        page.add(
            pick(rng, ("Thank you!", "Thank you for your visit", "Come again soon", "Have a nice day")),
            256,
            610,
            size,
            "ma",
        )
    return document


def _items(rng: np.random.Generator, document: Document, top: int, size: int, style: int, count: int) -> str | None:
    """Items and sums; returns the total as OCR reads it."""
    page, products = document.page, pick_some(rng, PRODUCTS, count)
    cents = [int(value) for value in rng.choice(np.arange(49, 2999), count, replace=False)]
    counts = [int(value) for value in rng.integers(1, 7, count)]
    quantity = pick(rng, ("none", "before", "after"))
    step = int(1.6 * size)
    rows: list[str] = []
    for number, (product, amount, bought) in enumerate(zip(products, cents, counts, strict=True)):
        label = {"none": product, "before": f"{bought} x {product}", "after": f"{product} x{bought}"}[quantity]
        _, right, row = page.add_pair(label, money(amount, style), top + number * step, size)
        if row is None:
            continue
        rows.append(row)
        document.ask(
            "price",
            f"How much is the {product}?|What does the {product} cost?|What is the price of {product}?|"
            f"How much was the {product}?|What did the {product} cost?|What did they pay for the {product}?",
            right,
            row,
        )
        document.ask(
            "what costs", f"What costs {right}?|Which item costs {right}?|What was {right}?", product, product, row
        )
        if quantity != "none":
            document.ask(
                "how many",
                f"How many {product} were bought?|How many {product} did they buy?|What quantity of {product}?",
                str(bought),
                row,
            )
    if len(rows) == count:
        document.ask(
            "count",
            "How many items are on the receipt?|How many different items were bought?|How many items are there?",
            str(count),
            *rows,
        )
        cheapest, dearest = products[cents.index(min(cents))], products[cents.index(max(cents))]
        document.ask(
            "cheapest",
            "Which item is the cheapest?|What is the cheapest item?|What cost the least?",
            cheapest,
            cheapest,
            *rows,
        )
        document.ask(
            "most expensive",
            "Which item is the most expensive?|What is the most expensive item?|What cost the most?",
            dearest,
            dearest,
            *rows,
        )
        document.ask(
            "list", "What was bought?|Which items are on the receipt?|List the items.", ", ".join(products), *products
        )
    other = pick(rng, [product for product in PRODUCTS if product not in products])
    document.lack(
        f"How much is the {other}?|What does the {other} cost?|How many {other} were bought?|"
        f"What is the price of {other}?"
    )
    return _sums(rng, document, top + count * step + 16, size, style, sum(cents))


def _sums(rng: np.random.Generator, document: Document, y: int, size: int, style: int, cents: int) -> str | None:
    page, tax, step = document.page, int(cents * pick(rng, (0.05, 0.07, 0.08, 0.19))), int(1.6 * size)
    total_label = pick(rng, ("TOTAL", "Total", "Total due", "Amount due", "Grand total", "TOTAL TO PAY", "Balance due"))
    payment = pick(rng, PAYMENTS)
    lines = [
        (
            chance(rng, 0.6),
            "subtotal",
            pick(rng, ("Subtotal", "Sub total", "Net")),
            cents,
            "What is the subtotal?|How much is it before tax?",
        ),
        (
            chance(rng, 0.6),
            "tax",
            pick(rng, ("Tax", "VAT", "Sales tax", "Tax 8%", "VAT 19%")),
            tax,
            "How much is the tax?|What is the tax?|How much tax was paid?",
        ),
        (
            chance(rng, 0.93),
            "total",
            total_label,
            cents + tax,
            "What is the total?|How much is it in total?|How much was paid?|What is the amount due?|"
            "What does it all cost?|What is the sum?|How much money is it altogether?|How much must be paid?",
        ),
        (
            chance(rng, 0.5),
            "payment",
            payment,
            cents + tax,
            "How was it paid?|What was the method of payment?|What did they pay with?|How did the customer pay?",
        ),
    ]
    total = None
    for shown, skill, label, amount, wordings in lines:
        if not shown:
            document.lack(wordings)
            continue
        left, right, row = page.add_pair(label, money(amount, style), y, size, bold=skill == "total")
        document.ask(skill, wordings, left if skill == "payment" else right, row)
        if skill == "total" and row:
            total = right
        y += step
    wordings = "How much change was given?|How much money came back?|What is the change?"
    if payment == "Cash" and chance(rng, 0.7):
        left = page.add("Change", 40, y, size)
        right = page.add(money(int(rng.integers(5, 1900)), style), 470, y, size, "ra")
        document.ask("change", wordings, right, f"{left} | {right}" if left and right else None)
    else:
        document.lack(wordings)
    return total


def invoice(rng: np.random.Generator, perfect: bool = False) -> Document:
    """An invoice or bill with a number, names and a table of amounts."""
    page = Page(rng, 640, 768, perfect)
    document = Document("an invoice", page)
    sender, customer, when, style = shop_name(rng), person(rng), date(rng), int(rng.integers(6))
    number = f"{pick(rng, ('', 'INV-', 'No. ', '#', 'R-'))}{rng.integers(1000, 99999)}"
    read = page.add(sender, 40, 30, 28, bold=True)
    document.ask("from", "Who is the invoice from?|Who sent it?|Who sends the bill?|Which company is it from?", read)
    page.add(pick(rng, ("INVOICE", "Invoice", "BILL")), 600, 30, 28, "ra", bold=True)
    fields = [
        (
            "number",
            pick(rng, ("Invoice number", "Invoice no", "Number")),
            number,
            "What is the invoice number?|Which number does the invoice have?",
        ),
        (
            "date",
            pick(rng, ("Date", "Invoice date")),
            when,
            "What is the date of the invoice?|When was it written?|What is the date?",
        ),
        (
            "to",
            pick(rng, ("Bill to", "Customer", "To")),
            customer,
            "Who is it for?|Who is the customer?|To whom is the bill addressed?|Who has to pay?",
        ),
        (
            "due",
            "Due date",
            date(rng),
            "When is it due?|What is the due date?|By when must it be paid?|Until when can I pay?",
        ),
    ]
    y = 100
    for skill, label, value, wordings in fields:
        if chance(rng, 0.75):
            text = page.add(f"{label}: {value}", 40, y, 20)
            document.ask(skill, wordings, value, text)
            y += 32
        else:
            document.lack(wordings)
    _items(rng, document, y + 40, 20, style, int(rng.integers(1, 5)))
    document.lack("What is the bank account?|Has it been paid?|What is the e-mail address of the customer?")
    return document
