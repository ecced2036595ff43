"""What the server logs, and how much: a flood of requests must not become a flood of lines."""

import asyncio
import logging
import sys
import time
from typing import Any

REQUESTS_PER_SECOND = 100
"""Lines about requests; more are counted only."""
WARNINGS_PER_MINUTE = 10
"""Of one kind."""

_LOGGERS = ("minigemini.serving", "uvicorn.error", "asyncio")


class RateLimit(logging.Filter):
    """Lets so many records of a kind pass in a while; the first one of the next while says how many did not.

    A kind is the first line of a message before its values are filled in.
    """

    def __init__(self) -> None:
        super().__init__()
        self._passed: dict[str, tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is logged."""
        most, seconds = (REQUESTS_PER_SECOND, 1.0) if record.levelno < logging.WARNING else (WARNINGS_PER_MINUTE, 60.0)
        kind, now = str(record.msg).partition("\n")[0], time.monotonic()
        since, count = self._passed.get(kind, (now, 0))
        if now - since >= seconds:
            if count > most:
                record.msg = f"{record.msg} ({count - most} more like this were not logged)"
            since, count = now, 0
        if len(self._passed) >= 1000:  # messages without a template
            self._passed.clear()
        self._passed[kind] = since, count + 1
        return count < most


def log_requests() -> None:
    """Log each request in a line, and what uvicorn and asyncio warn of, all of it to stderr and within bounds."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    handler.addFilter(RateLimit())
    # A disk that is full, or a pipe that nobody reads, loses the line and not the request.
    logging.raiseExceptions = False
    for name in _LOGGERS:
        log = logging.getLogger(name)
        log.handlers, log.propagate = [handler], False
    logging.getLogger("minigemini.serving").setLevel(logging.INFO)


def log_loop_error(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """An exception handler for event loops: what cannot be accepted takes one line, not a traceback."""
    error = context.get("exception")
    if "socket" in context and isinstance(error, OSError):
        logging.getLogger("asyncio").error("a connection was not accepted: %s", error.strerror)
    else:
        loop.default_exception_handler(context)
