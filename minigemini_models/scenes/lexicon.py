"""What is written in the drawn world: words, numbers and random strings, each on one side of the line for good."""

from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

import numpy as np

from .colors import pick

_LIST = Path(__file__).with_name("words.txt")
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
DIGITS = "0123456789"
CHARACTERS = LETTERS + DIGITS
"""All that is ever written."""
_MIXED = "".join(character for character in CHARACTERS if character not in "O0")
"""Of strings that mix letters and digits: nobody could say which of these two he sees."""
WORDS: tuple[str, ...] = tuple(sorted(word.upper() for word in _LIST.read_text().split()))
"""Everyday English, three to eight letters."""


def is_held_out(text: str) -> bool:
    """Whether `text` belongs to the tenth of all words, numbers and strings that no training picture ever shows.

    Single characters are shown: there are too few of them.
    """
    return len(text) > 1 and crc32(text.encode()) % 10 == 0


TRAINING_WORDS = tuple(word for word in WORDS if not is_held_out(word))
HELD_OUT_WORDS = tuple(word for word in WORDS if is_held_out(word))


@dataclass(frozen=True)
class TextSampler:
    """A source of things to write.

    Attributes:
        held_out: draw only what training never shows, else only what it may show.
        words, numbers, strings: how often each is drawn, relative to the others.
        characters: what random strings are made of.
        lengths: least and greatest number of characters.
    """

    held_out: bool = False
    words: float = 2.0
    numbers: float = 1.0
    strings: float = 1.0
    characters: str = CHARACTERS
    lengths: tuple[int, int] = (3, 8)

    def draw(self, rng: np.random.Generator, longest: int = 8) -> str:
        """A word, a number or a string of at most `longest` characters."""
        low, high = self.lengths
        low, high = min(low, longest), min(high, longest)
        choice = rng.random() * (self.words + self.numbers + self.strings)
        while True:
            length = int(rng.integers(low, high + 1))
            if choice < self.words:
                text = pick(rng, HELD_OUT_WORDS if self.held_out else TRAINING_WORDS)
            elif choice < self.words + self.numbers:
                text = number(rng, length)
            else:
                text = string(rng, length, self.characters)
            if low <= len(text) <= high and self.allows(text):
                return text

    def allows(self, text: str) -> bool:
        """Whether `text` lies on this source's side of the line."""
        return is_held_out(text) == self.held_out


def number(rng: np.random.Generator, length: int) -> str:
    """A number of `length` digits that does not start with a zero."""
    return str(int(rng.integers(1, 10))) + "".join(DIGITS[i] for i in rng.integers(0, 10, length - 1))


def string(rng: np.random.Generator, length: int, characters: str = CHARACTERS) -> str:
    """Characters in any order: half the time letters alone, else letters and digits less those that look alike."""
    if characters == CHARACTERS:
        characters = LETTERS if rng.random() < 0.5 else _MIXED
    return "".join(characters[i] for i in rng.integers(0, len(characters), length))
