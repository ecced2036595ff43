"""Ends an answer before a string that its asker named, however the string is cut into pieces."""

from collections.abc import Sequence


class StopStrings:
    """Passes text on, but for what might yet become a stop string.

    Attributes:
        hit: whether one has come; all after it is dropped.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = tuple(stops)
        self._held = ""
        self.hit = False

    def feed(self, piece: str) -> str:
        """Take a piece, and give what can be passed on."""
        if self.hit:
            return ""
        text = self._held + piece
        found = [at for stop in self._stops if (at := text.find(stop)) >= 0]
        if found:
            self.hit, self._held = True, ""
            return text[: min(found)]
        held = max((n for stop in self._stops for n in range(1, len(stop)) if text.endswith(stop[:n])), default=0)
        passed, self._held = text[: len(text) - held], text[len(text) - held :]
        return passed

    def rest(self) -> str:
        """What was held back, once nothing more comes."""
        held, self._held = self._held, ""
        return held
