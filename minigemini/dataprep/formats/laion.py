"""LAION-GPT-4V: a Parquet file of captions and image links; the images must be downloaded separately."""

import os
from pathlib import Path

from ...data.mixture import shuffled
from ...data.readers import MemoryReader, SourceError
from ...data.readers.parquet import need_pyarrow
from ..source_spec import SourceSpec
from .records import conversation, number_of

REQUESTS = (
    "Describe this image in detail.",
    "What do you see in this picture? Be thorough.",
    "Give a detailed description of the image.",
    "Write a careful caption for this image.",
    "Explain what is shown here, with the details that matter.",
)
"""The file has only captions; the question for each is drawn from these by the seed."""


def open_laion_gpt4v(source: SourceSpec, data: Path, seed: int) -> MemoryReader:
    """One conversation per row whose image is in the folder, under the number of the row.

    Raises:
        SourceError: The file lacks a column, or no image exists.
    """
    pyarrow = need_pyarrow()
    path, root = data / source.records[0].path, data / str(source.images)
    try:
        table = pyarrow.parquet.read_table(path, columns=["caption", "link"])
    except (OSError, ValueError, pyarrow.ArrowException) as error:
        raise SourceError(f"{path} lacks columns caption and link, or is damaged ({error}): copy it again") from None
    saved = {entry.name.partition(".")[0]: entry.name for entry in os.scandir(root)} if root.is_dir() else {}
    choices = shuffled(len(table), seed, number_of(source.name), 1) % len(REQUESTS)
    rows = [row for row in range(len(table)) if str(row) in saved]
    if not rows:
        raise SourceError(f"{root}: no images found: save the image of row 7 as 7.jpg, and so on")
    captions = table["caption"].to_pylist()
    return MemoryReader(
        (
            conversation(
                f"gpt4v-{row}",
                [(REQUESTS[choices[row]], captions[row] or "")],
                f"{path.name}#{row}",
                [saved[str(row)]],
            )
            for row in rows
        ),
        root,
        source.name,
        licence=source.licence,
    )
