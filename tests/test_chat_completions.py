"""The API through OpenAI's client, and through plain HTTP for requests that the client never sends."""

import asyncio
import json
import socket
import threading
import time

import httpx
import openai
import pytest
from api_server import KEY, Served, data_uri, serving, user
from waiting import wait_until

from minigemini.inference import Engine, RequestError, Sampling
from minigemini.serving.api_errors import ApiError
from minigemini.serving.backends import ChatJob
from minigemini.serving.engine_backend import EngineBackend, StopStrings
from minigemini.serving.request_queue import RequestQueue, RequestTask
from minigemini.serving.server_settings import ServerSettings
from minigemini.serving.state import ServerState

SERVERS = ("minigemini", "uvicorn", "fastapi", "starlette", "asyncio")


@pytest.fixture(scope="module")
def engine(tiny_checkpoint) -> Engine:
    return Engine.load(tiny_checkpoint, device="cpu")


@pytest.fixture(scope="module")
def served(engine):
    settings = ServerSettings(api_keys=(KEY,), max_new_tokens=500, queue=8, max_body_bytes=2**20, max_text_chars=5000)
    with serving(ServerState(settings, EngineBackend(engine, "tiny"))) as running:
        yield running


def complete(served: Served, *messages, **options):
    options = {"model": "tiny", "max_completion_tokens": 12, **options}
    return served.client().chat.completions.create(messages=list(messages), **options)


def joined(stream) -> tuple[dict[int, str], dict[int, str], object]:
    """Return texts and finish reasons by choice, and the usage, of a stream."""
    texts, reasons, usage = {}, {}, None
    for chunk in stream:
        usage = chunk.usage or usage
        for choice in chunk.choices:
            texts[choice.index] = texts.get(choice.index, "") + (choice.delta.content or "")
            if choice.finish_reason:
                reasons[choice.index] = choice.finish_reason
    return texts, reasons, usage


def post(served: Served, **changes) -> httpx.Response:
    headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json", **changes.pop("headers", {})}
    body = changes.pop("body", {"model": "tiny", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 2})
    content = body if isinstance(body, bytes) else json.dumps({**body, **changes})
    return httpx.post(f"{served.url}/v1/chat/completions", headers=headers, content=content, timeout=60)


# Answers


def test_an_answer_equals_the_engine_s(served, engine, image):
    answer = complete(served, user("What is it?", data_uri(image(1))))
    expected = engine.ask(image(1), "What is it?", Sampling(max_new_tokens=12))
    assert answer.choices[0].message.content == expected.text
    assert answer.choices[0].finish_reason == "length"
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (expected.prompt_tokens, 12)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"temperature": 1.0, "seed": 3, "n": 3, "max_completion_tokens": 30},
        {"temperature": 1.5, "seed": 4, "top_p": 0.7},
        {"stop": ["a", "\n"], "temperature": 1.0, "seed": 5, "max_completion_tokens": 80},
    ],
)
def test_a_stream_equals_the_complete_response(served, image, options):
    message = user("What is it?", data_uri(image(2)), data_uri(image(3), "gif"))
    whole = complete(served, message, **options)
    texts, reasons, usage = joined(
        complete(served, message, stream=True, stream_options={"include_usage": True}, **options)
    )
    assert texts == {choice.index: choice.message.content for choice in whole.choices}
    assert reasons == {choice.index: choice.finish_reason for choice in whole.choices}
    assert usage == whole.usage
    assert len(texts) == options.get("n", 1)
    if "seed" in options:
        assert len(set(texts.values())) == len(texts)


def test_a_conversation_continues(served, engine, image):
    message = user("What is it?", data_uri(image(1)))
    first = complete(served, message)
    again = complete(served, message, first.choices[0].message, {"role": "user", "content": "And why?"})
    from minigemini.inference import Conversation

    talk = Conversation(engine, [image(1)])
    talk.ask("What is it?", Sampling(max_new_tokens=12))
    assert again.choices[0].message.content == talk.ask("And why?", Sampling(max_new_tokens=12)).text


def test_an_answer_ends_before_a_stop_string(served):
    message = {"role": "user", "content": "Say much."}
    options = {"temperature": 1.0, "seed": 8, "max_completion_tokens": 60}
    text = complete(served, message, **options).choices[0].message.content
    stop = text[40:43]
    stopped = complete(served, message, stop=stop, **options).choices[0]
    assert stopped.message.content == text[: text.index(stop)]
    assert stopped.finish_reason == "stop"


@pytest.mark.parametrize(
    ("stops", "pieces", "text"),
    [
        (["ab"], ["xa", "by"], "x"),
        (["ab"], ["xa", "cy"], "xacy"),
        (["aab"], ["a", "a", "a", "b", "z"], "a"),
        (["bc", "b"], ["ab", "c"], "a"),
        (["abc"], ["ab"], "ab"),
        ([], ["a", "b"], "ab"),
    ],
)
def test_stop_strings_across_pieces(stops, pieces, text):
    filter = StopStrings(stops)
    assert "".join([*map(filter.feed, pieces), filter.flush()]) == text


def test_models_health_and_metrics(served):
    client = served.client()
    assert [model.id for model in client.models.list()] == ["tiny"]
    assert client.models.retrieve("tiny").id == "tiny"
    assert httpx.get(f"{served.url}/health").json() == {"status": "ok"}
    complete(served, {"role": "user", "content": "Count me."})
    metrics = httpx.get(f"{served.url}/metrics", headers={"Authorization": f"Bearer {KEY}"}).text
    assert 'minigemini_requests_total{route="/v1/chat/completions",status="200"}' in metrics
    assert "minigemini_running 0.0" in metrics


# Errors


@pytest.mark.parametrize(
    ("changes", "status", "expected"),
    [
        ({"model": "gpt"}, 404, "tiny"),
        ({"logprobs": True}, 400, "log probabilities"),
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, 400, "tools are not supported: the model's"),
        ({"tools": [{"type": "function"}]}, 400, "tools.0.function"),
        ({"tool_choice": "required"}, 400, "only auto and none"),
        ({"chat_template": "{{ 7 * 7 }}"}, 400, "the checkpoint's own"),
        ({"n": 100}, 400, "at most 8"),
        ({"max_completion_tokens": 501}, 400, "at most 500"),
        ({"temperature": 3}, 400, "temperature"),
        ({"temperature": "1"}, 400, "temperature"),
        ({"nonsense": 1}, 400, "nonsense"),
        ({"draw": True}, 400, "no image generator"),
        ({"ocr": True}, 400, "no OCR"),
        ({"messages": []}, 400, "messages"),
        ({"messages": [{"role": "user", "content": " "}]}, 400, "empty"),
        ({"messages": [{"role": "user", "content": "<image>"}]}, 400, "the placeholder for an image"),
        ({"messages": [{"role": "user", "content": "long " * 500}]}, 400, "the context holds"),
        ({"messages": [{"role": "user", "content": "long " * 5000}]}, 400, "characters"),
        ({"response_format": {"type": "json_schema", "json_schema": {"schema": {}}}}, 400, "json_schema.name"),
        ({"continue_final_message": True}, 400, "of role 'assistant'"),
        ({"continue_final_message": True, "add_generation_prompt": True}, 400, "must differ"),
        ({"add_generation_prompt": False}, 400, "must differ"),
        ({"min_p": 2}, 400, "min_p"),
        ({"repetition_penalty": 0}, 400, "repetition_penalty"),
        ({"messages": [{"role": "tool", "content": "x"}]}, 400, "messages.0"),
        ({"messages": [{"role": "assistant", "content": "x"}]}, 400, "end with a user message"),
        ({"messages": [user("x", *["data:image/png;base64,AAAA"] * 9)]}, 400, "at most 8"),
        ({"messages": [user("x", "data:image/png;base64,AAAA")]}, 400, "image 1: not an image"),
        ({"messages": [user("x", "data:image/png;base64,%%%%")]}, 400, "invalid base64"),
        ({"messages": [user("x", "data:text/html;base64,AAAA")]}, 400, "data:image"),
        ({"messages": [user("x", "file:///etc/passwd")]}, 400, "https"),
        ({"messages": [user("x", "https://example.com/a.png")]}, 400, "host is not allowed"),
        ({"body": b"{"}, 400, "request body"),
        ({"body": b"[" * 100_000}, 400, "request body"),
        ({"body": b'{"model": "\\ud800"}'}, 400, "request body"),
        ({"body": b'{"temperature": NaN}'}, 400, ""),
        ({"body": b" " * (2**20 + 1)}, 413, "larger than"),
        ({"headers": {"Content-Type": "text/plain"}}, 415, "application/json"),
        ({"headers": {"Authorization": "Bearer wrong"}}, 401, "invalid API key"),
    ],
)
def test_errors_have_openai_s_envelope(served, changes, status, expected):
    response = post(served, **changes)
    error = response.json()["error"]
    assert (response.status_code, set(error)) == (status, {"message", "type", "param", "code"})
    assert expected in error["message"]
    assert "\n" not in error["message"]


def test_errors_before_the_first_event_set_the_status(served):
    with pytest.raises(openai.BadRequestError, match="context holds"):
        complete(served, {"role": "user", "content": "long " * 500}, stream=True)


def test_total_pixels_are_limited(engine, image):
    settings = ServerSettings(max_total_pixels=2000)
    with (
        serving(ServerState(settings, EngineBackend(engine, "tiny"))) as small,
        pytest.raises(openai.BadRequestError) as caught,
    ):
        complete(small, user("x", data_uri(image(0)), data_uri(image(1))))
    assert "image 2" in caught.value.body["message"]


@pytest.mark.parametrize(
    "path", ["/v1/models", "/metrics", "/openapi.json", "/v1/chat/completions", "/docs", "/", "/x"]
)
def test_every_route_except_health_needs_the_key(served, path):
    assert httpx.get(served.url + path).status_code == 401
    assert httpx.post(served.url + path, json={}).status_code == 401
    wrong = {"Authorization": f"Bearer {KEY[:-1]}"}
    assert httpx.get(served.url + path, headers=wrong).status_code == 401


def test_without_a_key_only_localhost_is_accepted(engine):
    with serving(ServerState(ServerSettings(), EngineBackend(engine, "tiny"))) as running:
        assert httpx.get(f"{running.url}/v1/models").status_code == 200
        assert httpx.get(f"{running.url}/v1/models", headers={"Host": "evil.example:8000"}).status_code == 403


def test_a_public_address_needs_a_key():
    with pytest.raises(RequestError, match="--api-key"):
        ServerSettings(host="0.0.0.0")
    with pytest.raises(RequestError, match="can be guessed"):
        ServerSettings(host="0.0.0.0", api_keys=("short",))
    ServerSettings(host="0.0.0.0", api_keys=(KEY,))


def test_a_slow_body_times_out(engine):
    settings = ServerSettings(body_seconds=0.3)
    with serving(ServerState(settings, EngineBackend(engine, "tiny"))) as running:
        host, port = running.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), 10) as sock:
            head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
            sock.sendall(f"{head}Content-Length: 100\r\n\r\n{{".encode())
            assert b" 408 " in sock.recv(1000)
        assert running.state.queue.admitted == 0


def test_no_request_data_is_logged(served, caplog, monkeypatch):
    secret = "the-secret-of-the-client"

    def broken(*_):
        raise KeyError(secret)

    with caplog.at_level(0):
        complete(served, {"role": "user", "content": secret})
        post(served, model=secret)
        httpx.get(f"{served.url}/{secret}?{secret}", headers={"Authorization": f"Bearer {KEY}"})
        monkeypatch.setattr(served.state.backend, "answer", broken)
        assert post(served).json()["error"]["code"] == "internal_error"
    lines = "\n".join(record.getMessage() for record in caplog.records if record.name.split(".")[0] in SERVERS)
    assert "KeyError in /v1/chat/completions" in lines
    assert "POST /v1/chat/completions 200" in lines
    assert "GET other 404" in lines
    assert secret not in lines
    assert KEY not in lines


# Concurrency


def test_a_full_queue_rejects_one_request_and_answers_the_others(served):
    options = {"temperature": 1.0, "max_completion_tokens": 60}
    with served.client() as client:
        streams, rejected = [], []

        def ask(seed: int) -> None:
            message = [{"role": "user", "content": f"Number {seed}"}]
            try:
                streams.append(
                    (seed, client.chat.completions.create(model="tiny", messages=message, seed=seed, **options))
                )
            except openai.RateLimitError as error:
                rejected.append(error)

        threads = [threading.Thread(target=ask, args=(seed,)) for seed in range(14)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(streams) >= 9  # one slot and eight waiting; one may finish before another arrives
    assert len(streams) + len(rejected) == 14
    assert rejected
    assert all(int(error.response.headers["retry-after"]) >= 1 for error in rejected)
    for seed, answer in streams[:3]:
        alone = complete(served, {"role": "user", "content": f"Number {seed}"}, seed=seed, **options)
        assert answer.choices[0].message.content == alone.choices[0].message.content


@pytest.mark.parametrize("stream", [True, False])
def test_a_disconnect_frees_the_slot(served, stream):
    before = served.state.metrics.disconnects._value.get()
    body = {
        "model": "tiny",
        "messages": [{"role": "user", "content": "On and on"}],
        "max_tokens": 500,
        "stream": stream,
    }
    headers = {"Authorization": f"Bearer {KEY}"}
    for _ in range(5):
        with httpx.Client(timeout=httpx.Timeout(60, read=60 if stream else 0.05)) as client:
            try:
                with client.stream("POST", f"{served.url}/v1/chat/completions", json=body, headers=headers) as response:
                    next(response.iter_lines())
            except httpx.ReadTimeout:
                pass
    wait_until(lambda: not (served.state.queue.running or served.state.queue.admitted), seconds=10)
    assert served.state.metrics.disconnects._value.get() == before + 5
    assert not served.state.tasks
    assert complete(served, {"role": "user", "content": "Still there?"}).choices[0].message.content


def test_the_event_loop_is_free_while_the_model_runs(served):
    done = threading.Event()

    def ask() -> None:
        complete(served, {"role": "user", "content": "Much"}, max_completion_tokens=300)
        done.set()

    threading.Thread(target=ask).start()
    waits = []
    while not done.is_set():
        started = time.monotonic()
        httpx.get(f"{served.url}/health")
        waits.append(time.monotonic() - started)
    assert len(waits) >= 4  # a blocked loop would answer once, at the end


def test_accepted_requests_are_finished(engine):
    """On shutdown, while one request runs and others wait."""
    answers = []

    def ask(seed: int) -> None:
        options = {"max_completion_tokens": 100, "temperature": 1.0, "seed": seed, "stream": seed % 2 == 0}
        answer = complete(running, {"role": "user", "content": "Much"}, **options)
        answers.append(joined(answer)[1][0] if seed % 2 == 0 else answer.choices[0].finish_reason)

    with serving(ServerState(ServerSettings(), EngineBackend(engine, "tiny"))) as running:
        threads = [threading.Thread(target=ask, args=(seed,)) for seed in range(4)]
        for thread in threads:
            thread.start()
        while running.state.queue.admitted < 4 and any(thread.is_alive() for thread in threads):
            time.sleep(0.005)
    for thread in threads:
        thread.join()
    assert len(answers) == 4
    assert set(answers) <= {"stop", "length"}
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{running.url}/health")


def test_cancelling_an_answer_stops_the_model(engine):
    async def run() -> None:
        backend = EngineBackend(engine, "tiny")
        job = ChatJob([{"role": "user", "content": "On"}], Sampling(max_new_tokens=500))

        async def read() -> None:
            async for _ in backend.answer(job):
                pass

        task = asyncio.create_task(read())
        await asyncio.sleep(0.3)
        task.cancel()
        await asyncio.wait([task])
        assert not [thread for thread in threading.enumerate() if thread.name == "minigemini-answer"]
        await backend.close()

    asyncio.run(run())


def test_a_slot_is_held_until_the_model_stops_even_if_stopped_repeatedly():
    async def run() -> None:
        queue, done = RequestQueue(1, 1), asyncio.Event()

        async def events():
            try:
                await asyncio.sleep(60)
                yield None
            finally:
                await done.wait()  # like a thread that is still running

        task = RequestTask(queue, events, set())
        for _ in range(3):  # a disconnect while an event is being sent stops it more than once
            await asyncio.sleep(0.01)
            task.stop()
        await asyncio.sleep(0.01)
        assert queue.running == 1
        done.set()
        await asyncio.sleep(0.01)
        assert queue.running == 0

    asyncio.run(run())


def test_the_queue_counts_requests():
    queue = RequestQueue(1, 1)
    with queue.admit(), queue.admit():
        with pytest.raises(ApiError) as caught, queue.admit():
            pass
        assert caught.value.status == 429
    assert queue.admitted == 0
