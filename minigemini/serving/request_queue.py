"""Admission, slots and tasks: a bounded queue of requests, and the task that answers one while it holds a slot."""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import aclosing, asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ..inference import RequestError
from ..io.errors import StructureError
from .api_errors import ApiError, DisconnectError, field_names
from .backends import Event, ImageEvent, Usage

if TYPE_CHECKING:
    from .state import ServerState


class RequestQueue:
    """A bounded queue in front of a fixed number of slots.

    A request is admitted before its body is read and counts until its response has been sent. Its task holds a slot
    from its turn until the model has stopped, which can be one token after the client disconnects.

    Args:
        slots: requests that run at the same time.
        queue: further requests that may wait.
        max_bytes: total size of the bodies of all admitted requests.
    """

    def __init__(self, slots: int, queue: int, max_bytes: int = 2**28) -> None:
        self._slots, self._max_admitted, self._max_bytes = slots, slots + queue, max_bytes
        self._free_slots = asyncio.Semaphore(slots)  # first come, first served
        self.admitted = 0
        """Requests that run or wait."""
        self.running = 0
        """Slots in use."""
        self.body_bytes = 0
        """Total size of the bodies of the admitted requests."""
        self._mean_seconds = 1.0
        """Exponential moving average of the time that a request holds a slot."""

    @contextmanager
    def admit(self) -> Iterator[Callable[[int], None]]:
        """Admit a request and yield a function that reserves room for that many more bytes of its body.

        Raises:
            ApiError: 429 with Retry-After if the queue is full or the bodies are too large.
        """
        if self.admitted >= self._max_admitted:
            raise self._busy(f"{self.admitted} requests are running or waiting")
        reserved = 0

        def reserve(size: int) -> None:
            nonlocal reserved
            if self.body_bytes + size > self._max_bytes:
                raise self._busy(f"requests with {self.body_bytes:,} bytes are running or waiting")
            reserved += size
            self.body_bytes += size

        self.admitted += 1
        try:
            yield reserve
        finally:
            self.admitted -= 1
            self.body_bytes -= reserved

    def _busy(self, reason: str) -> ApiError:
        rounds = math.ceil(self.admitted / self._slots)
        wait = max(1, min(60, math.ceil(rounds * self._mean_seconds)))
        message = f"server busy: {reason}; retry in {wait} seconds"
        return ApiError(429, message, code="queue_full", headers={"Retry-After": str(wait)})

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Wait for a slot and hold it."""
        async with self._free_slots:
            self.running += 1
            started = time.monotonic()
            try:
                yield
            finally:
                self.running -= 1
                self._mean_seconds += 0.2 * (time.monotonic() - started - self._mean_seconds)


class RequestTask:
    """An asyncio task that waits for a slot, runs a request, and frees the slot when the model has stopped.

    The task is separate from the response, so a client that disconnects cannot interrupt the cleanup.

    Args:
        queue: the queue with the slots.
        events: starts the work; called once there is a slot.
        running_tasks: contains the task while it runs.
    """

    def __init__(
        self, queue: RequestQueue, events: Callable[[], AsyncIterator[Event]], running_tasks: "set[RequestTask]"
    ) -> None:
        self._request_queue, self._start = queue, events
        self._events: asyncio.Queue[Event | Exception | None] = asyncio.Queue()
        self._stopped = False
        self.task = asyncio.create_task(self._run())
        running_tasks.add(self)
        self.task.add_done_callback(lambda _: running_tasks.discard(self))

    async def next_event(self) -> Event | None:
        """Return the next event, or None at the end; raise the exception that ended the work."""
        item = await self._events.get()
        if isinstance(item, Exception):
            raise item
        return item

    def stop(self, error: Exception | None = None) -> None:
        """Cancel the task; `next_event` raises `error`. Only the first call has an effect."""
        if self._stopped:  # a second cancellation would interrupt the wait for the model
            return
        self._stopped = True
        if error is not None:
            self._events.put_nowait(error)
        self.task.cancel()

    async def _run(self) -> None:
        try:
            async with self._request_queue.slot():
                events: Any = self._start()
                async with aclosing(events):
                    async for event in events:
                        self._events.put_nowait(event)
        except Exception as error:  # noqa: BLE001 (next_event raises it)
            self._events.put_nowait(error)
        else:
            self._events.put_nowait(None)


class TaskResponse(Response):
    """A response whose `RequestTask` starts when the response is sent and stops when the client disconnects.

    Args:
        events: starts the work; called once there is a slot.
        state: the server's state.
        param: request field that an error of the model refers to.
        names: names of the route's fields in errors, by those of chat completions.
    """

    def __init__(
        self,
        events: Callable[[], AsyncIterator[Event]],
        state: "ServerState",
        param: str,
        names: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__()
        self._events, self._state, self._param, self._names = events, state, param, names or {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        task = RequestTask(self._state.queue, self._events, self._state.tasks)
        watcher = asyncio.create_task(_stop_on_disconnect(receive, task))
        try:
            await self.send_events(task, scope, receive, send)
        finally:
            watcher.cancel()
            task.stop()

    async def send_events(self, task: RequestTask, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the response that the events make up."""
        raise NotImplementedError

    async def next_event(self, task: RequestTask) -> Event | None:
        """Return the next event, or None at the end, and update the metrics."""
        with field_names(self._names):
            try:
                event = await task.next_event()
            except StructureError as error:
                raise ApiError(400, str(error), code="invalid_json_schema", param="response_format") from None
            except RequestError as error:
                code = "context_length_exceeded" if "context" in str(error) else None
                raise ApiError(400, str(error), code=code, param=self._param) from None
        match event:
            case Usage():
                self._state.metrics.tokens.labels("read").inc(event.prompt_tokens)
                self._state.metrics.tokens.labels("written").inc(event.completion_tokens)
            case ImageEvent(png=png) if png:
                self._state.metrics.generated_images.inc()
        return event


async def _stop_on_disconnect(receive: Receive, task: RequestTask) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    task.stop(DisconnectError())
