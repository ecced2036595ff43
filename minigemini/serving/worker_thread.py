"""Blocking work beside the event loop, one piece at a time; it ends early when nobody waits for it any more."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
Check = Callable[[], None]
"""Raises `StoppedError` once the result is not wanted any more."""


class StoppedError(Exception):
    """Whoever wanted the result has gone."""


class WorkerThread:
    """A thread of its own, for what must not run twice at the same time.

    Args:
        name: of the thread.
    """

    def __init__(self, name: str) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"minigemini-{name}")

    async def do(self, task: Callable[[Check], T]) -> T:
        """Do it when its turn comes. A cancellation passes through only when the thread is done with it.

        Args:
            work: calls what it is given wherever it can end.
        """
        stopped = threading.Event()

        def check() -> None:
            if stopped.is_set():
                raise StoppedError

        future = self._thread.submit(task, check)
        result = asyncio.wrap_future(future)
        try:
            return await asyncio.shield(result)
        finally:
            stopped.set()
            if not future.cancel():  # it has begun
                await asyncio.wait([result])
                result.exception()  # seen, or asyncio complains that nobody has looked

    def close(self) -> None:
        """End the thread once it is idle."""
        self._thread.shutdown(wait=False, cancel_futures=True)
