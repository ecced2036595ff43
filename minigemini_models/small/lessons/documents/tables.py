"""Tables of people, places, goods and other subjects, and of two years."""

import numpy as np

from minigemini.inference.text_boxes import number_of

from ....scenes.colors import pick
from ....scenes.concepts import with_article
from .document import Document
from .document_page import Page
from .document_words import CITIES, COUNTRIES, SPORTS, SUBJECTS, chance, options, pick_some
from .table_columns import Column, Subject, whole
from .table_grid import capitalized, set_grid
from .table_subjects import TABLE_SUBJECTS


def table(rng: np.random.Generator, perfect: bool = False) -> Document:
    """A table with a header and row names, with or without rules."""
    document = Document("a table", Page(rng, 768, 512, perfect))
    if chance(rng, 0.12):
        return _years(rng, document)
    subject = pick(rng, TABLE_SUBJECTS)
    count = min(int(pick(rng, (1, 2, 2, 3, 3, 4))), len(subject.columns))
    columns = pick_some(rng, subject.columns, count)
    names = pick_some(rng, subject.names, int(rng.integers(2, 7)))
    head, heads = pick(rng, options(subject.heads)), []
    cells: list[list[str]] = [[] for _ in names]
    for column in columns:
        heading, in_heading = pick(rng, options(column.heads)), chance(rng, 0.5)
        heads.append(f"{heading} ({column.unit})" if column.unit and in_heading else heading)
        suffix = f" {column.unit}" if column.unit and not in_heading else ""
        for row in cells:
            row.append(column.make(rng) + suffix)
    if len({head, *heads}) <= len(heads):  # "Name" of an animal in a table of names
        return table(rng, perfect)
    lines = set_grid(rng, document, head, heads, names, cells)
    _ask_about_meaning(rng, document, subject, columns, heads, names, cells, lines)
    _ask_about_form(rng, document, subject, head, heads, names, cells, lines)
    return document


def _ask_about_meaning(
    rng: np.random.Generator,
    document: Document,
    subject: Subject,
    columns: list[Column],
    heads: list[str],
    names: list[str],
    cells: list[list[str]],
    lines: list[str | None],
) -> None:
    """Ask by what the columns mean."""
    where = {"on {}": "On which day", "in {}": "Where"}.get(subject.called, "")
    for index, (column, head) in enumerate(zip(columns, heads, strict=True)):
        values = [row[index] for row in cells]
        common = {"head": head.partition(" (")[0].lower(), "where": where}

        def ask(skill: str, wordings: str, answer: str, *evidence: str | None, **filled: str) -> None:
            if wordings:
                question = pick(rng, options(wordings)).format(**common, **filled)  # noqa: B023 (used in this turn)
                document.ask(skill, capitalized(question), answer, *evidence)

        def of_row(name: str) -> dict[str, str]:
            return {"x": subject.call(name), "s": f"{name.lower()}s"}

        for name, value, line in zip(names, values, lines, strict=True):
            ask(f"value {index % 2}", column.ask, value, line, **of_row(name))
            if values.count(value) == 1:
                ask("row", column.find, name, line, **_of_cell(value))
        if column.most and len(set(values)) == len(values):
            numbers = [number_of(value) for value in values]
            most, least = numbers.index(max(numbers)), numbers.index(min(numbers))
            ask("most", column.most, names[most], *lines)
            ask("least", column.least, names[least], *lines)
            if column.more:
                one, other = (int(place) for place in rng.permutation(len(names))[:2])
                either, whether = _comparisons(subject, column.more, names[one], names[other])
                winner = one if numbers[one] > numbers[other] else other
                ask("either", either, names[winner], lines[one], lines[other])
                ask("compare", whether, "Yes." if winner == one else "No.", lines[one], lines[other])
        absent = pick(rng, [name for name in subject.names if name not in names] or ["Friday"])
        if absent not in names:
            document.lack(capitalized(pick(rng, options(column.ask)).format(**common, **of_row(absent))))
        other_value = column.make(rng)
        if column.find and other_value not in values and not column.unit:
            document.lack(capitalized(pick(rng, options(column.find)).format(**common, **_of_cell(other_value))))
    others = [column for column in subject.columns if column not in columns]
    if others:
        column = pick(rng, others)
        filled = {"head": options(column.heads)[0].lower(), "where": where, **of_row(pick(rng, names))}
        if not {head.lower() for head in options(column.heads)} & {head.lower() for head in heads}:
            document.lack(capitalized(pick(rng, options(column.ask)).format(**filled)))


def _comparisons(subject: Subject, more: str, one: str, other: str) -> tuple[str, str]:
    """Two questions: which of two rows is or has more, and whether the first does."""
    a, b = subject.call(one), subject.call(other)
    who = "Who" if subject.called == "{}" and "people" in subject.many else "Which"
    if more == "more expensive" or more.split()[0] not in ("more", "a"):
        return f"{who} is {more}, {a} or {b}?", f"Is {a} {more} than {b}?"
    do = "Do" if subject.many.startswith("teams") else "Does"
    return f"{who} has {more}, {a} or {b}?", f"{do} {a} have {more} than {b}?"


def _of_cell(value: str) -> dict[str, str]:
    """A cell for the placeholders of wordings; see `Column`."""
    return {"v": value, "w": value.lower(), "n": with_article(value.lower())}


def _ask_about_form(
    rng: np.random.Generator,
    document: Document,
    subject: Subject,
    head: str,
    heads: list[str],
    names: list[str],
    cells: list[list[str]],
    lines: list[str | None],
) -> None:
    """Ask by the names of rows and columns, whatever they mean."""
    for index, heading in enumerate(heads):
        label = heading.partition(" (")[0].rstrip(".")
        for name, row, line in zip(names, cells, lines, strict=True):
            wordings = (
                f"What is the {label.lower()} of {name}?|{name}: {label.lower()}?|"
                f"What is in row {name}, column {label}?|What stands under {label} for {name}?|"
                f"Look up {label} for {name}."
            )
            document.ask("cell", wordings, row[index], line)
        values = [row[index] for row in cells]
        document.ask(
            "form",
            f"List the {label.lower()} column.|What is in the column {label}?|Read the column {label}.",
            ", ".join(values) if not any(", " in value for value in values) else None,
            *lines,
        )
    many = pick(rng, options(subject.many))
    wordings = (
        f"How many {many} are listed?|How many rows are there below the header?|How many {many} are in the table?"
    )
    document.ask("rows", wordings, str(len(names)), *lines)


def _years(rng: np.random.Generator, document: Document) -> Document:
    """Numbers of two years."""
    first = int(rng.integers(1980, 2016))
    years = [str(first), str(first + int(pick(rng, (1, 2, 5, 10, 20))))]
    head, pool, cell, noun = pick(
        rng,
        (
            ("City", CITIES, whole(11000, 900000), "people"),
            ("Country", COUNTRIES, whole(20, 900), "visitors"),
            ("Sport", SPORTS, whole(20, 900), "members"),
            ("Subject", SUBJECTS, whole(20, 900), "students"),
            ("Store", CITIES, whole(11000, 90000), "customers"),
        ),
    )
    names = pick_some(rng, pool, int(rng.integers(2, 6)))
    cells = [[cell(rng), cell(rng)] for _ in names]
    if chance(rng, 0.5):  # one differs from all others
        odd = int(rng.integers(len(names)))
        rising = chance(rng, 0.5)
        cells = [sorted(row, key=number_of, reverse=(place == odd) == rising) for place, row in enumerate(cells)]
    lines = set_grid(rng, document, head, years, names, cells)
    grown = [number_of(row[1]) > number_of(row[0]) for row in cells]
    start, end = years
    for name, row, line, is_more in zip(names, cells, lines, grown, strict=True):
        for year, value in zip(years, row, strict=True):
            document.ask(
                "value",
                f"How many {noun} did {name} have in {year}?|What was the number for {name} in {year}?|"
                f"How many {noun} were there in {name} in {year}?|{name} in {year}?",
                value,
                line,
            )
        document.ask(
            "change",
            f"Did {name} grow or shrink from {start} to {end}?|Did the number for {name} go up or down?|"
            f"How did {name} change between {start} and {end}?",
            "It went up." if is_more else "It went down.",
            line,
        )
        document.ask(
            "compare", f"Did {name} have more {noun} in {end} than in {start}?", "Yes." if is_more else "No.", line
        )
    for is_more, verb in ((True, "grew|gained " + noun), (False, "shrank|lost " + noun)):
        if grown.count(is_more) == 1:
            wordings = "|".join(f"Which {head.lower()} {v} between {start} and {end}?" for v in options(verb))
            document.ask("change of one", wordings, names[grown.index(is_more)], *lines)
    for year, values in zip(years, zip(*cells, strict=True), strict=True):
        numbers = [number_of(value) for value in values]
        if len(set(numbers)) == len(numbers):
            document.ask(
                "most",
                f"Which {head.lower()} had the most {noun} in {year}?|Which {head.lower()} was the largest in {year}?",
                names[numbers.index(max(numbers))],
                *lines,
            )
            document.ask(
                "least",
                f"Which {head.lower()} had the fewest {noun} in {year}?",
                names[numbers.index(min(numbers))],
                *lines,
            )
    document.ask("rows", "How many rows are there below the header?|How many are listed?", str(len(names)), *lines)
    document.lack(f"How many {noun} did {pick(rng, names)} have in {int(end) + 3}?")
    document.lack(f"Why did {pick(rng, names)} change?|Who counted them?")
    document.lack(f"How many {noun} did {pick(rng, [name for name in pool if name not in names])} have in {start}?")
    return document
