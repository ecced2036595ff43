"""An HTTP server of one file that misbehaves in a chosen way."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Misbehavior:
    """Settings of the server.

    Attributes:
        data: the file.
        drop_after: bytes after which a connection is closed; `drops` limits how often.
        ranges: "good", "ignored" (the whole file, 200), "shifted" (other bytes under a correct header), "elsewhere" (a
            range that was not requested).
        length: Content-Length to send instead of the true one.
        pause: seconds between pieces of 10,000 bytes.
        status: status of refusals, sent with a web page; `refusals` limits how often.
        etags: one per reply; the last one repeats.
        headers: additional headers.
    """

    def __init__(self, data: bytes, **ways) -> None:
        self.data, self.asked = data, list[str | None]()
        self.drop_after, self.drops, self.ranges, self.length = None, 0, "good", None
        self.pause = 0.0
        self.status, self.refusals, self.etags, self.headers = 200, 0, ["one"], {}
        vars(self).update(ways)


@contextmanager
def served(way: Misbehavior) -> Iterator[str]:
    """Run the server and yield its address."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self):
            self._answer(200, len(way.data))
            self.end_headers()

        def do_GET(self):
            asked = self.headers.get("Range")
            way.asked.append(asked)
            if way.refusals:
                way.refusals -= 1
                self._answer(way.status, 4)
                self.end_headers()
                self.wfile.write(b"oops")
                return
            start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and way.ranges != "ignored" else 0
            if start and start >= len(way.data):
                self._answer(416, 0)
                self.send_header("Content-Range", f"bytes */{len(way.data)}")
                self.end_headers()
                return
            said = start + 7 if start and way.ranges == "elsewhere" else start
            body = way.data[start:] if way.ranges != "shifted" or not start else way.data[start - 1 : -1]
            self._answer(206 if start else 200, len(body) if way.length is None else way.length)
            if start:
                self.send_header("Content-Range", f"bytes {said}-{len(way.data) - 1}/{len(way.data)}")
            self.end_headers()
            if way.drops and way.drop_after is not None:
                way.drops -= 1
                body = body[: way.drop_after]
                self.close_connection = True
            self.close_connection |= way.length is not None
            try:
                for first in range(0, len(body), 10_000) if way.pause else ():
                    self.wfile.write(body[first : first + 10_000])
                    time.sleep(way.pause)
                if not way.pause:
                    self.wfile.write(body)
            except OSError:
                self.close_connection = True

        def _answer(self, status: int, length: int) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(length))
            self.send_header("ETag", f'"{way.etags.pop(0) if len(way.etags) > 1 else way.etags[0]}"')
            for name, value in way.headers.items():
                self.send_header(name, value)

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
