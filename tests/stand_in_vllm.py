"""Stand-in for `vllm serve`: takes its arguments, becomes healthy after a while, answers "yes", and can crash.

A test copies it to a folder as `vllm`. It writes its arguments and requests to that folder; a file `crash` there
contains the number of answers after which it exits.
"""

import argparse
import json
import os
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

FOLDER = Path(__file__).parent
LAST_WORDS = "RuntimeError: no memory for a single block"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("verb", choices=["serve"])
    parser.add_argument("model")
    for option in ("--served-model-name", "--host", "--port"):
        parser.add_argument(option, required=True)
    given, _ = parser.parse_known_args()
    child = subprocess.Popen(["sleep", "600"])  # vLLM has child processes too
    (FOLDER / "pids").write_text(f"{os.getpid()} {child.pid}")
    (FOLDER / "arguments").write_text(json.dumps(sys.argv[1:]))
    assert Path(given.model, "config.json").exists()
    after = FOLDER / "crash"
    left = [int(after.read_text()) if after.exists() else -1]
    health_checks = [0]
    if left[0] == 0:
        sys.exit(LAST_WORDS)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            health_checks[0] += 1
            self.reply(200 if health_checks[0] > 2 else 503, {})

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if left[0] == 0:
                print(LAST_WORDS, flush=True)
                os._exit(3)
            left[0] -= 1
            assert body["model"] == given.served_model_name
            with (FOLDER / "asked").open("a") as file:
                file.write(json.dumps(body) + "\n")
            self.reply(200, {"choices": [{"message": {"content": "yes"}}]})

        def reply(self, status: int, body: object) -> None:
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            pass

    ThreadingHTTPServer((given.host, int(given.port)), Handler).serve_forever()


if __name__ == "__main__":
    main()
