"""The captions in an answer: what stands between `<h>` and `</h>` is for the painter, all else for the user.

Neither is a special token, so they arrive in any pieces. The rules, for text that nobody vouches for:

- a caption ends at `</h>`; one that is never closed, at the next blank line or where the answer ends;
- `<h>` inside a caption begins another one; a caption of blanks alone is none;
- in code (a fenced block, or between backticks in one line) tags are text;
- a `</h>` that closes nothing is not shown;
- where nobody asked for a picture there are no captions: tags are left out, and what stands between them is text. Small
  models write tags in answer to whatever they never learned.
"""

import re
from collections.abc import Sequence

from ..modeling.messages import CLOSE_CAPTION as CLOSE
from ..modeling.messages import OPEN_CAPTION as OPEN

_TOKENS = re.compile(r"</?h>|`+|[^`]")
_UNDECIDED = re.compile(r"(?:<|<h|</|</h|`+)\Z")
_BLANK_LINE = re.compile(r"\n[^\S\n]*\n\Z")


class CaptionParser:
    """Reads an answer piece by piece; however it is cut, the outcome is the same.

    Args:
        asked: whether a picture was asked for.

    Attributes:
        captions: those that have ended, in their order, each as one line.
    """

    def __init__(self, asked: bool = True) -> None:
        self.captions: list[str] = []
        self._asked = asked
        self._held = ""  # what may be the beginning of a tag, or backticks that may go on
        self._caption: str | None = None
        self._code, self._fenced = "", False  # the backticks that opened it, and whether as a block
        self._line_is_blank = True
        self._gap = self._gap_before = ""  # blanks that are shown once something follows them
        self._shown: list[str] = []
        self._begun = self._parted = False

    def feed(self, piece: str) -> str:
        """Read on. Gives what can be shown now."""
        text = self._held + piece
        undecided = _UNDECIDED.search(text)
        end = undecided.start() if undecided else len(text)
        self._held = text[end:]
        return self._read(text[:end])

    def close(self) -> str:
        """End the answer. Gives what is left to show."""
        cut_off = self._caption is not None and self._held.startswith("<")  # the rest of a closing tag
        rest = "" if cut_off else self._read(self._held)
        self._held = ""
        self._end_caption()
        return rest

    def _read(self, text: str) -> str:
        for token in _TOKENS.findall(text):
            if self._caption is not None:
                self._read_in_caption(token)
            elif token in (OPEN, CLOSE) and not self._code:
                if token == OPEN and self._asked:
                    self._caption = ""
                # Of the blanks before and behind a tag those stay that part more.
                self._gap_before, self._gap = max(self._gap_before, self._gap, key=_parting), ""
                self._parted = True
            else:
                self._read_in_text(token)
        shown, self._shown = "".join(self._shown), []
        return shown

    def _read_in_caption(self, token: str) -> None:
        assert self._caption is not None
        if token == CLOSE:
            self._end_caption()
        elif token == OPEN:
            self._end_caption()
            self._caption = ""
        else:
            self._caption += token
            if blank_line := _BLANK_LINE.search(self._caption):
                self._end_caption()
                self._gap = blank_line[0]

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
        if self._begun:
            # What a tag has parted must not run together: not words, and not the halves of another tag.
            least = " " if self._parted and (token.isalnum() or token in "</>") else ""
            self._shown.append(max(self._gap_before, self._gap, least, key=_parting))
        self._shown.append(token)
        self._gap = self._gap_before = ""
        self._begun, self._parted = True, False

    def _end_caption(self) -> None:
        if self._caption is not None and (caption := " ".join(self._caption.split())):
            self.captions.append(caption)
        self._caption = None


def read_captions(answer: str) -> tuple[str, list[str]]:
    """What of a whole answer is shown, and its captions."""
    parser = CaptionParser()
    shown = parser.feed(answer) + parser.close()
    return shown, parser.captions


def with_captions(text: str, captions: Sequence[str]) -> str:
    """An answer with its captions in it, as the models are taught to write one: behind the text."""
    return " ".join(filter(None, [text, *(f"{OPEN}{caption}{CLOSE}" for caption in captions)]))


def _parting(blanks: str) -> tuple[int, int]:
    return blanks.count("\n"), len(blanks)
