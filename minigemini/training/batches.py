"""Reads a recipe's data into global batches, split into the micro-batches that a device accumulates."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from ..data.bad_samples import BadSampleLog
from ..data.encoding import SampleEncoder
from ..data.loader import Loader
from ..data.mixture import GlobalBatches, Mixture, Part
from ..data.packing import Batch, PackedCollator, PaddedCollator
from ..data.readers import Reader, SourceError, lacks_images, open_reader
from ..data.seed_loader import SeedLoader
from ..modeling import MiniGeminiProcessor
from ..plugins import plugins
from .recipe import DataPart, Recipe
from .settings import RecipeError


@dataclass(frozen=True)
class MicroBatchCollator:
    """Splits a device's share of a global batch into `count` micro-batches of nearly equal size."""

    collator: Callable[[Sequence[Any]], Batch]
    count: int

    def __call__(self, samples: Sequence[Any]) -> list[Batch]:
        """Split and collate; a micro-batch may be empty if many samples are bad, and then contributes no loss."""
        ends = [len(samples) * n // self.count for n in range(self.count + 1)]
        return [self.collator(samples[start:end]) for start, end in pairwise(ends)]


class MicroBatchStream:
    """An endless stream of the micro-batches of all steps; the loader tracks the position."""

    def __init__(self, loader: Loader | SeedLoader) -> None:
        self.loader = loader

    def __iter__(self) -> Iterator[Batch]:
        while True:
            for micro_batches in self.loader:
                yield from micro_batches  # type: ignore[misc]  # the collator is a `MicroBatchCollator`


def is_synthetic(part: DataPart) -> bool:
    """Whether a plugin generates the samples, instead of a file."""
    return part.file.partition(":")[0] in plugins("datasets")


def open_part(part: DataPart) -> Reader:
    """Open a file, a manifest, a folder of shards, or a generated dataset.

    Raises:
        RecipeError: It does not exist, or is not a source of samples.
    """
    if is_synthetic(part):
        open_dataset: Callable[[str], Reader] = plugins("datasets")[part.file.partition(":")[0]].load()
        return open_dataset(part.file)
    try:
        reader = open_reader(Path(part.file), Path(part.images) if part.images else None)
    except (SourceError, ImportError) as error:
        raise RecipeError(f"data {error}") from None
    if part.images is None and lacks_images(reader):
        raise RecipeError(
            f"data {part.file} refers to images by relative paths; add their root folder: data={part.file}@FOLDER"
        )
    return reader


def open_mixture(recipe: Recipe) -> Mixture:
    """Combine all data of a recipe.

    Raises:
        RecipeError: A part cannot be read, or the weights leave no samples.
    """
    try:
        return Mixture(
            [Part(open_part(part), part.weight, curriculum=part.parsed_curriculum()) for part in recipe.data],
            recipe.seed,
        )
    except RecipeError:
        raise
    except ValueError as error:
        raise RecipeError(f"{recipe.name}: data: {error}") from None


def global_batches(recipe: Recipe, mixture: Mixture, tokens_per_image: int) -> GlobalBatches:
    """Global batches grouped by modality, and also by length if rows are padded."""
    return GlobalBatches(mixture, recipe.global_batch, tokens_per_image, by_length=recipe.batching == "grouped")


def encoder_of(recipe: Recipe, processor: MiniGeminiProcessor) -> SampleEncoder:
    """The encoder that converts samples to tensors."""
    plain = recipe.chat_format == "plain"
    return SampleEncoder(
        processor, plain, max_length=recipe.max_length, too_long="truncate", scaled=recipe.scaled_decoding
    )


def make_loader(
    recipe: Recipe,
    batches: GlobalBatches,
    processor: MiniGeminiProcessor,
    issues: Path,
    width: int,
    *,
    rank: int = 0,
    world_size: int = 1,
    pin_memory: bool = False,
) -> Loader:
    """The data loader of one rank; each item is a list of micro-batches. `width` is that of the language model."""
    pad: Any = processor.tokenizer.pad_token_id
    pad = processor.tokenizer.eos_token_id if pad is None else pad
    collator: Any = PaddedCollator(pad)
    if recipe.batching == "packed":
        collator = PackedCollator(recipe.row_length or recipe.max_length, pad, width=width)
    split: Any = MicroBatchCollator(collator, recipe.accumulation(world_size))
    return Loader(
        batches,
        encoder_of(recipe, processor),
        split,
        BadSampleLog(issues, recipe.max_bad_sample_ratio),
        rank=rank,
        world_size=world_size,
        workers=recipe.workers,
        pin_memory=pin_memory,
    )


def steps_of(recipe: Recipe, samples: int) -> int:
    """Number of optimizer steps of a run, given the number of samples in an epoch."""
    per_epoch = -(-samples // recipe.global_batch)
    return recipe.steps or max(1, round(per_epoch * recipe.epochs))
