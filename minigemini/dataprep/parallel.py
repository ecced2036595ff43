"""The same work on one machine or on many: a function over tasks, its results in the order of the tasks.

A task is a few plain values, and its result depends on nothing else, so that it may run anywhere and run again: on
processes of this machine, or as a Ray Data job, where a worker that dies costs no more than what it was doing.
"""

import multiprocessing
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from typing import Any, TypeVar

from ..io.system import signal_blocked, start_method

Task = TypeVar("Task")
Result = TypeVar("Result")
_AHEAD = 3
"""Tasks per process that are handed out ahead: what waits as results in memory is bounded by it."""


class ParallelError(RuntimeError):
    """Work that cannot be done as asked for; the message says what to do."""


def run_tasks(
    work: Callable[[Task], Result], tasks: Iterable[Task], workers: int = 1, ray: str | None = None
) -> Iterator[Result]:
    """Do all tasks.

    Args:
        work: what is done; it is sent to each process once.
        tasks: what it is done with.
        workers: processes; 1 works in this one.
        ray: address of a Ray cluster, `auto` for the one this machine belongs to; its workers read and write the
            same paths.

    Yields:
        Results, in the order of the tasks.

    Raises:
        TasksError: A process was killed, or there is no such cluster.
    """
    if ray is not None:
        yield from _on_ray(work, tasks, ray)
    elif workers <= 1:
        yield from map(work, tasks)
    else:
        yield from _on_processes(work, tasks, workers)


_work: Callable[[Any], Any]


def _remember(work: Callable[[Any], Any]) -> None:
    global _work
    _work = work


def _do(task: Any) -> Any:
    return _work(task)


def _on_processes(work: Callable[[Task], Result], tasks: Iterable[Task], workers: int) -> Iterator[Result]:
    context, rest = multiprocessing.get_context(start_method()), iter(tasks)
    others = set(multiprocessing.active_children())
    with ProcessPoolExecutor(workers, context, initializer=_remember, initargs=(work,)) as pool:
        # Processes begin at the first task. A terminal's Ctrl-C goes to all, and the one that asked ends the others.
        with signal_blocked(signal.SIGINT):
            waiting: deque[Future[Result]] = deque(pool.submit(_do, task) for task in islice(rest, _AHEAD * workers))
        try:
            while waiting:
                yield waiting.popleft().result()
                waiting.extend(pool.submit(_do, task) for task in islice(rest, 1))
        except BrokenProcessPool:
            raise ParallelError(
                "a worker was killed, most likely for want of memory: run again with fewer --workers"
            ) from None
        except BaseException:  # Ctrl-C, or nobody wants the rest: what runs is not waited for
            for process in set(multiprocessing.active_children()) - others:
                process.terminate()
            raise


def _on_ray(work: Callable[[Task], Result], tasks: Iterable[Task], address: str) -> Iterator[Result]:
    try:
        import ray
        import ray.data
    except ModuleNotFoundError:
        raise ParallelError("a cluster needs Ray: pip install 'minigemini[ray]'") from None
    try:
        ray.init(address, ignore_reinit_error=True, log_to_driver=False, logging_level="ERROR")
    except ConnectionError as error:
        raise ParallelError(f"no Ray cluster at {address!r} ({error}): start one by `ray start --head`") from None
    ray.data.DataContext.get_current().execution_options.preserve_order = True
    ray.data.DataContext.get_current().enable_progress_bars = False
    shared = ray.put(work)
    rows = ray.data.from_items([{"task": task} for task in tasks], override_num_blocks=_blocks(tasks))
    done = rows.map(_RayWork(shared))
    for row in done.iter_rows():
        yield row["result"]


def _blocks(tasks: Iterable[Any]) -> int | None:
    """A block a task: a task is some seconds of work, and what is lost with a worker is its block."""
    return len(tasks) or None if isinstance(tasks, list | tuple | range) else None


class _RayWork:
    def __init__(self, shared: Any) -> None:
        self.shared = shared

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        import ray

        return {"result": ray.get(self.shared)(row["task"])}
