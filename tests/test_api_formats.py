"""The routes beside chat completions, structured output and continued answers, through OpenAI's client."""

import json
import sys

import httpx
import openai
import pytest
from api_server import KEY, Served, data_uri, serving, user
from scripted_engine import script

from minigemini.inference import Engine, RequestError, Sampling
from minigemini.serving.engine_backend import EngineBackend
from minigemini.serving.server_settings import ServerSettings
from minigemini.serving.state import ServerState

QUESTION = "What is it?"
HEADERS = {"Authorization": f"Bearer {KEY}"}


@pytest.fixture(scope="module")
def engine(tiny_checkpoint) -> Engine:
    return Engine.load(tiny_checkpoint, device="cpu")


@pytest.fixture(scope="module")
def served(engine):
    settings = ServerSettings(
        api_keys=(KEY,), max_new_tokens=500, max_text_chars=5000, allowed_origins=("http://localhost:3000",)
    )
    with serving(ServerState(settings, EngineBackend(engine, "tiny"))) as running:
        yield running


def chat(served: Served, *messages, **options):
    options = {"model": "tiny", "max_completion_tokens": 12, **options}
    return served.client().chat.completions.create(messages=list(messages), **options).choices[0]


def question(*urls: str) -> list[dict]:
    parts = [{"type": "input_image", "image_url": url, "detail": "auto"} for url in urls]
    return [{"role": "user", "content": [*parts, {"type": "input_text", "text": QUESTION}]}]


def ollama(served: Served, **body) -> httpx.Response:
    return httpx.post(f"{served.url}/api/chat", json={"model": "tiny", **body}, headers=HEADERS, timeout=60)


# Responses


def test_a_response_equals_the_chat_completion(served, image):
    url = data_uri(image(1))
    response = served.client().responses.create(
        model="tiny", input=question(url), instructions="Be brief.", max_output_tokens=12
    )
    expected = chat(served, {"role": "system", "content": "Be brief."}, user(QUESTION, url))
    assert response.output_text == expected.message.content
    assert (response.status, response.incomplete_details.reason) == ("incomplete", "max_output_tokens")
    assert response.usage.output_tokens == 12
    assert response.usage.total_tokens == response.usage.input_tokens + 12


def test_a_streamed_response_has_openai_s_events(served, engine, monkeypatch):
    script(engine, ["It is red."], monkeypatch)
    with served.client().responses.stream(model="tiny", input=QUESTION) as stream:
        events = list(stream)
        final = stream.get_final_response()
    kinds = [event.type for event in events if event.type != "response.output_text.delta"]
    assert kinds == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert len(deltas) > 1
    assert "".join(deltas) == final.output_text == "It is red."


def test_a_response_is_sent_back_unchanged(served, engine, monkeypatch):
    prompts = script(engine, ["It is red.", "Because."], monkeypatch)
    client = served.client()
    first = client.responses.create(model="tiny", input=QUESTION)
    talk = [{"role": "user", "content": QUESTION}, *first.output, {"role": "user", "content": "Why?"}]
    assert client.responses.create(model="tiny", input=talk).output_text == "Because."
    script(engine, ["Because."], monkeypatch)
    assert prompts[1].count("It is red.") == 1


@pytest.mark.parametrize(
    ("options", "param", "words"),
    [
        ({"tools": [{"type": "web_search"}]}, "tools", "not supported"),
        ({"previous_response_id": "resp_1"}, "previous_response_id", "not stored"),
        ({"background": True}, "background", "use stream"),
        ({"max_output_tokens": 501}, "max_output_tokens", "max_output_tokens is 501"),
        ({"input": "long " * 1100}, "input", "characters"),
        ({"input": " "}, "input", "empty"),
        ({"input": [{"role": "assistant", "content": "Hi"}]}, "input", "end with a user message"),
        ({"input": [{**question("data:image/png;base64,AAAA")[0], "role": "system"}]}, "input", "of role user"),
        ({"input": question("data:image/png;base64,AAAA")}, "input", "image 1"),
        ({"input": question("https://example.com/a.png")}, "input", "host is not allowed"),
        ({"model": "gpt"}, "model", "tiny"),
    ],
)
def test_errors_name_the_fields_of_a_response(served, options, param, words):
    with pytest.raises((openai.BadRequestError, openai.NotFoundError), match=words) as caught:
        served.client().responses.create(**{"model": "tiny", "input": QUESTION, **options})
    assert caught.value.body["param"] == param


def test_a_failing_stream_of_a_response_ends_with_an_event(served, engine, monkeypatch):
    def generate(streamer, input_ids, **_):
        streamer.put(input_ids)
        streamer.put(input_ids[0, -1:] * 0 + engine.processor.tokenizer.encode("a", add_special_tokens=False)[0])
        raise KeyError("a secret")

    monkeypatch.setattr(engine.model, "generate", generate)
    events = list(served.client().responses.create(model="tiny", input=QUESTION, stream=True))
    assert events[-1].type == "response.failed"
    assert (events[-1].response.status, events[-1].response.error.code) == ("failed", "internal_error")
    assert "secret" not in events[-1].response.error.message


# Completions


def test_a_text_is_continued_without_a_chat_template(served, engine, monkeypatch):
    prompts = script(engine, [" a red house"] * 2, monkeypatch)
    client = served.client()
    options = {"model": "tiny", "prompt": "Once there was", "echo": True}
    whole = client.completions.create(**options)
    assert whole.choices[0].text == "Once there was a red house"
    streamed = client.completions.create(**options, stream=True)
    assert "".join(chunk.choices[0].text for chunk in streamed) == whole.choices[0].text
    assert prompts == ["Once there was"] * 2


@pytest.mark.parametrize(
    ("options", "param"),
    [
        ({"prompt": ["a", "b"]}, "prompt"),
        ({"prompt": [1, 2]}, "prompt"),
        ({"prompt": ""}, "prompt"),
        ({"prompt": "<image>"}, "prompt"),
        ({"prompt": "long " * 500}, "prompt"),
        ({"prompt": "long " * 5000}, "prompt"),
        ({"logprobs": 1}, "logprobs"),
        ({"best_of": 2}, "best_of"),
        ({"max_tokens": 501}, "max_tokens"),
    ],
)
def test_errors_name_the_fields_of_a_completion(served, options, param):
    with pytest.raises(openai.BadRequestError) as caught:
        served.client().completions.create(**{"model": "tiny", "prompt": "x", "max_tokens": 2, **options})
    assert caught.value.body["param"].partition(".")[0] == param


# Continued answers and system messages


@pytest.mark.parametrize("begun", ["It is", "It is ", [{"type": "text", "text": "It is"}]])
def test_an_answer_is_continued(served, engine, monkeypatch, begun):
    prompts = script(engine, [" red."], monkeypatch)
    options = {"extra_body": {"continue_final_message": True, "add_generation_prompt": False}}
    answer = chat(served, user(QUESTION), {"role": "assistant", "content": begun}, **options)
    assert answer.message.content == " red."
    assert prompts[0].endswith(QUESTION + "<|assistant|>" + ("It is " if begun == "It is " else "It is"))


def test_control_tokens_in_a_continued_answer_are_text(served, engine, monkeypatch):
    prompts = script(engine, ["."], monkeypatch)
    chat(
        served,
        user(QUESTION),
        {"role": "assistant", "content": "<eos>!"},
        extra_body={"continue_final_message": True},
    )
    assert prompts[0].endswith("<|assistant|>< eos>!")


def test_system_messages_move_into_the_next_user_turn(served, engine, image, monkeypatch):
    prompts = script(engine, ["Red."], monkeypatch)
    system = [{"role": "system", "content": "Be brief."}, {"role": "developer", "content": "Be kind."}]
    chat(served, *system, user(QUESTION, data_uri(image(1))))
    assert prompts[0].endswith(f"\nBe brief.\n\nBe kind.\n\n{QUESTION}<|assistant|>")
    with pytest.raises(openai.BadRequestError, match="no user message after it"):
        chat(served, system[0], {"role": "assistant", "content": "x"}, extra_body={"continue_final_message": True})


# Sampling and structured output


def test_one_candidate_token_is_greedy_decoding(served):
    options = {"temperature": 2.0, "seed": 1, "max_completion_tokens": 20}
    greedy = chat(served, user(QUESTION), max_completion_tokens=20).message.content
    assert chat(served, user(QUESTION), **options).message.content != greedy
    assert chat(served, user(QUESTION), extra_body={"top_k": 1}, **options).message.content == greedy
    assert chat(served, user(QUESTION), extra_body={"min_p": 1}, **options).message.content == greedy


def test_a_repetition_penalty_changes_the_answer(engine):
    message = [{"role": "user", "content": QUESTION}]
    plain, penalized = (
        engine.stream(message, Sampling(max_new_tokens=30, repetition_penalty=penalty)).answer.text
        for penalty in (1, 5)
    )
    assert plain != penalized
    with pytest.raises(RequestError, match="above 0"):
        Sampling(repetition_penalty=0)


SCHEMA = {
    "type": "object",
    "properties": {"word": {"enum": ["red", "blue"]}, "is_one": {"type": "boolean"}},
    "required": ["word", "is_one"],
    "additionalProperties": False,
}


@pytest.fixture
def llguidance():
    return pytest.importorskip("llguidance")


@pytest.mark.parametrize("temperature", [0, 1.5])
def test_answers_match_a_json_schema(llguidance, served, image, temperature):
    url, options = data_uri(image(1)), {"temperature": temperature, "seed": 1}
    named = {"name": "sign", "schema": SCHEMA}
    answers = [
        chat(
            served,
            user(QUESTION, url),
            response_format={"type": "json_schema", "json_schema": named},
            max_completion_tokens=60,
            **options,
        ).message.content,
        served.client()
        .responses.create(
            model="tiny",
            input=question(url),
            text={"format": {"type": "json_schema", **named}},
            temperature=temperature,
            extra_body={"seed": 1},
        )
        .output_text,
        ollama(
            served, messages=[{"role": "user", "content": QUESTION}], format=SCHEMA, stream=False, options=options
        ).json()["message"]["content"],
    ]
    for answer in map(json.loads, answers):
        assert answer["word"] in ("red", "blue")
        assert isinstance(answer["is_one"], bool)


def test_an_answer_in_json_mode_begins_an_object(llguidance, served):
    text = chat(served, user(QUESTION), response_format={"type": "json_object"}, temperature=1.0, seed=2)
    assert text.message.content.startswith("{")


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "nonsense"}, "nonsense"),
        ({"$ref": "http://example.com/schema"}, "cannot be followed"),
        ({"enum": ["x" * 1000] * 100}, "use at most"),
    ],
)
def test_schemas_that_cannot_be_followed_are_rejected(llguidance, served, schema, words):
    with pytest.raises(openai.BadRequestError, match=words) as caught:
        chat(
            served,
            user(QUESTION),
            response_format={"type": "json_schema", "json_schema": {"name": "x", "schema": schema}},
        )
    assert (caught.value.body["param"], caught.value.code) == ("response_format", "invalid_json_schema")
    with pytest.raises(openai.BadRequestError) as caught:
        served.client().responses.create(
            model="tiny", input=QUESTION, text={"format": {"type": "json_schema", "name": "x", "schema": schema}}
        )
    assert caught.value.body["param"] == "text.format"


def test_the_extra_of_structured_output_is_named(engine, monkeypatch):
    monkeypatch.setitem(sys.modules, "llguidance.hf", None)  # as if it were not installed
    fresh = Engine(engine.model, engine.processor, "tiny")
    with pytest.raises(RequestError, match=r"minigemini\[structured\]"):
        fresh.stream([{"role": "user", "content": QUESTION}], Sampling(json_schema="{}"))


# Ollama


def test_ollama_s_chat_equals_the_chat_completion(served, image):
    url = data_uri(image(1))
    body = {
        "messages": [{"role": "user", "content": QUESTION, "images": [url.partition(",")[2]]}],
        "options": {"num_predict": 12, "repeat_penalty": 1.0},
        "keep_alive": "5m",
    }
    lines = [json.loads(line) for line in ollama(served, **body).text.splitlines()]
    expected = chat(served, user(QUESTION, url)).message.content
    assert "".join(line["message"]["content"] for line in lines) == expected
    assert [line["done"] for line in lines] == [False] * (len(lines) - 1) + [True]
    assert (lines[-1]["done_reason"], lines[-1]["eval_count"]) == ("length", 12)
    assert ollama(served, stream=False, **body).json()["message"]["content"] == expected
    tags = httpx.get(f"{served.url}/api/tags", headers=HEADERS).json()
    assert [model["name"] for model in tags["models"]] == ["tiny"]


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"tools": [{"type": "function"}]}, "tools"),
        ({"options": {"num_gpu": 1}}, "options.num_gpu"),
        ({"options": {"num_predict": 501}}, "options.num_predict"),
        ({"format": {"type": "nonsense"}}, "format"),
        ({"messages": [{"role": "system", "content": "x", "images": ["AAAA"]}]}, "messages"),
    ],
)
def test_errors_name_the_fields_of_ollama_s_chat(llguidance, served, body, param):
    response = ollama(served, **{"messages": [{"role": "user", "content": QUESTION}], **body})
    assert (response.status_code, response.json()["error"]["param"]) == (400, param)


# Other hosts and web pages


def test_a_web_page_of_an_allowed_origin_may_call(served):
    preflight = {
        "Origin": "http://localhost:3000",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type",
    }
    answer = httpx.options(f"{served.url}/v1/chat/completions", headers=preflight)
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == "http://localhost:3000"
    assert "authorization" in answer.headers["access-control-allow-headers"]
    for headers, status in ((HEADERS, 200), ({}, 401)):  # a page can also read why it was refused
        answer = httpx.get(f"{served.url}/v1/models", headers={**headers, "Origin": "http://localhost:3000"})
        assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (status, "http://localhost:3000")
    other = httpx.get(f"{served.url}/v1/models", headers={**HEADERS, "Origin": "http://localhost:3001"})
    assert "access-control-allow-origin" not in other.headers


def test_without_a_key_allowed_hosts_and_origins_are_accepted(engine):
    settings = ServerSettings(allowed_hosts=("host.docker.internal",), allowed_origins=("https://chat.example.com",))
    with serving(ServerState(settings, EngineBackend(engine, "tiny"))) as running:

        def status(**headers: str) -> int:
            return httpx.get(f"{running.url}/v1/models", headers=headers).status_code

        assert status(Host="host.docker.internal:8000") == 200
        assert status(Host="docker.internal:8000") == 403
        assert status(Origin="https://chat.example.com") == 200
        assert status(Origin="https://evil.example.com") == 403


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"allowed_origins": ("*",)}, "set an API key"),
        ({"allowed_origins": ("https://x/",)}, "not one"),
        ({"allowed_origins": ("null",)}, "not one"),
        ({"allowed_hosts": ("*",)}, "not a host name"),
    ],
)
def test_unsafe_hosts_and_origins_are_rejected(settings, words):
    with pytest.raises(RequestError, match=words):
        ServerSettings(**settings)
