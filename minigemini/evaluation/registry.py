"""Every evaluation task by its name: the paper's benchmarks, and what packages add by entry points."""

import sys
from collections.abc import Sequence

from ..io.errors import RequestError, listed
from ..plugins import plugins
from .task import Task

RENAMED = {"nano": "synthetic-basic", "grown": "synthetic", "pages": "synthetic-documents"}
"""Names of 0.1, which work for one release."""


def tasks() -> dict[str, Task]:
    """All tasks, those of plugins first."""
    from .benchmarks.mathvista import MathVista
    from .benchmarks.mmbench import MMBench
    from .benchmarks.mme import MME
    from .benchmarks.mmmu import MMMUTest, MMMUVal
    from .benchmarks.mmvet import MMVet
    from .benchmarks.textvqa import TextVQA, TextVQAWithOCR

    benchmarks: list[type[Task]] = [TextVQA, TextVQAWithOCR, MMBench, MME, MMVet, MMMUVal, MMMUTest, MathVista]
    return {kind.name: kind() for kind in (*(entry.load() for entry in plugins("tasks").values()), *benchmarks)}


def find_tasks(names: Sequence[str]) -> list[Task]:
    """The tasks of these names, each once.

    Raises:
        RequestError: There is no such task.
    """
    known, found = tasks(), dict[str, Task]()
    for name in names:
        current = RENAMED.get(name, name)
        if current not in known:
            raise RequestError(f"unknown task {name!r}; choose from {listed(list(known))}")
        if current != name and current not in found:
            print(
                f"minigemini: task {name!r} is now called {current!r}; the old name works in 0.2 only", file=sys.stderr
            )
        found[current] = known[current]
    return list(found.values())
