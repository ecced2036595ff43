"""Converts the native formats of declared sources to samples, selected by each source's rule and a seed."""

from collections.abc import Callable
from pathlib import Path

from ...data.readers import Reader, SourceError, SubsetReader
from ..source_spec import SourceSpec
from .document_qa import open_ai2d, open_chartqa, open_docvqa, open_dvqa
from .laion import open_laion_gpt4v
from .llava import open_llava
from .records import seeded_choice
from .text_conversations import open_lima, open_oasst2

FORMATS: dict[str, Callable[[SourceSpec, Path, int], Reader]] = {
    "llava": open_llava,
    "laion-gpt4v": open_laion_gpt4v,
    "lima": open_lima,
    "oasst2": open_oasst2,
    "docvqa": open_docvqa,
    "chartqa": open_chartqa,
    "dvqa": open_dvqa,
    "ai2d": open_ai2d,
}
"""By format: opens the samples of a source, given the data folder and a seed, before `take` is applied."""


def open_source(source: SourceSpec, data: Path, seed: int = 0) -> Reader:
    """Open the samples of a source that its rule selects.

    Args:
        source: a declared source.
        data: the data folder, as filled by `minigemini data fetch`.
        seed: seed of random selections.

    Raises:
        SourceError: A file is missing, or has another format than declared.
        ModuleNotFoundError: The package that reads the format is not installed.
    """
    if source.format not in FORMATS:
        raise SourceError(f"{source.name} is an evaluation set and is not trained on")
    for file in source.records:
        if not (data / file.path).is_file():
            how = f"`minigemini data fetch {source.name}`" if file.url else file.by_hand
            raise SourceError(f"{data / file.path}: no such file, but {source.name} needs it: {how}")
    reader = FORMATS[source.format](source, data, seed)
    if source.take is None or len(reader) <= source.take:
        return reader
    return SubsetReader(reader, seeded_choice(len(reader), source.take, seed, source.name))
