"""Client of an OpenAI-compatible endpoint with bounded concurrency, retries and timeouts."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from .synthesis_tasks import SynthesisRequest

_FATAL = (401, 403, 404)
"""Status codes after which every request would fail: no key, no permission, no such model."""


class EndpointError(RuntimeError):
    """The endpoint cannot be used; the message is one line with the fix."""


@dataclass(frozen=True)
class EndpointReply:
    """Reply to a request.

    Attributes:
        job: the request.
        reply: text of the reply; None if the endpoint rejects the request, which a retry would not change.
        whole: whether the model stopped by itself, not at the token limit.
        prompt_tokens, new_tokens: token counts of the endpoint; 0 if it reports none.
    """

    job: SynthesisRequest
    reply: str | None
    whole: bool = True
    prompt_tokens: int = 0
    new_tokens: int = 0


@dataclass(frozen=True)
class Endpoint:
    """Settings of an endpoint.

    Attributes:
        url: base URL of the API, e.g. `http://127.0.0.1:8000/v1`.
        model: name of the model at the endpoint.
        api_key: sent with each request, and excluded from the repr.
        concurrency: maximum concurrent requests.
        temperature: sampling temperature.
        max_tokens: maximum tokens of a reply.
        timeout_s: timeout of a whole request, in seconds.
        tries: attempts per request in one run.
        backoff_s, longest_backoff_s: pause after the first failure, which doubles up to the longest, in seconds. A
            longer Retry-After of the endpoint takes precedence.
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

        async def work(client: Any) -> None:
            nonlocal failed, running
            for job in waiting:  # shared by all workers
                if not running:
                    return
                answered = await self._ask(client, job, retries)
                if answered is None:
                    given_up.append(job)
                    failed += 1
                    if failed >= 2 * self.concurrency:
                        raise EndpointError(
                            f"{self.url}: {failed} requests in succession failed {self.tries} times each "
                            f"({', '.join(retries)}); check that it is running, then run again to resume"
                        )
                else:
                    failed = 0
                    running &= on_answer(answered)

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
        # The client's own retries are disabled, because ours are counted.
        settings: Any = {"base_url": self.url, "api_key": self.api_key, "timeout": self.timeout_s, "max_retries": 0}
        async with AsyncOpenAI(**settings) as client:
            yield client

    async def _ask(self, client: Any, job: SynthesisRequest, retries: Counter[str]) -> EndpointReply | None:
        """Send a request until it is answered or all attempts failed."""
        from openai import OpenAIError

        for attempt in range(self.tries):
            reason, wait = "no whole answer", None
            try:
                async with asyncio.timeout(self.timeout_s):
                    return await self._once(client, job)
            except TimeoutError:
                reason = "no answer in time"
            except (OpenAIError, ValueError, TypeError, LookupError, AttributeError) as error:
                reason, wait = self._classify(error)
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

    def _classify(self, error: Exception) -> tuple[str, float | None]:
        """Return the reason of a failure and the endpoint's Retry-After in seconds, if any.

        Raises:
            EndpointError: Every request would fail.
        """
        import openai

        if isinstance(error, openai.APIStatusError):
            if error.status_code in _FATAL:
                raise EndpointError(
                    f"{self.url} answers {error.status_code} for model {self.model!r}; check key, model and URL"
                ) from None
            wait = error.response.headers.get("retry-after", "")
            return f"status {error.status_code}", min(float(wait), 300.0) if wait.isdecimal() else None
        if isinstance(error, openai.APITimeoutError):
            return "no answer in time", None
        if isinstance(error, openai.APIConnectionError):
            return "no connection, or it broke off", None
        # Other errors are malformed replies: truncated JSON, no choices, fields of another type.
        return "no whole answer", None
