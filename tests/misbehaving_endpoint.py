"""An OpenAI-compatible endpoint with scripted replies and failures, which counts its requests."""

import json
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

GOOD_RE_CAPTION = '1. "Draw me a cat, please."\n2. "a cat on a sofa, photograph"'

Behavior = str | tuple[str, str]
"""Response to a request: a kind of failure, or ("say", reply)."""


class Server:
    """Attributes: url; asked: requests per prompt; most_at_once: peak concurrency; keys: API keys received."""

    def __init__(self, behave: Callable[[str, int], Behavior]) -> None:
        self.behave, self.asked, self.keys = behave, Counter[str](), set[str]()
        self.now = self.most_at_once = 0
        self.lock = threading.Lock()
        self.url = ""


class _Patient(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *request: Any) -> None:
        """Ignore clients that were killed during a request."""
        if not isinstance(sys.exception(), ConnectionError | json.JSONDecodeError):
            super().handle_error(*request)


@contextmanager
def serving(behave: Callable[[str, int], Behavior]) -> Iterator[Server]:
    """Serve on a free port; `behave` receives the prompt and the number of earlier requests with it."""
    server = Server(behave)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: Any) -> None:
            pass

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            prompt = body["messages"][-1]["content"]
            with server.lock:
                seen = server.asked[prompt]
                server.asked[prompt] += 1
                server.keys.add(self.headers.get("Authorization", ""))
                server.now += 1
                server.most_at_once = max(server.most_at_once, server.now)
            try:
                _respond(self, server.behave(prompt, seen))
            except (BrokenPipeError, ConnectionResetError):
                pass
            finally:
                with server.lock:
                    server.now -= 1

    http = _Patient(("127.0.0.1", 0), Handler)
    server.url = f"http://127.0.0.1:{http.server_port}/v1"
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        http.shutdown()
        http.server_close()
        thread.join()


def _respond(handler: BaseHTTPRequestHandler, behaviour: Behavior) -> None:
    match behaviour:
        case ("say", text):
            _send(handler, 200, _completion(text))
        case "slow":
            time.sleep(0.05)
            _send(handler, 200, _completion(GOOD_RE_CAPTION))
        case "cut":
            _send(handler, 200, _completion('1. "Draw me', "length"))
        case "too many":
            _send(handler, 429, b'{"error": {"message": "slow down"}}', {"Retry-After": "0"})
        case "down":
            _send(handler, 503, b"busy")
        case "half":
            data = _completion(GOOD_RE_CAPTION)
            handler.send_response(200)
            handler.send_header("Content-Type", "application/json")
            handler.send_header("Content-Length", str(len(data)))
            handler.end_headers()
            handler.wfile.write(data[: len(data) // 2])
            handler.wfile.flush()
            handler.close_connection = True
        case "half json":
            _send(handler, 200, _completion(GOOD_RE_CAPTION)[:40])
        case "no choices":
            _send(handler, 200, b'{"id": "x", "object": "chat.completion", "choices": []}')
        case "no text":
            _send(handler, 200, b'{"choices": [{"index": 0, "finish_reason": "stop", "message": {"content": null}}]}')
        case "drip":  # a byte now and then: no single read ever times out
            handler.send_response(200)
            handler.send_header("Content-Length", "1000")
            handler.end_headers()
            for _ in range(100):
                handler.wfile.write(b" ")
                handler.wfile.flush()
                time.sleep(0.05)
        case "hang":
            time.sleep(4)
        case "refuse":
            _send(handler, 400, b'{"error": {"message": "not this one"}}')
        case "no key":
            _send(handler, 401, b'{"error": {"message": "who are you?"}}')
        case _:
            raise ValueError(behaviour)


def _completion(text: str, finish_reason: str = "stop") -> bytes:
    message = {"role": "assistant", "content": text}
    return json.dumps(
        {
            "id": "x",
            "object": "chat.completion",
            "created": 0,
            "model": "served",
            "choices": [{"index": 0, "message": message, "finish_reason": finish_reason}],
            "usage": {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120},
        }
    ).encode()


def _send(handler: BaseHTTPRequestHandler, status: int, data: bytes, headers: dict[str, str] | None = None) -> None:
    handler.send_response(status)
    handler.send_header("Content-Type", "application/json")
    handler.send_header("Content-Length", str(len(data)))
    for name, value in (headers or {}).items():
        handler.send_header(name, value)
    handler.end_headers()
    handler.wfile.write(data)
