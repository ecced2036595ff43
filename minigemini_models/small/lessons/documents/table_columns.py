"""What a table may tell: columns with their questions, and samplers of cells."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ....scenes.colors import pick

Cell = Callable[[np.random.Generator], str]


@dataclass(frozen=True)
class Column:
    """A column with the questions that people ask about what it means.

    Wordings are separated by "|". In them {x}, {a} and {b} are rows as they are called in a sentence, {s} the plural
    of a row, {v} is a cell, {w} a cell in lower case, {n} a cell in lower case with its article; {head} is the
    heading in lower case, {where} "Where" or "On which day".

    Attributes:
        heads: its heading.
        make: samples a cell.
        ask: ask for the cell of a row.
        find: ask for the row of a cell.
        most, least: ask for the row with the largest and the smallest number.
        more: what a row is or has that has a larger number, such as "older" or "more points".
        unit: of the numbers; it stands in the heading or in every cell.
    """

    heads: str
    make: Cell
    ask: str
    find: str = ""
    most: str = ""
    least: str = ""
    more: str = ""
    unit: str = ""


@dataclass(frozen=True)
class Subject:
    """What the rows of a table are about.

    Attributes:
        heads: heading of the names.
        names: names of rows.
        called: how a name stands in a sentence, for instance "the {}"; names after an article are in lower case.
        many: the plural of the heading.
        columns: what is known about a row.
    """

    heads: str
    names: tuple[str, ...]
    called: str
    many: str
    columns: tuple[Column, ...]

    def call(self, name: str) -> str:
        """A name as it stands in a sentence."""
        return self.called.format(name.lower() if self.called == "the {}" else name)


def whole(low: int, high: int) -> Cell:
    """Whole numbers, with a comma before thousands from 10,000 on."""

    def make(rng: np.random.Generator) -> str:
        number = int(rng.integers(low, high))
        return f"{number:,}" if high > 10000 else str(number)

    return make


def one_of(*choices: str) -> Cell:
    """One of some words."""
    return lambda rng: pick(rng, choices)


def dollars(low: int, high: int) -> Cell:
    """Prices."""
    return lambda rng: f"${rng.integers(low, high)}.{int(rng.integers(20)) * 5:02}"


def clock(first: int, last: int) -> Cell:
    """Times of day between two hours."""
    return lambda rng: f"{rng.integers(first, last)}:{int(rng.integers(12)) * 5:02}"
