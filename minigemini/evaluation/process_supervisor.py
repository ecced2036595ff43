"""Runs a command for as long as somebody holds the other end of its standard input, then ends it and all it started.

    python -I process_supervisor.py COMMAND…

A program that starts a server so leaves none behind, however it ends itself: the system closes the pipe for it. This
file is run by its path, so that it imports nothing but the standard library, whose names (`-I`) its neighbours share.
"""

import os
import signal
import subprocess
import sys
import threading

STOP_SECONDS = 30.0
"""How long the command may take to end by itself."""


def main(command: list[str]) -> int:
    """The status of the command."""
    started = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    threading.Thread(target=_end_when_let_go, args=(started,), daemon=True).start()
    status = started.wait()
    _signal(started.pid, signal.SIGKILL)  # what it started and left behind
    return status


def _end_when_let_go(started: subprocess.Popen[bytes]) -> None:
    while os.read(0, 1024):  # not sys.stdin, whose lock a thread that waits would hold at the end of the program
        pass
    _signal(started.pid, signal.SIGTERM)
    try:
        started.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        _signal(started.pid, signal.SIGKILL)


def _signal(group: int, number: int) -> None:
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):  # nobody is left; macOS says so by the second
        return


if __name__ == "__main__":
    status = main(sys.argv[1:])
    sys.exit(status if status >= 0 else 128 - status)
