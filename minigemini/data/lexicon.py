"""Words that signs of the drawn world carry: everyday English, three to six letters."""

from pathlib import Path
from zlib import crc32

_LIST = Path(__file__).with_name("words.txt")
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
WORDS: tuple[str, ...] = tuple(sorted({word.upper() for word in _LIST.read_text().split() if 3 <= len(word) <= 6}))


def is_held_out(word: str) -> bool:
    """Whether `word` belongs to the tenth of the lexicon that no training picture ever shows."""
    return crc32(word.encode()) % 10 == 0


TRAINING_WORDS = tuple(word for word in WORDS if not is_held_out(word))
HELD_OUT_WORDS = tuple(word for word in WORDS if is_held_out(word))
