"""A pytest plugin (`-p off_linux`): our code sees what it would on macOS (`OFF_LINUX=darwin`) or Windows (`win32`).

There is no such machine here, so what these systems lack is hidden: files under /proc and /sys, new processes by fork,
and on Windows the modules and functions that are POSIX's. What only Windows has is made of what is here. Third parties
go on seeing this machine, and how file names work is not shown: that is for their own tests, and for real machines.
"""

import builtins
import io
import multiprocessing
import os
import signal
import sys
import types

import torch.utils.data  # noqa: F401  # and all it imports, before anything is hidden

SYSTEM = os.environ["OFF_LINUX"]
MODULES = {"darwin": (), "win32": ("fcntl", "resource", "pwd", "grp", "termios")}[SYSTEM]
FUNCTIONS = {
    "darwin": (),
    "win32": (
        *((os, name) for name in ("sysconf", "pread", "pwrite", "killpg", "getpgid", "setsid", "geteuid", "mkfifo")),
        *((signal, name) for name in ("pthread_sigmask", "SIGKILL", "SIGHUP", "SIGALRM")),
    ),
}[SYSTEM]
OURS = ("minigemini",)

real_import, real_open = builtins.__import__, io.open


def importing(name, globals=None, *rest, **more):
    asking = (globals or {}).get("__name__", "").partition(".")[0]
    if name in MODULES and asking in OURS:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)
    if name == "resource" and asking in OURS:
        return Resource("resource")
    return real_import(name, globals, *rest, **more)


def opening(file, *rest, **more):
    hidden = isinstance(file, str | os.PathLike) and os.fspath(file).startswith(("/proc/", "/sys/"))
    if hidden and not sys._getframe(1).f_globals.get("__name__", "").startswith("psutil"):
        raise FileNotFoundError(2, "No such file or directory", os.fspath(file))
    return real_open(file, *rest, **more)


def seen_by_us(module: types.ModuleType, without: set[str]) -> types.ModuleType:
    """A module as our code finds it."""
    copy = types.ModuleType(module.__name__)
    vars(copy).update({name: value for name, value in vars(module).items() if name not in without})
    return copy


class Resource(types.ModuleType):
    """As on macOS, which counts in bytes where Linux does in KiB."""

    RUSAGE_SELF = 0

    def getrusage(self, who: int) -> types.SimpleNamespace:
        import resource

        return types.SimpleNamespace(ru_maxrss=resource.getrusage(who).ru_maxrss * 1024)


class Msvcrt(types.ModuleType):
    """Locks on bytes, as Windows has them: at the position of the file, by process."""

    LK_LOCK, LK_NBLCK, LK_UNLCK = 1, 2, 0

    def locking(self, handle: int, mode: int, size: int) -> None:
        import fcntl

        kind = {1: fcntl.LOCK_EX | fcntl.LOCK_NB, 2: fcntl.LOCK_EX | fcntl.LOCK_NB, 0: fcntl.LOCK_UN}[mode]
        fcntl.lockf(handle, kind, size, os.lseek(handle, 0, os.SEEK_CUR))


def hide() -> None:
    from minigemini.io import system

    builtins.__import__, builtins.open, io.open = importing, opening, opening
    multiprocessing.set_start_method("spawn", force=True)
    system.sys = seen_by_us(sys, set())
    system.sys.platform = SYSTEM
    for module in (os, signal):
        without = {name for place, name in FUNCTIONS if place is module}
        setattr(system, module.__name__, seen_by_us(module, without))
    if SYSTEM == "win32":
        sys.modules["msvcrt"] = Msvcrt("msvcrt")


hide()
