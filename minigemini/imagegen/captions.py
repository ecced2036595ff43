"""Captions in answers: text between `<h>` and `</h>` goes to the image generator, the rest to the user.

The tags are not special tokens, so they can arrive in any number of pieces. The rules for untrusted text:

- a caption ends at `</h>`; an unclosed one at the next blank line or at the end of the answer;
- `<h>` inside a caption starts a new one; a blank caption is dropped;
- in code (a fenced block, or inline code within one line) tags are ordinary text;
- an unmatched `</h>` is removed;
- without a request for an image there are no captions: only the tags are removed. Small models write tags in answer to
  prompts unlike their training data.
"""

import re
from collections.abc import Sequence

from ..modeling.messages import CLOSE_CAPTION as CLOSE
from ..modeling.messages import OPEN_CAPTION as OPEN

_TOKENS = re.compile(r"</?h>|`+|[^`]")
_UNDECIDED = re.compile(r"(?:<|<h|</|</h|(?<!`)`+)\Z")  # a run of backticks is tried from its first one alone


class CaptionParser:
    """Splits a streamed answer into visible text and captions; the result does not depend on how it is cut.

    Args:
        requested: Whether the prompt requests an image.

    Attributes:
        captions: Completed captions in order, each on one line.
    """

    def __init__(self, requested: bool = True) -> None:
        self.captions: list[str] = []
        self._requested = requested
        self._held = ""  # may be the start of a tag or of a longer run of backticks
        self._caption: str | None = None
        self._code, self._fenced = "", False  # the backticks that opened the code, and whether it is a fenced block
        self._line_is_blank = True
        self._gap = self._gap_before = ""  # whitespace that is shown only when text follows
        self._visible: list[str] = []
        self._has_text = self._after_tag = False

    def feed(self, piece: str) -> str:
        """Process the next piece, and return the text that can be shown now."""
        text = self._held + piece
        undecided = _UNDECIDED.search(text)
        end = undecided.start() if undecided else len(text)
        self._held = text[end:]
        return self._read(text[:end])

    def close(self) -> str:
        """End the answer, and return the remaining visible text."""
        cut_off = self._caption is not None and self._held.startswith("<")  # an incomplete closing tag
        rest = "" if cut_off else self._read(self._held)
        self._held = ""
        self._end_caption()
        return rest

    def _read(self, text: str) -> str:
        for token in _TOKENS.findall(text):
            if self._caption is not None:
                self._read_in_caption(token)
            elif token in (OPEN, CLOSE) and not self._code:
                if token == OPEN and self._requested:
                    self._caption = ""
                # Of the whitespace before and after a tag, keep the stronger separator.
                self._gap_before, self._gap = max(self._gap_before, self._gap, key=_separation), ""
                self._after_tag = True
            else:
                self._read_in_text(token)
        text, self._visible = "".join(self._visible), []
        return text

    def _read_in_caption(self, token: str) -> None:
        assert self._caption is not None
        if token == CLOSE:
            self._end_caption()
        elif token == OPEN:
            self._end_caption()
            self._caption = ""
        else:
            self._caption += token
            line = self._caption.rfind("\n", 0, -1) if token == "\n" else -1  # where the line that ends here begins
            if line >= 0 and (blank_line := self._caption[line:]).isspace():
                self._end_caption()
                self._gap = blank_line

    def _read_in_text(self, token: str) -> None:
        if token.startswith("`"):
            fence = self._line_is_blank and len(token) >= 3
            if not self._code:
                self._code, self._fenced = token, fence
            elif (fence and len(token) >= len(self._code)) if self._fenced else token == self._code:
                self._code = ""
        elif token == "\n" and not self._fenced:
            self._code = ""
        self._line_is_blank = token == "\n" or (self._line_is_blank and token.isspace())
        if token.isspace():
            self._gap += token
            return
        if self._has_text:
            # A removed tag must not join two words, or two parts of another tag.
            separator = " " if self._after_tag and (token.isalnum() or token in "</>") else ""
            self._visible.append(max(self._gap_before, self._gap, separator, key=_separation))
        self._visible.append(token)
        self._gap = self._gap_before = ""
        self._has_text, self._after_tag = True, False

    def _end_caption(self) -> None:
        if self._caption is not None and (caption := " ".join(self._caption.split())):
            self.captions.append(caption)
        self._caption = None


def read_captions(answer: str) -> tuple[str, list[str]]:
    """Split a complete answer into visible text and captions."""
    parser = CaptionParser()
    text = parser.feed(answer) + parser.close()
    return text, parser.captions


def with_captions(text: str, captions: Sequence[str]) -> str:
    """Join text and captions into an answer as in the training data: captions after the text."""
    return " ".join(filter(None, [text, *(f"{OPEN}{caption}{CLOSE}" for caption in captions)]))


def _separation(whitespace: str) -> tuple[int, int]:
    return whitespace.count("\n"), len(whitespace)
