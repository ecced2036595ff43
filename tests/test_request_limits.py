"""What a request may hold: bounds that are checked before validation, and errors that name fields as clients do."""

import json
import resource
import time

import pytest

from minigemini.serving.api_errors import LONGEST_MESSAGE, LONGEST_NAME, ApiError
from minigemini.serving.json_body import MAX_FIELDS, MAX_ITEMS, MAX_NAME_CHARS
from minigemini.serving.protocol import ChatRequest, ImageRequest, read_request
from minigemini.serving.request_queue import RequestQueue

TEXT = 200_000


def refused(body: bytes, kind=ChatRequest) -> ApiError:
    with pytest.raises(ApiError) as caught:
        read_request(body, kind, TEXT)
    error = caught.value
    assert error.status == 400
    assert len(error.message) <= LONGEST_MESSAGE
    assert len(error.param or "") <= LONGEST_MESSAGE
    assert error.message.isprintable()
    return error


def body(**fields) -> bytes:
    return json.dumps({"model": "m", "messages": [{"role": "user", "content": "x"}], **fields}).encode()


def content(*parts) -> dict:
    return {"messages": [{"role": "user", "content": list(parts)}]}


@pytest.mark.parametrize(
    ("fields", "param", "words"),
    [
        ({"stop": list("abcde")}, "stop", "at most 4"),
        ({"stop": ""}, "stop", "at least 1 character"),
        ({"stop": ["a", ""]}, "stop.1", "at least 1 character"),
        ({"stop": 5}, "stop", "string"),
        ({"stop": ["a", 3]}, "stop.1", "string"),
        ({"stop": "x" * 300}, "stop", "at most 200"),
        ({"stop": {"str": "x"}}, "stop", "string"),
        ({"response_format": {"type": "json_object"}}, "response_format", "plain text"),
        ({"response_format": {"type": "json_schema", "json_schema": {}}}, "response_format", "plain text"),
        ({"response_format": "json"}, "response_format", "plain text"),
        ({"tools": [{"type": "function"}]}, "tools", "not offered"),
        ({"logit_bias": {"1": 2}}, "logit_bias", "not biased"),
        ({"nonsense": 1}, "nonsense", "no such field"),
        ({"stream_options": {"x": 1}}, "stream_options.x", "no such field"),
        ({"metadata": {"a": 1}}, "metadata.a", "string"),
        ({"metadata": {"str": 1}}, "metadata.str", "string"),
        ({"max_tokens": 10**4000}, "max_tokens", "less than"),
        ({"messages": [{"role": "user"}]}, "messages.0.content", "required"),
        ({"messages": [{"role": "user", "content": "x", "user": 1}]}, "messages.0.user", "no such field"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages.0", "'tool'"),
        (content({"type": "text"}), "messages.0.content.0.text", "required"),
        (content({"type": "image_url", "image_url": "x"}), "messages.0.content.0.image_url", "not an object"),
        (content({"type": "image_url", "image_url": {"url": ""}}), "messages.0.content.0.image_url.url", "at least 1"),
        (content(), "messages.0.content", "at least 1 item"),
    ],
)
def test_errors_name_the_field_as_it_was_written(fields, param, words):
    error = refused(body(**fields))
    assert error.param == param
    assert words in error.message
    assert "constrained" not in error.message


def test_what_answers_are_not_is_no_matter_of_pictures():
    error = refused(b'{"prompt": "x", "response_format": "url"}', ImageRequest)
    assert (error.param, "b64_json" in error.message) == ("response_format", True)


@pytest.mark.parametrize(
    "body",
    [
        body(**{"k" * 30_000_000: 1}),
        body(**{"k" * MAX_NAME_CHARS: 1}),
        body(**{"a\nb\u202e": 1}),
        body(messages=[{"role": "r" * 1_000_000, "content": "x"}]),
        body(messages=[{"role": "user", "content": [{"type": "t\n" * 1000}]}]),
        body(**{str(number): 1 for number in range(MAX_FIELDS + 1)}),
        body(messages=[{"role": "user", "content": "x"}] * (MAX_ITEMS + 1)),
        body(**content(*[{}] * (MAX_ITEMS + 1))),
        body(messages=[{"role": "user", "content": [{}] * 900}] * 50),
        body(messages=[{"role": "user", "content": [{"type": "text", "text": "x"}] * 900}] * 900),
        body(metadata={"x": {"y": [[1] * 900] * 100}}),
    ],
    ids=range(11),
)  # fmt: skip
def test_what_is_repeated_to_the_client_is_short(body):
    error = refused(body)
    assert len(error.param or "") <= LONGEST_NAME


@pytest.mark.parametrize(
    "body",
    [
        b'{"model":"m","messages":[{"role":"user","content":[' + b",".join([b"{}"] * 1_300_000) + b"]}]}",
        b'{"model":"m","messages":[' + b",".join([b'{"role":"user","content":"x"}'] * 1_000_000) + b"]}",
        b"[" * 4_000_000,
        b'{"a":' * 800_000,
        b"{" + b",".join(b'"%d":1' % number for number in range(400_000)) + b"}",
        b"{" + b",".join(b'"%d":1' % number for number in range(249_000)) + b"}",
    ],
    ids=["parts", "messages", "lists", "objects", "fields", "fields that are counted one by one"],
)
def test_millions_of_values_are_refused_at_once(body):
    before, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    refused(body)
    assert time.process_time() - started < 1  # 0.2 s at most where nothing else runs; 14 s when all were validated
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 * 2**10


def test_text_may_be_all_commas_and_conversations_long():
    read_request(body(messages=[{"role": "user", "content": "[{," * (TEXT // 3)}]), ChatRequest, TEXT)
    read_request(body(messages=[{"role": "user", "content": "x"}] * MAX_ITEMS), ChatRequest, TEXT)
    read_request(body(stop=list("abcd"), metadata={"a": "b"}), ChatRequest, TEXT)


@pytest.mark.parametrize(
    "body", [b"", b"{", b"nul", b"\xff", b'"\\ud800"', b"\xef\xbb\xbf{}", b'{"a":NaN}', b"1" * 5000]
)
def test_what_is_no_json_is_said(body):
    assert refused(body).code == "json_invalid"


def test_errors_are_cut_and_in_one_line_wherever_they_come_from():
    error = ApiError(400, "x\n" * 10_000, param="y\r" * 10_000)
    assert (len(error.message), len(error.param)) == (LONGEST_MESSAGE, LONGEST_NAME)
    assert (error.message + error.param).isprintable()


def test_the_bodies_of_all_requests_together_are_bounded():
    gate = RequestQueue(1, 9, max_bytes=100)
    with gate.place() as first:
        first(60)
        with gate.place() as second:
            second(30)
            with pytest.raises(ApiError, match="try again") as caught:
                second(30)
        assert caught.value.status == 429
        assert gate.held_bytes == 60
        first(40)
    assert gate.held_bytes == gate.inside == 0
