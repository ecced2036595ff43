"""Reads tool calls from answers: `<tool_call>{"name": …, "arguments": {…}}</tool_call>`, as Hermes and Qwen write them.

Templates of other families that have tools each ask for a form of their own.
https://github.com/NousResearch/Hermes-Function-Calling
"""

import json
from dataclasses import dataclass

OPEN, CLOSE = "<tool_call>", "</tool_call>"


@dataclass(frozen=True)
class ToolCall:
    """A function that the model wants called."""

    name: str
    arguments: str
    """A JSON object."""


class ToolCallParser:
    """Splits a streamed answer into text and tool calls.

    Attributes:
        calls: complete calls in order.
    """

    def __init__(self) -> None:
        self.calls: list[ToolCall] = []
        self._held: list[str] = []
        self._is_open, self._tail = False, ""
        """Whether a call is open, and the end of what was searched for its end."""

    def feed(self, piece: str) -> str:
        """Process the next piece and return the text that is certain not to be part of a call."""
        self._held.append(piece)
        searched, self._tail = self._tail + piece, (self._tail + piece)[1 - len(CLOSE) :]
        if self._is_open and CLOSE not in searched:
            return ""
        text, held = self._split("".join(self._held))
        self._held, self._is_open, self._tail = [held], held.startswith(OPEN), held[1 - len(CLOSE) :]
        return text

    def close(self) -> str:
        """End the answer and return the remaining text, such as a call that was cut off."""
        rest, self._held = "".join(self._held), []
        return rest

    def _split(self, held: str) -> tuple[str, str]:
        """Read all complete calls; return the text, and what may be the beginning of a call."""
        text = ""
        while True:
            before, opened, rest = held.partition(OPEN)
            if not opened:
                kept = max((n for n in range(1, len(OPEN)) if before.endswith(OPEN[:n])), default=0)
                return text + before[: len(before) - kept], before[len(before) - kept :]
            body, closed, after = rest.partition(CLOSE)
            text, held = text + before, opened + rest
            if not closed:
                return text, held
            text, held = text + self._read(body), after

    def _read(self, body: str) -> str:
        """Read a call; one that is not JSON of the expected form stays text."""
        try:
            call = json.loads(body)
            name, arguments = call["name"], call["arguments"]
        except (ValueError, KeyError, TypeError, RecursionError):
            name = arguments = None
        if not isinstance(name, str) or not isinstance(arguments, dict):
            return f"{OPEN}{body}{CLOSE}"
        self.calls.append(ToolCall(name, json.dumps(arguments, ensure_ascii=False)))
        return ""
