"""Every task by its name."""

from .task import Task


def tasks() -> dict[str, Task]:
    """The tasks that need no other suite; drawing needs the fonts, so they are imported when somebody asks."""
    from .benchmarks.mathvista import MathVista
    from .benchmarks.mmbench import MMBench
    from .benchmarks.mme import MME
    from .benchmarks.mmmu import MMMUTest, MMMUVal
    from .benchmarks.mmvet import MMVet
    from .benchmarks.textvqa import TextVQA, TextVQAWithOCR
    from .drawn import Grown, Nano, Pages

    kinds: list[type[Task]] = [Nano, Grown, Pages, TextVQA, TextVQAWithOCR, MMBench, MME, MMVet, MMMUVal, MMMUTest]
    kinds.append(MathVista)
    return {kind.name: kind() for kind in kinds}
