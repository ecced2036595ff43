"""How many requests are in the house: some are answered, some wait, and one more is sent away."""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

from .api_errors import ApiError


class RequestQueue:
    """A bounded queue before a number of slots.

    A request holds a place from before its body is read until its answer is sent; the work on it holds a slot from when
    its turn comes until the model is really done with it, which may be a token after the client has gone.

    Args:
        slots: requests that are worked on at once.
        queue: further ones that may wait.
        max_bytes: of the bodies of all of them.
    """

    def __init__(self, slots: int, queue: int, max_bytes: int = 2**28) -> None:
        self._slots, self._places, self._max_bytes = slots, slots + queue, max_bytes
        self._free = asyncio.Semaphore(slots)  # first come, first served
        self.inside = 0
        """Requests that hold a place."""
        self.running = 0
        """Slots that are held."""
        self.held_bytes = 0
        """Of the bodies of those inside."""
        self._usual_seconds = 1.0

    @contextmanager
    def place(self) -> Iterator[Callable[[int], None]]:
        """Hold a place, and give what makes room in it for so many bytes more of a body.

        Raises:
            ApiError: 429 with Retry-After: there is no place, or no room.
        """
        if self.inside >= self._places:
            raise self._busy(f"{self.inside} requests are being answered or waiting")
        held = 0

        def make_room(size: int) -> None:
            nonlocal held
            if self.held_bytes + size > self._max_bytes:
                raise self._busy(f"requests of {self.held_bytes:,} bytes are being answered or waiting")
            held += size
            self.held_bytes += size

        self.inside += 1
        try:
            yield make_room
        finally:
            self.inside -= 1
            self.held_bytes -= held

    def _busy(self, what: str) -> ApiError:
        rounds = math.ceil(self.inside / self._slots)
        wait = max(1, min(60, math.ceil(rounds * self._usual_seconds)))
        message = f"{what}; try again in {wait} seconds"
        return ApiError(429, message, code="queue_full", headers={"Retry-After": str(wait)})

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
