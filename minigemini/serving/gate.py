"""How many requests are in the house: some are answered, some wait, and one more is sent away."""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from .errors import ApiError


class Gate:
    """A bounded queue before a number of slots.

    A request holds a place from before its body is read until its answer is sent; the work on it holds a slot from when
    its turn comes until the model is really done with it, which may be a token after the client has gone.

    Args:
        slots: requests that are worked on at once.
        queue: further ones that may wait.
    """

    def __init__(self, slots: int, queue: int) -> None:
        self._slots, self._places = slots, slots + queue
        self._free = asyncio.Semaphore(slots)  # first come, first served
        self.inside = 0
        """Requests that hold a place."""
        self.running = 0
        """Slots that are held."""
        self._usual_seconds = 1.0

    @contextmanager
    def place(self) -> Iterator[None]:
        """Hold a place. Raises `ApiError` 429 with Retry-After when there is none."""
        if self.inside >= self._places:
            rounds = math.ceil(self.inside / self._slots)
            wait = max(1, min(60, math.ceil(rounds * self._usual_seconds)))
            raise ApiError(
                429,
                f"{self.inside} requests are being answered or waiting; try again in {wait} seconds",
                code="queue_full",
                headers={"Retry-After": str(wait)},
            )
        self.inside += 1
        try:
            yield
        finally:
            self.inside -= 1

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Wait for a slot and hold it."""
        async with self._free:
            self.running += 1
            started = time.monotonic()
            try:
                yield
            finally:
                self.running -= 1
                self._usual_seconds += 0.2 * (time.monotonic() - started - self._usual_seconds)
