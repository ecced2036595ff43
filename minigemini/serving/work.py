"""One request's work, in a task of its own: it ends in order though whoever waits for it is torn away."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import Any

from .backends import Event
from .gate import Gate


class Work:
    """Waits for a slot, answers, and gives the slot back once the model is done, also when nobody reads any more.

    Args:
        gate: where the slot is.
        events: makes the answer; called when the slot is there.
        kept: keeps the task from being forgotten while it runs.
    """

    def __init__(self, gate: Gate, events: Callable[[], AsyncIterator[Event]], kept: set[asyncio.Task[None]]) -> None:
        self._gate, self._events = gate, events
        self._queue: asyncio.Queue[Event | Exception | None] = asyncio.Queue()
        self._task = asyncio.create_task(self._run())
        kept.add(self._task)
        self._task.add_done_callback(kept.discard)

    async def next(self) -> Event | None:
        """The next event; None at the end. Raises what went wrong."""
        item = await self._queue.get()
        if isinstance(item, Exception):
            raise item
        return item

    def stop(self, why: Exception | None = None) -> None:
        """Nobody reads on; whoever waits for an event gets `why`."""
        if why is not None:
            self._queue.put_nowait(why)
        self._task.cancel()

    async def _run(self) -> None:
        try:
            async with self._gate.slot():
                events: Any = self._events()
                async with aclosing(events):
                    async for event in events:
                        self._queue.put_nowait(event)
        except Exception as error:  # noqa: BLE001 (it is raised where the answer is read)
            self._queue.put_nowait(error)
        else:
            self._queue.put_nowait(None)
