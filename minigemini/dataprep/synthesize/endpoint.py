"""Requests of a synthesis run to a language model, with bounded concurrency."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...io.openai_client import ChatClient, ChatReply, ChatRequestError
from .synthesis_tasks import SynthesisRequest

if TYPE_CHECKING:
    import httpx

_REJECTED = (400, 413, 422)
"""Status codes that concern one request. After any other that a retry cannot fix (no key, no such model, a redirect),
every request would fail."""


class EndpointError(RuntimeError):
    """The endpoint cannot be used; the message is one line with the fix."""


@dataclass(frozen=True)
class EndpointReply:
    """Reply to a request.

    Attributes:
        job: the request.
        reply: the reply; None if the endpoint rejects the request, which a retry would not change.
    """

    job: SynthesisRequest
    reply: ChatReply | None


@dataclass(frozen=True)
class Endpoint:
    """A language model and how to use it.

    Attributes:
        client: client of the endpoint.
        concurrency: maximum concurrent requests.
        temperature: sampling temperature.
        max_tokens: maximum tokens of a reply.
    """

    client: ChatClient
    concurrency: int = 8
    temperature: float = 0.7
    max_tokens: int = 512

    async def ask_all(
        self,
        jobs: Iterable[SynthesisRequest],
        on_answer: Callable[[EndpointReply], bool],
        retries: Counter[str],
        given_up: list[SynthesisRequest],
    ) -> None:
        """Send all requests and hand over replies as they arrive.

        Args:
            jobs: the requests.
            on_answer: called with each reply; returns whether to continue. Requests in flight are completed anyway.
            retries: updated with the number of failed attempts, by reason.
            given_up: extended by the requests that failed in all attempts.

        Raises:
            EndpointError: Every request would fail, or many requests in succession failed.
        """
        waiting, failed, running = iter(jobs), 0, True

        async def work(session: "httpx.AsyncClient") -> None:
            nonlocal failed, running
            for job in waiting:  # shared by all workers
                if not running:
                    return
                answered = await self._ask(session, job, retries)
                if answered is None:
                    given_up.append(job)
                    failed += 1
                    if failed >= 2 * self.concurrency:
                        raise EndpointError(
                            f"{self.client.address}: {failed} requests in succession failed "
                            f"{self.client.retries.tries} times each ({', '.join(retries)}); "
                            f"check that it is running, then run again to resume"
                        )
                else:
                    failed = 0
                    running &= on_answer(answered)

        async with self.client.session() as session:
            try:
                async with asyncio.TaskGroup() as group:
                    for _ in range(self.concurrency):
                        group.create_task(work(session))
            except BaseExceptionGroup as failures:
                raise failures.exceptions[0] from None

    async def _ask(
        self, session: "httpx.AsyncClient", job: SynthesisRequest, retries: Counter[str]
    ) -> EndpointReply | None:
        """Send a request; None if all attempts failed."""

        def count(kind: str) -> None:
            retries[kind] += 1

        try:
            reply = await self.client.request(
                session,
                job.prompt,
                self.max_tokens,
                lambda reply: reply,
                temperature=self.temperature,
                on_failure=count,
            )
        except ChatRequestError as error:
            if error.status in _REJECTED:
                return EndpointReply(job, None)
            if error.status is not None:
                raise EndpointError(
                    f"{self.client.address} answers {error.status} for model {self.client.model!r}; "
                    f"check key, model and URL"
                ) from None
            return None
        return EndpointReply(job, reply)
