"""Text for scenes: words, numbers and random strings, each fixed to the training or the held-out split."""

from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

import numpy as np

from .colors import pick

_LIST = Path(__file__).with_name("words.txt")
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
DIGITS = "0123456789"
CHARACTERS = LETTERS + DIGITS
"""All characters that scenes contain."""
_MIXED = "".join(character for character in CHARACTERS if character not in "O0")
"""Characters of strings that mix letters and digits; O and 0 look alike."""
WORDS: tuple[str, ...] = tuple(sorted(word.upper() for word in _LIST.read_text().split()))
"""Everyday English, three to eight letters."""


def is_held_out(text: str) -> bool:
    """Return whether `text` belongs to the tenth of all texts that is held out from training.

    Single characters are never held out, because there are only 36 of them.
    """
    return len(text) > 1 and crc32(text.encode()) % 10 == 0


TRAINING_WORDS = tuple(word for word in WORDS if not is_held_out(word))
HELD_OUT_WORDS = tuple(word for word in WORDS if is_held_out(word))


@dataclass(frozen=True)
class TextSampler:
    """Samples words, numbers and random strings from one split.

    Attributes:
        held_out: sample held-out texts only; otherwise training texts only.
        words, numbers, strings: relative frequencies.
        characters: alphabet of random strings.
        lengths: minimum and maximum number of characters.
    """

    held_out: bool = False
    words: float = 2.0
    numbers: float = 1.0
    strings: float = 1.0
    characters: str = CHARACTERS
    lengths: tuple[int, int] = (3, 8)

    def draw(self, rng: np.random.Generator, longest: int = 8) -> str:
        """Sample a word, number or string of at most `longest` characters."""
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
        """Return whether `text` belongs to this sampler's split."""
        return is_held_out(text) == self.held_out


def number(rng: np.random.Generator, length: int) -> str:
    """Sample a number of `length` digits without a leading zero."""
    return str(int(rng.integers(1, 10))) + "".join(DIGITS[i] for i in rng.integers(0, 10, length - 1))


def string(rng: np.random.Generator, length: int, characters: str = CHARACTERS) -> str:
    """Sample a random string; from the full alphabet, half are letters only and half mix letters and digits."""
    if characters == CHARACTERS:
        characters = LETTERS if rng.random() < 0.5 else _MIXED
    return "".join(characters[i] for i in rng.integers(0, len(characters), length))
