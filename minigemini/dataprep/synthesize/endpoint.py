"""Asks an OpenAI-compatible endpoint: so many at a time, again where it makes sense, no longer than agreed."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from .synthesis_tasks import SynthesisRequest

_FATAL = (401, 403, 404)
"""Nothing that is asked will be answered: no key, no right, no such model."""


class EndpointError(RuntimeError):
    """An endpoint that does not answer; the message is one line that says what to do."""


@dataclass(frozen=True)
class EndpointReply:
    """What came back.

    Attributes:
        job: what was asked.
        reply: its text; None where the endpoint refuses this job and would again.
        whole: whether the model ended by itself.
        prompt_tokens, new_tokens: as the endpoint counts them; 0 where it does not.
    """

    job: SynthesisRequest
    reply: str | None
    whole: bool = True
    prompt_tokens: int = 0
    new_tokens: int = 0


@dataclass(frozen=True)
class Endpoint:
    """Where to ask, and how.

    Attributes:
        url: base of the API, e.g. `http://127.0.0.1:8000/v1`.
        model: by the endpoint's name for it.
        api_key: sent with each request; kept out of what is printed.
        concurrency: requests under way at once.
        temperature: of sampling.
        max_tokens: longest reply.
        timeout_s: a reply must be there after so long, to its last byte.
        tries: of one job, before it is given up in this run.
        backoff_s, longest_backoff_s: pause after the first failure; it doubles, up to the longest. Where the endpoint
            says how long to wait, that counts.
    """

    url: str
    model: str
    api_key: str = field(default="none", repr=False)
    concurrency: int = 8
    temperature: float = 0.7
    max_tokens: int = 512
    timeout_s: float = 120.0
    tries: int = 6
    backoff_s: float = 1.0
    longest_backoff_s: float = 60.0

    async def ask_all(
        self,
        jobs: Iterable[SynthesisRequest],
        on_answer: Callable[[EndpointReply], bool],
        retries: Counter[str],
        given_up: list[SynthesisRequest],
    ) -> None:
        """Ask everything; answers are handed over as they come.

        Args:
            jobs: what to ask.
            on_answer: whether to go on; what is under way comes to its end in any case.
            retries: counts failures that were tried again, by reason.
            given_up: gets the jobs that failed as often as allowed.

        Raises:
            EndpointError: it will not answer anything, or has given nothing but failures for a while.
        """
        waiting, silent, going_on = iter(jobs), 0, True

        async def work(client: Any) -> None:
            nonlocal silent, going_on
            for job in waiting:  # shared: every worker takes the next one
                if not going_on:
                    return
                answered = await self._ask(client, job, retries)
                if answered is None:
                    given_up.append(job)
                    silent += 1
                    if silent >= 2 * self.concurrency:
                        raise EndpointError(
                            f"{self.url}: {silent} requests in succession failed {self.tries} times each "
                            f"({', '.join(retries)}); see that it runs, then run again to go on"
                        )
                else:
                    silent = 0
                    going_on &= on_answer(answered)

        async with self._client() as client:
            try:
                async with asyncio.TaskGroup() as group:
                    for _ in range(self.concurrency):
                        group.create_task(work(client))
            except BaseExceptionGroup as failures:
                raise failures.exceptions[0] from None

    @asynccontextmanager
    async def _client(self) -> AsyncIterator[Any]:
        try:
            from openai import AsyncOpenAI
        except ImportError:
            raise EndpointError("synthesis needs openai: pip install 'minigemini[synthesis]'") from None
        # Its own retries are off: ours are counted.
        settings: Any = {"base_url": self.url, "api_key": self.api_key, "timeout": self.timeout_s, "max_retries": 0}
        async with AsyncOpenAI(**settings) as client:
            yield client

    async def _ask(self, client: Any, job: SynthesisRequest, retries: Counter[str]) -> EndpointReply | None:
        """One job, tried until it is answered or given up."""
        from openai import OpenAIError

        for attempt in range(self.tries):
            reason, wait = "no whole answer", None
            try:
                async with asyncio.timeout(self.timeout_s):
                    return await self._once(client, job)
            except TimeoutError:
                reason = "no answer in time"
            except (OpenAIError, ValueError, TypeError, LookupError, AttributeError) as error:
                reason, wait = self._weigh(error)
            retries[reason] += 1
            if attempt + 1 < self.tries:
                pause = min(self.longest_backoff_s, self.backoff_s * 2**attempt) * random.uniform(0.5, 1)
                await asyncio.sleep(max(pause, wait or 0))
        return None

    async def _once(self, client: Any, job: SynthesisRequest) -> EndpointReply:
        import openai

        try:
            completion = await client.chat.completions.create(
                model=self.model,
                messages=list(job.prompt),
                temperature=self.temperature,
                max_tokens=self.max_tokens,
            )
        except (openai.BadRequestError, openai.UnprocessableEntityError):
            return EndpointReply(job, None)
        choice = completion.choices[0]
        if not isinstance(choice.message.content, str):
            raise ValueError("no text in the answer")
        usage = completion.usage
        return EndpointReply(
            job,
            choice.message.content,
            whole=choice.finish_reason in (None, "stop"),
            prompt_tokens=usage.prompt_tokens if usage else 0,
            new_tokens=usage.completion_tokens if usage else 0,
        )

    def _weigh(self, error: Exception) -> tuple[str, float | None]:
        """Why a request failed, and how long the endpoint wants to be left alone.

        Raises:
            EndpointError: it will fail for every job.
        """
        import openai

        if isinstance(error, openai.APIStatusError):
            if error.status_code in _FATAL:
                raise EndpointError(
                    f"{self.url}: answers {error.status_code} to {self.model!r}; check key, model and address"
                ) from None
            wait = error.response.headers.get("retry-after", "")
            return f"status {error.status_code}", min(float(wait), 300.0) if wait.isdecimal() else None
        if isinstance(error, openai.APITimeoutError):
            return "no answer in time", None
        if isinstance(error, openai.APIConnectionError):
            return "no connection, or it broke off", None
        # What is left is an answer that is none: half a JSON, no choices, fields of another type.
        return "no whole answer", None
