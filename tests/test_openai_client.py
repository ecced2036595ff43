"""The client of chat endpoints against servers that send too much, too slowly, or something else."""

import gzip
import json
import socket
import time

import pytest
from raw_server import head, raw_server

from minigemini.io import openai_client
from minigemini.io.errors import RequestError
from minigemini.io.openai_client import ChatClient, ChatRequestError, RetryPolicy

ONCE = RetryPolicy(timeout_s=1.0, tries=1)


def completion(text: str = "fine", **usage) -> bytes:
    return json.dumps({"choices": [{"message": {"content": text}}], "usage": usage}).encode()


def body(content: bytes, *lines: str, status: str = "200 OK") -> bytes:
    return head(f"Content-Length: {len(content)}", *lines, status=status) + content


def endless(connection: socket.socket, request: bytes, number: int) -> None:
    connection.sendall(head("Transfer-Encoding: chunked"))
    while True:
        connection.sendall(b"10000\r\n" + bytes(0x10000) + b"\r\n")


def drip_headers(connection: socket.socket, request: bytes, number: int) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nX: ")
    while True:
        connection.sendall(b"a")
        time.sleep(0.05)


RESPONSES = {
    "an endless body": (endless, r"response over \d+ bytes from"),
    "headers of a byte now and then": (drip_headers, "timeout from"),
    "a compressed body": (body(gzip.compress(completion()), "Content-Encoding: gzip"), "no chat completion from"),
    "half a surrogate pair": (body(completion("\ud83d")), "no chat completion from"),
    "deeply nested JSON": (body(b"[" * 100_000), "no chat completion from"),
    "a list": (body(b"[]"), "no chat completion from"),
    "infinitely many tokens": (body(completion(prompt_tokens=float("inf"))), "no chat completion from"),
    "no HTTP": (b"\x00\xff" * 5000, "connection lost from"),
    "a redirect": (body(b"", "Location: http://127.0.0.1:9/", status="307 Temporary Redirect"), "status 307 from"),
}


@pytest.mark.parametrize("name", RESPONSES)
def test_invalid_responses_are_one_line_errors(name, monkeypatch):
    monkeypatch.setattr(openai_client, "MAX_RESPONSE_BYTES", 2**20)
    response, message = RESPONSES[name]
    respond = response if callable(response) else lambda connection, request, number: connection.sendall(response)
    begun = time.monotonic()
    with raw_server(respond) as address, pytest.raises(ChatRequestError, match=f"^{message}") as error:
        ChatClient(address, "served", retries=ONCE).chat([], 5, str)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 300
    assert time.monotonic() - begun < 10


def test_retry_after_is_respected():
    responses = [body(b"", "Retry-After: 1", status="429 Too Many Requests"), body(completion())]
    begun = time.monotonic()
    with raw_server(lambda connection, request, number: connection.sendall(responses[number])) as address:
        client = ChatClient(address, "served", retries=RetryPolicy(first_wait_s=0.01))
        assert client.chat([], 5, str) == "fine"
    assert time.monotonic() - begun >= 1


@pytest.mark.parametrize(
    ("listed", "message"),
    [
        (b'{"data": [{"id": "a"}, {"id": "b"}]}', r"serves 2 models \(a, b\); choose one"),
        (b"{}", r"cannot list models \(invalid list\)"),
    ],
)
def test_unnamed_model_must_be_the_only_one(listed, message):
    with (
        raw_server(lambda connection, request, number: connection.sendall(body(listed))) as address,
        pytest.raises(RequestError, match=message),
    ):
        ChatClient(address, retries=ONCE)


def test_invalid_key_is_not_printed(monkeypatch):
    monkeypatch.setenv("MY_KEY", "s3cret\n")
    with pytest.raises(RequestError, match="MY_KEY: invalid API key") as error:
        ChatClient("http://127.0.0.1:9/v1", "served", key_variable="MY_KEY")
    assert "s3cret" not in str(error.value)
