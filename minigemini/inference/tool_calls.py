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
        self._held = ""

    def feed(self, piece: str) -> str:
        """Process the next piece and return the text that is certain not to be part of a call."""
        self._held += piece
        text = ""
        while True:
            before, opened, rest = self._held.partition(OPEN)
            if not opened:
                kept = max((n for n in range(1, len(OPEN)) if before.endswith(OPEN[:n])), default=0)
                self._held = before[len(before) - kept :]
                return text + before[: len(before) - kept]
            body, closed, after = rest.partition(CLOSE)
            text, self._held = text + before, opened + rest
            if not closed:
                return text
            text, self._held = text + self._read(body), after

    def close(self) -> str:
        """End the answer and return the remaining text, such as a call that was cut off."""
        rest, self._held = self._held, ""
        return rest

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
