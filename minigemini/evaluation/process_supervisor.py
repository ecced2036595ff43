"""Runs a command until the other end of standard input is closed, then stops it and all its child processes.

    python -I process_supervisor.py COMMAND…

A program that starts a server this way never leaves it running, however the program ends: the system closes the pipe.
This file is run by its path, imports only the standard library, and needs `-I` because files beside it have the names
of standard modules.
"""

import os
import signal
import subprocess
import sys
import threading

STOP_SECONDS = 30.0
"""Time for the command to stop after SIGTERM."""


def main(command: list[str]) -> int:
    """Run the command; returns its exit status."""
    started = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    threading.Thread(target=_stop_when_closed, args=(started,), daemon=True).start()
    status = started.wait()
    _signal(started.pid, signal.SIGKILL)  # child processes that are still running
    return status


def _stop_when_closed(started: subprocess.Popen[bytes]) -> None:
    while os.read(0, 1024):  # not sys.stdin: a blocked reader would hold its lock at interpreter shutdown
        pass
    _signal(started.pid, signal.SIGTERM)
    try:
        started.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        _signal(started.pid, signal.SIGKILL)


def _signal(group: int, number: int) -> None:
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):  # all processes have ended; macOS raises PermissionError
        return


if __name__ == "__main__":
    status = main(sys.argv[1:])
    sys.exit(status if status >= 0 else 128 - status)
