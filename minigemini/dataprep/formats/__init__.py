"""Native formats into the one schema: each source's files, by its declared rule and a seed, to a reader of samples."""

from collections.abc import Callable
from pathlib import Path

from ...data.readers import Reader, SourceError, SubsetReader
from ..source_spec import SourceSpec
from .document_qa import open_ai2d, open_chartqa, open_docvqa, open_dvqa
from .laion import open_laion_gpt4v
from .llava import open_llava
from .seeded_choice import seeded_choice
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
"""From a source, the folder of data and a seed to all samples that its rule leaves to draw from."""


def open_source(source: SourceSpec, data: Path, seed: int = 0) -> Reader:
    """The samples of a source, chosen by its rule.

    Args:
        source: a declared source.
        data: the folder of data, as `minigemini data fetch` fills it.
        seed: of what is drawn; another one draws others.

    Raises:
        SourceError: A file is missing, or not what the source says.
        ModuleNotFoundError: What reads it is not installed.
    """
    if source.form not in FORMATS:
        raise SourceError(f"{source.name} is for comparison alone, and not trained on")
    for file in source.records:
        if not (data / file.path).is_file():
            how = f"`minigemini data fetch {source.name}`" if file.url else file.by_hand
            raise SourceError(f"{data / file.path}: no such file, which {source.name} needs: {how}")
    reader = FORMATS[source.form](source, data, seed)
    if source.take is None or len(reader) <= source.take:
        return reader
    return SubsetReader(reader, seeded_choice(len(reader), source.take, seed, source.name))
