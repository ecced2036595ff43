"""Parallel map over tasks with ordered results, on local processes or a Ray cluster.

A task is a few plain values that determine its result, so it can run anywhere and be repeated. If a Ray worker dies,
only its current task is lost and runs again.
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
"""Tasks submitted ahead per process; bounds the results that wait in memory."""


class ParallelError(RuntimeError):
    """Tasks cannot run or a worker was killed; the message says what to do."""


def run_tasks(
    work: Callable[[Task], Result], tasks: Iterable[Task], workers: int = 1, ray: str | None = None
) -> Iterator[Result]:
    """Apply a function to all tasks.

    Args:
        work: the function; it is sent to each process once.
        tasks: its arguments.
        workers: number of processes; 1 runs in the current process.
        ray: address of a Ray cluster, or `auto` for the one that this machine belongs to. Its workers must see the
            same paths.

    Yields:
        Results, in the order of the tasks.

    Raises:
        ParallelError: A worker was killed, or the cluster cannot be reached.
    """
    if ray is not None:
        yield from _on_ray(work, tasks, ray)
    elif workers <= 1:
        yield from map(work, tasks)
    else:
        yield from _on_processes(work, tasks, workers)


_work: Callable[[Any], Any]


def _set_work(work: Callable[[Any], Any]) -> None:
    global _work
    _work = work


def _run(task: Any) -> Any:
    return _work(task)


def _on_processes(work: Callable[[Task], Result], tasks: Iterable[Task], workers: int) -> Iterator[Result]:
    context, rest = multiprocessing.get_context(start_method()), iter(tasks)
    others = set(multiprocessing.active_children())
    with ProcessPoolExecutor(workers, context, initializer=_set_work, initargs=(work,)) as pool:
        # Processes start with the first task. Ctrl-C signals all of them; workers ignore it, and this one ends them.
        with signal_blocked(signal.SIGINT):
            waiting: deque[Future[Result]] = deque(pool.submit(_run, task) for task in islice(rest, _AHEAD * workers))
        try:
            while waiting:
                yield waiting.popleft().result()
                waiting.extend(pool.submit(_run, task) for task in islice(rest, 1))
        except BrokenProcessPool:
            raise ParallelError(
                "a worker was killed, most likely because memory ran out: run again with fewer --workers"
            ) from None
        except BaseException:  # Ctrl-C, or the caller stopped: do not wait for running tasks
            for process in set(multiprocessing.active_children()) - others:
                process.terminate()
            raise


def _on_ray(work: Callable[[Task], Result], tasks: Iterable[Task], address: str) -> Iterator[Result]:
    try:
        import ray
        import ray.data
    except ModuleNotFoundError:
        raise ParallelError("running on a cluster needs Ray: pip install 'minigemini[ray]'") from None
    try:
        ray.init(address, ignore_reinit_error=True, log_to_driver=False, logging_level="ERROR")
    except ConnectionError as error:
        raise ParallelError(f"no Ray cluster at {address!r} ({error}): start one with `ray start --head`") from None
    ray.data.DataContext.get_current().execution_options.preserve_order = True
    ray.data.DataContext.get_current().enable_progress_bars = False
    shared = ray.put(work)
    rows = ray.data.from_items([{"task": task} for task in tasks], override_num_blocks=_blocks(tasks))
    done = rows.map(_RayWork(shared))
    for row in done.iter_rows():
        yield row["result"]


def _blocks(tasks: Iterable[Any]) -> int | None:
    """One block per task: a task takes seconds, and a worker that dies loses one block."""
    return len(tasks) or None if isinstance(tasks, list | tuple | range) else None


class _RayWork:
    def __init__(self, shared: Any) -> None:
        self.shared = shared

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        import ray

        return {"result": ray.get(self.shared)(row["task"])}
