"""One request's work, in a task of its own: it ends in order though whoever waits for it is torn away.

`Worked` is the answer to such a request, whatever is sent of the work's events.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ..inference import RequestError
from .api_errors import ApiError
from .backends import Event, ImageEvent, Usage
from .middleware import DisconnectError, gone
from .request_queue import RequestQueue
from .state import ServerState


class RequestTask:
    """Waits for a slot, answers, and gives the slot back once the model is done, also when nobody reads any more.

    Args:
        gate: where the slot is.
        events: makes the answer; called when the slot is there.
        kept: has it while it runs.
    """

    def __init__(
        self, queue: RequestQueue, events: Callable[[], AsyncIterator[Event]], kept: "set[RequestTask]"
    ) -> None:
        self._request_queue, self._events = queue, events
        self._queue: asyncio.Queue[Event | Exception | None] = asyncio.Queue()
        self._stopped = False
        self.task = asyncio.create_task(self._run())
        kept.add(self)
        self.task.add_done_callback(lambda _: kept.discard(self))

    async def next(self) -> Event | None:
        """The next event; None at the end. Raises what went wrong."""
        item = await self._queue.get()
        if isinstance(item, Exception):
            raise item
        return item

    def stop(self, why: Exception | None = None) -> None:
        """End it; whoever waits for an event gets `why`. The first call counts."""
        if self._stopped:  # a second cancellation would tear away what waits for the model to be done
            return
        self._stopped = True
        if why is not None:
            self._queue.put_nowait(why)
        self.task.cancel()

    async def _run(self) -> None:
        try:
            async with self._request_queue.slot():
                events: Any = self._events()
                async with aclosing(events):
                    async for event in events:
                        self._queue.put_nowait(event)
        except Exception as error:  # noqa: BLE001 (it is raised where the answer is read)
            self._queue.put_nowait(error)
        else:
            self._queue.put_nowait(None)


class TaskResponse(Response):
    """An answer; the work on it begins when it is sent, and ends when the client hangs up.

    Args:
        events: makes what is told, once there is a slot.
        house: where it is made.
        param: the field that is blamed where what is asked for turns out not to be possible.
    """

    def __init__(self, events: Callable[[], AsyncIterator[Event]], state: ServerState, param: str) -> None:
        super().__init__()
        self._events, self._state, self._param = events, state, param

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        task = RequestTask(self._state.queue, self._events, self._state.tasks)
        watcher = asyncio.create_task(_watch(receive, task))
        try:
            await self.tell(task, scope, receive, send)
        finally:
            watcher.cancel()
            task.stop()

    async def tell(self, task: RequestTask, scope: Scope, receive: Receive, send: Send) -> None:
        """Send what the events say."""
        raise NotImplementedError

    async def next(self, task: RequestTask) -> Event | None:
        """The next event, counted."""
        try:
            event = await task.next()
        except RequestError as error:
            code = "context_length_exceeded" if "context" in str(error) else None
            raise ApiError(400, str(error), code=code, param=self._param) from None
        match event:
            case Usage():
                self._state.metrics.tokens.labels("read").inc(event.prompt_tokens)
                self._state.metrics.tokens.labels("written").inc(event.completion_tokens)
            case ImageEvent(png=png) if png:
                self._state.metrics.drawn.inc()
        return event


async def _watch(receive: Receive, task: RequestTask) -> None:
    await gone(receive)
    task.stop(DisconnectError())
