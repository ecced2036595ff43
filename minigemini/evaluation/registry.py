"""Every task by its name."""

from collections.abc import Sequence

from ..io.errors import RequestError, listed
from .task import Task


def tasks() -> dict[str, Task]:
    """The tasks that need no other suite; drawing needs the fonts, so they are imported when somebody asks."""
    from minigemini_models.evaluation.synthetic_tasks import Synthetic, SyntheticBasic, SyntheticDocuments

    from .benchmarks.mathvista import MathVista
    from .benchmarks.mmbench import MMBench
    from .benchmarks.mme import MME
    from .benchmarks.mmmu import MMMUTest, MMMUVal
    from .benchmarks.mmvet import MMVet
    from .benchmarks.textvqa import TextVQA, TextVQAWithOCR

    kinds: list[type[Task]] = [
        SyntheticBasic,
        Synthetic,
        SyntheticDocuments,
        TextVQA,
        TextVQAWithOCR,
        MMBench,
        MME,
        MMVet,
        MMMUVal,
        MMMUTest,
    ]
    kinds.append(MathVista)
    return {kind.name: kind() for kind in kinds}


def find_tasks(names: Sequence[str]) -> list[Task]:
    """The tasks of these names, each once.

    Raises:
        RequestError: there is no such task.
    """
    known = tasks()
    if unknown := [name for name in names if name not in known]:
        raise RequestError(f"unknown task {unknown[0]!r}; choose from {listed(list(known))}")
    return [known[name] for name in dict.fromkeys(names)]
